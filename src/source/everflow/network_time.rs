//! The network's time, as the `Date` of its replies tells it. Counts on between
//! replies by a clock that nobody sets, and believes no single reply.

use std::time::Duration;

use crate::domain::time::Timestamp;

/// A `Date` this close to what is expected is believed at once. Far less than reads
/// reach back for late rows: what a small step skips is read again.
const CLOSE: Duration = Duration::from_secs(180);

/// So many replies in a row that agree prove a step.
const AGREED: u32 = 3;

/// A `Date`, and how long the process had run when it came.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Told {
    at: Timestamp,
    uptime: Duration,
}

impl Told {
    /// What the network's clock shows by now.
    fn by(self, uptime: Duration) -> Timestamp {
        self.at + uptime.saturating_sub(self.uptime)
    }

    fn agrees(self, other: Told) -> bool {
        apart(self.by(other.uptime), other.at) <= CLOSE
    }
}

/// What is known of the network's time. A proxy or a cache may bear any `Date`, and
/// a span that ends in a false future is never asked for again.
#[derive(Debug, Default)]
pub(super) struct NetworkTime {
    believed: Option<Told>,
    /// Another time, and how many replies in a row told it.
    doubted: Option<(Told, u32)>,
}

impl NetworkTime {
    /// `None` until a reply told a time that can be believed.
    pub(super) fn now(&self, uptime: Duration) -> Option<Timestamp> {
        self.believed.map(|told| told.by(uptime))
    }

    /// Takes a reply's `Date`. It is held against the time that is believed, or at
    /// first against this `machine`'s. Gives the time that was expected, where that
    /// was wrong and the network's steps.
    pub(super) fn tell(
        &mut self,
        at: Timestamp,
        uptime: Duration,
        machine: Timestamp,
    ) -> Option<Timestamp> {
        let told = Told { at, uptime };
        let expected = self.now(uptime).unwrap_or(machine);
        if apart(expected, at) <= CLOSE {
            (self.believed, self.doubted) = (Some(told), None);
            return None;
        }
        let agreed = self.doubted.filter(|(before, _)| before.agrees(told));
        let times = agreed.map_or(1, |(_, times)| times + 1);
        if times < AGREED {
            self.doubted = Some((told, times));
            return None;
        }
        (self.believed, self.doubted) = (Some(told), None);
        Some(expected)
    }
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: i64 = -1;

    /// A reply a minute, by a machine whose clock shows `machine` at first: the `Date`
    /// of each, and the time that is believed after it.
    fn check(machine: i64, replies: &[(i64, i64)], steps: usize) {
        let mut time = NetworkTime::default();
        let (mut believed, mut stepped) = (Vec::new(), 0);
        for (minute, &(date, _)) in replies.iter().enumerate() {
            let uptime = Duration::from_secs(60 * minute as u64);
            let step = time.tell(Timestamp(date), uptime, Timestamp(machine) + uptime);
            stepped += usize::from(step.is_some());
            believed.push((date, time.now(uptime).map_or(NEVER, |now| now.0)));
        }
        assert_eq!((believed.as_slice(), stepped), (replies, steps));
    }

    #[test]
    fn a_date_close_to_what_is_expected_is_believed_at_once() {
        check(1_000, &[(1_002, 1_002), (1_061, 1_061), (1_121, 1_121)], 0);
        check(1_000, &[(1_180, 1_180), (1_060, 1_060)], 0);
    }

    #[test]
    fn no_single_date_moves_the_time() {
        let far = 100 * 3600;
        check(1_000, &[(1_000, 1_000), (far, 1_060), (1_120, 1_120), (far, 1_180)], 0);
        check(5_000, &[(5_000, 5_000), (7, 5_060), (5_120, 5_120)], 0);
        check(1_000, &[(far, NEVER), (1_060, 1_060)], 0);
    }

    #[test]
    fn dates_that_do_not_agree_with_each_other_never_move_it() {
        check(1_000, &[(1_000, 1_000), (9_000, 1_060), (20_000, 1_120), (9_120, 1_180)], 0);
        // What a cache kept stands still.
        let kept = 90_000;
        check(
            1_000,
            &[(1_000, 1_000), (kept, 1_060), (1_120, 1_120), (kept, 1_180), (1_240, 1_240)],
            0,
        );
    }

    #[test]
    fn a_step_is_believed_when_three_replies_in_a_row_agree() {
        check(1_000, &[(1_000, 1_000), (9_060, 1_060), (9_120, 1_120), (9_180, 9_180)], 1);
        check(9_000, &[(9_000, 9_000), (1_060, 9_060), (1_120, 9_120), (1_180, 1_180)], 1);
        // A machine that is wrong from the start.
        check(1_000, &[(9_000, NEVER), (9_060, NEVER), (9_120, 9_120), (9_180, 9_180)], 1);
    }
}
