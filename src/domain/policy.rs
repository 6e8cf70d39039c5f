//! What the user decided, checked and typed: sources, scopes, routes. Built by
//! `config` from `rules.yaml`; secrets and addresses are not in here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::delivery::Identity;
use super::rules::Rule;

mod gates;

pub use gates::{DaySpan, Inhibition, Labelled, Matches, Mute, fits};

/// Everything that the domain needs to know of the configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Policy {
    pub sources: Vec<SourcePolicy>,
    /// Rules are evaluated at every multiple of this.
    pub evaluate_every: Duration,
    pub rules: Vec<Rule>,
    pub routes: Vec<Route>,
    pub inhibitions: Vec<Inhibition>,
    pub mutes: Vec<Mute>,
    /// The zones in which messages write times, by their names.
    pub zones: BTreeMap<String, TimeZone>,
    /// Series that metrics may have of all sources; `None` where the file says nothing.
    pub max_series: Option<usize>,
    /// Deliveries that failed are kept this long, and at least as long as they are followed;
    /// `None` where the file says nothing.
    pub retain: Option<Duration>,
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

impl Policy {
    pub fn source(&self, name: &str) -> Option<&SourcePolicy> {
        self.sources.iter().find(|source| source.name == name)
    }

    /// The zone of this name; UTC where no route writes in it any more.
    pub fn zone(&self, name: &str) -> TimeZone {
        self.zones.get(name).cloned().unwrap_or(TimeZone::UTC)
    }

    /// How far back any rule looks: so far successes are needed at once.
    pub fn longest_window(&self) -> Duration {
        self.rules.iter().map(Rule::reach).max().unwrap_or_default()
    }
}

impl SourcePolicy {
    pub fn scope_keys(&self) -> impl Iterator<Item = u64> + '_ {
        self.scopes.iter().map(Scope::key)
    }

    /// A source with every default of `rules.yaml`.
    pub fn named(name: &str) -> SourcePolicy {
        SourcePolicy {
            name: name.to_owned(),
            poll_every: Duration::from_secs(60),
            settle: Duration::from_secs(20),
            lookback: Duration::from_secs(72 * 3600),
            successes: true,
            max_attempts: 10,
            give_up_after: Duration::from_secs(24 * 3600),
            deactivates_after: 10,
            deactivation_counts: DeactivationCounts::Deliveries,
            scopes: vec![Scope::default()],
        }
    }

    /// Whether the scopes together are the whole network.
    pub fn reads_everything(&self) -> bool {
        self.reads_whole("", ANY_OTHER, ANY_OTHER)
    }

    /// Whether the scopes read everything that a postback of this level fires
    /// for: `specific` one offer of one affiliate, `global` every offer of one
    /// affiliate, `global_offer` one offer for every affiliate; a level that is
    /// not known may fire for all.
    pub fn reads_whole(&self, level: &str, offer: u64, affiliate: u64) -> bool {
        if self.scopes.contains(&Scope::default()) {
            return true;
        }
        let named = |of: fn(&Scope) -> [&Vec<u64>; 2]| -> Vec<u64> {
            let ids = self.scopes.iter().flat_map(|scope| of(scope).into_iter().flatten());
            ids.copied().chain([ANY_OTHER]).collect()
        };
        let all_offers = || named(|scope| [&scope.offers, &scope.exclude_offers]);
        let all_affiliates = || named(|scope| [&scope.affiliates, &scope.exclude_affiliates]);
        let (offers, affiliates) = match level {
            "specific" => (vec![offer], vec![affiliate]),
            "global" => (all_offers(), vec![affiliate]),
            "global_offer" => (vec![offer], all_affiliates()),
            _ => (all_offers(), all_affiliates()),
        };
        offers.iter().all(|&offer| {
            affiliates
                .iter()
                .all(|&affiliate| self.scopes.iter().any(|scope| scope.contains(offer, affiliate)))
        })
    }
}

/// Stands for every id that no scope names.
const ANY_OTHER: u64 = u64::MAX;

/// What the network counts towards switching a postback off. Not documented,
/// so the user may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
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
    /// A number that names the scope as long as its filters stay the same.
    pub fn key(&self) -> u64 {
        let list = |ids: &[u64]| {
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids.iter().map(u64::to_string).collect::<Vec<_>>().join(",")
        };
        let parts =
            [&self.offers, &self.affiliates, &self.exclude_offers, &self.exclude_affiliates]
                .map(|ids| list(ids));
        Identity::of_parts(&parts.each_ref().map(String::as_str)).0 as u64
    }

    /// Smaller scopes that are disjoint and together are this one: by the known
    /// offers, then by the known affiliates, each with a part for all others. `None`
    /// where one of each is left.
    pub fn split(&self, offers: &BTreeSet<u64>, affiliates: &BTreeSet<u64>) -> Option<Vec<Scope>> {
        let by_offer = || {
            let parts = split_ids(&self.offers, &self.exclude_offers, offers)?;
            let part = |(offers, exclude_offers)| Scope { offers, exclude_offers, ..self.clone() };
            Some(parts.into_iter().map(part).collect())
        };
        let by_affiliate = || {
            let parts = split_ids(&self.affiliates, &self.exclude_affiliates, affiliates)?;
            let part = |(affiliates, exclude_affiliates)| Scope {
                affiliates,
                exclude_affiliates,
                ..self.clone()
            };
            Some(parts.into_iter().map(part).collect())
        };
        by_offer().or_else(by_affiliate)
    }

    pub fn contains(&self, offer: u64, affiliate: u64) -> bool {
        let within = |only: &[u64], not: &[u64], id: u64| {
            (only.is_empty() || only.contains(&id)) && !not.contains(&id)
        };
        within(&self.offers, &self.exclude_offers, offer)
            && within(&self.affiliates, &self.exclude_affiliates, affiliate)
    }
}

/// Ids that are asked for, and ids that are left out.
type Choice = (Vec<u64>, Vec<u64>);

fn split_ids(only: &[u64], not: &[u64], known: &BTreeSet<u64>) -> Option<Vec<Choice>> {
    let halves = |ids: &[u64]| -> Vec<Choice> {
        let (one, other) = ids.split_at(ids.len() / 2);
        let halves = [one, other].into_iter().filter(|half| !half.is_empty());
        halves.map(|half| (half.to_vec(), not.to_vec())).collect()
    };
    match only {
        [] => {
            let fresh: Vec<u64> = known.iter().filter(|id| !not.contains(id)).copied().collect();
            let mut parts = halves(&fresh);
            parts.push((Vec::new(), not.iter().chain(&fresh).copied().collect()));
            (!fresh.is_empty()).then_some(parts)
        }
        [_] => None,
        many => Some(halves(many)),
    }
}

/// Where alerts go: the first route that matches, and further ones while
/// `continue_` is set.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Label (of the alert) → any of these globs. `severity` and `rule` are labels here.
    pub matches: Matches,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_scope_are_the_whole_of_it_and_nothing_twice() {
        let known = |ids: std::ops::Range<u64>| ids.collect::<BTreeSet<u64>>();
        let (offers, affiliates) = (known(1..6), known(1..4));
        let mut scopes = vec![
            Scope::default(),
            Scope { offers: vec![2, 3, 4], exclude_affiliates: vec![2], ..Scope::default() },
            Scope { exclude_offers: vec![1], affiliates: vec![1, 9], ..Scope::default() },
        ];
        while let Some(scope) = scopes.pop() {
            let parts = scope.split(&offers, &affiliates);
            let is_one = |ids: &[u64], not: &[u64], known: &BTreeSet<u64>| {
                ids.len() == 1 || (ids.is_empty() && known.iter().all(|id| not.contains(id)))
            };
            let is_small = is_one(&scope.offers, &scope.exclude_offers, &offers)
                && is_one(&scope.affiliates, &scope.exclude_affiliates, &affiliates);
            assert_eq!(parts.is_none(), is_small, "{scope:?}");
            for (offer, affiliate) in (0..12).flat_map(|o| (0..12).map(move |a| (o, a))) {
                let held = parts.iter().flatten().filter(|part| part.contains(offer, affiliate));
                let expected = usize::from(parts.is_some() && scope.contains(offer, affiliate));
                assert_eq!(held.count(), expected, "{offer} {affiliate} of {scope:?}");
            }
            scopes.extend(parts.into_iter().flatten());
        }
    }
}
