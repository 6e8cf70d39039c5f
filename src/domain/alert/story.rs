//! What an alert tells of itself: the values that fired it, the likely cause,
//! a few deliveries to look at, and a headline.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Story;
use crate::domain::delivery::Delivery;
use crate::domain::dims::Dims;
use crate::domain::facts::Facts;
use crate::domain::notify::{Cause, Reading, Sample};
use crate::domain::reason::Reason;
use crate::domain::rules::evaluate::{Moment, in_a_row, measure};
use crate::domain::rules::{Label, Level, Measure, Rule, Severity, Unit};
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
    let cause = cause(moment.facts, &failures);
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
        notes: notes(moment, rule),
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
        true => facts.deliveries.iter().filter(of_group).collect(),
    };
    failures.reverse();
    failures.truncate(MOST_FAILURES);
    failures
}

fn readings(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    level: &Level,
) -> Vec<Reading> {
    let conditions = level.conditions.iter();
    conditions
        .map(|condition| {
            let value = measure(moment, rule, window, group, condition.measure);
            Reading {
                measure: condition.measure.as_str().to_owned(),
                value: shown(condition.measure, value),
                threshold: format!(
                    "{} {}",
                    condition.op.as_str(),
                    shown_value(condition.measure.unit(), condition.threshold)
                ),
            }
        })
        .collect()
}

/// The host, reason, affiliate or offer that most failures share.
pub fn cause(facts: &Facts, failures: &[&Delivery]) -> Option<Cause> {
    let candidates = [
        most_frequent(Label::Host, facts, failures),
        most_frequent(Label::Reason, facts, failures),
        most_frequent(Label::Affiliate, facts, failures),
        most_frequent(Label::Offer, facts, failures),
    ];
    let mut best: Option<(Label, String, usize)> = None;
    for candidate in candidates.into_iter().flatten() {
        // The first of equals stays: host, reason, affiliate, offer.
        if best.as_ref().is_none_or(|(_, _, count)| candidate.2 > *count) {
            best = Some(candidate);
        }
    }
    let (label, value, count) = best?;
    let (_, reason, _) = most_frequent(Label::Reason, facts, failures)?;
    let kind = failures.iter().map(|d| d.reason).find(|r| r.to_string() == reason)?;
    let shown = match label {
        Label::Affiliate => value.parse().map_or(value.clone(), |id| facts.affiliate_text(id)),
        Label::Offer => value.parse().map_or(value.clone(), |id| facts.offer_text(id)),
        _ => value.clone(),
    };
    Some(Cause {
        by: label.as_str().to_owned(),
        value,
        shown,
        share: count as f64 / failures.len() as f64,
        reason,
        advice: kind.advice().to_string(),
    })
}

fn most_frequent(
    label: Label,
    facts: &Facts,
    failures: &[&Delivery],
) -> Option<(Label, String, usize)> {
    let mut counts: HashMap<(u64, Option<Reason>), usize> = HashMap::new();
    for delivery in failures {
        let dims = facts.dims.get(delivery.dims);
        let key = match label {
            Label::Reason => (0, Some(delivery.reason)),
            _ => (dims.value(label), None),
        };
        *counts.entry(key).or_default() += 1;
    }
    let ((value, reason), count) =
        counts.into_iter().max_by_key(|&(key, count)| (count, std::cmp::Reverse(key)))?;
    let text = match reason {
        Some(reason) => reason.to_string(),
        None => facts.dims.value_text(label, value),
    };
    (!text.is_empty()).then_some((label, text, count))
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

fn notes(moment: &Moment<'_>, rule: &Rule) -> Vec<String> {
    let mut notes = Vec::new();
    if has_streak(rule) {
        notes.push(format!(
            "After {} failures in a row within 72 h the network switches a postback off; \
             what comes after that is not delivered, and not later either.",
            moment.policy.deactivates_after
        ));
    }
    notes
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

fn shown_value(unit: Unit, value: f64) -> String {
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
