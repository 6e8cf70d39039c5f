//! The alerts that stand and what holds their messages back; the silences and what each
//! of them hides.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::messages::{Desk, name};
use super::{At, GateExplained, Stand};
use crate::domain::alert::{Alert, Status};
use crate::domain::notify::labels::routing_labels;
use crate::domain::notify::plan::{alert_facts, routes};
use crate::domain::policy::Policy;
use crate::domain::rules::Severity;
use crate::domain::silence::matcher::Matcher;
use crate::domain::silence::{Draft, SilenceId, Stage};
use crate::domain::state::State;
use crate::domain::time::Timestamp;

/// The alerts that stand, the worst first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Standing {
    /// The wall clock.
    pub now: At,
    pub alerts: Vec<AlertStanding>,
}

/// One that fires, or is quiet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertStanding {
    /// As routes and silences see them.
    pub labels: BTreeMap<String, String>,
    pub state: Stand,
    pub severity: Severity,
    pub summary: String,
    pub began_at: At,
    pub fired_at: At,
    /// Who hears of it, or would if no gate were closed.
    pub receivers: BTreeSet<String>,
    /// What holds its messages back.
    pub gates: Vec<GateExplained>,
}

/// A silence as people look at it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SilenceStanding {
    pub id: SilenceId,
    pub stage: Stage,
    /// As `affiliate="7"`.
    pub matchers: Vec<String>,
    pub starts_at: At,
    pub ends_at: At,
    pub created_by: String,
    pub comment: String,
    /// The alerts that stand and match: what it hides, or would.
    pub hides: Vec<String>,
    /// It is on, and nothing has matched it for a day.
    pub is_unused: bool,
}

/// The alerts that stand and that every matcher matches.
pub fn standing(now: Timestamp, policy: &Policy, state: &State, matchers: &[Matcher]) -> Standing {
    let desk = Desk::new(now, policy, state);
    let mut alerts: Vec<AlertStanding> = standing_alerts(state)
        .filter_map(|alert| {
            let labels = routing_labels(alert);
            let is_meant = matchers.iter().all(|matcher| matcher.matches(&labels));
            is_meant.then(|| one(policy, state, &desk, alert, labels)).flatten()
        })
        .collect();
    alerts.sort_by_key(|a| (a.state, std::cmp::Reverse(a.severity), std::cmp::Reverse(a.fired_at)));
    Standing { now: At(now), alerts }
}

fn one(
    policy: &Policy,
    state: &State,
    desk: &Desk<'_>,
    alert: &Alert,
    labels: BTreeMap<String, String>,
) -> Option<AlertStanding> {
    let facts = alert_facts(policy, alert, &TimeZone::UTC)?;
    let is_quiet = matches!(alert.status, Status::Quiet { .. });
    Some(AlertStanding {
        state: if is_quiet { Stand::Quiet } else { Stand::Firing },
        severity: facts.severity,
        summary: facts.summary,
        began_at: At(facts.began_at),
        fired_at: At(facts.fired_at),
        receivers: receivers(policy, state, alert),
        gates: desk.closed_to(alert),
        labels,
    })
}

/// Those whose batches have the alert, and those of its routes.
pub fn receivers(policy: &Policy, state: &State, alert: &Alert) -> BTreeSet<String> {
    let batches = state.batches.iter().filter(|(_, b)| b.members.contains_key(&alert.key));
    let hear = batches.map(|(key, _)| key.receiver.clone());
    let would = routes(policy, &routing_labels(alert));
    hear.chain(would.into_iter().map(|(receiver, _)| receiver.clone())).collect()
}

/// Alerts that fire or are quiet.
pub fn standing_alerts(state: &State) -> impl Iterator<Item = &Alert> {
    state.alerts.values().filter(|alert| alert.severity().is_some() && !alert.has_ended())
}

/// The silences: those that are on, then those to come, then those that are over; in each
/// the one that ends first.
pub fn silences(now: Timestamp, state: &State) -> Vec<SilenceStanding> {
    let alerts: Vec<_> =
        standing_alerts(state).map(|a| (name(&a.key), routing_labels(a))).collect();
    let mut all: Vec<SilenceStanding> = state
        .silences
        .iter()
        .map(|(id, silence)| {
            let (stage, draft) = (silence.stage(now), &silence.draft);
            let of = |draft: &Draft| {
                let met = alerts.iter().filter(|(_, labels)| draft.matches(labels));
                met.map(|(name, _)| name.clone()).collect()
            };
            SilenceStanding {
                id: id.clone(),
                stage,
                matchers: draft.matchers.iter().map(Matcher::to_string).collect(),
                starts_at: At(draft.starts_at),
                ends_at: At(draft.ends_at),
                created_by: draft.created_by.clone(),
                comment: draft.comment.clone(),
                hides: if stage == Stage::Expired { Vec::new() } else { of(draft) },
                is_unused: stage == Stage::Active && silence.is_unused,
            }
        })
        .collect();
    all.sort_by(|a, b| (a.stage, a.ends_at, &a.id).cmp(&(b.stage, b.ends_at, &b.id)));
    all
}
