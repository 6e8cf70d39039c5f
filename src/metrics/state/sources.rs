//! The series of each source: its deliveries, hosts, postbacks and coverage.

use std::collections::{BTreeMap, HashSet};

use hashbrown::HashMap;

use super::known;
use crate::domain::counters::{Counters, Pair, RECOVERY_BUCKETS};
use crate::domain::delivery::Ended;
use crate::domain::facts::Facts;
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::state::{SourceState, State};
use crate::metrics::family::Family;

/// Of one source after the other.
pub fn families(state: &State, policy: &Policy) -> Vec<Family> {
    let mut families = Families::new();
    for (name, source) in known(state, policy) {
        families.add_counters(name, &source.facts.counters);
        families.add_open(name, &source.facts);
        let counters = &source.facts.counters;
        let mut room =
            Room { left: counters.most_series.saturating_sub(counters.series()), dropped: 0 };
        if let Some(policy) = policy.source(name) {
            families.add_postbacks(policy, source, &mut room);
        }
        families.add_names(name, &source.facts, &mut room);
        families.dropped.add(&[name], (counters.dropped_series() + room.dropped) as f64);
        families.gap.add(&[name], source.facts.gap().as_secs() as f64);
        if let Some(at) = source.facts.watermark {
            families.watermark.add(&[name], at.0 as f64);
        }
    }
    families.into_list()
}

struct Families {
    deliveries: Family,
    failures: Family,
    open: Family,
    ended: Family,
    recovery: Family,
    hosts: Family,
    streak: Family,
    active: Family,
    offers: Family,
    affiliates: Family,
    watermark: Family,
    gap: Family,
    dropped: Family,
}

impl Families {
    fn new() -> Families {
        Families {
            deliveries: Family::counter(
                "deliveries_total",
                "Postbacks fired, counted once each when the data is complete up to them; failed ones included.",
                &["source", "offer", "affiliate"],
            ),
            failures: Family::counter(
                "delivery_failures_total",
                "Deliveries that failed at least once, whether or not they recovered since, by the reason first shown.",
                &["source", "offer", "affiliate", "reason"],
            ),
            open: Family::gauge(
                "deliveries_open",
                "Deliveries that fail now and may still recover, over the whole look-back.",
                &["source", "offer", "affiliate"],
            ),
            ended: Family::counter(
                "deliveries_ended_total",
                "Failed deliveries by how they ended: recovered (a success was seen), exhausted (the network gave up), abandoned (the postback was switched off), vanished (gone from the report), resent (by an operator).",
                &["source", "state"],
            ),
            recovery: Family::histogram(
                "delivery_recovery_seconds",
                "How long recovered deliveries took from their first try to the success.",
                &["source"],
            ),
            hosts: Family::counter(
                "host_failures_total",
                "Failed deliveries by the host that was called and the reason first shown.",
                &["source", "host", "reason"],
            ),
            streak: Family::gauge(
                "postback_streak",
                "Failures in a row of a postback with a failure in the look-back; the network switches it off at its limit. At least this many: more where successes were not read.",
                &["source", "postback"],
            ),
            active: Family::gauge(
                "postback_active",
                "1 while a postback with a failure in the look-back is active, 0 when the network or a person switched it off.",
                &["source", "postback"],
            ),
            offers: Family::gauge(
                "offer_info",
                "Always 1; gives an offer's id its name, for joins.",
                &["source", "id", "name"],
            ),
            affiliates: Family::gauge(
                "affiliate_info",
                "Always 1; gives an affiliate's id its name, for joins.",
                &["source", "id", "name"],
            ),
            watermark: Family::gauge(
                "source_watermark_timestamp_seconds",
                "The time to which the source's data is complete; rules are judged up to here.",
                &["source"],
            ),
            gap: Family::gauge(
                "source_gap_seconds",
                "Time of the past that was not read whole yet though later time was: what an outage left. It is read oldest first beside the present and falls to 0; while it stands still the past cannot be read, and no rule is judged. The largest over the source's scopes.",
                &["source"],
            ),
            dropped: Family::gauge(
                "series_dropped",
                "Series that came when metrics.max_series were there: what they count stands under the label other. 0 is well; raise the limit before new partners are lost in it.",
                &["source"],
            ),
        }
    }

    fn into_list(self) -> Vec<Family> {
        vec![
            self.deliveries,
            self.failures,
            self.open,
            self.ended,
            self.recovery,
            self.hosts,
            self.streak,
            self.active,
            self.offers,
            self.affiliates,
            self.watermark,
            self.gap,
            self.dropped,
        ]
    }

    fn add_counters(&mut self, source: &str, counters: &Counters) {
        for (&pair, count) in in_order(&counters.deliveries) {
            let [offer, affiliate] = shown(pair);
            self.deliveries.add(&[source, &offer, &affiliate], *count as f64);
        }
        for (&(pair, reason), count) in in_order(&counters.failures) {
            let [offer, affiliate] = shown(pair);
            let labels = [source, &offer, &affiliate, &reason.to_string()];
            self.failures.add(&labels, *count as f64);
        }
        for ((host, reason), count) in in_order(&counters.hosts) {
            let host = host.as_deref().unwrap_or(OTHER);
            self.hosts.add(&[source, host, &reason.to_string()], *count as f64);
        }
        for how in Ended::ALL {
            let count = counters.ended.get(&how).copied().unwrap_or_default();
            self.ended.add(&[source, how.as_str()], count as f64);
        }
        // postwatch resends nothing yet; the series is there for those who sum.
        self.ended.add(&[source, "resent"], 0.0);
        self.add_recovery(source, counters);
    }

    fn add_recovery(&mut self, source: &str, counters: &Counters) {
        let mut up_to = 0;
        let buckets =
            RECOVERY_BUCKETS.iter().zip(counters.recovery.buckets).map(|(&bound, count)| {
                up_to += count;
                (bound as f64, up_to)
            });
        let buckets: Vec<(f64, u64)> = buckets.collect();
        let recovery = &counters.recovery;
        self.recovery.add_histogram(&[source], &buckets, recovery.count, recovery.seconds as f64);
    }

    fn add_open(&mut self, source: &str, facts: &Facts) {
        let own = &facts.counters.deliveries;
        let mut counts: BTreeMap<Pair, u64> = BTreeMap::new();
        for (dims, of) in facts.deliveries.by_dims().filter(|(_, of)| of.open > 0) {
            let dims = facts.dims.get(dims);
            let pair =
                Some((dims.offer, dims.affiliate)).filter(|&pair| own.contains_key(&Some(pair)));
            *counts.entry(pair).or_default() += of.open;
        }
        for (pair, count) in counts {
            let [offer, affiliate] = shown(pair);
            self.open.add(&[source, &offer, &affiliate], count as f64);
        }
    }

    /// As many as there is `room` for: a name that is missing joins nothing.
    fn add_names(&mut self, source: &str, facts: &Facts, room: &mut Room) {
        let offers = (&mut self.offers, &facts.offer_names);
        for (family, names) in [offers, (&mut self.affiliates, &facts.affiliate_names)] {
            for (id, name) in names.in_order().filter(|_| room.take(1)) {
                family.add(&[source, &id.to_string(), name], 1.0);
            }
        }
    }

    /// Of those without room the longest row counts, and whether all are active.
    fn add_postbacks(&mut self, policy: &SourcePolicy, source: &SourceState, room: &mut Room) {
        let mut other: Option<(bool, f64)> = None;
        for postback in failed_postbacks(&source.facts) {
            let is_active = source.facts.is_active(postback);
            let streak = source.windows.as_ref().map(|windows| {
                windows.streaks.of(&source.facts, policy, postback, windows.at).least
            });
            if room.take(2) {
                self.add_postback(&policy.name, &postback.to_string(), is_active, streak);
            } else {
                let (are_active, longest) = other.unwrap_or((true, 0.0));
                let longest = longest.max(streak.unwrap_or_default());
                other = Some((are_active && is_active, longest));
            }
        }
        if let Some((are_active, longest)) = other {
            self.add_postback(&policy.name, OTHER, are_active, Some(longest));
        }
    }

    fn add_postback(&mut self, source: &str, id: &str, is_active: bool, streak: Option<f64>) {
        self.active.add(&[source, id], f64::from(u8::from(is_active)));
        if let Some(streak) = streak {
            self.streak.add(&[source, id], streak);
        }
    }
}

/// What is left of a source's series, and what came when nothing was.
struct Room {
    left: usize,
    dropped: usize,
}

impl Room {
    fn take(&mut self, series: usize) -> bool {
        let left = self.left.checked_sub(series);
        match left {
            Some(left) => self.left = left,
            None => self.dropped += series,
        }
        left.is_some()
    }
}

/// The same at every scrape, so that two can be compared line by line.
fn in_order<Key: Ord, Count>(counts: &HashMap<Key, Count>) -> Vec<(&Key, &Count)> {
    let mut counts: Vec<_> = counts.iter().collect();
    counts.sort_unstable_by_key(|&(key, _)| key);
    counts
}

/// Where what has no series of its own is gathered.
const OTHER: &str = "other";

/// The labels `offer` and `affiliate`.
fn shown(pair: Pair) -> [String; 2] {
    match pair {
        Some((offer, affiliate)) => [offer.to_string(), affiliate.to_string()],
        None => [OTHER.to_owned(), OTHER.to_owned()],
    }
}

/// In the order in which they first failed: what comes later takes nobody's room.
fn failed_postbacks(facts: &Facts) -> Vec<u64> {
    let postbacks = facts.deliveries.by_dims().map(|(id, _)| facts.dims.get(id).postback);
    let mut seen = HashSet::new();
    postbacks.filter(|&postback| seen.insert(postback)).collect()
}
