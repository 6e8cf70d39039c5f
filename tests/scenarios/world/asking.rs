//! What a test can ask of a world, and what must survive a restart.

use postwatch::domain::alert::{Alert, AlertKey, Status};
use postwatch::domain::counters::Counters;
use postwatch::domain::delivery::{Delivery, Ended, Identity, Life, Row};
use postwatch::domain::facts::Facts;
use postwatch::domain::notify::plan::{Batch, Told};
use postwatch::domain::notify::{AlertStatus, Notice};
use postwatch::domain::outgoing::KeptThread;
use postwatch::domain::rules::Severity;
use postwatch::domain::state::{SourceState, State};
use postwatch::domain::time::Timestamp;

use super::{SOURCE, World};

impl World {
    pub fn source(&self) -> &SourceState {
        &self.state.sources[SOURCE]
    }

    pub fn facts(&self) -> &Facts {
        &self.source().facts
    }

    pub fn counters(&self) -> &Counters {
        &self.facts().counters
    }

    pub fn deliveries_total(&self) -> u64 {
        self.counters().deliveries.values().sum()
    }

    pub fn failures_total(&self) -> u64 {
        self.counters().failures.values().sum()
    }

    pub fn ended(&self, how: Ended) -> u64 {
        self.counters().ended.get(&how).copied().unwrap_or(0)
    }

    pub fn delivery(&self, id: &str) -> Option<Delivery> {
        let identity = Identity::of(SOURCE, self.rows.get(id)?);
        let slot = self.facts().deliveries.find(identity)?;
        Some(self.facts().deliveries.get(slot))
    }

    /// `failing`, `recovered`, …, `unknown`.
    pub fn life(&self, id: &str) -> &'static str {
        match self.delivery(id).map(|delivery| delivery.life) {
            None => "unknown",
            Some(Life::Failing) => "failing",
            Some(Life::Ended { how, .. }) => how.as_str(),
        }
    }

    pub fn alert(&self, rule: &str) -> Option<&Alert> {
        self.state.alerts.values().find(|alert| alert.key.rule == rule)
    }

    /// One word for an alert: `inactive`, `pending`, `critical`, `quiet`, `ended`.
    pub fn shows(&self, rule: &str) -> &'static str {
        self.alert(rule).map_or("inactive", |alert| match alert.status {
            Status::Pending => "pending",
            Status::Firing { severity, .. } => severity.as_str(),
            Status::Quiet { .. } => "quiet",
            Status::Ended { .. } => "ended",
        })
    }

    /// Notices of everybody as `receiver: reason [rule status severity]`.
    pub fn told(&self) -> Vec<String> {
        self.notices.iter().map(told).collect()
    }

    pub fn keys(&self) -> Vec<AlertKey> {
        self.state.alerts.keys().cloned().collect()
    }

    /// The life of a delivery whose row the report no longer shows.
    pub fn life_of(&self, row: &Row<'static>) -> &'static str {
        let slot = self.facts().deliveries.find(Identity::of(SOURCE, row));
        match slot.map(|slot| self.facts().deliveries.get(slot).life) {
            None => "unknown",
            Some(Life::Failing) => "failing",
            Some(Life::Ended { how, .. }) => how.as_str(),
        }
    }
}

pub fn told(notice: &Notice) -> String {
    let alerts: Vec<String> = notice
        .alerts
        .iter()
        .map(|alert| match alert.is_held_back() {
            true => format!("{} held back {}", alert.rule, alert.severity),
            false => format!("{} {}", alert.rule, status_word(alert.status, alert.severity)),
        })
        .collect();
    format!("{}: {} [{}]", notice.receiver, notice.reason.as_str(), alerts.join(", "))
}

fn status_word(status: AlertStatus, severity: Severity) -> &'static str {
    match status {
        AlertStatus::Firing => severity.as_str(),
        AlertStatus::Quiet => "quiet",
        AlertStatus::Resolved { .. } => "resolved",
        AlertStatus::Expired { .. } => "expired",
        AlertStatus::Removed { .. } => "removed",
    }
}

/// Everything that must survive a restart, a line each.
pub fn known(state: &State) -> Vec<String> {
    let mut lines = known_facts(state);
    lines.extend(sorted(state.alerts.values().filter(|alert| alert.has_ended())));
    lines.extend(sorted(state.batches.iter().map(|(key, batch)| (key, without_ended(batch)))));
    lines.extend(sorted(state.outbox.iter()));
    lines.extend(sorted(state.threads.iter().map(|(key, thread)| (key, unfinished(thread)))));
    lines.extend(sorted(state.silences.iter()));
    lines.extend(sorted(state.told_instead.iter()));
    lines
}

/// A thread that is needed no more is found by the next tick, or by a start.
fn unfinished(thread: &KeptThread) -> KeptThread {
    KeptThread { finished_at: None, ..thread.clone() }
}

/// Who was told the end leaves the batch in the next turn, which a start is as well.
fn without_ended(batch: &Batch) -> Batch {
    let mut batch = batch.clone();
    batch.members.retain(|_, told| *told != Told::Ended);
    batch
}

/// The same but for messages: one may have become due meanwhile.
pub fn known_facts(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, source) in &state.sources {
        let facts = &source.facts;
        lines.push(format!("{name} began {:?}", facts.first_read_at));
        lines.push(format!("{name} watermark {:?}", facts.watermark));
        lines.extend(sorted(facts.counters.deliveries.iter()));
        lines.extend(sorted(facts.counters.failures.iter()));
        lines.extend(sorted(facts.counters.hosts.iter()));
        lines.extend(sorted(facts.counters.ended.iter()));
        lines.push(format!("{:?}", facts.counters.recovery));
        lines.extend(sorted(facts.deliveries.iter()));
        lines.extend(sorted(facts.coverage.iter()));
        lines.extend(sorted(facts.postbacks.iter()));
        lines.extend(facts.offer_names.in_order().map(|name| format!("{name:?}")));
        lines.extend(facts.affiliate_names.in_order().map(|name| format!("{name:?}")));
        let (first, last) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        lines.extend(sorted(facts.successes_within(first, last)));
        lines.push(format!("windows at {:?}", source.windows.as_ref().map(|windows| windows.at)));
        lines.extend(sorted(source.active.iter().flatten()));
    }
    lines.extend(sorted(state.alerts.values().filter(|alert| !alert.has_ended())));
    lines
}

/// Holds two of [`known`] against each other, and shows where they differ.
pub fn assert_same(before: &[String], after: &[String], what: &str) {
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|line| !other.contains(line)).cloned().collect()
    };
    if before != after {
        let (lost, new) = (only(before, after), only(after, before));
        panic!("changed by {what}\nlost: {}\nnew: {}", lost.join("\n      "), new.join("\n     "));
    }
}

fn sorted<T: std::fmt::Debug>(things: impl Iterator<Item = T>) -> Vec<String> {
    let mut lines: Vec<String> = things.map(|thing| format!("{thing:?}")).collect();
    lines.sort();
    lines
}
