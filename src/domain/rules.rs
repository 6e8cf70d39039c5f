//! Rules as the user wrote them, checked and typed, and what they compare.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub mod evaluate;

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
    /// Every measure that any of its levels compares.
    pub fn measures(&self) -> impl Iterator<Item = Measure> + '_ {
        self.levels.iter().flat_map(|level| &level.conditions).map(|condition| condition.measure)
    }

    /// Whether a cure needs the proof of a success: an alert on failures does.
    pub fn needs_proof(&self) -> bool {
        self.measures().any(|measure| measure != Measure::Deliveries)
    }
}

/// One severity of a rule and what must hold for it.
#[derive(Debug, Clone, PartialEq)]
pub struct Level {
    pub severity: Severity,
    /// All must hold: any false makes it false, else any unknown unknown.
    pub conditions: Vec<Condition>,
}

/// `measure op threshold`.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    pub measure: Measure,
    pub op: Op,
    /// A count, a share (0.2 for `20%`) or seconds, as the measure's unit says.
    pub threshold: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// A number that rules compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// All deliveries of the window.
    Deliveries,
    /// Those that failed at least once, whether or not they recovered since.
    Failures,
    /// failures / deliveries.
    FailureRate,
    /// Distinct conversion ids among the failures.
    Conversions,
    /// Deliveries failing now, over the whole look-back.
    Open,
    /// Age of the oldest of those, seconds.
    OldestOpen,
    /// Failures in a row of one postback; the group's largest.
    Streak,
    /// Distinct hosts among the failures; likewise the next three.
    Hosts,
    Affiliates,
    Offers,
    Postbacks,
}

/// What a measure counts in, and how its thresholds are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Count,
    /// 0 to 1, written `20%`.
    Share,
    /// Written `15m`.
    Seconds,
}

impl Measure {
    pub const ALL: [Measure; 11] = [
        Measure::Deliveries,
        Measure::Failures,
        Measure::FailureRate,
        Measure::Conversions,
        Measure::Open,
        Measure::OldestOpen,
        Measure::Streak,
        Measure::Hosts,
        Measure::Affiliates,
        Measure::Offers,
        Measure::Postbacks,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Measure::Deliveries => "deliveries",
            Measure::Failures => "failures",
            Measure::FailureRate => "failure_rate",
            Measure::Conversions => "conversions",
            Measure::Open => "open",
            Measure::OldestOpen => "oldest_open",
            Measure::Streak => "streak",
            Measure::Hosts => "hosts",
            Measure::Affiliates => "affiliates",
            Measure::Offers => "offers",
            Measure::Postbacks => "postbacks",
        }
    }

    pub fn unit(self) -> Unit {
        match self {
            Measure::FailureRate => Unit::Share,
            Measure::OldestOpen => Unit::Seconds,
            Measure::Deliveries
            | Measure::Failures
            | Measure::Conversions
            | Measure::Open
            | Measure::Streak
            | Measure::Hosts
            | Measure::Affiliates
            | Measure::Offers
            | Measure::Postbacks => Unit::Count,
        }
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
        let pattern: Vec<char> = self.0.chars().collect();
        let text: Vec<char> = text.chars().collect();
        let (mut p, mut t) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while t < text.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, t));
                    p += 1;
                }
                Some(&c) if c == '?' || c == text[t] => {
                    p += 1;
                    t += 1;
                }
                Some(_) | None => match star {
                    // The last star takes one character more, and on from there.
                    Some((star_p, star_t)) => {
                        star = Some((star_p, star_t + 1));
                        p = star_p + 1;
                        t = star_t + 1;
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|&c| c == '*')
    }
}
