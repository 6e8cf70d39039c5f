//! Counters that never go down and go on across a restart: a fold over the
//! journal, so that a crash makes no hole in a graph.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::delivery::Ended;
use super::reason::Reason;

/// Upper bounds of `delivery_recovery_seconds`, in seconds.
pub const RECOVERY_BUCKETS: [u64; 10] =
    [60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];

/// What one source has counted since its first look-back.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    /// By (offer, affiliate).
    pub deliveries: HashMap<(u64, u64), u64>,
    /// By (offer, affiliate, reason as first shown).
    pub failures: HashMap<(u64, u64, Reason), u64>,
    /// By (host, reason).
    pub hosts: HashMap<(String, Reason), u64>,
    pub ended: HashMap<Ended, u64>,
    pub recovery: Recovery,
}

/// How long deliveries took from their timestamp to their recovery.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// Counts by the bounds of [`RECOVERY_BUCKETS`], not cumulated.
    pub buckets: [u64; RECOVERY_BUCKETS.len()],
    pub count: u64,
    pub seconds: u64,
}

impl Recovery {
    pub fn observe(&mut self, took: Duration) {
        let seconds = took.as_secs();
        if let Some(place) = RECOVERY_BUCKETS.iter().position(|&bound| seconds <= bound) {
            self.buckets[place] += 1;
        }
        self.count += 1;
        self.seconds += seconds;
    }
}

impl Counters {
    pub fn add_deliveries(&mut self, offer: u64, affiliate: u64, count: u64) {
        if count == 0 {
            return;
        }
        *self.deliveries.entry((offer, affiliate)).or_default() += count;
    }

    pub fn add_failure(&mut self, offer: u64, affiliate: u64, host: &str, reason: Reason) {
        *self.failures.entry((offer, affiliate, reason)).or_default() += 1;
        if host.is_empty() {
            return;
        }
        match self.hosts.get_mut(&(host.to_owned(), reason)) {
            Some(count) => *count += 1,
            None => {
                self.hosts.insert((host.to_owned(), reason), 1);
            }
        }
    }
}
