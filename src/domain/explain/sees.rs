//! What a rule sees of a group: its measures beside their thresholds, what its
//! window holds, and what is not known.

use std::collections::HashMap;

use super::{Answer, At, ConditionExplained, Sees};
use crate::domain::alert::shown::{shown_duration, shown_value};
use crate::domain::alert::story::readings;
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::rules::evaluate::{Evaluation, Moment, compare, is_read_whole, measure};
use crate::domain::rules::{Condition, Level, Measure, Op, Rule};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::domain::window::RuleWindow;
use crate::domain::window::group::Group;
use crate::domain::window::streak::Bounds;

/// The window, and what it holds of the group.
pub fn look(moment: &Moment<'_>, rule: &Rule, window: &RuleWindow, group: &Group) -> Sees {
    let counted = window.of(group);
    let value = |of| measure(moment, rule, window, group, of);
    let some = |at: Option<Timestamp>| at.filter(|at| at.0 > 0).map(At);
    Sees {
        at: Some(At(moment.at)),
        age: 0,
        since: Some(At(moment.at - rule.over)),
        deliveries: value(Measure::Deliveries).map(|bounds| bounds.least as i64),
        failures: value(Measure::Failures).map_or(0, |bounds| bounds.least as i64),
        open: value(Measure::Open).map_or(0, |bounds| bounds.least as u64),
        reasons: reasons(moment, rule, window, group),
        newest_failure: some(counted.counts.map(|counts| counts.newest_failure)),
        last_success: some(counted.totals.map(|totals| totals.last_success)),
        troubles: Vec::new(),
    }
}

fn reasons(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
) -> Vec<(String, u64)> {
    let facts = moment.facts;
    let mut counts: HashMap<_, u64> = HashMap::new();
    for slot in facts.deliveries.within(moment.at - rule.over, moment.at) {
        let delivery = facts.deliveries.get(slot);
        if window.grouping.selects(delivery.reason)
            && window.grouping.group(facts, &delivery).as_ref() == Some(group)
        {
            *counts.entry(delivery.reason).or_default() += 1;
        }
    }
    let mut counts: Vec<_> =
        counts.into_iter().map(|(reason, count)| (reason.to_string(), count)).collect();
    counts.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
    counts
}

pub fn conditions(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    level: &Level,
    group: &Group,
) -> Vec<ConditionExplained> {
    let told = readings(moment, rule, window, group, level);
    let (evaluation, of) = (Evaluation::new(moment, rule, window), window.of(group));
    let pairs = level.conditions.iter().zip(told);
    pairs
        .map(|(condition, reading)| {
            let value = evaluation.value(of, condition.measure);
            let threshold = evaluation.threshold(of, condition);
            let verdict = Answer::from(compare(value, condition.op, threshold));
            ConditionExplained {
                measure: reading.measure,
                value: reading.value,
                threshold: reading.threshold,
                verdict,
                misses_by: misses_by(condition, value, threshold)
                    .filter(|_| verdict == Answer::False),
                unknown_because: (verdict == Answer::Unknown)
                    .then(|| unknown_because(moment, rule, window, group, condition)),
            }
        })
        .collect()
}

/// By how much a value misses its threshold.
fn misses_by(
    condition: &Condition,
    value: Option<Bounds>,
    threshold: Option<f64>,
) -> Option<String> {
    let (value, threshold) = value.zip(threshold)?;
    let shown = |by: f64| shown_value(condition.measure.unit(), by);
    match condition.op {
        Op::Ge | Op::Eq if value.most < threshold => {
            Some(format!("{} more", shown(threshold - value.most)))
        }
        Op::Gt => Some(format!("more than {} more", shown(threshold - value.most))),
        Op::Le if value.least > threshold => {
            Some(format!("{} less", shown(value.least - threshold)))
        }
        Op::Lt => Some(format!("more than {} less", shown(value.least - threshold))),
        Op::Ge | Op::Eq | Op::Le | Op::Ne => None,
    }
}

fn unknown_because(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    condition: &Condition,
) -> String {
    if !moment.policy.successes {
        return "successes are not read (successes: off)".to_owned();
    }
    if condition.measure == Measure::Streak {
        let cut = window
            .postbacks(group)
            .find(|&postback| !is_read_whole(moment.facts, moment.policy, postback));
        return match cut {
            Some(postback) => format!("the source's scopes cut the traffic of postback {postback}"),
            None => "the successes between its failures are still to be read, further and \
                     further back"
                .to_owned(),
        };
    }
    let since = moment.facts.successes_since();
    if since.0 == i64::MAX {
        return "no successes were read yet".to_owned();
    }
    if since > moment.at - rule.reach() {
        let covered_at = since + rule.reach();
        return format!(
            "successes are read since {since}: the window is covered from {covered_at} on"
        );
    }
    match condition.threshold.number() {
        Some(_) => "there is no delivery in the window".to_owned(),
        None => "the window before is not known, or nothing was delivered in it".to_owned(),
    }
}

/// How near the group is to firing: 1 for each level that holds, less for one that
/// misses something, 0 where it has nothing of what it needs.
pub fn nearness(moment: &Moment<'_>, rule: &Rule, window: &RuleWindow, group: &Group) -> f64 {
    let (evaluation, of) = (Evaluation::new(moment, rule, window), window.of(group));
    let of_condition = |condition: &Condition| {
        let value = evaluation.value(of, condition.measure);
        let Some((value, threshold)) = value.zip(evaluation.threshold(of, condition)) else {
            return 0.0;
        };
        match condition.op {
            Op::Ge | Op::Gt if threshold > 0.0 => (value.most / threshold).clamp(0.0, 1.0),
            Op::Ge | Op::Gt | Op::Lt | Op::Le | Op::Eq | Op::Ne => 1.0,
        }
    };
    let of_level =
        |level: &Level| level.conditions.iter().map(of_condition).fold(1.0_f64, f64::min);
    rule.levels.iter().map(of_level).sum()
}

/// What keeps the data of a source from being complete.
pub fn troubles(
    now: Timestamp,
    policy: &Policy,
    state: &State,
    source: &SourcePolicy,
) -> Vec<String> {
    let Some(known) = state.sources.get(&source.name) else {
        return vec!["the store does not answer, or the source was not loaded yet".to_owned()];
    };
    let mut troubles = Vec::new();
    if known.windows.is_none() {
        troubles.push("the first look-back is still being read: nothing is judged yet".to_owned());
    }
    let sight = known.sight(policy, &source.name);
    if let Some(trouble) = &known.sight.trouble {
        troubles.push(format!("the last poll failed: {trouble}"));
    }
    let late = sight.whole_at.map(|at| now.since(at)).filter(|late| *late > source.poll_every * 2);
    if let Some(late) = late {
        troubles.push(format!("nothing was read whole for {}", shown_duration(late)));
    }
    let gap = known.facts.gap();
    if !gap.is_zero() {
        troubles.push(format!(
            "{} of the past are still to be read; what is told of this source waits for it",
            shown_duration(gap)
        ));
    }
    troubles
}
