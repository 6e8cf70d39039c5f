//! Failures in a row of each postback: what the network switches it off for.

use std::collections::BTreeMap;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::in_a_row::{InARow, SPAN, Stand};
use crate::domain::deliveries::{Slot, SlotAt};
use crate::domain::delivery::Delivery;
use crate::domain::facts::Facts;
use crate::domain::policy::{DeactivationCounts, SourcePolicy};
use crate::domain::time::Timestamp;

/// The delivery method whose postbacks the network switches off.
const METHOD: &str = "postback";

#[derive(Debug, Default)]
pub struct Streaks {
    by_postback: HashMap<u64, Streak>,
}

/// Failures of one postback since its last success.
#[derive(Debug, Default, Clone)]
struct Streak {
    last_success: Option<Timestamp>,
    /// By timestamp.
    failures: BTreeMap<SlotAt, Tries>,
}

/// The failed tries of one delivery, and when the last one was.
#[derive(Debug, Clone, Copy)]
struct Tries {
    count: u32,
    last_at: u32,
}

/// A number known only to lie between two bounds; both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    pub least: f64,
    pub most: f64,
}

impl Streaks {
    pub fn failed(&mut self, facts: &Facts, slot: Slot, delivery: &Delivery) {
        let dims = facts.dims.get(delivery.dims);
        if facts.dims.symbols.text(dims.delivery_method) == METHOD {
            self.by_postback.entry(dims.postback).or_default().failed(slot, delivery);
        }
    }

    pub fn forget(&mut self, facts: &Facts, slot: Slot, delivery: &Delivery) {
        let postback = facts.dims.get(delivery.dims).postback;
        if let Some(streak) = self.by_postback.get_mut(&postback) {
            streak.failures.remove(&SlotAt::new(delivery.timestamp, slot));
        }
    }

    pub fn succeeded(&mut self, postback: u64, at: Timestamp) {
        self.by_postback.entry(postback).or_default().succeeded(at);
    }

    /// The postbacks with a failure since their last success, in no order.
    pub fn failing(&self) -> impl Iterator<Item = u64> + '_ {
        let failing = self.by_postback.iter().filter(|(_, streak)| !streak.failures.is_empty());
        failing.map(|(&postback, _)| postback)
    }

    /// The first failure since its last success.
    pub fn oldest_failure(&self, postback: u64) -> Option<Timestamp> {
        let (place, _) = self.by_postback.get(&postback)?.failures.first_key_value()?;
        Some(place.at())
    }

    /// The streak of `postback` at `at`, as `deactivation_counts` says. The
    /// bounds differ where the successes of its span were not read.
    pub fn of(&self, facts: &Facts, policy: &SourcePolicy, postback: u64, at: Timestamp) -> Bounds {
        let nothing = Bounds { least: 0.0, most: 0.0 };
        self.by_postback.get(&postback).map_or(nothing, |streak| {
            streak.known(facts, policy, postback, at).bounds(policy.deactivation_counts)
        })
    }

    /// The same in both countings, for people.
    pub fn in_a_row(
        &self,
        facts: &Facts,
        policy: &SourcePolicy,
        postback: u64,
        at: Timestamp,
    ) -> InARow {
        let nothing = Streak::default();
        let streak = self.by_postback.get(&postback).unwrap_or(&nothing);
        streak.in_a_row(facts, policy, postback, at)
    }

    /// The same with what came after `at`, when the windows were last counted, as
    /// far as it was read by now.
    pub fn in_a_row_by_now(
        &self,
        facts: &Facts,
        policy: &SourcePolicy,
        postback: u64,
        at: Timestamp,
    ) -> InARow {
        let mut streak = self.by_postback.get(&postback).cloned().unwrap_or_default();
        let mut now = at;
        for slot in facts.deliveries.within(at, Timestamp(i64::MAX)) {
            let delivery = facts.deliveries.get(slot);
            let dims = facts.dims.get(delivery.dims);
            if dims.postback == postback && facts.dims.symbols.text(dims.delivery_method) == METHOD
            {
                streak.failed(slot, &delivery);
                now = now.max(delivery.timestamp);
            }
        }
        let ids = facts.dims.ids_of_postback(postback);
        if let Some(last) = ids.filter_map(|id| facts.last_success(id)).max() {
            streak.succeeded(last);
        }
        streak.in_a_row(facts, policy, postback, now)
    }

    /// Packs the failures: entries that came one by one fill half of their nodes.
    pub fn pack(&mut self) {
        for streak in self.by_postback.values_mut() {
            streak.failures = std::mem::take(&mut streak.failures).into_iter().collect();
        }
    }

    /// Drops what lies further back than the network looks.
    pub fn prune(&mut self, at: Timestamp) {
        let begin = at - SPAN;
        for streak in self.by_postback.values_mut() {
            while streak.failures.first_key_value().is_some_and(|(place, _)| place.at() <= begin) {
                streak.failures.pop_first();
            }
        }
        self.by_postback.retain(|_, streak| {
            !streak.failures.is_empty() || streak.last_success.is_some_and(|last| last > begin)
        });
    }
}

/// The failures of a streak that are possible, and those that are certain.
struct Known {
    possible: Sum,
    certain: Sum,
}

#[derive(Default)]
struct Sum {
    deliveries: u64,
    tries: u64,
}

impl Known {
    fn bounds(&self, counts: DeactivationCounts) -> Bounds {
        let count = |sum: &Sum| match counts {
            DeactivationCounts::Deliveries => sum.deliveries as f64,
            DeactivationCounts::Attempts => sum.tries as f64,
        };
        Bounds { least: count(&self.certain), most: count(&self.possible) }
    }
}

impl Streak {
    fn failed(&mut self, slot: Slot, delivery: &Delivery) {
        if self.last_success.is_none_or(|last| delivery.timestamp > last) {
            let count = delivery.newest.failed_attempts.max(1);
            let tries = Tries { count, last_at: delivery.newest.tried_at().to_u32() };
            self.failures.insert(SlotAt::new(delivery.timestamp, slot), tries);
        }
    }

    fn succeeded(&mut self, at: Timestamp) {
        self.last_success = self.last_success.max(Some(at));
        while self.failures.first_key_value().is_some_and(|(place, _)| place.at() <= at) {
            self.failures.pop_first();
        }
    }

    fn known(&self, facts: &Facts, policy: &SourcePolicy, postback: u64, at: Timestamp) -> Known {
        let begin = at - SPAN;
        let known_since = facts.successes_known_since(postback);
        let is_known =
            known_since <= begin || self.last_success.is_some_and(|at| at >= known_since);
        let certain = match (policy.successes, is_known) {
            (false, _) => Sum::default(),
            (true, true) => self.sum_after(begin),
            (true, false) => self.sum_after(begin.max(known_since)),
        };
        Known { possible: self.sum_after(begin), certain }
    }

    fn sum_after(&self, after: Timestamp) -> Sum {
        let mut sum = Sum::default();
        for (_, tries) in self.failures.iter().filter(|(place, _)| place.at() > after) {
            sum.deliveries += 1;
            sum.tries += u64::from(tries.count);
        }
        sum
    }

    fn in_a_row(
        &self,
        facts: &Facts,
        policy: &SourcePolicy,
        postback: u64,
        at: Timestamp,
    ) -> InARow {
        let known = self.known(facts, policy, postback, at);
        let within = || self.failures.iter().filter(|(place, _)| place.at() > at - SPAN);
        let first_at = within().next().map_or(at, |(place, _)| place.at());
        let last_at = within().map(|(place, tries)| match policy.deactivation_counts {
            DeactivationCounts::Deliveries => place.at(),
            DeactivationCounts::Attempts => Timestamp::of_u32(tries.last_at),
        });
        InARow {
            postback,
            deliveries: known.bounds(DeactivationCounts::Deliveries),
            tries: known.bounds(DeactivationCounts::Attempts),
            limit: policy.deactivates_after,
            counts: policy.deactivation_counts,
            first_at,
            last_at: last_at.max().unwrap_or(first_at),
            stand: match facts.is_active(postback) {
                true => Stand::Growing,
                false => Stand::SwitchedOff,
            },
        }
    }
}
