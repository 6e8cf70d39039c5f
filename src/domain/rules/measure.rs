//! The numbers that rules compare: their names, their units, what they count over.

use serde::{Deserialize, Serialize};

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
    /// Answered 200, and yet they cannot have worked; never failures.
    Suspect,
    /// Distinct conversion ids among the failures.
    Conversions,
    /// Failures that ended so by now; likewise the next two.
    Recovered,
    Exhausted,
    Abandoned,
    /// Distinct hosts among the failures; likewise the next three.
    Hosts,
    Affiliates,
    Offers,
    Postbacks,
    /// Deliveries failing now, over the whole look-back.
    Open,
    /// Age of the oldest of those, seconds.
    OldestOpen,
    /// Failures in a row of one postback; the group's largest.
    Streak,
    /// Seconds since the last success; where there was none yet, since the first delivery.
    SinceSuccess,
    /// Seconds since the last delivery.
    SinceDelivery,
    /// Postbacks that are switched off.
    Inactive,
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
    pub const ALL: [Measure; 18] = [
        Measure::Deliveries,
        Measure::Failures,
        Measure::FailureRate,
        Measure::Suspect,
        Measure::Conversions,
        Measure::Recovered,
        Measure::Exhausted,
        Measure::Abandoned,
        Measure::Hosts,
        Measure::Affiliates,
        Measure::Offers,
        Measure::Postbacks,
        Measure::Open,
        Measure::OldestOpen,
        Measure::Streak,
        Measure::SinceSuccess,
        Measure::SinceDelivery,
        Measure::Inactive,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Measure::Deliveries => "deliveries",
            Measure::Failures => "failures",
            Measure::FailureRate => "failure_rate",
            Measure::Suspect => "suspect",
            Measure::Conversions => "conversions",
            Measure::Recovered => "recovered",
            Measure::Exhausted => "exhausted",
            Measure::Abandoned => "abandoned",
            Measure::Hosts => "hosts",
            Measure::Affiliates => "affiliates",
            Measure::Offers => "offers",
            Measure::Postbacks => "postbacks",
            Measure::Open => "open",
            Measure::OldestOpen => "oldest_open",
            Measure::Streak => "streak",
            Measure::SinceSuccess => "since_success",
            Measure::SinceDelivery => "since_delivery",
            Measure::Inactive => "inactive",
        }
    }

    pub fn unit(self) -> Unit {
        match self {
            Measure::FailureRate => Unit::Share,
            Measure::OldestOpen | Measure::SinceSuccess | Measure::SinceDelivery => Unit::Seconds,
            Measure::Deliveries
            | Measure::Failures
            | Measure::Suspect
            | Measure::Conversions
            | Measure::Recovered
            | Measure::Exhausted
            | Measure::Abandoned
            | Measure::Hosts
            | Measure::Affiliates
            | Measure::Offers
            | Measure::Postbacks
            | Measure::Open
            | Measure::Streak
            | Measure::Inactive => Unit::Count,
        }
    }

    /// Whether it counts over the rule's window; else it is as it is now, over the
    /// whole look-back.
    pub fn is_windowed(self) -> bool {
        match self {
            Measure::Open
            | Measure::OldestOpen
            | Measure::Streak
            | Measure::SinceSuccess
            | Measure::SinceDelivery
            | Measure::Inactive => false,
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
            | Measure::Postbacks => true,
        }
    }

    /// Whether it is about failures, so that only a success proves a cure.
    pub fn is_of_failures(self) -> bool {
        match self {
            Measure::Deliveries
            | Measure::Suspect
            | Measure::SinceSuccess
            | Measure::SinceDelivery
            | Measure::Inactive => false,
            Measure::Failures
            | Measure::FailureRate
            | Measure::Conversions
            | Measure::Recovered
            | Measure::Exhausted
            | Measure::Abandoned
            | Measure::Hosts
            | Measure::Affiliates
            | Measure::Offers
            | Measure::Postbacks
            | Measure::Open
            | Measure::OldestOpen
            | Measure::Streak => true,
        }
    }

    /// Whether it grows by waiting: it crosses a threshold though nothing happens.
    pub fn is_age(self) -> bool {
        self.unit() == Unit::Seconds
    }

    /// Whether it is unknown where successes are not read.
    pub fn needs_successes(self) -> bool {
        match self {
            Measure::Deliveries
            | Measure::FailureRate
            | Measure::Suspect
            | Measure::Streak
            | Measure::SinceSuccess
            | Measure::SinceDelivery => true,
            Measure::Failures
            | Measure::Conversions
            | Measure::Recovered
            | Measure::Exhausted
            | Measure::Abandoned
            | Measure::Hosts
            | Measure::Affiliates
            | Measure::Offers
            | Measure::Postbacks
            | Measure::Open
            | Measure::OldestOpen
            | Measure::Inactive => false,
        }
    }
}
