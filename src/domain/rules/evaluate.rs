//! Counts → true, false or unknown.

use std::time::Duration;

use smallvec::SmallVec;

use super::{Condition, Level, Measure, Op, Rule, Threshold, ages};
use crate::domain::facts::Facts;
use crate::domain::policy::SourcePolicy;
use crate::domain::time::Timestamp;
use crate::domain::window::counts::{Counts, Part};
use crate::domain::window::group::Group;
use crate::domain::window::in_a_row::InARow;
use crate::domain::window::rule::Counted;
use crate::domain::window::streak::Bounds;
use crate::domain::window::{RuleWindow, Windows};

/// The answer to a condition. Unknown changes no state and resolves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    True,
    False,
    Unknown,
}

/// One answer for each level of a rule, lowest first.
pub type Verdicts = SmallVec<[Verdict; 3]>;

/// One source at one moment, with everything that a rule may look at.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    pub at: Timestamp,
    pub policy: &'a SourcePolicy,
    pub facts: &'a Facts,
    pub windows: &'a Windows,
}

/// One rule at one moment, and how far back what it compares is known.
#[derive(Debug, Clone, Copy)]
pub struct Evaluation<'a> {
    moment: &'a Moment<'a>,
    rule: &'a Rule,
    window: &'a RuleWindow,
    /// From when on every success was read; `None` where they are not read.
    known_since: Option<Timestamp>,
    /// Whether an answer may change by waiting.
    has_ages: bool,
}

/// The value of a measure for a group; `None` where it has none.
pub fn measure(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    measure: Measure,
) -> Option<Bounds> {
    Evaluation::new(moment, rule, window).value(window.of(group), measure)
}

impl<'a> Evaluation<'a> {
    pub fn new(moment: &'a Moment<'a>, rule: &'a Rule, window: &'a RuleWindow) -> Evaluation<'a> {
        let known_since = moment.policy.successes.then_some(moment.facts.successes_known_from());
        let has_ages = rule.conditions().any(|condition| condition.measure.is_age());
        Evaluation { moment, rule, window, known_since, has_ages }
    }

    /// The answer of each level, lowest first.
    pub fn verdicts(&self, of: Counted<'_>) -> Verdicts {
        self.rule.levels.iter().map(|level| self.judge(of, level)).collect()
    }

    /// Any false makes a level false, else any unknown makes it unknown.
    fn judge(&self, of: Counted<'_>, level: &Level) -> Verdict {
        let mut answer = Verdict::True;
        for condition in &level.conditions {
            let threshold = self.threshold(of, condition);
            match compare(self.value(of, condition.measure), condition.op, threshold) {
                Verdict::False => return Verdict::False,
                Verdict::Unknown => answer = Verdict::Unknown,
                Verdict::True => {}
            }
        }
        answer
    }

    /// The number that a condition compares with; `None` where it is not known.
    pub fn threshold(&self, of: Counted<'_>, condition: &Condition) -> Option<f64> {
        match condition.threshold {
            Threshold::Number(number) => Some(number),
            Threshold::TimesPrevious(times) => Some(times * self.previous(of, condition.measure)?),
        }
    }

    /// The value of a measure over the window before.
    pub fn previous(&self, of: Counted<'_>, measure: Measure) -> Option<f64> {
        let begin = self.moment.at - self.rule.over * 2;
        let is_known = match (self.moment.facts.is_all_given, measure.needs_successes()) {
            // Before the first row there was nothing to compare with.
            (true, _) => self.moment.facts.first_read_at.is_some_and(|at| at <= begin),
            (false, true) => self.are_successes_known(begin),
            // What recovered before the first read was never shown.
            (false, false) => self.moment.facts.first_read_at.is_some_and(|at| at <= begin),
        };
        if is_known { self.windowed(of, measure, Part::Previous) } else { None }
    }

    pub fn value(&self, of: Counted<'_>, measure: Measure) -> Option<Bounds> {
        let Moment { at, policy, .. } = *self.moment;
        match measure {
            Measure::Open => exactly(of.counts.map_or(0, |counts| counts.open) as f64),
            Measure::OldestOpen => {
                let oldest = of.counts.and_then(Counts::oldest_open);
                exactly(oldest.map_or(0, |since| at.since(since).as_secs()) as f64)
            }
            Measure::Streak => Some(streak(self.moment, of)),
            // A history ends: nobody knows what came after its last row.
            Measure::SinceSuccess | Measure::SinceDelivery
                if self.moment.facts.given_until.is_some_and(|until| at > until) =>
            {
                None
            }
            Measure::SinceSuccess | Measure::SinceDelivery => {
                let last = ages::last(of, measure, at - policy.lookback, self.known_since?);
                Some(last.age(at))
            }
            Measure::Inactive => {
                exactly(of.totals.map_or(0, |totals| totals.switched_off.len()) as f64)
            }
            Measure::Deliveries
            | Measure::Failures
            | Measure::FailureRate
            | Measure::Suspect
            | Measure::Conversions
            | Measure::Recovered
            | Measure::Exhausted
            | Measure::Abandoned
            | Measure::Hosts
            | Measure::Affiliates
            | Measure::Offers
            | Measure::Postbacks => {
                let is_known = !measure.needs_successes() || self.is_window_known();
                let value = is_known.then(|| self.windowed(of, measure, Part::Current));
                value.flatten().and_then(exactly)
            }
        }
    }

    /// Whether everything that the rule looks back at is known: until then an unknown
    /// answer may become known without another row.
    pub fn is_covered(&self) -> bool {
        self.are_successes_known(self.moment.at - self.rule.reach())
    }

    fn is_window_known(&self) -> bool {
        self.are_successes_known(self.moment.at - self.rule.over)
    }

    fn are_successes_known(&self, begin: Timestamp) -> bool {
        self.known_since.is_some_and(|since| since <= begin)
    }

    /// A measure that counts over a window; `None` for a rate of nothing.
    fn windowed(&self, of: Counted<'_>, measure: Measure, part: Part) -> Option<f64> {
        let deliveries = || of.totals.map_or(0, |totals| totals.deliveries(part)) as f64;
        let failures = |measure| {
            of.counts.map_or(0.0, |counts| counts.of(&self.window.grouping, measure, part))
        };
        match measure {
            Measure::Deliveries => Some(deliveries()),
            Measure::Suspect => Some(of.totals.map_or(0, |totals| totals.suspects(part)) as f64),
            Measure::FailureRate => match deliveries() {
                0.0 => None,
                deliveries => Some(failures(Measure::Failures) / deliveries),
            },
            Measure::Failures
            | Measure::Conversions
            | Measure::Recovered
            | Measure::Exhausted
            | Measure::Abandoned
            | Measure::Hosts
            | Measure::Affiliates
            | Measure::Offers
            | Measure::Postbacks => Some(failures(measure)),
            Measure::Open
            | Measure::OldestOpen
            | Measure::Streak
            | Measure::SinceSuccess
            | Measure::SinceDelivery
            | Measure::Inactive => None,
        }
    }

    /// The next moment at which an age of the group may cross a threshold though
    /// nothing happens to it.
    pub fn next_crossing(&self, of: Counted<'_>) -> Option<Timestamp> {
        if !self.has_ages {
            return None;
        }
        let at = self.moment.at;
        let begin = at - self.moment.policy.lookback;
        let ages = self.rule.conditions().filter(|condition| condition.measure.is_age());
        let crossings = ages.flat_map(|condition| {
            let since = ages::moments(of, condition.measure, begin, self.known_since);
            let limit = Duration::from_secs(condition.threshold.number().unwrap_or(0.0) as u64);
            // `>` holds a second after `>=`.
            since.into_iter().flat_map(move |since| [since + limit, since + limit + SECOND])
        });
        crossings.filter(|crossing| *crossing > at).min()
    }
}

const SECOND: Duration = Duration::from_secs(1);

fn exactly(value: f64) -> Option<Bounds> {
    Some(Bounds { least: value, most: value })
}

fn streak(moment: &Moment<'_>, of: Counted<'_>) -> Bounds {
    let mut largest = Bounds { least: 0.0, most: 0.0 };
    for &postback in of.counts.into_iter().flat_map(|counts| &counts.postbacks) {
        let is_whole = is_read_whole(moment.facts, moment.policy, postback);
        let one = moment.windows.streaks.of(moment.facts, moment.policy, postback, moment.at);
        largest.least = largest.least.max(if is_whole { one.least } else { 0.0 });
        largest.most = largest.most.max(if is_whole { one.most } else { f64::INFINITY });
    }
    largest
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

/// Unknown where either side is, or where the value's bounds disagree.
pub fn compare(value: Option<Bounds>, op: Op, threshold: Option<f64>) -> Verdict {
    let Some((Bounds { least, most }, threshold)) = value.zip(threshold) else {
        return Verdict::Unknown;
    };
    let (always, never) = match op {
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
        let value = Some(Bounds { least: bounds.0, most: bounds.1 });
        assert_eq!(compare(value, op, Some(threshold)), expected, "{op:?} {threshold} {bounds:?}");
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
