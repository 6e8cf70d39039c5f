//! What follows the state: read from it at each scrape, so that a series goes
//! when what it tells of goes. Counters are kept with what they count, and go on
//! across a restart. No conversion id, URL or free text is a label.

use std::collections::BTreeMap;

use prometheus::proto::MetricFamily;

use super::family::Family;
use crate::domain::alert::Status;
use crate::domain::alert::builtin::{SOURCE_BLIND, key};
use crate::domain::policy::Policy;
use crate::domain::state::{SourceState, State};

mod sources;

/// The kind of each receiver's channel.
pub type Channels = BTreeMap<String, &'static str>;

/// Every family that follows the state, as of its last commit.
pub fn families(
    state: &State,
    policy: &Policy,
    channels: &Channels,
    config_hash: u64,
) -> Vec<MetricFamily> {
    let mut families: Vec<Family> = vec![
        alerts(state),
        blind(state, policy),
        outbox_pending(state, policy, channels),
        dead_letters(state, policy, channels),
        build_info(),
        hash(config_hash),
    ];
    families.extend(sources::families(state, policy));
    families.into_iter().filter_map(Family::finish).collect()
}

/// The configured sources with what is known of them. One that was removed from
/// the rules file keeps its facts in the store, and no series.
fn known<'a>(
    state: &'a State,
    policy: &'a Policy,
) -> impl Iterator<Item = (&'a str, &'a SourceState)> {
    policy.sources.iter().filter_map(|source| {
        state.sources.get(&source.name).map(|state| (source.name.as_str(), state))
    })
}

/// Whether `source-blind` stands for the source.
pub fn is_blind(state: &State, source: &str) -> bool {
    let alert = state.alerts.get(&key(SOURCE_BLIND, source, None));
    alert.is_some_and(|alert| match alert.status {
        Status::Firing { .. } | Status::Quiet { .. } => true,
        Status::Pending | Status::Ended { .. } => false,
    })
}

fn alerts(state: &State) -> Family {
    let mut family = Family::gauge(
        "alerts",
        "Alerts by rule, highest severity reached (while pending: the lowest one possible) and state; quiet is clear, but no success proves a cure.",
        &["rule", "severity", "state"],
    );
    let mut counts: BTreeMap<_, u64> = BTreeMap::new();
    for alert in state.alerts.values() {
        let lowest = alert.levels.first().map(|(severity, _)| *severity);
        let (severity, phase) = match alert.status {
            Status::Pending => (lowest, "pending"),
            Status::Firing { severity, .. } => (Some(severity), "firing"),
            Status::Quiet { severity, .. } => (Some(severity), "quiet"),
            Status::Ended { .. } => continue,
        };
        if let Some(severity) = severity {
            *counts.entry((alert.key.rule.as_str(), severity, phase)).or_default() += 1;
        }
    }
    for ((rule, severity, phase), count) in counts {
        family.add(&[rule, severity.as_str(), phase], count as f64);
    }
    family
}

fn blind(state: &State, policy: &Policy) -> Family {
    let mut family = Family::gauge(
        "source_blind",
        "1 while the source could not be read whole for longer than five polls and 10 minutes, or while the store is in trouble: nothing is known of it.",
        &["source"],
    );
    for source in &policy.sources {
        // While the store is in trouble nothing is known of any source.
        let is_blind = is_blind(state, &source.name) || !state.sources.contains_key(&source.name);
        family.add(&[&source.name], f64::from(u8::from(is_blind)));
    }
    family
}

fn outbox_pending(state: &State, policy: &Policy, channels: &Channels) -> Family {
    let family = Family::gauge(
        "outbox_pending",
        "Messages that wait for their receiver's channel to take them.",
        &["receiver", "channel"],
    );
    by_receiver(family, state, policy, channels, false)
}

fn dead_letters(state: &State, policy: &Policy, channels: &Channels) -> Family {
    let family = Family::gauge(
        "outbox_dead_letters",
        "Messages that were given up: nobody got them from this receiver. The page says why.",
        &["receiver", "channel"],
    );
    by_receiver(family, state, policy, channels, true)
}

/// Every receiver of the routes counts, with 0 too: a rule on a missing series
/// would not fire.
fn by_receiver(
    mut family: Family,
    state: &State,
    policy: &Policy,
    channels: &Channels,
    is_given_up: bool,
) -> Family {
    let routes = policy.routes.iter();
    let mut counts: BTreeMap<&str, u64> = routes
        .flat_map(|route| route.to.iter().chain(&route.fallback))
        .map(|to| (to.as_str(), 0))
        .collect();
    for outgoing in state.outbox.values() {
        let counts = counts.entry(&outgoing.notice.receiver).or_default();
        *counts += u64::from(outgoing.given_up.is_some() == is_given_up);
    }
    for (receiver, count) in counts {
        // A receiver that is no longer configured has no channel.
        let channel = channels.get(receiver).copied().unwrap_or("none");
        family.add(&[receiver, channel], count as f64);
    }
    family
}

fn build_info() -> Family {
    let mut family = Family::gauge(
        "build_info",
        "Always 1; the labels tell which postwatch this is.",
        &["version", "revision"],
    );
    family.add(&[env!("CARGO_PKG_VERSION"), revision()], 1.0);
    family
}

/// The commit that this was built from, where the build said so.
pub fn revision() -> &'static str {
    option_env!("POSTWATCH_REVISION").unwrap_or("unknown")
}

fn hash(config_hash: u64) -> Family {
    let mut family = Family::gauge(
        "config_hash",
        "Changes with the rules file in force: replicas that should agree can be compared by it.",
        &[],
    );
    // A gauge is a double, exact up to 53 bits.
    family.add(&[], (config_hash & ((1 << 48) - 1)) as f64);
    family
}
