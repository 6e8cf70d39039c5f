//! What the user decided, checked and typed: sources, scopes, routes. Built by
//! `config` from `rules.yaml`; secrets and addresses are not in here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::rules::{Glob, Rule};

/// Everything that the domain needs to know of the configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    pub sources: Vec<SourcePolicy>,
    /// Rules are evaluated at every multiple of this.
    pub evaluate_every: Duration,
    pub rules: Vec<Rule>,
    pub routes: Vec<Route>,
}

/// One network account.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcePolicy {
    /// The value of the label `source`.
    pub name: String,
    pub poll_every: Duration,
    /// Rows may come this late.
    pub settle: Duration,
    /// How far back deliveries are followed.
    pub lookback: Duration,
    /// Whether successes are read; without them rates are unknown.
    pub successes: bool,
    /// Failed tries after which the network gives a delivery up.
    pub max_attempts: u32,
    /// Without a new try for this long, a delivery was given up.
    pub give_up_after: Duration,
    /// Failures in a row that switch a postback off, within 72 h.
    pub deactivates_after: u32,
    pub deactivation_counts: DeactivationCounts,
    /// Disjoint parts of the network that are read; one empty scope is all of it.
    pub scopes: Vec<Scope>,
}

/// What the network counts towards switching a postback off. Not documented,
/// so the user may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeactivationCounts {
    Deliveries,
    Attempts,
}

/// A part of a network, as the report's filters can express it. Empty lists
/// filter nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scope {
    pub offers: Vec<u64>,
    pub affiliates: Vec<u64>,
    pub exclude_offers: Vec<u64>,
    pub exclude_affiliates: Vec<u64>,
}

impl Scope {
    pub fn contains(&self, offer: u64, affiliate: u64) -> bool {
        let within = |only: &[u64], not: &[u64], id: u64| {
            (only.is_empty() || only.contains(&id)) && !not.contains(&id)
        };
        within(&self.offers, &self.exclude_offers, offer)
            && within(&self.affiliates, &self.exclude_affiliates, affiliate)
    }
}

/// Where alerts go: the first route that matches, and further ones while
/// `continue_` is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Label (of the alert) → any of these globs. `severity` and `rule` are labels here.
    pub matches: BTreeMap<String, Vec<Glob>>,
    pub to: Vec<String>,
    /// Receivers that get what `to` could not deliver.
    pub fallback: Vec<String>,
    pub continue_: bool,
    pub timing: Timing,
}

/// How messages of a route are gathered and spaced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Timing {
    /// Alerts that agree in these labels share a message.
    pub batch_by: Vec<String>,
    pub batch_wait: Duration,
    pub min_gap: Duration,
    pub remind_every: Duration,
    /// IANA name of the zone in which messages write times.
    pub timezone: String,
}

impl Default for Timing {
    fn default() -> Timing {
        Timing {
            batch_by: vec!["source".into(), "rule".into()],
            batch_wait: Duration::from_secs(30),
            min_gap: Duration::from_secs(5 * 60),
            remind_every: Duration::from_secs(4 * 3600),
            timezone: "UTC".into(),
        }
    }
}
