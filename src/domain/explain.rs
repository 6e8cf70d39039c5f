//! Why an alert fires, or why it does not: what its rule sees now, where its clocks
//! stand, and every gate between it and a message. Looks only; changes nothing, and
//! tells no payload and no conversion.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::rules::Severity;
use super::time::Timestamp;

mod delivery;
mod groups;
mod messages;
mod sees;
mod standing;

pub use delivery::{Conversion, DeliveryLife, GroupOfDelivery, Which, explain_deliveries, life_of};
pub use groups::explain_rule;
pub use messages::{Desk, name as alert_name};
pub use standing::{
    AlertStanding, SilenceStanding, Standing, receivers, silences, standing, standing_alerts,
};

/// What is asked about: a rule, and labels that its groups must have.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Question {
    pub rule: String,
    /// `(label, value)`; a value may be a glob.
    pub labels: Vec<(String, String)>,
}

/// A rule and the groups that were asked about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// The wall clock.
    pub now: At,
    pub rule: String,
    /// The worst first.
    pub groups: Vec<GroupExplained>,
    /// Groups that match as well and are not shown.
    pub more: usize,
}

/// One group of the rule, whether or not it has an alert.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupExplained {
    pub source: String,
    /// `per`, with the values of this group.
    pub labels: BTreeMap<String, String>,
    pub state: Stand,
    /// That has fired.
    pub severity: Option<Severity>,
    /// What its messages are headed.
    pub summary: Option<String>,
    pub began_at: Option<At>,
    pub fired_at: Option<At>,
    pub ended_at: Option<At>,
    pub sees: Sees,
    /// Lowest severity first.
    pub levels: Vec<LevelExplained>,
    /// What an alert that stands waits for before it ends.
    pub ends_when: Vec<String>,
    pub messages: Vec<Messages>,
    /// What nobody was told would go to these, if it fired.
    pub nobody_is_told: Option<String>,
}

/// An alert's state, as the page shows it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Stand {
    Firing,
    Quiet,
    Pending,
    Ended,
    Inactive,
}

impl Stand {
    pub fn as_str(self) -> &'static str {
        match self {
            Stand::Firing => "firing",
            Stand::Quiet => "quiet",
            Stand::Pending => "pending",
            Stand::Ended => "ended",
            Stand::Inactive => "inactive",
        }
    }
}

/// The data that the rule looks at.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sees {
    /// The data is complete and was judged up to here; `None` before the first look-back.
    pub at: Option<At>,
    /// How long ago that is, in seconds.
    pub age: u64,
    /// Where the window begins; it ends at `at`.
    pub since: Option<At>,
    /// `None` where the successes of the window were not read.
    pub deliveries: Option<i64>,
    pub failures: i64,
    /// Deliveries failing now, over the whole look-back.
    pub open: u64,
    /// The window's failures by reason, the most frequent first.
    pub reasons: Vec<(String, u64)>,
    pub newest_failure: Option<At>,
    pub last_success: Option<At>,
    /// What keeps the data from being complete.
    pub troubles: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LevelExplained {
    pub severity: Severity,
    pub verdict: Answer,
    pub conditions: Vec<ConditionExplained>,
    /// Where its clock stands: `holds for 1 min of 2 min`.
    pub clock: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    True,
    False,
    Unknown,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConditionExplained {
    pub measure: String,
    /// As people write it, `unknown` where it has none.
    pub value: String,
    pub threshold: String,
    pub verdict: Answer,
    /// By how much it misses: `8 more`.
    pub misses_by: Option<String>,
    /// Why it has no value, or none that decides.
    pub unknown_because: Option<String>,
}

/// What stands between the alert and one receiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Messages {
    pub receiver: String,
    /// The route that leads there: `route 2`, with what it matches.
    pub route: Option<String>,
    /// What the receiver knows: `nothing`, `firing, critical`, `its end`.
    pub told: String,
    pub last_told_at: Option<At>,
    pub gates: Vec<GateExplained>,
}

/// One reason why a message goes out later, or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateExplained {
    #[serde(flatten)]
    pub gate: Gate,
    /// The same in words.
    pub says: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "gate", rename_all = "snake_case")]
pub enum Gate {
    /// There is nothing to tell yet.
    NotFiring,
    /// Quiet alerts send no reminders.
    Quiet,
    /// The source's past is being read: what is over by then is told once.
    CatchingUp,
    Inhibited {
        by: String,
    },
    Silenced {
        /// The silence's id.
        by: String,
        until: At,
    },
    Muted {
        by: String,
    },
    /// The batch's first message waits for others.
    Batched {
        until: At,
    },
    MinGap {
        until: At,
    },
    ReminderDue {
        at: At,
    },
    /// A message is on its way, or its channel failed.
    Waiting {
        notice: String,
        tries: u32,
        next_try_at: At,
        error: Option<String>,
    },
    GivenUp {
        notice: String,
        at: At,
        error: String,
    },
}

/// What was asked about is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    Rule { name: String, known: Vec<String> },
    Label { name: String, known: Vec<String> },
    Group { asked: String, known: Vec<String> },
    Conversion { why: String },
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unknown::Rule { name, .. } => write!(f, "there is no rule `{name}`"),
            Unknown::Label { name, .. } => write!(f, "its groups have no label `{name}`"),
            Unknown::Group { asked, .. } if asked.is_empty() => {
                f.write_str("nothing that it could tell of was seen yet")
            }
            Unknown::Group { asked, .. } => write!(f, "it has no group {asked}"),
            Unknown::Conversion { why } => f.write_str(why),
        }
    }
}

impl Unknown {
    /// What could have been asked instead, and the word that is not among it.
    pub fn known(&self) -> (&str, &[String]) {
        match self {
            Unknown::Rule { name, known } | Unknown::Label { name, known } => (name, known),
            Unknown::Group { asked, known } => (asked, known),
            Unknown::Conversion { .. } => ("", &[]),
        }
    }
}

/// A moment that is written as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct At(pub Timestamp);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl JsonSchema for At {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "At".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl<'de> Deserialize<'de> for At {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<At, D::Error> {
        let text = String::deserialize(deserializer)?;
        let moment: jiff::Timestamp = text.parse().map_err(serde::de::Error::custom)?;
        Ok(At(Timestamp(moment.as_second())))
    }
}
