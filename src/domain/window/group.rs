//! How a rule groups deliveries.

use std::ops::Range;

use smallvec::SmallVec;

use crate::domain::delivery::Delivery;
use crate::domain::dims::{Dims, DimsId};
use crate::domain::facts::Facts;
use crate::domain::reason::Reason;
use crate::domain::rules::{Glob, Label, Measure, Rule};

/// The values of a rule's `per`, without `source` and `reason`, in its order.
pub type Labels = SmallVec<[u64; 4]>;

/// One group of a rule within one source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    pub labels: Labels,
    /// Where the rule is per reason.
    pub reason: Option<Reason>,
}

/// A rule's `per` and `match`, ready to be asked of each delivery.
#[derive(Debug)]
pub struct Grouping {
    per: Vec<Label>,
    pub by_reason: bool,
    matches: Vec<(Label, Vec<Glob>)>,
    reason_matches: Vec<Glob>,
    /// Measures that count distinct values.
    pub(super) distinct: Vec<Measure>,
    pub by_streak: bool,
    /// Whether it compares the age of the oldest that is failing, or its headline may
    /// tell it.
    pub by_oldest_open: bool,
    /// Whether it compares the time since a delivery or a success.
    pub by_time_since: bool,
    /// Whether it counts postbacks that are switched off.
    pub by_inactive: bool,
    /// Whether labels match, by [`DimsId`]: globs are asked once.
    matched: Vec<bool>,
}

impl Grouping {
    pub fn new(rule: &Rule) -> Grouping {
        let of_labels = rule
            .matches
            .iter()
            .filter(|(label, _)| !matches!(label, Label::Reason | Label::Source));
        let mut distinct: Vec<Measure> =
            rule.measures().filter(|measure| distinct_value(*measure, None).is_some()).collect();
        distinct.sort_unstable();
        distinct.dedup();
        Grouping {
            per: rule.per.iter().copied().filter(is_stored).collect(),
            by_reason: rule.per.contains(&Label::Reason),
            matches: of_labels.map(|(label, globs)| (*label, globs.clone())).collect(),
            reason_matches: rule.matches.get(&Label::Reason).cloned().unwrap_or_default(),
            distinct,
            by_streak: rule.uses(Measure::Streak),
            by_oldest_open: tells_oldest_open(rule),
            by_time_since: rule.uses(Measure::SinceSuccess) || rule.uses(Measure::SinceDelivery),
            by_inactive: rule.uses(Measure::Inactive),
            matched: Vec::new(),
        }
    }

    /// The labels of the group that deliveries with these labels fall into.
    pub fn labels(&self, facts: &Facts, dims: DimsId) -> Option<Labels> {
        if !self.matches(facts, dims) {
            return None;
        }
        let dims = facts.dims.get(dims);
        Some(self.per.iter().map(|&label| dims.value(label)).collect())
    }

    pub fn group(&self, facts: &Facts, delivery: &Delivery) -> Option<Group> {
        let reason = self.by_reason.then_some(delivery.reason);
        Some(Group { labels: self.labels(facts, delivery.dims)?, reason })
    }

    /// Whether deliveries with these labels are in the group, whatever their reason.
    pub fn contains(&self, facts: &Facts, id: DimsId, group: &Group) -> bool {
        let dims = facts.dims.get(id);
        let mut labels = self.per.iter().zip(&group.labels);
        labels.all(|(label, value)| dims.value(*label) == *value) && self.matches(facts, id)
    }

    /// Whether failures of this reason count as failures here.
    pub fn selects(&self, reason: Reason) -> bool {
        self.reason_matches.is_empty() || {
            let reason = reason.to_string();
            self.reason_matches.iter().any(|glob| glob.matches(&reason))
        }
    }

    /// `(label, value)` of the group as rules write them.
    pub fn texts(&self, facts: &Facts, group: &Group) -> Vec<(Label, String)> {
        let stored = self.per.iter().zip(&group.labels);
        let mut texts: Vec<_> =
            stored.map(|(&label, &value)| (label, facts.dims.value_text(label, value))).collect();
        if let Some(reason) = group.reason {
            texts.push((Label::Reason, reason.to_string()));
        }
        texts
    }

    /// The group that [`Grouping::texts`] wrote as `texts`; `None` where the rule
    /// groups by other labels now.
    pub fn find(&self, facts: &Facts, texts: &[(Label, String)]) -> Option<Group> {
        let text = |label: &Label| {
            texts.iter().find(|(known, _)| known == label).map(|(_, text)| text.as_str())
        };
        if texts.len() != self.per.len() + usize::from(self.by_reason) {
            return None;
        }
        let labels: Option<Labels> =
            self.per.iter().map(|label| facts.dims.value_of_text(*label, text(label)?)).collect();
        let reason = match self.by_reason {
            true => Some(Reason::parse(text(&Label::Reason)?)?),
            false => None,
        };
        Some(Group { labels: labels?, reason })
    }

    /// Asks the globs of every combination of labels that came since the last call;
    /// gives those.
    pub fn learn(&mut self, facts: &Facts) -> Range<usize> {
        let new = self.matched.len()..facts.dims.len();
        for place in new.clone() {
            let is_match = self.is_match(facts, DimsId(place as u32));
            self.matched.push(is_match);
        }
        new
    }

    fn matches(&self, facts: &Facts, dims: DimsId) -> bool {
        match self.matched.get(dims.0 as usize) {
            Some(&is_match) => is_match,
            None => self.is_match(facts, dims),
        }
    }

    fn is_match(&self, facts: &Facts, dims: DimsId) -> bool {
        self.matches.iter().all(|(label, globs)| {
            let text = facts.dims.text(dims, *label);
            globs.iter().any(|glob| glob.matches(&text))
        })
    }
}

fn tells_oldest_open(rule: &Rule) -> bool {
    let name = Measure::OldestOpen.as_str();
    // The headline of one that counts them tells both.
    rule.uses(Measure::OldestOpen)
        || rule.uses(Measure::Open)
        || rule.summary.as_ref().is_some_and(|template| template.contains(name))
}

fn is_stored(label: &Label) -> bool {
    !matches!(label, Label::Source | Label::Reason)
}

/// `None` where `measure` counts nothing distinct; else its value for a delivery.
pub(super) fn distinct_value(
    measure: Measure,
    of: Option<(&Dims, &Delivery)>,
) -> Option<Option<u64>> {
    let value = |get: fn(&Dims, &Delivery) -> u64| Some(of.map(|(dims, d)| get(dims, d)));
    match measure {
        Measure::Conversions => {
            Some(of.map(|(_, delivery)| delivery.conversion).filter(|number| *number != 0))
        }
        Measure::Hosts => value(|dims, _| u64::from(dims.host.0)),
        Measure::Affiliates => value(|dims, _| dims.affiliate),
        Measure::Offers => value(|dims, _| dims.offer),
        Measure::Postbacks => value(|dims, _| dims.postback),
        Measure::Deliveries
        | Measure::Suspect
        | Measure::Failures
        | Measure::FailureRate
        | Measure::Recovered
        | Measure::Exhausted
        | Measure::Abandoned
        | Measure::Open
        | Measure::OldestOpen
        | Measure::Streak
        | Measure::SinceSuccess
        | Measure::SinceDelivery
        | Measure::Inactive => None,
    }
}
