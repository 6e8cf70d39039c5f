//! How near a postback is to being switched off: its failures in a row in both
//! countings, and when the last one will come at the present pace. Pure.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::streak::Bounds;
use crate::domain::policy::DeactivationCounts;
use crate::domain::time::{Timestamp, seconds};

/// The network looks back this far (its documentation, since March 2026).
pub const SPAN: Duration = Duration::from_secs(72 * 3600);

/// Fewer failures have no pace.
const FEWEST: u64 = 3;

/// The failures in a row of one postback, in deliveries and in tries: which of
/// them the network counts is not documented.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InARow {
    pub postback: u64,
    pub deliveries: Bounds,
    pub tries: Bounds,
    /// Failures that switch the postback off.
    pub limit: u32,
    /// What the user's rules count.
    pub counts: DeactivationCounts,
    /// The first and the last failure, in that counting.
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub stand: Stand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stand {
    /// The next failure adds to it.
    Growing,
    /// Nothing of it is left; the numbers are what it had come to.
    Broken,
    /// The postback is switched off.
    SwitchedOff,
}

/// When the failure comes that switches the postback off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forecast {
    /// Too few failures for a pace, or not known exactly, or it came already.
    Unknown,
    /// Never within the span that the network looks at.
    NotAtThisPace,
    At(Timestamp),
}

/// Foretells failure number `limit` from `count` failures between `first_at` and
/// `last_at`. While none comes for longer than usual, the pace slows down.
pub fn forecast(
    now: Timestamp,
    count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
    limit: u64,
) -> Forecast {
    if count < FEWEST || count >= limit {
        return Forecast::Unknown;
    }
    let between = last_at.since(first_at).as_secs_f64() / (count - 1) as f64;
    let waiting = now.since(first_at).as_secs_f64() / count as f64;
    let pace = Duration::from_secs_f64(between.max(waiting));
    let next_at = (last_at + pace).max(now);
    let further = u32::try_from(limit - count - 1).unwrap_or(u32::MAX);
    let last_one_at = next_at + pace.saturating_mul(further);
    match last_one_at.0 - first_at.0 > seconds(SPAN) {
        true => Forecast::NotAtThisPace,
        false => Forecast::At(last_one_at),
    }
}

impl InARow {
    /// As the user's rules count it.
    pub fn counted(&self) -> Bounds {
        match self.counts {
            DeactivationCounts::Deliveries => self.deliveries,
            DeactivationCounts::Attempts => self.tries,
        }
    }

    pub fn forecast(&self, now: Timestamp) -> Forecast {
        let counted = self.counted();
        if self.stand != Stand::Growing || counted.least < counted.most {
            return Forecast::Unknown;
        }
        let (count, limit) = (counted.least as u64, u64::from(self.limit));
        forecast(now, count, self.first_at, self.last_at, limit)
    }

    /// This row of failures, where the next one to tell is `now`: it stays as it
    /// was, broken, where nothing is left of it.
    pub fn followed_by(&self, now: InARow) -> InARow {
        match now.deliveries.most > 0.0 {
            true => now,
            false => InARow { stand: Stand::Broken, ..self.clone() },
        }
    }

    /// `6 deliveries in a row, 14 tries`.
    pub fn short(&self) -> String {
        format!("{}, {}", self.deliveries_text(" in a row"), self.tries_text())
    }

    /// What the reader of a message needs; `minute` writes a moment.
    pub fn sentence(&self, now: Timestamp, minute: impl Fn(Timestamp) -> String) -> String {
        let InARow { postback, limit, .. } = self;
        let failed = format!("{} failed, {}", self.deliveries_text(" in a row"), self.tries_text());
        match self.stand {
            Stand::Broken => format!(
                "Postback {postback}: it had come to {}; there are none in a row now.",
                self.short()
            ),
            Stand::SwitchedOff => format!(
                "Postback {postback}: {failed}, before it was switched off; the network does \
                 that at {limit} and does not say which it counts."
            ),
            Stand::Growing => format!(
                "Postback {postback}: {failed}; the network switches off at {limit} and does \
                 not say which it counts. {}",
                self.outlook(now, minute)
            )
            .trim_end()
            .to_owned(),
        }
    }

    /// Where the row of failures came to, once the alert is over.
    pub fn sentence_at_end(&self) -> String {
        format!("Postback {}: it had come to {}.", self.postback, self.short())
    }

    fn outlook(&self, now: Timestamp, minute: impl Fn(Timestamp) -> String) -> String {
        let what = match self.counts {
            DeactivationCounts::Deliveries => "delivery",
            DeactivationCounts::Attempts => "try",
        };
        let limit = ordinal(self.limit);
        if self.counted().least >= f64::from(self.limit) {
            return "It may be switched off at any moment.".to_owned();
        }
        match self.forecast(now) {
            Forecast::Unknown => String::new(),
            Forecast::NotAtThisPace => {
                format!("At this pace the {limit} failed {what} does not come within 72 h.")
            }
            Forecast::At(at) => {
                format!("At this pace the {limit} failed {what} comes {}.", coming(now, at, minute))
            }
        }
    }

    fn deliveries_text(&self, tail: &str) -> String {
        counted_text(self.deliveries, &format!("delivery{tail}"), &format!("deliveries{tail}"))
    }

    fn tries_text(&self) -> String {
        counted_text(self.tries, "try", "tries")
    }
}

/// `in about 12 min (14:32 UTC)`.
pub fn coming(now: Timestamp, at: Timestamp, minute: impl Fn(Timestamp) -> String) -> String {
    let wait = at.since(now);
    match wait.as_secs() {
        0..60 => "at any moment".to_owned(),
        _ => format!(
            "in about {} ({})",
            crate::domain::alert::shown::shown_duration(wait),
            minute(at)
        ),
    }
}

fn counted_text(bounds: Bounds, one: &str, many: &str) -> String {
    let Bounds { least, most } = bounds;
    let (bound, shown) = match (least == most, least > 0.0) {
        (true, _) => ("", least),
        (false, true) => ("at least ", least),
        (false, false) => ("at most ", most),
    };
    format!("{bound}{shown} {}", if shown == 1.0 { one } else { many })
}

/// `10th`, `3rd`.
fn ordinal(number: u32) -> String {
    let ending = match (number % 100, number % 10) {
        (11..=13, _) => "th",
        (_, 1) => "st",
        (_, 2) => "nd",
        (_, 3) => "rd",
        (_, _) => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Minutes: `x` a failure in that minute, `.` none, `^` now (the last one). The
    /// expected minute of the tenth, `-` where there is none to tell.
    fn check(line: &str, expected: &str) {
        let minute = |place: usize| Timestamp(60 * place as i64);
        let failed: Vec<usize> = line.match_indices('x').map(|(place, _)| place).collect();
        let (first, last) = (failed.first().copied(), failed.last().copied());
        let [first, last] = [first, last].map(|place| minute(place.unwrap_or_default()));
        let now = minute(line.len() - 1);
        let told = match forecast(now, failed.len() as u64, first, last, 10) {
            Forecast::Unknown => "-".to_owned(),
            Forecast::NotAtThisPace => "never".to_owned(),
            Forecast::At(at) => format!("{}", at.0 as f64 / 60.0),
        };
        assert_eq!(told, expected, "of {line}");
    }

    #[test]
    fn the_tenth_comes_at_the_pace_of_the_failures_in_the_row() {
        check("xxxxx^", "9");
        check("x.x.x.x.x^", "18");
        check("x.x.x.x.x.x.x.x.x^", "18");
        check("..x..x..x^", "29");
        // Uneven: the mean counts.
        check("x...xx...xx^", "22.5");
        // Overdue: the wait makes the pace slower, and the next one is due now.
        check("xxxxx.........^", "25.2");
        check("xxxxxxxxx.....^", "14");
        // All at once.
        check("x^", "-");
    }

    #[test]
    fn there_is_no_pace_in_too_few_failures_and_nothing_to_foretell_after_the_tenth() {
        check("^", "-");
        check("xx^", "-");
        check("xxx^", "9");
        check("xxxxxxxxxx^", "-");
        check("xxxxxxxxxxx^", "-");
    }

    #[test]
    fn a_pace_too_slow_for_the_network_is_said_to_be() {
        let day = 24 * 3600;
        let check = |count: u64, last: i64, expected| {
            let (first, last) = (Timestamp(0), Timestamp(last));
            assert_eq!(forecast(last, count, first, last, 10), expected);
        };
        check(5, 2 * day, Forecast::NotAtThisPace);
        check(7, 2 * day, Forecast::At(Timestamp(3 * day)));
        check(7, 2 * day + 7, Forecast::NotAtThisPace);
        // Several in one second.
        check(5, 0, Forecast::At(Timestamp(0)));
    }

    fn exactly(count: f64) -> Bounds {
        Bounds { least: count, most: count }
    }

    fn six() -> InARow {
        InARow {
            postback: 5,
            deliveries: exactly(6.0),
            tries: exactly(8.0),
            limit: 10,
            counts: DeactivationCounts::Deliveries,
            first_at: Timestamp(0),
            last_at: Timestamp(900),
            stand: Stand::Growing,
        }
    }

    fn told(row: &InARow, expected: &str) {
        let minute = |at: Timestamp| format!("00:{:02} UTC", at.0 / 60);
        assert_eq!(row.sentence(Timestamp(960), minute), expected);
    }

    #[test]
    fn both_countings_are_told_and_the_tenth_foretold_in_the_rules_own() {
        const NETWORK: &str = "the network switches off at 10 and does not say which it counts.";
        told(
            &six(),
            &format!(
                "Postback 5: 6 deliveries in a row failed, 8 tries; {NETWORK} \
                 At this pace the 10th failed delivery comes in about 11 min (00:27 UTC)."
            ),
        );
        told(
            &InARow { counts: DeactivationCounts::Attempts, ..six() },
            &format!(
                "Postback 5: 6 deliveries in a row failed, 8 tries; {NETWORK} \
                 At this pace the 10th failed try comes in about 3 min (00:19 UTC)."
            ),
        );
        told(
            &InARow { deliveries: Bounds { least: 4.0, most: 6.0 }, ..six() },
            &format!("Postback 5: at least 4 deliveries in a row failed, 8 tries; {NETWORK}"),
        );
        told(
            &InARow { deliveries: exactly(10.0), tries: exactly(31.0), ..six() },
            &format!(
                "Postback 5: 10 deliveries in a row failed, 31 tries; {NETWORK} \
                 It may be switched off at any moment."
            ),
        );
        told(
            &InARow { deliveries: exactly(1.0), tries: exactly(1.0), ..six() },
            &format!("Postback 5: 1 delivery in a row failed, 1 try; {NETWORK}"),
        );
        told(
            &InARow { stand: Stand::SwitchedOff, ..six() },
            "Postback 5: 6 deliveries in a row failed, 8 tries, before it was switched off; \
             the network does that at 10 and does not say which it counts.",
        );
        told(
            &InARow { stand: Stand::Broken, ..six() },
            "Postback 5: it had come to 6 deliveries in a row, 8 tries; \
             there are none in a row now.",
        );
    }

    #[test]
    fn ordinals_end_as_people_write_them() {
        let cases = [(1, "1st"), (2, "2nd"), (3, "3rd"), (10, "10th"), (12, "12th"), (25, "25th")];
        for (number, expected) in cases {
            assert_eq!(ordinal(number), expected);
        }
    }
}
