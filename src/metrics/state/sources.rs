//! The series of each source: its deliveries, hosts, postbacks and coverage.

use std::collections::{BTreeMap, BTreeSet};

use super::known;
use crate::domain::counters::{Counters, RECOVERY_BUCKETS};
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
        families.add_names(name, &source.facts);
        if let Some(policy) = policy.source(name) {
            families.add_postbacks(policy, source);
        }
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
        ]
    }

    fn add_counters(&mut self, source: &str, counters: &Counters) {
        for ((offer, affiliate), count) in deliveries(counters) {
            let (offer, affiliate) = (offer.to_string(), affiliate.to_string());
            self.deliveries.add(&[source, &offer, &affiliate], count as f64);
        }
        for ((offer, affiliate, reason), count) in &counters.failures {
            let labels = [offer.to_string(), affiliate.to_string(), reason.to_string()];
            let [offer, affiliate, reason] = labels.each_ref().map(String::as_str);
            self.failures.add(&[source, offer, affiliate, reason], *count as f64);
        }
        for ((host, reason), count) in &counters.hosts {
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
        let mut counts: BTreeMap<(u64, u64), u64> = BTreeMap::new();
        for (_, slot) in facts.deliveries.open() {
            let dims = facts.dims.get(facts.deliveries.get(slot).dims);
            *counts.entry((dims.offer, dims.affiliate)).or_default() += 1;
        }
        for ((offer, affiliate), count) in counts {
            self.open.add(&[source, &offer.to_string(), &affiliate.to_string()], count as f64);
        }
    }

    fn add_names(&mut self, source: &str, facts: &Facts) {
        for (id, name) in &facts.offer_names {
            self.offers.add(&[source, &id.to_string(), name], 1.0);
        }
        for (id, name) in &facts.affiliate_names {
            self.affiliates.add(&[source, &id.to_string(), name], 1.0);
        }
    }

    fn add_postbacks(&mut self, policy: &SourcePolicy, source: &SourceState) {
        for postback in failed_postbacks(&source.facts) {
            let labels = [policy.name.as_str(), &postback.to_string()];
            let active = source.facts.is_active(postback);
            self.active.add(&labels, f64::from(u8::from(active)));
            if let Some(windows) = &source.windows {
                let streak = windows.streaks.of(&source.facts, policy, postback, windows.at);
                self.streak.add(&labels, streak.least);
            }
        }
    }
}

/// Every pair that has failures is there, if with 0: a delivery that fails is
/// seen before the watermark passes it, and a rate needs both series.
fn deliveries(counters: &Counters) -> BTreeMap<(u64, u64), u64> {
    let failed = counters.failures.keys().map(|&(offer, affiliate, _)| ((offer, affiliate), 0));
    let mut deliveries: BTreeMap<_, _> = failed.collect();
    deliveries.extend(&counters.deliveries);
    deliveries
}

fn failed_postbacks(facts: &Facts) -> BTreeSet<u64> {
    // Marks, not a set, inside the walk: there may be a million deliveries.
    let mut has_failed = vec![false; facts.dims.len()];
    for delivery in facts.deliveries.iter() {
        has_failed[delivery.dims.0 as usize] = true;
    }
    let ids = (0u32..).zip(has_failed).filter(|&(_, has_failed)| has_failed);
    ids.map(|(id, _)| facts.dims.get(crate::domain::dims::DimsId(id)).postback).collect()
}
