//! Counts → true, false or unknown.

use super::{Condition, Level, Measure, Op, Rule};
use crate::domain::facts::Facts;
use crate::domain::policy::SourcePolicy;
use crate::domain::time::Timestamp;
use crate::domain::window::group::Group;
use crate::domain::window::in_a_row::InARow;
use crate::domain::window::streak::Bounds;
use crate::domain::window::{RuleWindow, Windows};

/// The answer to a condition. Unknown changes no state and resolves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    Unknown,
}

/// One source at one moment, with everything that a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    pub at: Timestamp,
    pub policy: &'a SourcePolicy,
    pub facts: &'a Facts,
    pub windows: &'a Windows,
}

/// Any false makes a level false, else any unknown makes it unknown.
pub fn judge(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    level: &Level,
    group: &Group,
) -> Verdict {
    let mut answer = Verdict::True;
    for condition in &level.conditions {
        let value = measure(moment, rule, window, group, condition.measure);
        match compare(value, condition) {
            Verdict::False => return Verdict::False,
            Verdict::Unknown => answer = Verdict::Unknown,
            Verdict::True => {}
        }
    }
    answer
}

/// The value of a measure for a group; `None` where it has none.
pub fn measure(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    measure: Measure,
) -> Option<Bounds> {
    let counts = window.counts(group);
    let failures = counts.map_or(0, |counts| counts.failures);
    match measure {
        Measure::Failures => exactly(failures as f64),
        Measure::Deliveries => exactly(deliveries(moment, rule, window, group)? as f64),
        Measure::FailureRate => match deliveries(moment, rule, window, group)? {
            0 => None,
            deliveries => exactly(failures as f64 / deliveries as f64),
        },
        Measure::Open => exactly(counts.map_or(0, |counts| counts.open.len()) as f64),
        Measure::OldestOpen => {
            let oldest = counts.and_then(|counts| counts.open.first());
            exactly(oldest.map_or(0, |(since, _)| moment.at.since(*since).as_secs()) as f64)
        }
        Measure::Streak => streak(moment, window, group),
        Measure::Conversions
        | Measure::Hosts
        | Measure::Affiliates
        | Measure::Offers
        | Measure::Postbacks => {
            let distinct = counts.map_or(0, |counts| counts.distinct(&window.grouping, measure));
            exactly(distinct as f64)
        }
    }
}

fn exactly(value: f64) -> Option<Bounds> {
    Some(Bounds { least: value, most: value })
}

/// Known only where the successes of the whole window were read.
fn deliveries(moment: &Moment<'_>, rule: &Rule, window: &RuleWindow, group: &Group) -> Option<i64> {
    let is_covered =
        moment.policy.successes && moment.facts.successes_since() <= moment.at - rule.over;
    is_covered.then(|| window.totals(&group.labels).map_or(0, |totals| totals.deliveries))
}

fn streak(moment: &Moment<'_>, window: &RuleWindow, group: &Group) -> Option<Bounds> {
    let mut largest = Bounds { least: 0.0, most: 0.0 };
    for postback in window.postbacks(group) {
        let is_whole = is_read_whole(moment.facts, moment.policy, postback);
        let one = moment.windows.streaks.of(moment.facts, moment.policy, postback, moment.at);
        largest.least = largest.least.max(if is_whole { one.least } else { 0.0 });
        largest.most = largest.most.max(if is_whole { one.most } else { f64::INFINITY });
    }
    Some(largest)
}

/// The failures in a row of the group's postback that has the most of them;
/// `None` where no postback of it is read whole.
pub fn in_a_row(moment: &Moment<'_>, window: &RuleWindow, group: &Group) -> Option<InARow> {
    let whole = window
        .postbacks(group)
        .filter(|&postback| is_read_whole(moment.facts, moment.policy, postback));
    let rows = whole.map(|postback| {
        moment.windows.streaks.in_a_row(moment.facts, moment.policy, postback, moment.at)
    });
    rows.max_by(|one, other| {
        let (one, other) = (one.counted(), other.counted());
        one.least.total_cmp(&other.least).then(one.most.total_cmp(&other.most))
    })
}

/// Whether the scopes read everything that this postback fires for: a success
/// outside them would break its streak unseen.
pub fn is_read_whole(facts: &Facts, policy: &SourcePolicy, postback: u64) -> bool {
    policy.reads_everything()
        || facts.dims.of_postback(postback).all(|dims| {
            let level = facts.dims.symbols.text(dims.postback_level);
            policy.reads_whole(level, dims.offer, dims.affiliate)
        })
}

pub fn compare(value: Option<Bounds>, condition: &Condition) -> Verdict {
    let Some(Bounds { least, most }) = value else { return Verdict::Unknown };
    let threshold = condition.threshold;
    let (always, never) = match condition.op {
        Op::Gt => (least > threshold, most <= threshold),
        Op::Ge => (least >= threshold, most < threshold),
        Op::Lt => (most < threshold, least >= threshold),
        Op::Le => (most <= threshold, least > threshold),
        Op::Eq => (least == threshold && most == threshold, threshold < least || threshold > most),
        Op::Ne => (threshold < least || threshold > most, least == threshold && most == threshold),
    };
    match (always, never) {
        (true, _) => Verdict::True,
        (false, true) => Verdict::False,
        (false, false) => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(op: Op, threshold: f64, bounds: (f64, f64), expected: Verdict) {
        let condition = Condition { measure: Measure::Streak, op, threshold };
        let value = Some(Bounds { least: bounds.0, most: bounds.1 });
        assert_eq!(compare(value, &condition), expected, "{op:?} {threshold} of {bounds:?}");
    }

    #[test]
    fn a_value_between_bounds_is_unknown_only_where_the_bounds_disagree() {
        check(Op::Ge, 5.0, (5.0, 9.0), Verdict::True);
        check(Op::Ge, 5.0, (3.0, 9.0), Verdict::Unknown);
        check(Op::Ge, 5.0, (1.0, 4.0), Verdict::False);
        check(Op::Gt, 5.0, (5.0, 5.0), Verdict::False);
        check(Op::Lt, 5.0, (4.0, 5.0), Verdict::Unknown);
        check(Op::Le, 5.0, (4.0, 5.0), Verdict::True);
        check(Op::Eq, 5.0, (5.0, 5.0), Verdict::True);
        check(Op::Eq, 5.0, (4.0, 6.0), Verdict::Unknown);
        check(Op::Ne, 5.0, (6.0, 7.0), Verdict::True);
    }
}
