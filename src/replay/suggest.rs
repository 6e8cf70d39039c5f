//! Thresholds for rules from a history: how often each of a ladder of candidates would
//! have fired, all of them played at once. Reads no file and no clock.

use std::collections::HashMap;
use std::time::Duration;

use super::backtest::backtest;
use super::history::History;
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::rules::{Condition, Level, Measure, Op, Rule, Threshold, Unit};

const WEEK: f64 = 7.0 * 86_400.0;

/// Of the rule's own threshold.
const LADDER: [f64; 11] = [0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0];

/// One level of a rule, and what a history says of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The place of the condition whose threshold varies.
    pub condition: usize,
    /// Thresholds, the least strict first, and how often each would have fired.
    pub tried: Vec<Tried>,
    /// The place of the least strict one that spoke rarely enough; `None` where none did.
    pub chosen: Option<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tried {
    pub threshold: f64,
    pub fired: usize,
    /// The largest value at a firing.
    pub worst: Option<f64>,
}

/// For each rule and each of its levels a suggestion: which thresholds would have
/// spoken at most `per_week` times a week. `None` where nothing of a level rises.
pub fn suggest(
    policy: &Policy,
    source: &SourcePolicy,
    history: &History,
    per_week: f64,
    progress: &mut dyn FnMut(usize),
) -> Vec<Vec<Option<Suggestion>>> {
    let length = history.span().map_or(Duration::ZERO, |(from, to)| to.since(from));
    let most = (per_week * (length.as_secs_f64() / WEEK).max(1.0 / 7.0)).floor() as usize;
    let mut candidates = Vec::new();
    for rule in &policy.rules {
        for level in &rule.levels {
            let Some(condition) = main_condition(level) else { continue };
            for threshold in ladder(level.conditions[condition], source) {
                candidates.push(candidate(rule, level, condition, threshold));
            }
        }
    }
    let silent = Policy {
        rules: candidates,
        routes: Vec::new(),
        inhibitions: Vec::new(),
        mutes: Vec::new(),
        ..policy.clone()
    };
    let told = backtest(&silent, source, history, progress);
    let mut fired: HashMap<&str, (usize, Option<f64>)> = HashMap::new();
    for alert in &told.alerts {
        let (count, worst) = fired.entry(&alert.rule).or_default();
        *count += 1;
        *worst = [*worst, alert.value].into_iter().flatten().reduce(f64::max);
    }
    let level = |rule: &Rule, level: &Level| {
        let condition = main_condition(level)?;
        let tried = ladder(level.conditions[condition], source).into_iter().map(|threshold| {
            let name = name(rule, level, threshold);
            let (count, worst) = fired.get(name.as_str()).copied().unwrap_or_default();
            Tried { threshold, fired: count, worst }
        });
        let tried: Vec<Tried> = tried.collect();
        // Everything stricter must speak as rarely: a number that happens to be lucky
        // between two that are not is none to rely on.
        let loud = tried.iter().rposition(|one| one.fired > most);
        let chosen = loud.map_or(0, |place| place + 1);
        Some(Suggestion { condition, chosen: (chosen < tried.len()).then_some(chosen), tried })
    };
    let of_rule = |rule: &Rule| {
        let mut found: Vec<_> = rule.levels.iter().map(|of| level(rule, of)).collect();
        keep_order(rule, &mut found);
        found
    };
    policy.rules.iter().map(of_rule).collect()
}

/// A level is no less strict than the one before it: else that one would never speak.
fn keep_order(rule: &Rule, found: &mut [Option<Suggestion>]) {
    let mut before: Option<(Measure, f64)> = None;
    for (level, found) in rule.levels.iter().zip(found) {
        let Some(found) = found else { continue };
        let condition = level.conditions[found.condition];
        if let (Some(chosen), Some((measure, floor))) = (found.chosen, before)
            && measure == condition.measure
        {
            let mut tried = found.tried.iter().skip(chosen);
            found.chosen = tried.position(|one| one.threshold >= floor).map(|more| chosen + more);
        }
        let number = found.chosen.map(|chosen| found.tried[chosen].threshold);
        before = number.or(condition.threshold.number()).map(|number| (condition.measure, number));
    }
}

/// The first condition that gets stricter as its number rises; one that says how bad
/// it is before one that says how many it is about.
fn main_condition(level: &Level) -> Option<usize> {
    let rises = |condition: &&Condition| {
        matches!(condition.op, Op::Ge | Op::Gt)
            && condition.threshold.number().is_some_and(|number| number > 0.0)
    };
    let is_breadth = |condition: &Condition| {
        matches!(
            condition.measure,
            Measure::Deliveries
                | Measure::Conversions
                | Measure::Hosts
                | Measure::Affiliates
                | Measure::Offers
                | Measure::Postbacks
        )
    };
    let conditions = level.conditions.iter().enumerate();
    let rising = conditions.filter(|(_, condition)| rises(condition));
    rising.min_by_key(|(place, condition)| (is_breadth(condition), *place)).map(|(place, _)| place)
}

/// Candidates around the condition's own threshold, each a number that a person would
/// write.
fn ladder(condition: Condition, source: &SourcePolicy) -> Vec<f64> {
    let own = condition.threshold.number().unwrap_or(1.0);
    let limit = f64::from(source.deactivates_after);
    let mut steps: Vec<f64> =
        LADDER.iter().map(|times| round(condition.measure, own * times)).collect();
    steps.retain(|step| match condition.measure {
        // At the limit it is too late.
        Measure::Streak => *step < limit,
        Measure::FailureRate => *step <= 1.0,
        _ => true,
    });
    steps.push(own);
    steps.sort_by(f64::total_cmp);
    steps.dedup();
    steps
}

fn round(measure: Measure, number: f64) -> f64 {
    match measure.unit() {
        Unit::Count => number.round().max(1.0),
        Unit::Share => ((number * 100.0).round() / 100.0).max(0.01),
        Unit::Seconds => (number / 60.0).round().max(1.0) * 60.0,
    }
}

fn candidate(rule: &Rule, level: &Level, condition: usize, threshold: f64) -> Rule {
    let mut level = level.clone();
    level.conditions[condition].threshold = Threshold::Number(threshold);
    // The value that is kept is the first condition's.
    level.conditions.swap(0, condition);
    let name = name(rule, &level, threshold);
    Rule { name, levels: vec![level], summary: None, ..rule.clone() }
}

fn name(rule: &Rule, level: &Level, threshold: f64) -> String {
    format!("{} {} {threshold}", rule.name, level.severity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::rules::Severity;

    fn condition(measure: Measure, number: f64) -> Condition {
        Condition { measure, op: Op::Ge, threshold: Threshold::Number(number) }
    }

    #[test]
    fn what_says_how_bad_it_is_varies() {
        let check = |measures: &[Measure], expected: Option<usize>| {
            let conditions = measures.iter().map(|measure| condition(*measure, 3.0)).collect();
            let level = Level { severity: Severity::Warning, conditions };
            assert_eq!(main_condition(&level), expected, "{measures:?}");
        };
        check(&[Measure::Affiliates, Measure::Failures, Measure::FailureRate], Some(1));
        check(&[Measure::FailureRate, Measure::Failures], Some(0));
        check(&[Measure::Hosts, Measure::Affiliates], Some(0));
        check(&[], None);
    }

    #[test]
    fn a_level_is_no_less_strict_than_the_one_before() {
        let check = |numbers: [f64; 2], chosen: [Option<usize>; 2], expected: Option<usize>| {
            let level = |(severity, number)| Level {
                severity,
                conditions: vec![condition(Measure::Streak, number)],
            };
            let rule = Rule {
                name: "near".into(),
                summary: None,
                matches: std::collections::BTreeMap::new(),
                per: Vec::new(),
                over: Duration::ZERO,
                levels: [Severity::Warning, Severity::Critical]
                    .into_iter()
                    .zip(numbers)
                    .map(level)
                    .collect(),
                hold_for: Duration::ZERO,
                keep_firing_for: Duration::ZERO,
                labels: std::collections::BTreeMap::new(),
                runbook: None,
            };
            let tried = |threshold| Tried { threshold, fired: 0, worst: None };
            let found = |chosen| {
                Some(Suggestion {
                    condition: 0,
                    tried: [2.0, 4.0, 6.0].map(tried).to_vec(),
                    chosen,
                })
            };
            let mut found = chosen.map(found);
            keep_order(&rule, &mut found);
            let got = found[1].as_ref().and_then(|found| found.chosen);
            assert_eq!(got, expected, "{numbers:?} {chosen:?}");
        };
        check([2.0, 4.0], [Some(0), Some(1)], Some(1));
        check([2.0, 4.0], [Some(2), Some(1)], Some(2));
        check([5.0, 8.0], [None, Some(0)], Some(2));
        check([7.0, 8.0], [None, Some(0)], None);
    }
}
