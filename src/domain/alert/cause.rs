//! What explains an alert: the host, reason, affiliate or offer that most of its
//! failures share, how much more than its part of all deliveries that is, and whom
//! it hits. Decides nothing.

use std::collections::HashSet;

use hashbrown::HashMap;

use crate::domain::delivery::Delivery;
use crate::domain::dims::{Dims, DimsId};
use crate::domain::facts::Facts;
use crate::domain::notify::{Cause, Part};
use crate::domain::reason::Reason;
use crate::domain::rules::evaluate::Moment;
use crate::domain::rules::{Label, Rule};
use crate::domain::window::RuleWindow;
use crate::domain::window::group::Group;

/// In the order in which the first of equals stays.
const CANDIDATES: [Label; 4] = [Label::Host, Label::Reason, Label::Affiliate, Label::Offer];

/// What may be the cause within a group whose deliveries are alike otherwise.
const WITHIN: [Label; 5] =
    [Label::Host, Label::Affiliate, Label::Offer, Label::Postback, Label::Event];

/// The commonest reason's advice would send somebody to one partner.
const EVERYWHERE: &str = "No host, reason, affiliate or offer explains half of it: look at the network \
                          first, its tracking domain and its way out, then at the worst hosts; retries \
                          cure some of it at best.";

/// Below this share nothing explains most of the failures: it is the whole network.
const MOST: f64 = 0.5;

/// Within a group a part must stand out so clearly, and explain this much.
const CLEARLY: f64 = 2.0;
const NEARLY_ALL: f64 = 0.75;

/// Labels of failures and of all deliveries of the same time, and how many bear them.
#[derive(Debug, Default)]
struct Deliveries {
    by_dims: HashMap<DimsId, u64>,
    total: u64,
}

impl Deliveries {
    fn add(&mut self, dims: DimsId, count: u64) {
        *self.by_dims.entry(dims).or_default() += count;
        self.total += count;
    }

    fn share(&self, facts: &Facts, label: Label, value: u64) -> Option<f64> {
        let with =
            self.by_dims.iter().filter(|(dims, _)| facts.dims.get(**dims).value(label) == value);
        let count: u64 = with.map(|(_, count)| count).sum();
        (self.total > 0).then(|| count as f64 / self.total as f64)
    }
}

/// One value that some of the failures share.
#[derive(Debug, Clone)]
struct Candidate {
    label: Label,
    value: u64,
    text: String,
    count: usize,
}

/// Explains `failures`, which the alert of `group` is about.
pub fn explain(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    failures: &[Delivery],
) -> Option<Cause> {
    let facts = moment.facts;
    let (mut all, mut of_group) = (Deliveries::default(), Deliveries::default());
    let mut add = |dims: DimsId, count: u64| {
        all.add(dims, count);
        if window.grouping.contains(facts, dims, group) {
            of_group.add(dims, count);
        }
    };
    let since = moment.at - rule.over;
    for slot in facts.deliveries.within(since, moment.at) {
        add(facts.deliveries.get(slot).dims, 1);
    }
    for (_, dims, count) in facts.successes_within(since, moment.at) {
        add(dims, u64::from(count));
    }
    // Without successes a share among all deliveries would be one among failures.
    let are_known = moment.policy.successes && facts.successes_known_from() <= since;
    let known = |deliveries| if are_known { deliveries } else { Deliveries::default() };
    let (all, of_group) = (known(all), known(of_group));
    let cause = of_failures_among(facts, failures, &all)?;
    Some(Cause { within: within(facts, failures, &of_group, &cause), ..cause })
}

/// Explains `failures` by themselves.
pub fn of_failures(facts: &Facts, failures: &[Delivery]) -> Option<Cause> {
    of_failures_among(facts, failures, &Deliveries::default())
}

fn of_failures_among(facts: &Facts, failures: &[Delivery], all: &Deliveries) -> Option<Cause> {
    let candidates: Vec<Candidate> =
        CANDIDATES.iter().filter_map(|&label| most_frequent(label, facts, failures)).collect();
    let reason = most_frequent(Label::Reason, facts, failures)?;
    let kind = failures.iter().map(|d| d.reason).find(|r| r.to_string() == reason.text)?;
    // The first of equals: `max_by_key` alone would take the last.
    let chosen = candidates.iter().rev().max_by_key(|candidate| candidate.count)?;
    let share = |candidate: &Candidate| candidate.count as f64 / failures.len() as f64;
    let is_everywhere = share(chosen) < MOST;
    let hit: Vec<Dims> = failures
        .iter()
        .filter(|delivery| is_everywhere || bears(facts, delivery, chosen))
        .map(|delivery| facts.dims.get(delivery.dims))
        .collect();
    let distinct = |get: fn(&Dims) -> u64| hit.iter().map(get).collect::<HashSet<u64>>().len();
    let part = match is_everywhere {
        true => Part {
            by: "network".to_owned(),
            value: String::new(),
            shown: "the whole network".to_owned(),
            share: 1.0,
            usual: None,
        },
        false => part(facts, chosen, share(chosen), all),
    };
    Some(Cause {
        part,
        hosts: distinct(|dims| u64::from(dims.host.0)),
        affiliates: distinct(|dims| dims.affiliate),
        within: None,
        reason: reason.text,
        advice: if is_everywhere { EVERYWHERE } else { kind.advice() }.to_owned(),
    })
}

/// What a part of the group shares that makes up nearly all of its failures and much
/// less of its deliveries: one offer of a partner, say.
fn within(
    facts: &Facts,
    failures: &[Delivery],
    of_group: &Deliveries,
    cause: &Cause,
) -> Option<Part> {
    let parts = WITHIN.iter().filter_map(|&label| {
        let candidate = most_frequent(label, facts, failures)?;
        let share = candidate.count as f64 / failures.len() as f64;
        let usual = of_group.share(facts, label, candidate.value)?;
        let is_clear = share >= NEARLY_ALL && share >= CLEARLY * usual;
        let is_told = cause.part.by == label.as_str();
        (is_clear && !is_told).then(|| part(facts, &candidate, share, of_group))
    });
    // The one that is rarest otherwise says most.
    parts.min_by(|one, other| {
        let usual = |part: &Part| part.usual.unwrap_or(1.0);
        usual(one).total_cmp(&usual(other))
    })
}

fn part(facts: &Facts, candidate: &Candidate, share: f64, among: &Deliveries) -> Part {
    let text = &candidate.text;
    let shown = match candidate.label {
        Label::Affiliate => facts.affiliate_text(candidate.value),
        Label::Offer => facts.offer_text(candidate.value),
        _ => text.clone(),
    };
    let usual = match candidate.label {
        Label::Reason => None,
        label => among.share(facts, label, candidate.value),
    };
    Part { by: candidate.label.as_str().to_owned(), value: text.clone(), shown, share, usual }
}

fn bears(facts: &Facts, delivery: &Delivery, candidate: &Candidate) -> bool {
    match candidate.label {
        Label::Reason => delivery.reason.to_string() == candidate.text,
        label => facts.dims.get(delivery.dims).value(label) == candidate.value,
    }
}

fn most_frequent(label: Label, facts: &Facts, failures: &[Delivery]) -> Option<Candidate> {
    let mut counts: HashMap<(u64, Option<Reason>), usize> = HashMap::new();
    for delivery in failures {
        let key = match label {
            Label::Reason => (0, Some(delivery.reason)),
            _ => (facts.dims.get(delivery.dims).value(label), None),
        };
        *counts.entry(key).or_default() += 1;
    }
    let ((value, reason), count) =
        counts.into_iter().max_by_key(|&(key, count)| (count, std::cmp::Reverse(key)))?;
    let text = match reason {
        Some(reason) => reason.to_string(),
        None => facts.dims.value_text(label, value),
    };
    (!text.is_empty()).then_some(Candidate { label, value, text, count })
}
