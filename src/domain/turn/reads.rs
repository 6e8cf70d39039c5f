//! Reads: their pages, and what their proper end proves.

use super::page::PageReader;
use super::{Stopwatch, Turn, WholeSpan};
use crate::domain::coverage::{Coverage, Span};
use crate::domain::delivery::{Ended, Row};
use crate::domain::dims::DimsId;
use crate::domain::facts::Entry;
use crate::domain::ingest::{self, Reading};
use crate::domain::policy::SourcePolicy;
use crate::domain::state::{OpenRead, Record};
use crate::domain::time::Timestamp;

/// Whole reads of its span in a row that must miss a delivery before it counts
/// as vanished.
const MISSES: u8 = 2;

impl<'a> Turn<'a> {
    pub(super) fn begin_read(&mut self, source: &str, read: u32, at: Timestamp, counts: bool) {
        let Some(state) = self.state.sources.get_mut(source) else { return };
        state.reads.clear();
        state.reads.insert(read, OpenRead { at, counts, ..OpenRead::default() });
        if state.facts.first_read_at.is_none() {
            state.facts.first_read_at = Some(at);
            let source = source.to_owned();
            self.changes.records.push(Record::Source { source, first_read_at: Some(at) });
        }
    }

    /// A page whose read is not known any more was seen now.
    fn seen_at(&self, source: &str, read: u32) -> Timestamp {
        let open = self.state.sources.get(source).and_then(|source| source.reads.get(&read));
        open.map_or(self.now, |open| open.at)
    }

    pub(super) fn read_rows(
        &mut self,
        source: &str,
        read: u32,
        rows: &mut dyn Iterator<Item = Row<'_>>,
    ) {
        let policy = self.policy;
        let Some(policy) = policy.source(source) else { return };
        self.seen_at = self.seen_at(source, read);
        let Some(state) = self.state.sources.get_mut(source) else { return };
        let reading = Reading { now: self.seen_at, policy, commit: self.changes.commit };
        let (changes, tally) = (&mut self.changes, &mut self.tally);
        PageReader { reading, read, source: state, changes, tally }.take_in(rows);
        if let Some(source) = self.state.sources.get_mut(source)
            && policy.scope_keys().any(|scope| !source.facts.is_looked_back(scope))
        {
            source.sight.arriving_at = Some(self.now);
        }
    }

    /// A read is whole only if every one of its pages was committed: after a
    /// failed commit its number is unknown here, and it proves nothing.
    pub(super) fn end_read(
        &mut self,
        source: &str,
        scope: u64,
        read: u32,
        span: WholeSpan,
        stopwatch: Stopwatch<'_>,
    ) {
        let policy = self.policy;
        let Some(policy) = policy.source(source) else { return };
        let Some(state) = self.state.sources.get_mut(source) else { return };
        let Some(open) = state.reads.remove(&read) else { return };
        // A poller may still end a read that it began under an earlier rules file.
        let is_of_scope = !matches!(span, WholeSpan::Back { .. });
        if is_of_scope && !policy.scope_keys().any(|known| known == scope) {
            return;
        }
        self.seen_at = open.at;
        match span {
            WholeSpan::Lookback { to, successes_since } => {
                state.sight.arriving_at = None;
                let known = state.facts.coverage.get(&scope);
                // Never a second first time: it would forget which successes were read.
                if known.is_some_and(|known| known.front.is_some()) {
                    return;
                }
                self.cover(policy, scope, Coverage::begin(successes_since, to), stopwatch);
            }
            WholeSpan::Recent { failures_from, successes_from, to } => {
                let known = state.facts.coverage.get(&scope).cloned();
                let first = || Coverage { since: successes_from, ..Coverage::default() };
                let mut coverage = known.unwrap_or_else(first);
                coverage.take(failures_from, policy.successes.then_some(successes_from), to);
                if policy.successes {
                    self.note_missing(policy, scope, read, failures_from.max(successes_from), to);
                }
                self.cover(policy, scope, coverage, stopwatch);
            }
            WholeSpan::Older { from, to } => {
                if policy.successes {
                    let from = from.max(to - policy.lookback);
                    self.note_missing(policy, scope, read, from, to);
                }
            }
            WholeSpan::Back { postback, from } => self.look_back_at(policy, postback, from, &open),
        }
        self.give_up_exhausted(policy);
        self.compare_row_statuses(policy);
    }

    /// Takes in what was read of one postback's past: the last success in it.
    fn look_back_at(
        &mut self,
        policy: &SourcePolicy,
        postback: u64,
        from: Timestamp,
        open: &OpenRead,
    ) {
        let Some(state) = self.state.sources.get(&policy.name) else { return };
        let of = |dims: &DimsId| state.facts.dims.get(*dims).postback == postback;
        let last = open.last_success.iter().filter(|(dims, _)| of(dims));
        let last = last.map(|(&dims, &at)| (dims, at)).max_by_key(|&(dims, at)| (at, dims));
        let span = Span { from, to: state.facts.successes_since() };
        self.record(&policy.name, Entry::Back { postback, span, last });
    }

    /// Where the list of postbacks cannot be read, the newest row of each tells.
    fn compare_row_statuses(&mut self, policy: &SourcePolicy) {
        let Some(state) = self.state.sources.get(&policy.name) else { return };
        if !state.is_list_unread {
            return;
        }
        let statuses = state.row_status.iter().map(|(&id, &(at, is_active))| (id, at, is_active));
        let statuses: Vec<_> = statuses.collect();
        self.compare_postbacks(&policy.name, &statuses);
    }

    /// Moves the scope's front, and the watermark where that was the last scope
    /// to come so far; then every moment that it passes is judged.
    fn cover(
        &mut self,
        policy: &SourcePolicy,
        scope: u64,
        mut coverage: Coverage,
        stopwatch: Stopwatch<'_>,
    ) {
        let Some(state) = self.state.sources.get_mut(&policy.name) else { return };
        let before = state.facts.coverage.get(&scope).and_then(|before| before.front);
        if coverage.front > before {
            coverage.moved_at = self.now;
        }
        state.facts.coverage.insert(scope, coverage.clone());
        state.sight.trouble = None;
        self.changes.records.push(Record::Coverage {
            source: policy.name.clone(),
            scope,
            coverage,
        });
        let fronts: Option<Vec<Timestamp>> = policy
            .scope_keys()
            .map(|scope| state.facts.coverage.get(&scope).and_then(|coverage| coverage.front))
            .collect();
        let Some(front) = fronts.and_then(|fronts| fronts.into_iter().min()) else { return };
        let at = front - policy.settle;
        if state.facts.watermark.is_none_or(|before| at > before) {
            self.record(&policy.name, Entry::Watermark(at));
            self.judge_passed_moments(policy, stopwatch);
        }
        self.judge_sights();
    }

    /// Leaves the scopes that are no longer configured. Those that stand in their
    /// place count from the watermark on; should one come back, it begins anew.
    pub(super) fn leave_scopes(&mut self, policy: &SourcePolicy) {
        let Some(state) = self.state.sources.get_mut(&policy.name) else { return };
        let left = state.facts.other_scopes(&policy.scope_keys().collect());
        let counted_to = state.facts.watermark;
        for scope in left {
            let Some(state) = self.state.sources.get_mut(&policy.name) else { return };
            let was_read = state.facts.coverage.remove(&scope).is_some_and(|c| c.front.is_some());
            let last = state.facts.last_second(scope);
            if was_read {
                self.forget_coverage(policy, scope);
            }
            if let (Some(at), Some(to)) = (counted_to, last)
                && to > at
            {
                let from = Timestamp(at.0 + 1);
                self.record(&policy.name, Entry::Successes { scope, from, to, counts: Vec::new() });
            }
        }
    }

    fn forget_coverage(&mut self, policy: &SourcePolicy, scope: u64) {
        let coverage = Coverage::default();
        let source = policy.name.clone();
        self.changes.records.push(Record::Coverage { source, scope, coverage });
    }

    /// Looks for failing deliveries that a whole read of their span did not show.
    fn note_missing(
        &mut self,
        policy: &SourcePolicy,
        scope: u64,
        read: u32,
        from: Timestamp,
        to: Timestamp,
    ) {
        let now = self.seen_at;
        let Some(scope) = policy.scopes.iter().find(|known| known.key() == scope) else { return };
        let Some(state) = self.state.sources.get_mut(&policy.name) else { return };
        let facts = &mut state.facts;
        // Ends excluded: whether the network includes them is not documented. What was shown
        // later than `from` was tried later as well.
        let covered: Vec<_> = facts
            .deliveries
            .open_since(from)
            .filter(|slot| {
                let delivery = facts.deliveries.get(*slot);
                let dims = facts.dims.get(delivery.dims);
                let shown_at = delivery.newest.timestamp;
                from < shown_at && shown_at < to && scope.contains(dims.offer, dims.affiliate)
            })
            .collect();
        let mut vanished = Vec::new();
        for slot in covered {
            if facts.deliveries.covered(slot, read) >= MISSES {
                vanished.push(facts.deliveries.get(slot).ended(Ended::Vanished, now));
            }
        }
        self.record_deliveries(policy, vanished);
    }

    fn give_up_exhausted(&mut self, policy: &SourcePolicy) {
        let Some(state) = self.state.sources.get(&policy.name) else { return };
        let reading = Reading { now: self.seen_at, policy, commit: self.changes.commit };
        let exhausted = ingest::exhausted(reading, &state.facts);
        self.record_deliveries(policy, exhausted);
    }

    /// Ends what still failed when its postback was switched off.
    pub(super) fn abandon(&mut self, policy: &SourcePolicy, postback: u64) {
        let Some(state) = self.state.sources.get(&policy.name) else { return };
        let reading = Reading { now: self.seen_at, policy, commit: self.changes.commit };
        let abandoned = ingest::abandoned(reading, &state.facts, postback);
        self.record_deliveries(policy, abandoned);
    }
}
