//! What holds messages back: `inhibit` and `mute`, as the user wrote them.

use std::collections::BTreeMap;

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::domain::rules::Glob;
use crate::domain::time::Timestamp;

/// Label → any of these globs. An alert without the label has the empty value.
pub type Matches = BTreeMap<String, Vec<Glob>>;

/// Whether an alert with these labels is meant.
pub fn fits(matches: &Matches, labelled: &impl Labelled) -> bool {
    matches.iter().all(|(label, globs)| {
        let value = labelled.label(label).unwrap_or_default();
        globs.iter().any(|glob| glob.matches(value))
    })
}

/// What has labels that can be asked by their names.
pub trait Labelled {
    fn label(&self, name: &str) -> Option<&str>;
}

impl Labelled for BTreeMap<String, String> {
    fn label(&self, name: &str) -> Option<&str> {
        self.get(name).map(String::as_str)
    }
}

/// While an alert stands that `when` means, those that `mute` means are not told
/// if they agree with it in the labels of `equal`.
#[derive(Debug, Clone, PartialEq)]
pub struct Inhibition {
    pub when: Matches,
    pub mute: Matches,
    pub equal: Vec<String>,
}

/// Times of the week in which some alerts are not told.
#[derive(Debug, Clone, PartialEq)]
pub struct Mute {
    pub name: String,
    /// On which a span of `times` begins; every day where empty.
    pub days: Vec<Weekday>,
    /// The whole day where empty.
    pub times: Vec<DaySpan>,
    pub timezone: TimeZone,
    pub matches: Matches,
}

/// Minutes since midnight, as clocks show them, the end not included. One whose end
/// is not after its beginning ends on the next day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DaySpan {
    pub from: u16,
    pub to: u16,
}

const WHOLE_DAY: DaySpan = DaySpan { from: 0, to: 24 * 60 };

impl Mute {
    /// Whether its time is on at `now`, by the clocks of its zone.
    pub fn is_on(&self, now: Timestamp) -> bool {
        let Ok(moment) = jiff::Timestamp::from_second(now.0) else { return false };
        let local = moment.to_zoned(self.timezone.clone());
        let minute = (i32::from(local.hour()) * 60 + i32::from(local.minute())) as u16;
        let (today, yesterday) = (local.weekday(), local.weekday().previous());
        let is_day = |day: Weekday| self.days.is_empty() || self.days.contains(&day);
        let spans = if self.times.is_empty() { &[WHOLE_DAY][..] } else { &self.times };
        spans.iter().any(|span| match span.from < span.to {
            true => is_day(today) && (span.from..span.to).contains(&minute),
            false => is_day(today) && minute >= span.from || is_day(yesterday) && minute < span.to,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(days: &[Weekday], times: &[(u16, u16)], moment: &str, expected: bool) {
        let timezone = TimeZone::get("Europe/Berlin").expect("the zone is known");
        let times = times.iter().map(|&(from, to)| DaySpan { from: from * 60, to: to * 60 });
        let mute = Mute {
            name: "test".into(),
            days: days.to_vec(),
            times: times.collect(),
            timezone,
            matches: Matches::new(),
        };
        let at: jiff::Timestamp = moment.parse().expect("a moment");
        assert_eq!(mute.is_on(Timestamp(at.as_second())), expected, "{days:?} at {moment}");
    }

    #[test]
    fn a_mute_follows_the_clocks_of_its_zone() {
        use Weekday::{Friday, Saturday, Sunday};
        let weekend = [Saturday, Sunday];
        // Midnight in Berlin is 23:00 UTC in winter and 22:00 in summer.
        check(&weekend, &[], "2026-01-16T22:59:00Z", false);
        check(&weekend, &[], "2026-01-16T23:00:00Z", true);
        check(&weekend, &[], "2026-07-17T22:00:00Z", true);
        check(&weekend, &[(0, 24)], "2026-07-19T21:59:00Z", true);
        check(&weekend, &[(0, 24)], "2026-07-19T22:00:00Z", false);
        check(&[], &[(9, 17)], "2026-01-16T08:00:00Z", true);
        check(&[], &[(9, 17)], "2026-01-16T16:00:00Z", false);
        // Over midnight: Friday night reaches into Saturday, not Thursday's into Friday.
        check(&[Friday], &[(22, 6)], "2026-01-17T04:59:00Z", true);
        check(&[Friday], &[(22, 6)], "2026-01-17T05:00:00Z", false);
        check(&[Friday], &[(22, 6)], "2026-01-16T04:00:00Z", false);
        // 02:30 comes twice when the clocks go back, and never when they go forth.
        check(&[], &[(2, 3)], "2026-10-25T00:30:00Z", true);
        check(&[], &[(2, 3)], "2026-10-25T01:30:00Z", true);
        check(&[], &[(2, 3)], "2026-03-29T00:59:00Z", false);
        check(&[], &[(2, 3)], "2026-03-29T01:00:00Z", false);
    }
}
