//! What to read next of a scope whose first look-back is whole: the present, and
//! the oldest gap. Decides spans; never asks.

use std::time::Duration;

use super::Coverage;
use crate::domain::alert::builtin::blind_after;
use crate::domain::policy::SourcePolicy;
use crate::domain::time::Timestamp;
use crate::domain::turn::WholeSpan;

/// Every read reaches back this much further than `settle`: which ends the network
/// includes, and how late its rows are, is not documented.
const OVERLAP: Duration = Duration::from_secs(60);

/// Rows may come late by the delay of their postback, at most five minutes.
const LATEST_DELAY: Duration = Duration::from_secs(10 * 60);

/// Every so many intervals a read reaches back for late rows.
pub const LATE_EVERY: u32 = 5;

/// A gap is filled in parts of this length: one of them holds up neither the
/// present nor the memory.
const CHUNK: Duration = Duration::from_secs(3600);

/// Where the first look-back of a scope ends: now, or, where it is new to a source
/// that is known, where its other scopes came to.
pub fn lookback_end(now: Timestamp, watermark: Option<Timestamp>) -> Timestamp {
    watermark.map_or(now, |at| at.min(now))
}

/// The present: from the last moment that was read, or, where that lies too far
/// back to be read in one question, the last minutes alone. `late_to` is the end
/// of the last read that reached back for late rows; `None` where that is unknown.
///
/// Tells whether it reaches back for late rows.
pub fn present(
    now: Timestamp,
    policy: &SourcePolicy,
    coverage: &Coverage,
    late_to: Option<Timestamp>,
    is_late_due: bool,
) -> Option<(WholeSpan, bool)> {
    let edge = coverage.edge()?;
    // A clock that was set back: what was read lies ahead of it, the rows do not.
    let (behind, to) = (edge.min(now), edge.max(now));
    let late_every = policy.poll_every * LATE_EVERY;
    let is_far = now.since(edge) > blind_after(policy);
    let from = if is_far {
        now - LATEST_DELAY
    } else if is_late_due {
        late_to.unwrap_or(behind - late_every).min(behind) - LATEST_DELAY
    } else {
        behind - policy.settle - OVERLAP
    };
    // Beyond a gap it reaches back no further than its island: to close the gap is for
    // the gap's own parts, which reach back for what came late before it.
    let beyond = coverage.islands.last().filter(|_| !is_far);
    let from =
        beyond.map_or(from, |island| from.max(island.from.min(behind - policy.settle - OVERLAP)));
    let joins = !is_far && coverage.islands.is_empty();
    let span = WholeSpan::Recent {
        failures_from: from,
        successes_from: successes_from(coverage, from, joins),
        to,
    };
    Some((span, is_late_due || is_far))
}

/// The oldest part of the oldest gap; `None` where there is none. Where its successes
/// begin after its end, none of them are to be read.
pub fn oldest_gap(policy: &SourcePolicy, coverage: &Coverage) -> Option<WholeSpan> {
    let gap = coverage.gaps().next()?;
    // What came late before the outage may not have been asked for yet.
    let from = gap.from - policy.poll_every * LATE_EVERY - LATEST_DELAY;
    Some(WholeSpan::Recent {
        failures_from: from,
        successes_from: successes_from(coverage, from, true),
        to: (gap.from + CHUNK).min(gap.to),
    })
}

/// A read that joins the front must bring the successes that nobody read yet.
fn successes_from(coverage: &Coverage, from: Timestamp, joins: bool) -> Timestamp {
    match joins && !coverage.are_successes_read {
        true => coverage.since,
        false => from.max(coverage.since),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn policy() -> SourcePolicy {
        SourcePolicy::named("acme")
    }

    fn read_to(front: i64) -> Coverage {
        let mut coverage = Coverage::begin(Timestamp(0), Timestamp(front));
        coverage.are_successes_read = true;
        coverage
    }

    /// Reads as the poller does at each `now`; gives the front and the missing
    /// seconds after each.
    fn check(front: i64, polls: &[(i64, usize)], expected: &[(i64, u64)]) {
        let mut coverage = read_to(front);
        let mut seen = Vec::new();
        for &(now, chunks) in polls {
            let now = Timestamp(now);
            let (span, _) = present(now, &policy(), &coverage, None, false).expect("it began");
            take(&mut coverage, span);
            for _ in 0..chunks {
                let Some(span) = oldest_gap(&policy(), &coverage) else { break };
                take(&mut coverage, span);
            }
            let missing = coverage.gaps().map(|gap| gap.length().as_secs()).sum();
            seen.push((coverage.front.expect("it began").0, missing));
        }
        assert_eq!(seen, expected, "{polls:?}");
    }

    fn take(coverage: &mut Coverage, span: WholeSpan) {
        if let WholeSpan::Recent { failures_from, successes_from, to } = span {
            coverage.take(failures_from, Some(successes_from), to);
        }
    }

    #[test]
    fn a_short_gap_is_read_in_one_question() {
        check(NOW - 60, &[(NOW, 1)], &[(NOW, 0)]);
        check(NOW - 600, &[(NOW, 1)], &[(NOW, 0)]);
    }

    #[test]
    fn after_an_outage_the_present_comes_first_and_the_gap_is_filled_oldest_first() {
        check(
            NOW - 3 * 3600,
            &[(NOW, 1), (NOW + 60, 1), (NOW + 120, 1), (NOW + 180, 0)],
            &[
                (NOW - 2 * 3600, 2 * 3600 - 600),
                (NOW - 3600, 3600 - 600),
                (NOW + 120, 0),
                (NOW + 180, 0),
            ],
        );
    }

    #[test]
    fn an_outage_during_the_filling_leaves_two_gaps() {
        check(
            NOW - 7200,
            &[(NOW, 0), (NOW + 3600, 1), (NOW + 3660, 1)],
            &[(NOW - 7200, 6600), (NOW - 3600, 3000 + 3000), (NOW, 3000)],
        );
    }

    #[test]
    fn a_start_amid_the_filling_leaves_the_gap_to_its_own_parts() {
        let mut coverage = read_to(NOW - 700);
        coverage.take(Timestamp(NOW - 600), Some(Timestamp(NOW - 600)), Timestamp(NOW));
        let now = Timestamp(NOW + 60);
        let (span, _) = present(now, &policy(), &coverage, None, true).expect("it began");
        take(&mut coverage, span);
        let gap = oldest_gap(&policy(), &coverage).expect("it is still open");
        let WholeSpan::Recent { failures_from, to, .. } = gap else { panic!("{gap:?}") };
        assert_eq!((failures_from.0, to.0), (NOW - 700 - 900, NOW - 600));
    }

    #[test]
    fn a_clock_that_was_set_back_keeps_reading_what_it_passes() {
        let coverage = read_to(NOW + 3600);
        let (span, _) =
            present(Timestamp(NOW), &policy(), &coverage, None, false).expect("it began");
        let WholeSpan::Recent { failures_from, to, .. } = span else { panic!("{span:?}") };
        assert_eq!((failures_from.0, to.0), (NOW - 80, NOW + 3600));
    }
}
