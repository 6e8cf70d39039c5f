//! Clean successes: gathered while a read goes on, counted when it is whole.

use std::time::Duration;

use super::{Turn, WholeSpan};
use crate::domain::delivery::{Fold, Identity, Row};
use crate::domain::dims::DimsId;
use crate::domain::facts::{Entry, SecondCount};
use crate::domain::state::OpenRead;
use crate::domain::time::Timestamp;

/// Counts of clean successes in one entry of the journal: about a block.
const COUNTS_PER_ENTRY: usize = 800;

/// And in one commit: a large read must not be held twice.
const COUNTS_PER_COMMIT: usize = 40_000;

impl Turn<'_> {
    /// Replaces the clean successes of a whole read's span by what it showed, the
    /// earliest first, as much as fits one commit. Each part stands for itself,
    /// and the front moves only after the last: a crash in between repeats them.
    pub(super) fn count_some(&mut self, source: &str, scope: u64, read: u32, span: WholeSpan) {
        let WholeSpan::Recent { successes_from, to, .. } = span else { return };
        let policy = self.policy;
        let Some(policy) = policy.source(source).filter(|policy| policy.successes) else { return };
        let Some(state) = self.state.sources.get_mut(source) else { return };
        let since = state.facts.coverage.get(&scope).map_or(successes_from, |known| known.since);
        let Some(open) = state.reads.get_mut(&read) else { return };
        let from = open.seal(successes_from.max(since + Duration::from_secs(1)), to);
        // A wall clock that went back asks for a span that ends before it begins.
        if from > to {
            return;
        }
        let counts = open.take_earliest(COUNTS_PER_COMMIT);
        let until = if open.clean.is_empty() { to } else { last_second(&counts) };
        open.counting_from = Some(until + Duration::from_secs(1));
        self.tally.uncounted = open.clean.len() as u64;
        for (from, to, counts) in in_small_spans(from, until, &counts) {
            self.record(&policy.name, Entry::Successes { scope, from, to, counts });
        }
    }
}

impl OpenRead {
    pub(super) fn note_success(&mut self, row: &Row<'_>, identity: Identity, dims: DimsId) {
        if self.counts {
            self.clean.push((row.timestamp, dims, identity.0 as u32));
        } else {
            let at = Fold::of(row).tried_at();
            let last = self.last_success.entry(dims).or_insert(at);
            *last = (*last).max(at);
        }
    }

    /// Sorts what was read, once, and tells from where on it is to be counted.
    fn seal(&mut self, from: Timestamp, to: Timestamp) -> Timestamp {
        *self.counting_from.get_or_insert_with(|| {
            self.clean.retain(|(at, _, _)| (from..=to).contains(at));
            self.clean.sort_unstable_by(|one, other| other.cmp(one));
            self.clean.dedup();
            from
        })
    }

    /// Takes the earliest, whole seconds of them, and counts them by labels.
    fn take_earliest(&mut self, about: usize) -> Vec<SecondCount> {
        let mut place = self.clean.len().saturating_sub(about);
        while place > 0 && self.clean[place - 1].0 == self.clean[place].0 {
            place -= 1;
        }
        let taken = self.clean.split_off(place);
        let mut counts: Vec<SecondCount> = Vec::new();
        for (at, dims, _) in taken.into_iter().rev() {
            match counts.last_mut().filter(|last| last.at == at && last.dims == dims) {
                Some(last) => last.count += 1,
                None => counts.push(SecondCount { at, dims, count: 1 }),
            }
        }
        counts
    }
}

fn last_second(counts: &[SecondCount]) -> Timestamp {
    counts.last().map_or(Timestamp(0), |of| of.at)
}

/// Cuts counts into spans that together are `from..=to`, each small enough for
/// one block of the journal.
fn in_small_spans(
    from: Timestamp,
    to: Timestamp,
    counts: &[SecondCount],
) -> Vec<(Timestamp, Timestamp, Vec<SecondCount>)> {
    let mut spans = Vec::new();
    let (mut begin, mut held) = (from, Vec::new());
    for second in counts.chunk_by(|one, next| one.at == next.at) {
        if !held.is_empty() && held.len() + second.len() > COUNTS_PER_ENTRY {
            spans.push((begin, Timestamp(second[0].at.0 - 1), std::mem::take(&mut held)));
            begin = second[0].at;
        }
        held.extend_from_slice(second);
    }
    spans.push((begin, to, held));
    spans
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_counts_meet_without_gap_or_overlap() {
        let counts: Vec<SecondCount> = (0..50)
            .flat_map(|second| (0..100).map(move |dims| (second * 3, dims)))
            .map(|(at, dims)| SecondCount { at: Timestamp(at), dims: DimsId(dims), count: 1 })
            .collect();
        let spans = in_small_spans(Timestamp(-5), Timestamp(200), &counts);
        assert_eq!(spans.first().map(|span| span.0), Some(Timestamp(-5)));
        assert_eq!(spans.last().map(|span| span.1), Some(Timestamp(200)));
        for pair in spans.windows(2) {
            assert_eq!(pair[0].1.0 + 1, pair[1].0.0);
        }
        let held: Vec<SecondCount> = spans.into_iter().flat_map(|span| span.2).collect();
        assert_eq!(held, counts);
    }

    #[test]
    fn a_large_read_is_counted_in_parts_of_whole_seconds() {
        let row = |(at, identity)| (Timestamp(at), DimsId(0), identity);
        let clean = [(5, 1), (3, 2), (3, 3), (3, 2), (9, 4), (1, 5), (4, 6)].map(row).to_vec();
        let mut open = OpenRead { clean, ..OpenRead::default() };
        assert_eq!(open.seal(Timestamp(2), Timestamp(8)), Timestamp(2));
        let taken: Vec<(i64, u32)> =
            open.take_earliest(3).iter().map(|of| (of.at.0, of.count)).collect();
        assert_eq!(taken, [(3, 2), (4, 1)]);
        assert_eq!(open.take_earliest(2).len(), 1);
        assert_eq!(open.take_earliest(2).len(), 0);
    }
}
