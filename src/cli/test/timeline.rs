//! What a test expected and what it got, a line each over the same time.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::rule_tests::{ExpectedAlert, RuleTest};
use crate::config::write_duration;
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;
use crate::replay::ToldAlert;
use crate::replay::rule_test::{Outcome, Problem, What};

/// Characters of a line; a longer test is drawn coarser.
const WIDTH: usize = 100;
const LEGEND: &str =
    "P pending · I W C firing (info, warning, critical) · q quiet · R ended · ! a message";

/// The alerts of the test: what was expected of each at the moments that say so, and
/// how it stood.
pub fn timeline(test: &RuleTest, outcome: &Outcome) -> String {
    let steps = (test.lasts.as_secs() / test.every.as_secs()) as usize + 1;
    let step = test.every * u32::try_from(steps.div_ceil(WIDTH)).unwrap_or(1);
    let columns = (test.lasts.as_secs() / step.as_secs()) as usize + 1;
    let moment = |column: usize| test.start + step * u32::try_from(column).unwrap_or(u32::MAX);
    let mut lines = vec![format!("one character is {}; {LEGEND}", write_duration(step))];
    let mut lives: BTreeMap<String, Vec<&ToldAlert>> = BTreeMap::new();
    let wrong = in_question(outcome);
    for alert in outcome.told.alerts.iter().filter(|alert| wrong.contains(&alert.rule)) {
        lives.entry(name(alert)).or_default().push(alert);
    }
    let expected: Vec<(usize, &[ExpectedAlert])> = test
        .expected
        .iter()
        .filter_map(|one| {
            let column = (one.at.as_secs() / step.as_secs()) as usize;
            Some((column.min(columns - 1), one.firing.as_deref()?))
        })
        .collect();
    let mut untold: Vec<&ExpectedAlert> = expected.iter().flat_map(|(_, all)| *all).collect();
    untold.retain(|one| wrong.contains(&one.rule));
    for (name, of) in &lives {
        let fits = |one: &ExpectedAlert| of.iter().any(|alert| is_of(one, alert));
        untold.retain(|one| !fits(one));
        let mut wanted = vec![' '; columns];
        for (column, all) in &expected {
            wanted[*column] =
                all.iter().find(|one| fits(one)).map_or('.', |one| letter(one.severity));
        }
        let got: String = (0..columns).map(|column| shown(of, moment(column), step)).collect();
        lines.push(name.clone());
        lines.push(format!("  expected {}", wanted.into_iter().collect::<String>().trim_end()));
        lines.push(format!("  got      {got}"));
    }
    let mut names: Vec<String> = untold.iter().map(|one| expected_name(one)).collect();
    names.sort();
    names.dedup();
    for missing in names {
        let mut wanted = vec![' '; columns];
        for (column, all) in &expected {
            let one = all.iter().find(|one| expected_name(one) == missing);
            wanted[*column] = one.map_or('.', |one| letter(one.severity));
        }
        lines.push(missing);
        lines.push(format!("  expected {}", wanted.into_iter().collect::<String>().trim_end()));
        lines.push(format!("  got      {}", ".".repeat(columns)));
    }
    let mut sent = vec!['.'; columns];
    for message in &outcome.told.messages {
        let column = (message.at.since(test.start).as_secs() / step.as_secs()) as usize;
        if message.at >= test.start && column < columns {
            sent[column] = '!';
        }
    }
    lines.push(format!("messages   {}", sent.into_iter().collect::<String>()));
    lines.into_iter().map(|line| format!("      {line}\n")).collect()
}

/// The rules that a problem is about.
fn in_question(outcome: &Outcome) -> BTreeSet<String> {
    let rule = |&place: &usize| outcome.told.alerts[place].rule.clone();
    let of = |problem: &Problem| -> Vec<String> {
        match &problem.what {
            What::Firing { missing, unexpected } => {
                let missing = missing.iter().map(|one| one.rule.clone());
                missing.chain(unexpected.iter().map(rule)).collect()
            }
            What::Messages { expected, got } => {
                let expected = expected.iter().filter_map(|one| one.rule.clone());
                let got = got.iter().flat_map(|&place| &outcome.told.messages[place].alerts);
                expected.chain(got.map(rule)).collect()
            }
        }
    };
    outcome.problems.iter().flat_map(of).collect()
}

/// `partner-endpoint-failing affiliate=7 host=a.example`.
pub fn name(alert: &ToldAlert) -> String {
    let mut name = alert.rule.clone();
    for (label, value) in &alert.key.group {
        name.push_str(&format!(" {}={value}", label.as_str()));
    }
    name
}

pub fn expected_name(one: &ExpectedAlert) -> String {
    let mut name = one.rule.clone();
    if let Some(severity) = one.severity {
        name = format!("{severity} {name}");
    }
    for (label, value) in &one.labels {
        name.push_str(&format!(" {label}={value}"));
    }
    name
}

/// The same rule on the same group, whatever its severity.
fn is_of(one: &ExpectedAlert, alert: &ToldAlert) -> bool {
    one.rule == alert.rule
        && one.labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value))
}

fn letter(severity: Option<Severity>) -> char {
    match severity {
        Some(Severity::Info) => 'I',
        Some(Severity::Warning) => 'W',
        Some(Severity::Critical) => 'C',
        None => 'F',
    }
}

fn shown(of: &[&ToldAlert], at: Timestamp, step: std::time::Duration) -> char {
    for alert in of {
        match alert.stand(at) {
            Some(stand) if stand.is_quiet => return 'q',
            Some(stand) => return letter(Some(stand.severity)),
            None if alert.began_at <= at && at < alert.fired_at => return 'P',
            None => {}
        }
    }
    let has_ended =
        |alert: &&ToldAlert| alert.resolved_at.is_some_and(|end| end <= at && at < end + step);
    if of.iter().any(has_ended) { 'R' } else { '.' }
}
