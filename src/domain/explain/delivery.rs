//! The life of a conversion's deliveries, and which groups of which rules count them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::groups::{labels_of, stand};
use super::{At, Stand, Unknown};
use crate::domain::alert::shown::shown_duration;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::delivery::{Delivery, Life, id_number};
use crate::domain::facts::Facts;
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::rules::Severity;
use crate::domain::state::{SourceState, State};
use crate::domain::time::Timestamp;

/// More deliveries of one conversion are not told.
const MOST_SHOWN: usize = 50;

/// How a conversion is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which<'a> {
    Conversion(&'a str),
    /// Of deliveries without a conversion id, as click postbacks are.
    Transaction(&'a str),
}

/// What became of one conversion's deliveries that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Conversion {
    /// The wall clock.
    pub now: At,
    /// The earliest first.
    pub deliveries: Vec<DeliveryLife>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryLife {
    pub source: String,
    pub postback: u64,
    pub postback_is_active: bool,
    /// `Name (7)`.
    pub offer: String,
    pub affiliate: String,
    pub host: String,
    pub event: u64,
    /// `failing`, or how it ended.
    pub state: String,
    pub ended_at: Option<At>,
    /// As first shown.
    pub reason: String,
    /// What the reason means, and whether retries may cure it.
    pub advice: String,
    pub failed_attempts: u32,
    /// Of the network's first row.
    pub timestamp: At,
    pub last_attempt: Option<At>,
    pub groups: Vec<GroupOfDelivery>,
}

/// A rule's group that the delivery falls into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupOfDelivery {
    pub rule: String,
    pub labels: BTreeMap<String, String>,
    /// Whether it lies in the rule's window now.
    pub is_in_window: bool,
    pub state: Stand,
    pub severity: Option<Severity>,
}

/// Finds the deliveries of a conversion that failed.
///
/// # Errors
/// None is known; says what that may mean.
pub fn explain_deliveries(
    now: Timestamp,
    policy: &Policy,
    state: &State,
    which: Which<'_>,
) -> Result<Conversion, Unknown> {
    let mut deliveries = Vec::new();
    for source in &policy.sources {
        let Some(known) = state.sources.get(&source.name) else { continue };
        let found = deliveries_of(known, which);
        deliveries.extend(found.iter().map(|one| life_of(policy, state, source, known, one)));
    }
    if deliveries.is_empty() {
        return Err(Unknown::Conversion { why: why_none(policy, which) });
    }
    deliveries.sort_by_key(|delivery| delivery.timestamp);
    deliveries.truncate(MOST_SHOWN);
    Ok(Conversion { now: At(now), deliveries })
}

/// Those of one source.
fn deliveries_of(known: &SourceState, which: Which<'_>) -> Vec<Delivery> {
    let number = match which {
        Which::Conversion(id) | Which::Transaction(id) => id_number(id),
    };
    let is_meant = |one: &Delivery| {
        number != 0
            && number
                == match which {
                    Which::Conversion(_) => one.conversion,
                    Which::Transaction(_) => one.transaction,
                }
    };
    known.facts.deliveries.iter().filter(is_meant).collect()
}

fn why_none(policy: &Policy, which: Which<'_>) -> String {
    let lookback = policy.sources.iter().map(|source| source.lookback).max().unwrap_or_default();
    let lookback = shown_duration(lookback);
    match which {
        Which::Conversion(_) => format!(
            "no delivery of this conversion failed in the last {lookback}: each was delivered at \
             its first try, or the id is not the network's conversion id, or it is older"
        ),
        Which::Transaction(_) => format!(
            "no delivery of this transaction failed in the last {lookback}: each was delivered at \
             its first try, or the id is not the network's transaction id, or it is older"
        ),
    }
}

/// What became of one delivery.
pub fn life_of(
    policy: &Policy,
    state: &State,
    source: &SourcePolicy,
    known: &SourceState,
    delivery: &Delivery,
) -> DeliveryLife {
    let facts = &known.facts;
    let dims = facts.dims.get(delivery.dims);
    let (word, ended_at) = match delivery.life {
        Life::Failing => ("failing", None),
        Life::Ended { how, at } => (how.as_str(), Some(At(at))),
    };
    DeliveryLife {
        source: source.name.clone(),
        postback: dims.postback,
        postback_is_active: facts.is_active(dims.postback),
        offer: facts.offer_text(dims.offer),
        affiliate: facts.affiliate_text(dims.affiliate),
        host: facts.dims.symbols.text(dims.host).to_owned(),
        event: dims.event,
        state: word.to_owned(),
        ended_at,
        reason: delivery.reason.to_string(),
        advice: delivery.reason.advice().to_string(),
        failed_attempts: delivery.newest.failed_attempts,
        timestamp: At(delivery.timestamp),
        last_attempt: Some(delivery.newest.last_attempt).filter(|at| at.0 > 0).map(At),
        groups: groups(policy, state, source, facts, known, delivery),
    }
}

fn groups(
    policy: &Policy,
    state: &State,
    source: &SourcePolicy,
    facts: &Facts,
    known: &SourceState,
    delivery: &Delivery,
) -> Vec<GroupOfDelivery> {
    let Some(windows) = &known.windows else { return Vec::new() };
    let rows = policy.rules.iter().zip(&windows.rules);
    rows.filter(|(_, window)| window.grouping.selects(delivery.reason))
        .filter_map(|(rule, window)| {
            let group = window.grouping.group(facts, delivery)?;
            let texts = window.grouping.texts(facts, &group);
            let key =
                AlertKey { source: source.name.clone(), rule: rule.name.clone(), group: texts };
            let alert = state.alerts.get(&key);
            let since = windows.at - rule.over;
            Some(GroupOfDelivery {
                rule: rule.name.clone(),
                labels: labels_of(&key),
                is_in_window: since < delivery.timestamp && delivery.timestamp <= windows.at,
                state: stand(alert),
                severity: alert.and_then(Alert::severity),
            })
        })
        .collect()
}
