//! The ledger of one scope: which spans of the network's time were read whole.
//! Only a read that came to its proper end gets in here.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

pub mod plan;

/// Islands that are remembered; with more, the ones next to the front are
/// forgotten first: they are the next to be read anyway.
const MOST_ISLANDS: usize = 32;

/// Moments `from..=to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

/// A scope's reading so far.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Coverage {
    /// After this the scope's successes are counted; what came until then belongs
    /// to the scopes that stood here before.
    pub since: Timestamp,
    /// Up to here everything was read whole, without a gap; `None` during the
    /// first look-back.
    pub front: Option<Timestamp>,
    /// Whether the successes since `since` were read: not yet, after the first
    /// look-back.
    pub are_successes_read: bool,
    /// Read whole beyond a gap, earliest first; each begins after the front and
    /// after the end of the one before.
    pub islands: Vec<Span>,
    /// When the front last moved, by the wall clock: what `source-blind` asks.
    pub moved_at: Timestamp,
}

impl Coverage {
    /// What the first look-back leaves: failures are read up to `front`, nothing of
    /// the successes after `since` is.
    pub fn begin(since: Timestamp, front: Timestamp) -> Coverage {
        Coverage { since, front: Some(front), ..Coverage::default() }
    }

    /// Takes in a whole read: failures from `failures_from` on, successes from
    /// `successes_from` on where they are read at all. The front jumps over every
    /// island that it reaches, and never goes back.
    pub fn take(
        &mut self,
        failures_from: Timestamp,
        successes_from: Option<Timestamp>,
        to: Timestamp,
    ) {
        let front = self.front.unwrap_or(to);
        self.front = Some(front);
        let from = match successes_from {
            // Nothing of them is known: they will count from where they are read.
            None => {
                (self.since, self.are_successes_read) = (self.since.max(to), false);
                failures_from
            }
            Some(successes_from) if successes_from <= self.since => {
                self.are_successes_read |= failures_from <= front;
                failures_from
            }
            Some(successes_from) if self.are_successes_read => failures_from.max(successes_from),
            // Those between `since` and here are missing: it must not join.
            Some(successes_from) => failures_from.max(successes_from).max(after(front)),
        };
        if from <= to {
            self.insert(Span { from, to });
        }
        self.join();
    }

    /// The spans that lie between two that were read, earliest first.
    pub fn gaps(&self) -> impl Iterator<Item = Span> + '_ {
        let ends = self.front.into_iter().chain(self.islands.iter().map(|island| island.to));
        ends.zip(&self.islands).map(|(from, island)| Span { from, to: island.from })
    }

    /// The end of what was read last: of the last island, or the front.
    pub fn edge(&self) -> Option<Timestamp> {
        self.islands.last().map(|island| island.to).or(self.front)
    }

    fn insert(&mut self, read: Span) {
        self.islands.push(read);
        self.islands.sort_unstable();
        let mut merged: Vec<Span> = Vec::new();
        for &span in &self.islands {
            match merged.last_mut().filter(|last| span.from <= last.to) {
                Some(last) => last.to = last.to.max(span.to),
                None => merged.push(span),
            }
        }
        self.islands = merged;
    }

    fn join(&mut self) {
        let Some(mut front) = self.front else { return };
        let reached = self.islands.iter().take_while(|island| {
            let joins = island.from <= front;
            front = if joins { front.max(island.to) } else { front };
            joins
        });
        let reached = reached.count();
        let surplus = self.islands.len().saturating_sub(MOST_ISLANDS);
        self.islands.drain(..reached.max(surplus));
        self.front = Some(front);
    }
}

/// The moment after `at`.
fn after(at: Timestamp) -> Timestamp {
    at + Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is covered of the seconds 0 to 19 after these reads: `#` up to the
    /// front, `o` on islands.
    fn check(reads: &[(i64, i64)], expected: &str) {
        let mut coverage = Coverage::begin(Timestamp(2), Timestamp(2));
        coverage.are_successes_read = true;
        for &(from, to) in reads {
            coverage.take(Timestamp(from), Some(Timestamp(from)), Timestamp(to));
        }
        let front = coverage.front.expect("it began");
        let is_island = |at| coverage.islands.iter().any(|of| of.from <= at && at <= of.to);
        let shown: String = (0..20)
            .map(Timestamp)
            .map(|at| {
                if at <= front {
                    '#'
                } else if is_island(at) {
                    'o'
                } else {
                    '.'
                }
            })
            .collect();
        assert_eq!(shown, expected, "{reads:?}");
    }

    #[test]
    fn the_front_moves_only_over_what_joins_it() {
        check(&[], "###.................");
        check(&[(1, 6)], "#######.............");
        check(&[(10, 13)], "###.......oooo......");
        check(&[(10, 13), (12, 16)], "###.......ooooooo...");
        check(&[(10, 13), (15, 16), (2, 5)], "######....oooo.oo...");
        check(&[(10, 13), (2, 10)], "##############......");
        check(&[(10, 13), (15, 16), (2, 18)], "###################.");
        check(&[(15, 16), (10, 13), (12, 15), (2, 9)], "##########ooooooo...");
    }

    #[test]
    fn nothing_moves_the_front_back() {
        check(&[(1, 6), (0, 3)], "#######.............");
        check(&[(1, 6), (0, 6)], "#######.............");
        check(&[(1, 12), (4, 5), (14, 15)], "#############.oo....");
    }

    #[test]
    fn a_gap_is_what_lies_between() {
        let mut coverage = Coverage::begin(Timestamp(2), Timestamp(2));
        coverage.are_successes_read = true;
        for (from, to) in [(10, 13), (15, 16)] {
            coverage.take(Timestamp(from), Some(Timestamp(from)), Timestamp(to));
        }
        let gaps: Vec<_> = coverage.gaps().map(|gap| (gap.from.0, gap.to.0)).collect();
        assert_eq!((gaps, coverage.edge()), (vec![(2, 10), (13, 15)], Some(Timestamp(16))));
    }

    #[test]
    fn successes_that_were_never_read_keep_the_front_where_it_is() {
        let mut coverage = Coverage::begin(Timestamp(5), Timestamp(9));
        coverage.take(Timestamp(8), Some(Timestamp(8)), Timestamp(12));
        assert_eq!((coverage.front, coverage.are_successes_read), (Some(Timestamp(9)), false));
        coverage.take(Timestamp(8), Some(Timestamp(5)), Timestamp(11));
        assert_eq!((coverage.front, coverage.are_successes_read), (Some(Timestamp(12)), true));
    }

    #[test]
    fn successes_that_were_off_count_from_where_they_are_read_again() {
        let mut coverage = Coverage::begin(Timestamp(5), Timestamp(9));
        coverage.take(Timestamp(8), Some(Timestamp(5)), Timestamp(12));
        coverage.take(Timestamp(11), None, Timestamp(20));
        let (since, are_read) = (coverage.since, coverage.are_successes_read);
        assert_eq!((since, are_read, coverage.front), (Timestamp(20), false, Some(Timestamp(20))));
    }

    #[test]
    fn the_ledger_stays_small() {
        let mut coverage = Coverage::begin(Timestamp(0), Timestamp(0));
        coverage.are_successes_read = true;
        for place in 1..100 {
            let from = Timestamp(place * 10);
            coverage.take(from, Some(from), from);
        }
        assert_eq!(coverage.islands.len(), MOST_ISLANDS);
        assert_eq!(coverage.edge(), Some(Timestamp(990)));
    }
}
