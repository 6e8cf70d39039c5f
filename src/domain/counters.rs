//! Counters that never go down and go on across a restart: a fold over the
//! journal, so that a crash makes no hole in a graph.

use std::time::Duration;

use hashbrown::{Equivalent, HashMap, HashSet};
use serde::{Deserialize, Serialize};

use super::delivery::{Ended, Identity};
use super::reason::Reason;

/// Upper bounds of `delivery_recovery_seconds`, in seconds.
pub const RECOVERY_BUCKETS: [u64; 10] =
    [60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 43_200, 86_400];

/// `metrics.max_series` where the rules file does not set it.
pub const MOST_SERIES: usize = 20_000;

/// Series without room of their own of which each is known; more are not told apart.
const MOST_OTHERS: usize = 100_000;

/// Offer and affiliate; `None` for all that got no series of their own.
pub type Pair = Option<(u64, u64)>;

/// What one source has counted since its first look-back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Counters {
    pub deliveries: HashMap<Pair, u64>,
    /// By the reason first shown too.
    pub failures: HashMap<(Pair, Reason), u64>,
    /// By host and reason.
    pub hosts: HashMap<(Option<String>, Reason), u64>,
    pub ended: HashMap<Ended, u64>,
    pub recovery: Recovery,
    /// Series that all of these may make, and what is shown beside them. The rules file
    /// says it, not the store.
    #[serde(skip, default = "most_series")]
    pub most_series: usize,
    /// Those that came when there was no room any more.
    others: HashSet<u64>,
}

/// A key of [`Counters::hosts`], borrowed.
#[derive(Hash)]
struct HostSeries<'a>(Option<&'a str>, Reason);

impl Equivalent<(Option<String>, Reason)> for HostSeries<'_> {
    fn equivalent(&self, (host, reason): &(Option<String>, Reason)) -> bool {
        self.0 == host.as_deref() && self.1 == *reason
    }
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

fn most_series() -> usize {
    MOST_SERIES
}

impl Default for Counters {
    fn default() -> Counters {
        Counters {
            deliveries: HashMap::new(),
            failures: HashMap::new(),
            hosts: HashMap::new(),
            ended: HashMap::new(),
            recovery: Recovery::default(),
            most_series: MOST_SERIES,
            others: HashSet::new(),
        }
    }
}

impl Counters {
    pub fn add_deliveries(&mut self, offer: u64, affiliate: u64, count: u64) {
        if count == 0 {
            return;
        }
        let pair = self.pair(offer, affiliate);
        *self.deliveries.entry(pair).or_default() += count;
    }

    /// A delivery that fails is seen before the watermark passes it, and a rate needs
    /// both series: so its deliveries are there, if with 0.
    pub fn add_failure(&mut self, offer: u64, affiliate: u64, host: &str, reason: Reason) {
        let pair = self.pair(offer, affiliate);
        self.deliveries.entry(pair).or_default();
        match self.failures.get_mut(&(pair, reason)) {
            Some(count) => *count += 1,
            None => self.add_first_failure(pair, reason),
        }
        if !host.is_empty() {
            self.add_host(host, reason);
        }
    }

    fn add_first_failure(&mut self, pair: Pair, reason: Reason) {
        let name = ["failures", &reason.to_string()];
        let has_room = |&(offer, affiliate): &_| self.has_room(&name, &[offer, affiliate]);
        let pair = pair.filter(has_room);
        *self.failures.entry((pair, reason)).or_default() += 1;
    }

    fn pair(&mut self, offer: u64, affiliate: u64) -> Pair {
        let own = Some((offer, affiliate));
        let has_series = self.deliveries.contains_key(&own);
        own.filter(|_| has_series || self.has_room(&["deliveries"], &[offer, affiliate]))
    }

    fn add_host(&mut self, host: &str, reason: Reason) {
        if let Some(count) = self.hosts.get_mut(&HostSeries(Some(host), reason)) {
            *count += 1;
            return;
        }
        let name = ["hosts", host, &reason.to_string()];
        let host = self.has_room(&name, &[]).then(|| host.to_owned());
        *self.hosts.entry((host, reason)).or_default() += 1;
    }

    /// Series that exist. A pair that is counted may have open deliveries too.
    pub fn series(&self) -> usize {
        2 * self.deliveries.len() + self.failures.len() + self.hosts.len()
    }

    /// How many series there would be more, had there been room.
    pub fn dropped_series(&self) -> usize {
        self.others.len()
    }

    /// Whether one more series fits. What came too late stays without one: it would
    /// begin with a part of what it counts.
    fn has_room(&mut self, name: &[&str], ids: &[u64]) -> bool {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        let parts: Vec<&str> = name.iter().copied().chain(ids.iter().map(String::as_str)).collect();
        let name = Identity::of_parts(&parts).0 as u64;
        // The rest is for what is shown as it stands: postbacks and names.
        // With more of them nobody knows which began without a series of their own.
        let is_known_new = self.others.len() < MOST_OTHERS && !self.others.contains(&name);
        let has_room = self.series() < self.most_series * 3 / 5 && is_known_new;
        if !has_room && self.others.len() < MOST_OTHERS {
            self.others.insert(name);
        }
        has_room
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_when_there_is_no_room_goes_to_other_and_stays_there() {
        let mut counters = Counters { most_series: 20, ..Counters::default() };
        for affiliate in 0..100 {
            counters.add_deliveries(1, affiliate, 2);
            counters.add_failure(1, affiliate, &format!("{affiliate}.example"), Reason::Tls);
        }
        assert!(counters.series() <= 20, "{}", counters.series());
        assert_eq!(counters.deliveries.values().sum::<u64>(), 200);
        assert_eq!(counters.failures.values().sum::<u64>(), 100);
        assert_eq!(counters.hosts.values().sum::<u64>(), 100);
        let known = counters.deliveries.clone();
        counters.most_series = 1_000;
        counters.add_deliveries(1, 99, 5);
        assert_eq!(counters.deliveries[&None], known[&None] + 5, "it does not begin anew");
        counters.add_deliveries(1, 100, 5);
        assert_eq!(counters.deliveries[&Some((1, 100))], 5, "what is new has room now");
    }

    #[test]
    fn room_is_counted_by_series_that_would_be_there() {
        let mut counters = Counters { most_series: 0, ..Counters::default() };
        for _ in 0..3 {
            counters.add_failure(1, 7, "trk.example", Reason::Tls);
            counters.add_failure(1, 7, "trk.example", Reason::Dns);
            counters.add_deliveries(1, 7, 1);
        }
        assert_eq!(counters.dropped_series(), 3, "a pair and a host with two reasons");
    }
}
