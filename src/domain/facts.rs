//! What is known of one source: a fold over its journal. The live service and
//! a restart apply the same entries in the same order and reach the same facts.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::counters::Counters;
use super::coverage::{Coverage, Span};
use super::deliveries::{Deliveries, Slot};
use super::delivery::{Delivery, Ended, Life};
use super::dims::{DimsId, DimsTable};
use super::names::Names;
use super::time::Timestamp;

/// One thing that happened, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    /// A delivery that failed, new or changed.
    Delivery(Delivery),
    /// The clean successes of `from..=to` in one scope, replacing whatever was
    /// counted there: reading a span again changes nothing.
    Successes { scope: u64, from: Timestamp, to: Timestamp, counts: Vec<SecondCount> },
    /// The data is complete up to here.
    Watermark(Timestamp),
    /// The successes of one postback are known over this span too, which ends where
    /// all of them were counted. `last` is the last one of what it added.
    Back { postback: u64, span: Span, last: Option<(DimsId, Timestamp)> },
}

impl Entry {
    /// The latest moment, by the network's clock, that it tells of.
    pub fn shown_at(&self) -> Timestamp {
        match self {
            Entry::Delivery(delivery) => delivery.newest.tried_at().max(delivery.timestamp),
            Entry::Successes { to, .. } => *to,
            Entry::Watermark(at) => *at,
            Entry::Back { span, .. } => span.to,
        }
    }
}

/// How many clean successes with these labels bore this second as their timestamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SecondCount {
    pub at: Timestamp,
    pub dims: DimsId,
    pub count: u32,
}

/// One scope's clean successes.
type CountsBySecond = BTreeMap<Timestamp, Box<[(DimsId, u32)]>>;

/// What applying an entry did, for those who count windows.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// `before` is what stood in the slot.
    Delivery {
        slot: Slot,
        before: Option<Delivery>,
    },
    /// By how much the clean successes of each second changed.
    Successes(Vec<(Timestamp, DimsId, i64)>),
    /// More of a postback's past is known; `last` is the last success in it.
    Back {
        postback: u64,
        last: Option<(DimsId, Timestamp)>,
    },
    Nothing,
}

/// A postback as its configuration last showed it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PostbackState {
    pub is_active: bool,
    pub changed_at: Timestamp,
}

#[derive(Debug, Default)]
pub struct Facts {
    /// By the network's time, stored before the first request: what it did before is
    /// not ours to count. `None` until then.
    pub first_read_at: Option<Timestamp>,
    /// Whether the history was given whole: before its first row nothing happened, so
    /// that windows which reach back before it are known. Never stored.
    pub is_all_given: bool,
    /// The timestamp of its last row: of what came later it says nothing. Never stored.
    pub given_until: Option<Timestamp>,
    pub dims: DimsTable,
    pub offer_names: Names,
    pub affiliate_names: Names,
    pub deliveries: Deliveries,
    /// By scope, then by second.
    successes: HashMap<u64, CountsBySecond>,
    last_success: HashMap<DimsId, Timestamp>,
    /// None of `last_success` is earlier: they need not be gone over for what is past.
    earliest_last_success: Timestamp,
    /// By postback: where its successes are known before they were counted.
    back: HashMap<u64, Span>,
    pub postbacks: HashMap<u64, PostbackState>,
    /// By postback: the parameters that hold a click id, as its template has them.
    pub click_parameters: HashMap<u64, Vec<String>>,
    /// By scope.
    pub coverage: HashMap<u64, Coverage>,
    /// The time to which the data is complete.
    pub watermark: Option<Timestamp>,
    pub counters: Counters,
}

impl Facts {
    pub fn apply(&mut self, entry: &Entry) -> Effect {
        match entry {
            Entry::Delivery(delivery) => self.apply_delivery(*delivery),
            Entry::Successes { scope, from, to, counts } => {
                Effect::Successes(self.replace_successes(*scope, *from, *to, counts))
            }
            Entry::Watermark(at) => {
                self.pass_watermark(*at);
                Effect::Nothing
            }
            Entry::Back { postback, span, last } => {
                self.back.insert(*postback, *span);
                if let Some((dims, at)) = *last {
                    self.note_success(dims, at);
                }
                Effect::Back { postback: *postback, last: *last }
            }
        }
    }

    fn apply_delivery(&mut self, delivery: Delivery) -> Effect {
        let (slot, before) = self.deliveries.put(delivery);
        let dims = self.dims.get(delivery.dims);
        let is_new_episode = before.is_some_and(|b| delivery.newest.opens_episode_after(&b.newest));
        if before.is_none() || is_new_episode {
            let host = self.dims.symbols.text(dims.host);
            self.counters.add_failure(dims.offer, dims.affiliate, host, delivery.reason);
        }
        let is_passed = |one: &Delivery| self.watermark.is_some_and(|at| one.timestamp <= at);
        let waited = before.is_some_and(|before| !is_passed(&before));
        let enters = before.is_none() || is_new_episode || waited;
        // The watermark will find only the new episode where the one before waited.
        let late = u64::from(enters && is_passed(&delivery)) + u64::from(is_new_episode && waited);
        self.counters.add_deliveries(dims.offer, dims.affiliate, late);
        let former_life = before.map_or(Life::Failing, |before| before.life);
        if let Life::Ended { how, at } = delivery.life
            && delivery.life != former_life
        {
            *self.counters.ended.entry(how).or_default() += 1;
            if how == Ended::Recovered {
                self.counters.recovery.observe(at.since(delivery.timestamp));
                self.note_success(delivery.dims, delivery.succeeded_at());
            }
        }
        Effect::Delivery { slot, before }
    }

    fn replace_successes(
        &mut self,
        scope: u64,
        from: Timestamp,
        to: Timestamp,
        counts: &[SecondCount],
    ) -> Vec<(Timestamp, DimsId, i64)> {
        let held = self.successes.entry(scope).or_default();
        let mut change: BTreeMap<(Timestamp, DimsId), i64> = BTreeMap::new();
        for (second, counts) in held.extract_if(from..=to, |_, _| true) {
            for (dims, count) in counts {
                *change.entry((second, dims)).or_default() -= i64::from(count);
            }
        }
        for counts in counts.chunk_by(|one, next| one.at == next.at) {
            held.insert(counts[0].at, counts.iter().map(|of| (of.dims, of.count)).collect());
        }
        for of in counts {
            *change.entry((of.at, of.dims)).or_default() += i64::from(of.count);
            self.note_success(of.dims, of.at);
        }
        let change: Vec<_> = change
            .into_iter()
            .filter(|&(_, by)| by != 0)
            .map(|((second, dims), by)| (second, dims, by))
            .collect();
        for &(second, dims, by) in &change {
            if self.watermark.is_some_and(|at| second <= at) && by > 0 {
                self.count_deliveries(dims, by as u64);
            }
        }
        change
    }

    fn pass_watermark(&mut self, at: Timestamp) {
        let after = self.watermark.unwrap_or(Timestamp(i64::MIN));
        let mut passed: Vec<(DimsId, u64)> = self
            .deliveries
            .within(after, at)
            .map(|slot| (self.deliveries.get(slot).dims, 1))
            .collect();
        passed.extend(
            self.successes_within(after, at).map(|(_, dims, count)| (dims, u64::from(count))),
        );
        for (dims, count) in passed {
            self.count_deliveries(dims, count);
        }
        self.watermark = Some(at);
    }

    /// The clean successes whose timestamp lies in `(after, until]`.
    pub fn successes_within(
        &self,
        after: Timestamp,
        until: Timestamp,
    ) -> impl Iterator<Item = (Timestamp, DimsId, u32)> + '_ {
        let bounds = (std::ops::Bound::Excluded(after), std::ops::Bound::Included(until));
        self.successes
            .values()
            .filter(move |_| after < until)
            .flat_map(move |seconds| seconds.range(bounds))
            .flat_map(|(&second, counts)| {
                counts.iter().map(move |&(dims, count)| (second, dims, count))
            })
    }

    /// The last success of deliveries with these labels, recoveries included.
    pub fn last_success(&self, dims: DimsId) -> Option<Timestamp> {
        self.last_success.get(&dims).copied()
    }

    /// Every labels' last success.
    pub fn last_successes(&self) -> impl Iterator<Item = (DimsId, Timestamp)> + '_ {
        self.last_success.iter().map(|(&dims, &at)| (dims, at))
    }

    /// From when on the successes of every scope were read without a gap.
    pub fn successes_since(&self) -> Timestamp {
        let since = self.coverage.values().map(|coverage| match coverage.are_successes_read {
            true => coverage.since,
            false => Timestamp(i64::MAX),
        });
        since.max().unwrap_or(Timestamp(i64::MAX))
    }

    /// The same, where a history that was given whole tells of all that came before.
    pub fn successes_known_from(&self) -> Timestamp {
        match self.is_all_given {
            true => Timestamp(i64::MIN),
            false => self.successes_since(),
        }
    }

    /// From when on the successes of this postback are known without a gap.
    pub fn successes_known_since(&self, postback: u64) -> Timestamp {
        let since = self.successes_known_from();
        self.back.get(&postback).filter(|span| span.to >= since).map_or(since, |span| span.from)
    }

    /// How much of the past lies in gaps, of the scope that misses most.
    pub fn gap(&self) -> Duration {
        let of = |coverage: &Coverage| coverage.gaps().map(|gap| gap.length()).sum();
        self.coverage.values().map(of).max().unwrap_or_default()
    }

    /// Whether the first look-back of the scope is whole.
    pub fn is_looked_back(&self, scope: u64) -> bool {
        self.coverage.get(&scope).is_some_and(|coverage| coverage.front.is_some())
    }

    pub fn is_active(&self, postback: u64) -> bool {
        self.postbacks.get(&postback).is_none_or(|state| state.is_active)
    }

    /// `Name (7)`, or the bare id where no row has told the name.
    pub fn affiliate_text(&self, id: u64) -> String {
        named(self.affiliate_names.get(id), id)
    }

    pub fn offer_text(&self, id: u64) -> String {
        named(self.offer_names.get(id), id)
    }

    /// Forgets what lies at or before `until`.
    pub fn evict(&mut self, until: Timestamp) {
        self.deliveries.evict(until);
        for seconds in self.successes.values_mut() {
            while seconds.first_entry().is_some_and(|entry| *entry.key() <= until) {
                seconds.pop_first();
            }
        }
        if self.earliest_last_success <= until {
            self.last_success.retain(|_, at| *at > until);
            let earliest = self.last_success.values().min();
            self.earliest_last_success = earliest.copied().unwrap_or(Timestamp(i64::MAX));
        }
        self.back.retain(|_, span| span.to > until);
    }

    /// The scopes read so far that are not among `scopes`.
    pub fn other_scopes(&self, scopes: &HashSet<u64>) -> Vec<u64> {
        self.coverage.keys().filter(|scope| !scopes.contains(scope)).copied().collect()
    }

    /// The earliest moment that anything is known of.
    pub fn first_known(&self) -> Option<Timestamp> {
        let failure = self.deliveries.iter().next().map(|delivery| delivery.timestamp);
        let seconds = self.successes.values();
        let successes = seconds.filter_map(|seconds| Some(*seconds.first_key_value()?.0));
        successes.chain(failure).min()
    }

    /// The last second of this scope's successes.
    pub fn last_second(&self, scope: u64) -> Option<Timestamp> {
        self.successes.get(&scope)?.last_key_value().map(|(&second, _)| second)
    }

    fn note_success(&mut self, dims: DimsId, at: Timestamp) {
        let last = self.last_success.entry(dims).or_insert(at);
        *last = (*last).max(at);
        self.earliest_last_success = self.earliest_last_success.min(at);
    }

    fn count_deliveries(&mut self, dims: DimsId, count: u64) {
        let dims = self.dims.get(dims);
        self.counters.add_deliveries(dims.offer, dims.affiliate, count);
    }
}

fn named(name: Option<&str>, id: u64) -> String {
    match name {
        Some(name) if !name.is_empty() => format!("{name} ({id})"),
        Some(_) | None => id.to_string(),
    }
}
