//! Measures that grow by waiting: since when they count. What lies before the
//! look-back, or before the successes that were read, is known only between bounds.

use smallvec::SmallVec;

use super::Measure;
use crate::domain::time::Timestamp;
use crate::domain::window::counts::Counts;
use crate::domain::window::rule::Counted;
use crate::domain::window::streak::Bounds;

/// When something last happened, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Last {
    /// Not later than this.
    latest: Timestamp,
    /// Not earlier than this; `None` where it may be any time ago.
    earliest: Option<Timestamp>,
}

impl Last {
    /// Seconds since then.
    pub fn age(self, at: Timestamp) -> Bounds {
        let seconds = |since: Timestamp| at.since(since).as_secs() as f64;
        let least = seconds(self.latest);
        Bounds { least, most: self.earliest.map_or(f64::INFINITY, seconds) }
    }
}

/// The group's last delivery or success. Known are failures after `begin`, where the
/// look-back begins, and successes after `known_since` too.
pub fn last(of: Counted<'_>, measure: Measure, begin: Timestamp, known_since: Timestamp) -> Last {
    let success = of.totals.map(|totals| totals.last_success).filter(|at| *at > begin);
    let failed = of.totals.and_then(|totals| totals.failed_since(begin));
    let is_of_both = measure == Measure::SinceDelivery;
    let known = success.max(failed.map(|(_, last)| last).filter(|_| is_of_both));
    // Without a success the first delivery counts: a failure, as far as is known.
    let first = failed.map_or(begin, |(first, _)| first);
    Last { latest: known.unwrap_or(first).max(known_since), earliest: known }
}

/// The moments from which an age counts, or may count.
pub fn moments(
    of: Counted<'_>,
    measure: Measure,
    begin: Timestamp,
    known_since: Option<Timestamp>,
) -> SmallVec<[Timestamp; 2]> {
    if measure == Measure::OldestOpen {
        return of.counts.and_then(Counts::oldest_open).into_iter().collect();
    }
    let Some(known_since) = known_since else { return SmallVec::new() };
    let last = last(of, measure, begin, known_since);
    // Where the look-back begins moves on: nothing is crossed by waiting.
    [Some(last.latest), last.earliest].into_iter().flatten().filter(|at| *at > begin).collect()
}
