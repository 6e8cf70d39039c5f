//! Rules as the user wrote them, checked and typed, and what they compare.

use std::collections::BTreeMap;
use std::fmt;
use std::str::Chars;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

mod ages;
pub mod evaluate;
mod measure;

pub use measure::{Measure, Unit};

/// One rule of `rules.yaml`; it makes one alert for each group.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    pub name: String,
    /// Template of the message's headline; a built-in text where absent.
    pub summary: Option<String>,
    /// Only deliveries whose labels match any glob of each entry count.
    pub matches: BTreeMap<Label, Vec<Glob>>,
    /// One alert for each combination of these labels; `source` is implied.
    pub per: Vec<Label>,
    /// The window `(at − over, at]`; a multiple of `evaluate_every`.
    pub over: Duration,
    /// Lowest severity first; never empty.
    pub levels: Vec<Level>,
    /// How long a condition must hold before it fires.
    pub hold_for: Duration,
    /// How long it must be clear before it resolves.
    pub keep_firing_for: Duration,
    /// The rule's own labels, carried by its alerts.
    pub labels: BTreeMap<String, String>,
    pub runbook: Option<String>,
}

impl Rule {
    /// Every comparison of any of its levels.
    pub fn conditions(&self) -> impl Iterator<Item = &Condition> + '_ {
        self.levels.iter().flat_map(|level| &level.conditions)
    }

    /// Every measure that any of its levels compares.
    pub fn measures(&self) -> impl Iterator<Item = Measure> + '_ {
        self.conditions().map(|condition| condition.measure)
    }

    /// Whether any of its levels compares `measure`.
    pub fn uses(&self, measure: Measure) -> bool {
        self.measures().any(|used| used == measure)
    }

    /// Whether it is about failures: then a cure needs the proof of a success.
    pub fn needs_proof(&self) -> bool {
        self.measures().any(Measure::is_of_failures)
    }

    /// With fewer failures in its window, no success that comes or goes makes a level hold:
    /// a group need not be judged for it.
    pub fn least_failures(&self) -> f64 {
        self.levels.iter().map(Level::least_failures).fold(f64::INFINITY, f64::min)
    }

    /// Whether any of its levels compares with the window before.
    pub fn compares_previous(&self) -> bool {
        self.conditions().any(|condition| condition.threshold.number().is_none())
    }

    /// How far back its windows begin, that before included.
    pub fn windows_reach(&self) -> Duration {
        if self.compares_previous() { self.over * 2 } else { self.over }
    }

    /// How far back successes must be known for its answer to be known.
    pub fn reach(&self) -> Duration {
        let ages = self.conditions().filter(|one| one.measure.is_age());
        let ages = ages.filter(|one| one.measure.needs_successes());
        let longest = ages.filter_map(|one| one.threshold.number()).fold(0.0, f64::max);
        self.windows_reach().max(Duration::from_secs(longest as u64))
    }
}

/// One severity of a rule and what must hold for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    pub severity: Severity,
    /// All must hold: any false makes it false, else any unknown unknown.
    pub conditions: Vec<Condition>,
}

impl Level {
    /// Infinitely many where successes meet none of its conditions.
    fn least_failures(&self) -> f64 {
        let conditions = || self.conditions.iter();
        if conditions().all(Condition::needs_more_failures) {
            return f64::INFINITY;
        }
        let wanted = conditions().filter(|condition| condition.measure == Measure::Failures);
        let least = wanted.filter(|condition| condition.needs_more_failures());
        least.filter_map(|condition| condition.threshold.number()).fold(0.0, f64::max)
    }
}

/// `measure op threshold`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Condition {
    pub measure: Measure,
    pub op: Op,
    pub threshold: Threshold,
}

impl Condition {
    /// Whether only more failures can meet it: without any it does not hold, and successes
    /// leave it as it is or bring it down.
    fn needs_more_failures(&self) -> bool {
        // A rate rises where successes leave the window.
        let counts_failures = self.measure.is_of_failures() && self.measure != Measure::FailureRate;
        let rises = matches!(self.op, Op::Ge | Op::Gt);
        counts_failures && rises && self.threshold.number().is_some_and(|number| number > 0.0)
    }
}

/// What a measure is compared with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Threshold {
    /// A count, a share (0.2 for `20%`) or seconds, as the measure's unit says.
    Number(f64),
    /// So many times the same measure over the window before, `(at − 2·over, at − over]`.
    TimesPrevious(f64),
}

impl Threshold {
    /// The number, where it is fixed.
    pub fn number(self) -> Option<f64> {
        match self {
            Threshold::Number(number) => Some(number),
            Threshold::TimesPrevious(_) => None,
        }
    }
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

impl Severity {
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Op {
    Gt,
    Ge,
    Lt,
    Le,
    Eq,
    Ne,
}

impl Op {
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Gt => ">",
            Op::Ge => ">=",
            Op::Lt => "<",
            Op::Le => "<=",
            Op::Eq => "==",
            Op::Ne => "!=",
        }
    }
}

/// What `per` and `match` know of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    Source,
    Offer,
    Affiliate,
    Postback,
    Host,
    Event,
    DeliveryMethod,
    PostbackLevel,
    PostbackType,
    /// Of failures only.
    Reason,
}

impl Label {
    pub const ALL: [Label; 10] = [
        Label::Source,
        Label::Offer,
        Label::Affiliate,
        Label::Postback,
        Label::Host,
        Label::Event,
        Label::DeliveryMethod,
        Label::PostbackLevel,
        Label::PostbackType,
        Label::Reason,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Label::Source => "source",
            Label::Offer => "offer",
            Label::Affiliate => "affiliate",
            Label::Postback => "postback",
            Label::Host => "host",
            Label::Event => "event",
            Label::DeliveryMethod => "delivery_method",
            Label::PostbackLevel => "postback_level",
            Label::PostbackType => "postback_type",
            Label::Reason => "reason",
        }
    }
}

/// A pattern in which `*` stands for any run of characters and `?` for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Glob(pub String);

impl Glob {
    pub fn matches(&self, text: &str) -> bool {
        if !self.0.bytes().any(|byte| matches!(byte, b'*' | b'?')) {
            return self.0 == text;
        }
        let (mut pattern, mut text) = (self.0.chars(), text.chars());
        // What follows the last star, and what it is compared with.
        let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
        loop {
            let rest = text.clone();
            match (pattern.next(), text.next()) {
                (None, None) => return true,
                (Some('*'), _) => {
                    star = Some((pattern.clone(), rest.clone()));
                    text = rest;
                }
                (Some(wanted), Some(c)) if wanted == '?' || wanted == c => {}
                _ => {
                    // The last star takes one character more, and on from there.
                    let Some((after, taken_to)) = &mut star else { return false };
                    if taken_to.next().is_none() {
                        return false;
                    }
                    (pattern, text) = (after.clone(), taken_to.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_failures_enough_no_success_makes_a_level_hold() {
        let check = |conditions: &[(Measure, Op, f64)], expected: f64| {
            let conditions = conditions.iter().map(|&(measure, op, number)| Condition {
                measure,
                op,
                threshold: Threshold::Number(number),
            });
            let level = Level { severity: Severity::Warning, conditions: conditions.collect() };
            assert_eq!(level.least_failures().to_bits(), expected.to_bits(), "{level:?}");
        };
        check(&[(Measure::Failures, Op::Ge, 9.0), (Measure::FailureRate, Op::Ge, 0.25)], 9.0);
        check(&[(Measure::FailureRate, Op::Ge, 0.25)], 0.0);
        check(&[(Measure::Suspect, Op::Ge, 10.0)], 0.0);
        check(&[(Measure::Streak, Op::Ge, 5.0)], f64::INFINITY);
        check(&[(Measure::Open, Op::Gt, 8.0), (Measure::Failures, Op::Ge, 5.0)], f64::INFINITY);
        // Met by a group that has nothing but successes.
        check(&[(Measure::Streak, Op::Lt, 5.0)], 0.0);
        check(&[(Measure::Failures, Op::Ge, 0.0)], 0.0);
    }
}
