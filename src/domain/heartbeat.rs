//! Whether somebody outside may be told that postwatch lives and sees.

use std::time::Duration;

use super::alert::builtin::{self, SOURCE_BLIND};
use super::policy::Policy;
use super::state::State;
use super::time::Timestamp;

/// A heartbeat that was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Beat {
    pub at: Timestamp,
    /// The whole read that it told of.
    pub seen_at: Timestamp,
}

/// The newest whole read of any source; `None` while one of them is blind, or was
/// not read whole yet.
pub fn seen_at(policy: &Policy, state: &State) -> Option<Timestamp> {
    let reads = policy.sources.iter().map(|source| {
        let blind = state.alerts.get(&builtin::key(SOURCE_BLIND, &source.name, None));
        let is_blind = blind.is_some_and(|alert| alert.severity().is_some() && !alert.has_ended());
        let sight = state.sources.get(&source.name)?.sight(policy, &source.name);
        sight.whole_at.filter(|_| !is_blind)
    });
    reads.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// The heartbeat that is due: of a whole read that none told of yet, and at most
/// one in `every`.
pub fn due(
    now: Timestamp,
    every: Duration,
    last: Option<Beat>,
    seen_at: Option<Timestamp>,
) -> Option<Beat> {
    let seen_at = seen_at?;
    let is_due = last.is_none_or(|last| {
        // Either way: a clock that was set back must not silence it.
        seen_at != last.seen_at && now.0.abs_diff(last.at.0) >= every.as_secs()
    });
    is_due.then_some(Beat { at: now, seen_at })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_follows_whole_reads_and_keeps_its_distance() {
        let at = |second: i64| Timestamp(100_000 + second);
        let last = Some(Beat { at: at(0), seen_at: at(-1) });
        let check = |last, now, seen: Option<i64>, expected: bool| {
            let found = due(at(now), Duration::from_secs(60), last, seen.map(at));
            let wanted = expected.then(|| Beat { at: at(now), seen_at: at(seen.unwrap_or(0)) });
            assert_eq!(found, wanted, "{now} {seen:?}");
        };
        check(None, 0, Some(-1), true);
        check(None, 0, None, false);
        check(last, 59, Some(58), false);
        check(last, 60, Some(58), true);
        // Nothing was read whole since.
        check(last, 600, Some(-1), false);
        // Blind.
        check(last, 600, None, false);
        // The clock was set back by an hour.
        check(last, -3_600, Some(-3_601), true);
    }
}
