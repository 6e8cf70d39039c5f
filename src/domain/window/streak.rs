//! Failures in a row of each postback: what the network switches it off for.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::domain::deliveries::Slot;
use crate::domain::delivery::Delivery;
use crate::domain::facts::Facts;
use crate::domain::policy::{DeactivationCounts, SourcePolicy};
use crate::domain::time::Timestamp;

/// The network looks back this far (its documentation, since March 2026).
pub const SPAN: Duration = Duration::from_secs(72 * 3600);

/// The delivery method whose postbacks the network switches off.
const METHOD: &str = "postback";

#[derive(Debug, Default)]
pub struct Streaks {
    by_postback: HashMap<u64, Streak>,
}

/// Failures of one postback since its last success.
#[derive(Debug, Default)]
struct Streak {
    last_success: Option<Timestamp>,
    /// Failed tries of each, by timestamp.
    failures: BTreeMap<(Timestamp, Slot), u32>,
}

/// A number known only to lie between two bounds; both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    pub least: f64,
    pub most: f64,
}

impl Streaks {
    pub fn failed(&mut self, facts: &Facts, slot: Slot, delivery: &Delivery) {
        let dims = facts.dims.get(delivery.dims);
        if facts.dims.symbols.text(dims.delivery_method) != METHOD {
            return;
        }
        let streak = self.by_postback.entry(dims.postback).or_default();
        if streak.last_success.is_none_or(|last| delivery.timestamp > last) {
            let tries = delivery.newest.failed_attempts.max(1);
            streak.failures.insert((delivery.timestamp, slot), tries);
        }
    }

    pub fn forget(&mut self, facts: &Facts, slot: Slot, delivery: &Delivery) {
        let postback = facts.dims.get(delivery.dims).postback;
        if let Some(streak) = self.by_postback.get_mut(&postback) {
            streak.failures.remove(&(delivery.timestamp, slot));
        }
    }

    pub fn succeeded(&mut self, postback: u64, at: Timestamp) {
        let streak = self.by_postback.entry(postback).or_default();
        streak.last_success = streak.last_success.max(Some(at));
        while streak.failures.first_key_value().is_some_and(|((failed_at, _), _)| *failed_at <= at)
        {
            streak.failures.pop_first();
        }
    }

    /// The postbacks with a failure since their last success, in no order.
    pub fn failing(&self) -> impl Iterator<Item = u64> + '_ {
        let failing = self.by_postback.iter().filter(|(_, streak)| !streak.failures.is_empty());
        failing.map(|(&postback, _)| postback)
    }

    /// The first failure since its last success.
    pub fn oldest_failure(&self, postback: u64) -> Option<Timestamp> {
        let (&(at, _), _) = self.by_postback.get(&postback)?.failures.first_key_value()?;
        Some(at)
    }

    /// The streak of `postback` at `at`, as `deactivation_counts` says. The
    /// bounds differ where the successes of its span were not read.
    pub fn of(&self, facts: &Facts, policy: &SourcePolicy, postback: u64, at: Timestamp) -> Bounds {
        let Some(streak) = self.by_postback.get(&postback) else {
            return Bounds { least: 0.0, most: 0.0 };
        };
        let begin = at - SPAN;
        let known_since = facts.successes_known_since(postback);
        let is_known = policy.successes
            && (known_since <= begin || streak.last_success.is_some_and(|at| at >= known_since));
        let most = streak.sum_after(policy, begin);
        let least = if is_known {
            most
        } else if policy.successes {
            streak.sum_after(policy, begin.max(known_since))
        } else {
            0.0
        };
        Bounds { least, most }
    }

    /// Drops what lies further back than the network looks.
    pub fn prune(&mut self, at: Timestamp) {
        let begin = at - SPAN;
        for streak in self.by_postback.values_mut() {
            while streak.failures.first_key_value().is_some_and(|((t, _), _)| *t <= begin) {
                streak.failures.pop_first();
            }
        }
        self.by_postback.retain(|_, streak| {
            !streak.failures.is_empty() || streak.last_success.is_some_and(|last| last > begin)
        });
    }
}

impl Streak {
    fn sum_after(&self, policy: &SourcePolicy, after: Timestamp) -> f64 {
        let failures = self.failures.iter().filter(|((at, _), _)| *at > after);
        match policy.deactivation_counts {
            DeactivationCounts::Deliveries => failures.count() as f64,
            DeactivationCounts::Attempts => {
                failures.map(|(_, tries)| u64::from(*tries)).sum::<u64>() as f64
            }
        }
    }
}
