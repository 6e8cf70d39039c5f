//! Alerts → notices: which message goes to whom now, and why. Each decision
//! returns its reason.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::gate::{Gate, Gates};
use super::labels::routing_labels;
use super::{AlertFacts, AlertStatus, Notice, NoticeReason, in_reading_order};
use crate::domain::alert::{Alert, AlertEnd, AlertKey, Status};
use crate::domain::alert::{builtin, headline};
use crate::domain::delivery::Identity;
use crate::domain::policy::{Policy, Route, Timing, fits};
use crate::domain::rules::Severity;
use crate::domain::silence::Silences;
use crate::domain::time::Timestamp;

mod due;

use due::{Member, members_told_now, reason_to_notify};

/// Which batch: a receiver, and what the alerts of one message have in common.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BatchKey {
    pub receiver: String,
    pub labels: Vec<(String, String)>,
}

/// Alerts that share their messages to one receiver, from the first message to
/// the one that tells the end of them all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Batch {
    /// Names the thread of its messages.
    pub id: String,
    pub opened_at: Timestamp,
    pub timing: Timing,
    pub fallback: Vec<String>,
    pub members: BTreeMap<AlertKey, Told>,
    /// Alerts of which the channel took a message while they fired: `members` says what was
    /// written, this what came.
    pub arrived: BTreeSet<Identity>,
    /// When the last notice was written.
    pub planned_at: Option<Timestamp>,
    /// When the outbox was last done with one: taken by the channel, or given up.
    /// `None` while the last one waits.
    pub settled_at: Option<Timestamp>,
    /// Notices written so far.
    pub notices: u32,
}

impl Batch {
    /// Moments at which, as things stand, a message may become due.
    pub fn may_be_due(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let Timing { batch_wait, min_gap, remind_every, .. } = self.timing;
        let first = self.planned_at.is_none().then(|| self.opened_at + batch_wait);
        let next = self.planned_at.map(|at| at + min_gap);
        let reminder = self.settled_at.map(|at| at + remind_every);
        [first, next, reminder].into_iter().flatten()
    }
}

/// What a batch's receiver knows of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    Nothing,
    /// Nothing: another alert explains it.
    Inhibited,
    Firing(Severity),
    Ended,
}

impl Told {
    /// The receiver has not heard of the alert.
    pub fn is_nothing(self) -> bool {
        match self {
            Told::Nothing | Told::Inhibited => true,
            Told::Firing(_) | Told::Ended => false,
        }
    }
}

/// Adds an alert that fired or escalated to the batches of its routes. Who got
/// it before keeps it: a route only adds.
pub fn enroll(
    now: Timestamp,
    commit: u64,
    policy: &Policy,
    alert: &Alert,
    batches: &mut BTreeMap<BatchKey, Batch>,
) {
    let labels = routing_labels(alert);
    for (receiver, route) in routes(policy, &labels) {
        let by = route.timing.batch_by.iter();
        let of = by.map(|name| (name.clone(), labels.get(name).cloned().unwrap_or_default()));
        let key = BatchKey { receiver: receiver.clone(), labels: of.collect() };
        let id = batch_id(&key, commit);
        let batch = batches.entry(key).or_insert_with(|| Batch {
            id,
            opened_at: now,
            timing: route.timing.clone(),
            fallback: route.fallback.clone(),
            members: BTreeMap::new(),
            arrived: BTreeSet::new(),
            planned_at: None,
            settled_at: None,
            notices: 0,
        });
        let waits = batch.members.values().any(|told| *told == Told::Nothing);
        if batch.planned_at.is_none() && !waits {
            // Those before it were held back: this one is the first that may be told.
            batch.opened_at = now;
        }
        let told = batch.members.entry(alert.key.clone()).or_insert(Told::Nothing);
        if *told == Told::Ended {
            *told = Told::Nothing;
        }
    }
}

/// Gives the alerts that stand, and whose receivers no route names any more, to
/// those of their routes now: else nobody might ever hear of them again. Batches
/// that got one are added to `touched`.
pub fn adopt(
    now: Timestamp,
    commit: u64,
    policy: &Policy,
    alerts: &BTreeMap<AlertKey, Alert>,
    batches: &mut BTreeMap<BatchKey, Batch>,
    touched: &mut BTreeSet<BatchKey>,
) {
    let routes = policy.routes.iter();
    let known: BTreeSet<&String> =
        routes.flat_map(|route| route.to.iter().chain(&route.fallback)).collect();
    for alert in alerts.values().filter(|alert| alert.severity().is_some() && !is_ended(alert)) {
        let is_heard = batches.iter().any(|(key, batch)| {
            known.contains(&key.receiver) && batch.members.contains_key(&alert.key)
        });
        if !is_heard {
            enroll(now, commit, policy, alert, batches);
            let with_it = batches.iter().filter(|(_, b)| b.members.contains_key(&alert.key));
            touched.extend(with_it.map(|(key, _)| key.clone()));
        }
    }
}

/// The receivers of an alert with these labels, each with the route that leads to it.
pub fn routes<'a>(
    policy: &'a Policy,
    labels: &BTreeMap<String, String>,
) -> Vec<(&'a String, &'a Route)> {
    let mut found: Vec<(&String, &Route)> = Vec::new();
    for route in &policy.routes {
        if !fits(&route.matches, labels) {
            continue;
        }
        for receiver in &route.to {
            if !found.iter().any(|(known, _)| *known == receiver) {
                found.push((receiver, route));
            }
        }
        if !route.continue_ {
            break;
        }
    }
    found
}

/// Writes every notice that is due, each with its fallback receivers, and notes
/// in its batch what it tells. Touched batches are added to `touched`; finished ones are gone.
/// What a rule says of a source that is `catching_up` waits: it may be over by the
/// moment at which the past ends, and is then told once.
pub fn plan(
    now: Timestamp,
    policy: &Policy,
    catching_up: &BTreeSet<String>,
    alerts: &BTreeMap<AlertKey, Alert>,
    silences: &Silences,
    batches: &mut BTreeMap<BatchKey, Batch>,
    touched: &mut BTreeSet<BatchKey>,
) -> Vec<(Notice, Vec<String>)> {
    let gates = Gates::new(now, policy, alerts, silences);
    let mut notices = Vec::new();
    for (key, batch) in batches.iter_mut() {
        if note_inhibited(&gates, alerts, batch) | forget_untold(&gates, alerts, batch) {
            touched.insert(key.clone());
        }
        let waits = |key: &AlertKey| {
            catching_up.contains(&key.source) && builtin::rule(&key.rule).is_none()
        };
        // Whoever shares a batch with one that waits is told all the same.
        let members =
            members_told_now(&gates, batch, |key| alerts.get(key).filter(|_| !waits(key)));
        if let Some(reason) = reason_to_notify(now, &gates, batch, &members) {
            let notice = write_notice(policy, &gates, key, batch, reason, members);
            notices.push((batch.opened_at, (notice, batch.fallback.clone())));
            touched.insert(key.clone());
        }
    }
    // Those that are due together are told in the order in which they began.
    notices.sort_by_key(|(opened_at, _)| *opened_at);
    batches.retain(|key, batch| {
        let is_open = batch.members.values().any(|told| *told != Told::Ended);
        if !is_open {
            touched.insert(key.clone());
        }
        is_open
    });
    notices.into_iter().map(|(_, notice)| notice).collect()
}

/// Notes which of the untold alerts another one explains.
fn note_inhibited(
    gates: &Gates<'_>,
    alerts: &BTreeMap<AlertKey, Alert>,
    batch: &mut Batch,
) -> bool {
    let mut has_changed = false;
    for (key, told) in batch.members.iter_mut().filter(|(_, told)| **told == Told::Nothing) {
        let gate = alerts.get(key).and_then(|alert| gates.closed_to(alert));
        if matches!(gate, Some(Gate::Inhibited { .. })) {
            (*told, has_changed) = (Told::Inhibited, true);
        }
    }
    has_changed
}

/// An alert that ended before anybody heard of it is not told, unless an outage
/// of ours is why nobody heard. What is silenced at its end nobody wants to hear later.
fn forget_untold(gates: &Gates<'_>, alerts: &BTreeMap<AlertKey, Alert>, batch: &mut Batch) -> bool {
    let before = batch.members.len();
    let is_silenced = |alert: &Alert| matches!(gates.closed_to(alert), Some(Gate::Silenced { .. }));
    batch.members.retain(|key, told| match (alerts.get(key), *told) {
        (None, _) => false,
        (Some(alert), Told::Nothing) => match alert.status {
            Status::Ended { is_late, .. } => is_late && !is_silenced(alert),
            Status::Pending | Status::Firing { .. } | Status::Quiet { .. } => true,
        },
        (Some(alert), Told::Inhibited) => !is_ended(alert),
        (Some(_), Told::Firing(_) | Told::Ended) => true,
    });
    batch.members.len() != before
}

fn is_ended(alert: &Alert) -> bool {
    matches!(alert.status, Status::Ended { .. })
}

fn write_notice(
    policy: &Policy,
    gates: &Gates<'_>,
    key: &BatchKey,
    batch: &mut Batch,
    reason: NoticeReason,
    members: Vec<Member<'_>>,
) -> Notice {
    let now = gates.now();
    let zone = policy.zone(&batch.timing.timezone);
    let mut facts: Vec<AlertFacts> = Vec::new();
    for member in members {
        let Member { alert, told } = member;
        let told_now = alert_facts(policy, alert, &zone);
        if let Some((known, gate)) = member.held_back(gates, &batch.arrived) {
            // Its severity is the one that its reader knows: an escalation is told once the
            // gate is open.
            let held_back = Some(gate.sentence());
            facts.extend(told_now.map(|facts| AlertFacts { severity: known, held_back, ..facts }));
            continue;
        }
        facts.extend(told_now);
        if told.is_nothing() || is_ended(alert) {
            batch.arrived.remove(&alert.key.identity());
        }
        let told = match alert.severity() {
            Some(_) if is_ended(alert) => Told::Ended,
            Some(severity) => Told::Firing(severity),
            None => told,
        };
        batch.members.insert(alert.key.clone(), told);
    }
    in_reading_order(&mut facts);
    (batch.planned_at, batch.settled_at) = (Some(now), None);
    batch.notices += 1;
    Notice {
        id: format!("{}-{}", batch.id, batch.notices),
        receiver: key.receiver.clone(),
        batch: batch.id.clone(),
        group: key.labels.clone(),
        reason,
        created_at: now,
        timezone: batch.timing.timezone.clone(),
        instead_of: None,
        is_back: false,
        late_since: None,
        alerts: facts,
    }
}

/// What messages, the page and the API tell of an alert to a reader in `zone`; `None`
/// while pending.
pub fn alert_facts(policy: &Policy, alert: &Alert, zone: &TimeZone) -> Option<AlertFacts> {
    let (severity, began_at, fired_at, is_late) = match alert.status {
        Status::Pending => return None,
        Status::Firing { severity, began_at, fired_at, is_late }
        | Status::Quiet { severity, began_at, fired_at, is_late }
        | Status::Ended { severity, began_at, fired_at, is_late, .. } => {
            (severity, began_at, fired_at, is_late)
        }
    };
    let status = match alert.status {
        Status::Pending | Status::Firing { .. } => AlertStatus::Firing,
        Status::Quiet { .. } => AlertStatus::Quiet,
        Status::Ended { how, ended_at: resolved_at, .. } => match how {
            AlertEnd::Resolved => AlertStatus::Resolved { resolved_at },
            AlertEnd::Expired => AlertStatus::Expired { resolved_at },
            AlertEnd::Removed => AlertStatus::Removed { resolved_at },
        },
    };
    let story = alert.story.as_deref()?.clone();
    let rule = policy.rules.iter().find(|rule| rule.name == alert.key.rule);
    let (summary, _) = headline::written(rule, alert, &story, zone);
    let mut notes = if is_ended(alert) { Vec::new() } else { story.notes };
    notes.extend(story.caveats);
    if is_late {
        notes.insert(
            0,
            "Detected late: the network's report could not be read when this happened.".to_owned(),
        );
    }
    Some(AlertFacts {
        id: alert.key.identity(),
        rule: alert.key.rule.clone(),
        severity,
        status,
        labels: story.labels.into_iter().collect(),
        summary,
        began_at,
        fired_at,
        readings: story.readings,
        in_a_row: story.in_a_row,
        cause: story.cause,
        samples: story.samples,
        notes,
        runbook: rule.and_then(|rule| rule.runbook.clone()),
        held_back: None,
    })
}

/// A short name that no two batches share: the commit in which it was opened tells it
/// apart, which a clock that is set back would not.
fn batch_id(key: &BatchKey, commit: u64) -> String {
    let mut parts = vec![key.receiver.as_str()];
    parts.extend(key.labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    let commit = commit.to_string();
    parts.push(&commit);
    format!("{:016x}", Identity::of_parts(&parts).0 as u64)
}
