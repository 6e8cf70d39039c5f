//! What an alert tells of itself: the values that fired it, the likely cause,
//! a few deliveries to look at, and a headline.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Story, cause};
use crate::domain::delivery::Delivery;
use crate::domain::dims::Dims;
use crate::domain::facts::Facts;
use crate::domain::notify::{Reading, Sample};
use crate::domain::rules::evaluate::{Evaluation, Moment, in_a_row, is_read_whole, measure};
use crate::domain::rules::{Condition, Label, Level, Measure, Rule, Severity, Threshold, Unit};
use crate::domain::summary::render_summary;
use crate::domain::window::RuleWindow;
use crate::domain::window::group::Group;
use crate::domain::window::streak::Bounds;

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
    let mut labels = constant_labels(moment, &failures);
    for (label, value) in window.grouping.texts(moment.facts, group) {
        labels.insert(label.as_str().to_owned(), value);
    }
    let mut vars = shown_labels(moment.facts, &labels);
    for measure_ in Measure::ALL {
        let value = measure(moment, rule, window, group, measure_);
        vars.insert(measure_.as_str().to_owned(), shown(measure_, value));
    }
    if let Some(cause) = &cause {
        vars.entry("reason".to_owned()).or_insert_with(|| cause.reason.clone());
    }
    let summary = headline(rule, &vars);
    labels.extend(rule.labels.clone());
    Story {
        labels,
        summary,
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
fn failures<'a>(
    moment: &Moment<'a>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
) -> Vec<&'a Delivery> {
    if !rule.needs_proof() {
        return Vec::new();
    }
    let facts = moment.facts;
    let of_group = |delivery: &&Delivery| {
        window.grouping.selects(delivery.reason)
            && window.grouping.group(facts, delivery).as_ref() == Some(group)
    };
    let in_window: Vec<&Delivery> = facts
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
fn constant_labels(moment: &Moment<'_>, failures: &[&Delivery]) -> BTreeMap<String, String> {
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

/// Labels as messages show them: ids with their names.
pub fn shown_labels(facts: &Facts, labels: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let show = |label: &str, value: &str| match (label, value.parse()) {
        ("affiliate", Ok(id)) => facts.affiliate_text(id),
        ("offer", Ok(id)) => facts.offer_text(id),
        _ => value.to_owned(),
    };
    labels.iter().map(|(label, value)| (label.clone(), show(label, value))).collect()
}

fn samples(facts: &Facts, failures: &[&Delivery]) -> Vec<Sample> {
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

fn headline(rule: &Rule, vars: &BTreeMap<String, String>) -> String {
    let written = rule.summary.as_ref().and_then(|text| render_summary(text, vars).ok());
    written.unwrap_or_else(|| built_in_headline(rule, vars))
}

/// Says who, where and how much, from whatever the group has.
fn built_in_headline(rule: &Rule, vars: &BTreeMap<String, String>) -> String {
    let var = |name: &str| vars.get(name).map(String::as_str);
    let mut text = String::new();
    if let Some(affiliate) = var("affiliate") {
        text.push_str(affiliate);
        text.push_str(": ");
    }
    match (var("postback"), var("host")) {
        (Some(postback), _) if rule.per.contains(&Label::Postback) => {
            text.push_str(&format!("postback {postback}"));
        }
        (_, Some(host)) => text.push_str(host),
        (_, None) => text.push_str(var("source").unwrap_or("postbacks")),
    }
    let uses = |measure| rule.measures().any(|m| m == measure);
    let value = |measure: Measure| var(measure.as_str()).unwrap_or("?").to_owned();
    let what = if uses(Measure::Streak) {
        format!(" has failed {} times in a row", value(Measure::Streak))
    } else if uses(Measure::FailureRate) {
        format!(" fails {} of postbacks", value(Measure::FailureRate))
    } else if uses(Measure::OldestOpen) || uses(Measure::Open) {
        format!(
            ": {} postbacks wait, the oldest for {}",
            value(Measure::Open),
            value(Measure::OldestOpen)
        )
    } else {
        format!(": {} failures in {}", value(Measure::Failures), shown_duration(rule.over))
    };
    text.push_str(&what);
    if let Some(reason) = var("reason") {
        text.push_str(&format!(" ({reason})"));
    }
    text
}

fn notes(moment: &Moment<'_>, rule: &Rule, failures: &[&Delivery]) -> Vec<String> {
    let limit = moment.policy.deactivates_after;
    let what_follows = format!(
        "After {limit} failures in a row within 72 h the network switches a postback off; \
         what comes after that is not delivered, and not later either."
    );
    if has_streak(rule) {
        return vec![what_follows];
    }
    let near = near_deactivation(moment, failures);
    let Some((postback, count)) = near.first() else { return Vec::new() };
    let others = match near.len() - 1 {
        0 => String::new(),
        1 => ", and 1 more is as near".to_owned(),
        n => format!(", and {n} more are as near"),
    };
    vec![format!("Postback {postback} has failed {count} times in a row{others}. {what_follows}")]
}

/// Postbacks among the failures that are halfway to being switched off, the nearest
/// first: whoever is told of the failures need not wait for a rule on streaks.
fn near_deactivation(moment: &Moment<'_>, failures: &[&Delivery]) -> Vec<(u64, u64)> {
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
    rule.measures().any(|measure| measure == Measure::Streak)
}

fn caveats(moment: &Moment<'_>) -> Vec<String> {
    let unproven =
        "Successes are not read (successes: off): when this ends, it is no proof of a cure.";
    (!moment.policy.successes).then(|| unproven.to_owned()).into_iter().collect()
}

/// A value as messages write it: `12`, `83 %`, `1h 5m`; `unknown` where it has none.
fn shown(measure: Measure, value: Option<Bounds>) -> String {
    match value {
        None => "unknown".to_owned(),
        Some(Bounds { least, most }) if least == most => shown_value(measure.unit(), least),
        Some(Bounds { least, .. }) => {
            format!("at least {}", shown_value(measure.unit(), least))
        }
    }
}

/// `>= 20 %`; `> 3 x previous (4)`, which says what the window before held.
fn shown_threshold(condition: &Condition, previous: Option<f64>) -> String {
    let (op, unit) = (condition.op.as_str(), condition.measure.unit());
    match (condition.threshold, previous) {
        (Threshold::Number(number), _) => format!("{op} {}", shown_value(unit, number)),
        (Threshold::TimesPrevious(times), Some(previous)) => {
            format!("{op} {times} x previous ({})", shown_value(unit, previous))
        }
        (Threshold::TimesPrevious(times), None) => format!("{op} {times} x previous"),
    }
}

pub fn shown_value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count => format!("{value}"),
        Unit::Share => shown_percent(value),
        Unit::Seconds => shown_duration(Duration::from_secs(value as u64)),
    }
}

/// `83 %`; one decimal below 10 %.
pub fn shown_percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent < 10.0 && percent.fract().abs() > 0.05 {
        true => format!("{percent:.1} %"),
        false => format!("{percent:.0} %"),
    }
}

/// `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
pub fn shown_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |major: u64, word: &str, minor: u64, small: &str| match minor {
        0 => format!("{major} {word}"),
        minor => format!("{major} {word} {minor} {small}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", 0, ""),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        86_400.. => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let cases = [(0.83, "83 %"), (0.025, "2.5 %"), (0.02, "2 %"), (1.0, "100 %")];
        for (share, expected) in cases {
            assert_eq!(shown_percent(share), expected);
        }
        let cases = [
            (40, "40 s"),
            (720, "12 min"),
            (3_600, "1 h"),
            (12_000, "3 h 20 min"),
            (187_200, "2 d 4 h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(shown_duration(Duration::from_secs(seconds)), expected);
        }
    }
}
