//! Alerts → notices: which message goes to whom now, and why. Each decision
//! returns its reason.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{AlertFacts, AlertStatus, Notice, NoticeReason};
use crate::domain::alert::builtin;
use crate::domain::alert::{Alert, AlertEnd, AlertKey, Status};
use crate::domain::delivery::Identity;
use crate::domain::policy::{Policy, Route, Timing};
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;

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
    /// When the last notice was written.
    pub planned_at: Option<Timestamp>,
    /// When the outbox was last done with one: taken by the channel, or given up.
    /// `None` while the last one waits.
    pub settled_at: Option<Timestamp>,
    /// Notices written so far.
    pub notices: u32,
}

/// What a batch's receiver knows of an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    Nothing,
    Firing(Severity),
    Ended,
}

/// Adds an alert that fired or escalated to the batches of its routes. Who got
/// it before keeps it: a route only adds.
pub fn enroll(
    now: Timestamp,
    policy: &Policy,
    alert: &Alert,
    batches: &mut BTreeMap<BatchKey, Batch>,
) {
    let labels = routing_labels(alert);
    for (receiver, route) in routes(policy, &labels) {
        let by = route.timing.batch_by.iter();
        let of = by.map(|name| (name.clone(), labels.get(name).cloned().unwrap_or_default()));
        let key = BatchKey { receiver: receiver.clone(), labels: of.collect() };
        let id = batch_id(&key, now);
        let batch = batches.entry(key).or_insert_with(|| Batch {
            id,
            opened_at: now,
            timing: route.timing.clone(),
            fallback: route.fallback.clone(),
            members: BTreeMap::new(),
            planned_at: None,
            settled_at: None,
            notices: 0,
        });
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
            enroll(now, policy, alert, batches);
            let with_it = batches.iter().filter(|(_, b)| b.members.contains_key(&alert.key));
            touched.extend(with_it.map(|(key, _)| key.clone()));
        }
    }
}

/// The labels that routes match: the alert's own, its rule and its severity.
pub(super) fn routing_labels(alert: &Alert) -> BTreeMap<String, String> {
    let mut labels = alert.story.as_ref().map(|story| story.labels.clone()).unwrap_or_default();
    labels.insert("source".to_owned(), alert.key.source.clone());
    labels.insert("rule".to_owned(), alert.key.rule.clone());
    if let Some(severity) = alert.severity() {
        labels.insert("severity".to_owned(), severity.to_string());
    }
    labels
}

/// The receivers of an alert with these labels, each with the route that leads to it.
pub(super) fn routes<'a>(
    policy: &'a Policy,
    labels: &BTreeMap<String, String>,
) -> Vec<(&'a String, &'a Route)> {
    let mut found: Vec<(&String, &Route)> = Vec::new();
    for route in &policy.routes {
        let matches = route.matches.iter().all(|(label, globs)| {
            let value = labels.get(label).map_or("", String::as_str);
            globs.iter().any(|glob| glob.matches(value))
        });
        if !matches {
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
    batches: &mut BTreeMap<BatchKey, Batch>,
    touched: &mut BTreeSet<BatchKey>,
) -> Vec<(Notice, Vec<String>)> {
    let mut notices = Vec::new();
    for (key, batch) in batches.iter_mut() {
        if forget_untold(alerts, batch) {
            touched.insert(key.clone());
        }
        let waits = |key: &AlertKey| {
            catching_up.contains(&key.source) && builtin::rule(&key.rule).is_none()
        };
        // Whoever shares a batch with one that waits is told all the same.
        let told_now = |key: &AlertKey| alerts.get(key).filter(|_| !waits(key));
        if let Some(reason) = reason_to_notify(now, batch, told_now) {
            let notice = write_notice(now, policy, key, batch, reason, told_now);
            notices.push((notice, batch.fallback.clone()));
            touched.insert(key.clone());
        }
    }
    batches.retain(|key, batch| {
        let is_open = batch.members.values().any(|told| *told != Told::Ended);
        if !is_open {
            touched.insert(key.clone());
        }
        is_open
    });
    notices
}

/// An alert that ended before anybody heard of it is not told, unless an outage
/// of ours is why nobody heard.
fn forget_untold(alerts: &BTreeMap<AlertKey, Alert>, batch: &mut Batch) -> bool {
    let before = batch.members.len();
    batch.members.retain(|key, told| match (alerts.get(key).map(|alert| alert.status), *told) {
        (None, _) => false,
        (Some(Status::Ended { is_late, .. }), Told::Nothing) => is_late,
        (Some(_), _) => true,
    });
    batch.members.len() != before
}

/// `find` gives the alerts that may be told now.
fn reason_to_notify<'a>(
    now: Timestamp,
    batch: &Batch,
    find: impl Fn(&AlertKey) -> Option<&'a Alert>,
) -> Option<NoticeReason> {
    let members = || batch.members.iter().filter_map(|(key, told)| Some((find(key)?, *told)));
    let has_untold = members().any(|(_, told)| told == Told::Nothing);
    let Some(planned_at) = batch.planned_at else {
        let is_due = has_untold && has_passed(now, batch.opened_at, batch.timing.batch_wait);
        return is_due.then_some(NoticeReason::First);
    };
    let has_escalated = members().any(|(alert, told)| match told {
        Told::Firing(known) => !is_ended(alert) && alert.severity() > Some(known),
        Told::Nothing | Told::Ended => false,
    });
    if has_escalated {
        return Some(NoticeReason::Escalated);
    }
    let has_ended = members().any(|(alert, told)| is_ended(alert) && told != Told::Ended);
    if has_passed(now, planned_at, batch.timing.min_gap) {
        if has_untold {
            return Some(NoticeReason::NewAlerts);
        }
        if has_ended {
            return Some(NoticeReason::Resolved);
        }
    }
    let is_firing = members().any(|(alert, _)| matches!(alert.status, Status::Firing { .. }));
    // Counted from when the last one arrived, and never while one still waits.
    // So far ahead, it was told by a clock that has been set back since.
    let passed = now.0.abs_diff(batch.settled_at?.0);
    let is_due = is_firing && passed >= batch.timing.remind_every.as_secs();
    is_due.then_some(NoticeReason::Reminder)
}

/// Whether `wait` is over. Where the wall clock went back behind `since`, nobody
/// knows how long it has been: better a message too early than one held for days.
fn has_passed(now: Timestamp, since: Timestamp, wait: std::time::Duration) -> bool {
    now < since || now >= since + wait
}

fn is_ended(alert: &Alert) -> bool {
    matches!(alert.status, Status::Ended { .. })
}

fn write_notice<'a>(
    now: Timestamp,
    policy: &Policy,
    key: &BatchKey,
    batch: &mut Batch,
    reason: NoticeReason,
    find: impl Fn(&AlertKey) -> Option<&'a Alert>,
) -> Notice {
    let mut facts: Vec<AlertFacts> = Vec::new();
    for (member, told) in &mut batch.members {
        let Some(alert) = find(member) else { continue };
        // An end is told once; its batch may live on.
        if *told != Told::Ended {
            facts.extend(alert_facts(policy, alert));
        }
        *told = match alert.severity() {
            Some(_) if is_ended(alert) => Told::Ended,
            Some(severity) => Told::Firing(severity),
            None => *told,
        };
    }
    facts.sort_by_key(|alert| {
        (is_over(alert.status), std::cmp::Reverse(alert.severity), alert.fired_at)
    });
    (batch.planned_at, batch.settled_at) = (Some(now), None);
    batch.notices += 1;
    Notice {
        id: format!("{}-{}", batch.id, batch.notices),
        receiver: key.receiver.clone(),
        batch: batch.id.clone(),
        reason,
        created_at: now,
        timezone: batch.timing.timezone.clone(),
        instead_of: None,
        alerts: facts,
    }
}

fn is_over(status: AlertStatus) -> bool {
    match status {
        AlertStatus::Firing | AlertStatus::Quiet => false,
        AlertStatus::Resolved { .. }
        | AlertStatus::Expired { .. }
        | AlertStatus::Removed { .. } => true,
    }
}

/// What messages, the page and the API tell of an alert; `None` while pending.
pub fn alert_facts(policy: &Policy, alert: &Alert) -> Option<AlertFacts> {
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
    let story = alert.story.clone()?;
    let mut notes = if is_ended(alert) { Vec::new() } else { story.notes };
    notes.extend(story.caveats);
    if is_late {
        notes.insert(
            0,
            "Detected late: the network's report could not be read when this happened.".to_owned(),
        );
    }
    let rule = policy.rules.iter().find(|rule| rule.name == alert.key.rule);
    Some(AlertFacts {
        rule: alert.key.rule.clone(),
        severity,
        status,
        labels: story.labels.into_iter().collect(),
        summary: story.summary,
        began_at,
        fired_at,
        readings: story.readings,
        in_a_row: story.in_a_row,
        cause: story.cause,
        samples: story.samples,
        notes,
        runbook: rule.and_then(|rule| rule.runbook.clone()),
    })
}

/// A short name that no two batches share.
fn batch_id(key: &BatchKey, opened_at: Timestamp) -> String {
    let mut parts = vec![key.receiver.as_str()];
    parts.extend(key.labels.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
    let opened_at = opened_at.0.to_string();
    parts.push(&opened_at);
    format!("{:016x}", Identity::of_parts(&parts).0 as u64)
}
