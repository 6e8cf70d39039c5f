//! What an alert tells of itself: the values that fired it, the likely cause,
//! a few deliveries to look at, and a headline.

use std::collections::{BTreeMap, BTreeSet};

use super::shown::{shown, shown_threshold};
use super::{Story, cause, headline};
use crate::domain::delivery::Delivery;
use crate::domain::dims::{Dims, DimsId};
use crate::domain::facts::Facts;
use crate::domain::notify::{Reading, Sample};
use crate::domain::rules::evaluate::{Evaluation, Moment, in_a_row, is_read_whole};
use crate::domain::rules::{Label, Level, Measure, Rule, Severity};
use crate::domain::summary::Vars;
use crate::domain::window::RuleWindow;
use crate::domain::window::group::Group;

/// More failures than this do not change what explains them.
const MOST_FAILURES: usize = 10_000;
const SAMPLES: usize = 3;

/// Tells the alert of `group` at the severity that it has reached.
pub fn tell(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    severity: Severity,
) -> Story {
    let failures = failures(moment, rule, window, group);
    let level = rule.levels.iter().find(|level| level.severity == severity);
    let readings: Vec<Reading> =
        level.map(|level| readings(moment, rule, window, group, level)).unwrap_or_default();
    let cause = cause::explain(moment, rule, window, group, &failures);
    let mut labels = match failures.is_empty() {
        false => constant_labels(moment, &failures),
        true => constant_labels_of(moment, window, group),
    };
    for (label, value) in window.grouping.texts(moment.facts, group) {
        labels.insert(label.as_str().to_owned(), value);
    }
    labels.extend(rule.labels.clone());
    let mut vars = Vars { texts: shown_labels(moment.facts, &labels), ..Vars::default() };
    let (evaluation, of) = (Evaluation::new(moment, rule, window), window.of(group));
    for measure in Measure::ALL {
        vars.add(measure, evaluation.value(of, measure));
    }
    if let Some(cause) = &cause {
        vars.texts.entry("reason".to_owned()).or_insert_with(|| cause.reason.clone());
    }
    Story {
        labels,
        summary: headline::built_in(rule, &vars.texts),
        vars,
        readings,
        in_a_row: if has_streak(rule) { in_a_row(moment, window, group) } else { None },
        cause,
        samples: samples(moment.facts, &failures),
        notes: notes(moment, rule, &failures),
        caveats: caveats(moment),
    }
}

/// The failures that the alert is about: those of its window, else those that
/// it still waits for, newest first.
fn failures(moment: &Moment<'_>, rule: &Rule, window: &RuleWindow, group: &Group) -> Vec<Delivery> {
    let facts = moment.facts;
    // Of one that is not about failures they tell nothing.
    if !rule.needs_proof() && !rule.uses(Measure::SinceSuccess) {
        return Vec::new();
    }
    let of_group = |delivery: &Delivery| {
        window.grouping.selects(delivery.reason)
            && window.grouping.group(facts, delivery).as_ref() == Some(group)
    };
    let in_window: Vec<Delivery> = facts
        .deliveries
        .within(moment.at - rule.over, moment.at)
        .map(|slot| facts.deliveries.get(slot))
        .filter(of_group)
        .collect();
    let mut failures = match in_window.is_empty() {
        false => in_window,
        true => facts.deliveries.iter().filter(|d| d.is_open()).filter(of_group).collect(),
    };
    failures.reverse();
    failures.truncate(MOST_FAILURES);
    failures
}

/// What each condition of the level compares, both sides in words.
pub fn readings(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    level: &Level,
) -> Vec<Reading> {
    let (evaluation, of) = (Evaluation::new(moment, rule, window), window.of(group));
    let conditions = level.conditions.iter();
    conditions
        .map(|condition| {
            let value = evaluation.value(of, condition.measure);
            Reading {
                measure: condition.measure.as_str().to_owned(),
                number: value.map_or(0.0, |bounds| bounds.least),
                value: shown(condition.measure, value),
                threshold: shown_threshold(condition, evaluation.previous(of, condition.measure)),
            }
        })
        .collect()
}

/// Every label whose value is the same in all of the failures.
fn constant_labels(moment: &Moment<'_>, failures: &[Delivery]) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([("source".to_owned(), moment.policy.name.clone())]);
    let Some(first) = failures.first() else { return labels };
    let facts = moment.facts;
    let same = |get: &dyn Fn(&Dims) -> u64, of: &Delivery| {
        get(&facts.dims.get(of.dims)) == get(&facts.dims.get(first.dims))
    };
    for label in Label::ALL {
        let (is_constant, text) = match label {
            Label::Source => continue,
            Label::Reason => {
                (failures.iter().all(|d| d.reason == first.reason), first.reason.to_string())
            }
            _ => (
                failures.iter().all(|d| same(&|dims| dims.value(label), d)),
                facts.dims.text(first.dims, label),
            ),
        };
        if is_constant && !text.is_empty() {
            labels.insert(label.as_str().to_owned(), text);
        }
    }
    labels
}

/// Every label whose value is the same in all that the group has ever shown.
fn constant_labels_of(
    moment: &Moment<'_>,
    window: &RuleWindow,
    group: &Group,
) -> BTreeMap<String, String> {
    let dims = &moment.facts.dims;
    let ids = (0..dims.len()).map(|place| DimsId(place as u32));
    let of_group: Vec<DimsId> = ids
        .filter(|&id| window.grouping.labels(moment.facts, id).as_ref() == Some(&group.labels))
        .collect();
    let mut labels = BTreeMap::from([("source".to_owned(), moment.policy.name.clone())]);
    let Some(&first) = of_group.first() else { return labels };
    for label in Label::ALL {
        let value = dims.get(first).value(label);
        let text = dims.value_text(label, value);
        if !text.is_empty() && of_group.iter().all(|&id| dims.get(id).value(label) == value) {
            labels.insert(label.as_str().to_owned(), text);
        }
    }
    labels
}

/// Labels as messages show them: ids with their names.
pub fn shown_labels(facts: &Facts, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let show = |label: &str, value: &str| match (label, value.parse()) {
        ("affiliate", Ok(id)) => facts.affiliate_text(id),
        ("offer", Ok(id)) => facts.offer_text(id),
        _ => value.to_owned(),
    };
    labels.iter().map(|(label, value)| (label.clone(), show(label, value))).collect()
}

fn samples(facts: &Facts, failures: &[Delivery]) -> Vec<Sample> {
    let open = failures.iter().filter(|delivery| delivery.is_open());
    let others = failures.iter().filter(|delivery| !delivery.is_open());
    open.chain(others).take(SAMPLES).map(|delivery| sample(facts, delivery)).collect()
}

pub fn sample(facts: &Facts, delivery: &Delivery) -> Sample {
    let dims = facts.dims.get(delivery.dims);
    Sample {
        delivery: delivery.identity,
        text_commit: delivery.text,
        timestamp: delivery.timestamp,
        failed_attempts: delivery.newest.failed_attempts,
        reason: delivery.reason.to_string(),
        offer: facts.offer_text(dims.offer),
        affiliate: facts.affiliate_text(dims.affiliate),
        text: None,
    }
}

fn notes(moment: &Moment<'_>, rule: &Rule, failures: &[Delivery]) -> Vec<String> {
    let limit = moment.policy.deactivates_after;
    let what_follows = format!(
        "After {limit} failures in a row within 72 h the network switches a postback off; \
         what comes after that is not delivered, and not later either."
    );
    if has_streak(rule) {
        return vec![what_follows];
    }
    let near = near_deactivation(moment, failures);
    let Some((postback, count)) = near.first() else { return suspect_notes(rule) };
    let others = match near.len() - 1 {
        0 => String::new(),
        1 => ", and 1 more is as near".to_owned(),
        n => format!(", and {n} more are as near"),
    };
    vec![format!("Postback {postback} has failed {count} times in a row{others}. {what_follows}")]
}

fn suspect_notes(rule: &Rule) -> Vec<String> {
    let told = "The partner's server answered 200, but the URL holds a macro that was not \
                replaced, or no click id: the partner cannot know which click this was. Compare \
                the postback's URL in Everflow with what the affiliate's links carry.";
    rule.uses(Measure::Suspect).then(|| told.to_owned()).into_iter().collect()
}

/// Postbacks among the failures that are halfway to being switched off, the nearest
/// first: whoever is told of the failures need not wait for a rule on streaks.
fn near_deactivation(moment: &Moment<'_>, failures: &[Delivery]) -> Vec<(u64, u64)> {
    let facts = moment.facts;
    let limit = f64::from(moment.policy.deactivates_after);
    let postbacks: BTreeSet<u64> =
        failures.iter().map(|delivery| facts.dims.get(delivery.dims).postback).collect();
    let streak = |postback: u64| {
        let is_whole = is_read_whole(facts, moment.policy, postback);
        let streak = moment.windows.streaks.of(facts, moment.policy, postback, moment.at).least;
        (is_whole && streak >= limit / 2.0).then_some((postback, streak as u64))
    };
    let mut near: Vec<(u64, u64)> = postbacks.into_iter().filter_map(streak).collect();
    near.sort_by_key(|&(_, streak)| std::cmp::Reverse(streak));
    near
}

/// Whether the rule is about failures in a row.
pub fn has_streak(rule: &Rule) -> bool {
    rule.uses(Measure::Streak)
}

fn caveats(moment: &Moment<'_>) -> Vec<String> {
    let unproven =
        "Successes are not read (successes: off): when this ends, it is no proof of a cure.";
    (!moment.policy.successes).then(|| unproven.to_owned()).into_iter().collect()
}
