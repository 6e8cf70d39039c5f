//! What is told to whom, and why: notices as they stand in the outbox.

use serde::{Deserialize, Serialize};

use super::delivery::Identity;
use super::rules::Severity;
use super::time::Timestamp;
use super::window::in_a_row::InARow;

pub mod gate;
pub mod labels;
pub mod plan;
pub mod reroute;
pub mod sample;
pub mod wording;

/// One message to one receiver, as the outbox keeps it until the channel took it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Stable over every retry: a reader of the channel can tell a repeat by it.
    pub id: String,
    pub receiver: String,
    /// Names the batch: all notices of one batch and receiver share a thread.
    pub batch: String,
    /// What its alerts were gathered by, `(label, value)`.
    pub group: Vec<(String, String)>,
    pub reason: NoticeReason,
    pub created_at: Timestamp,
    /// IANA zone in which the message writes times.
    pub timezone: String,
    /// The receiver that could not be reached, where this is its fallback.
    pub instead_of: Option<String>,
    /// That receiver has this message itself by now: what it tells the end of was told
    /// here in its place.
    pub is_back: bool,
    /// Since when its receiver should have heard of something in it, where that could
    /// not be delivered for a while.
    pub late_since: Option<Timestamp>,
    /// Every alert of the batch as it stood then, [`in_reading_order`].
    pub alerts: Vec<AlertFacts>,
}

impl Notice {
    /// The same for `receiver`, which stands in for this one's.
    pub fn in_place_of(&self, receiver: &str, now: Timestamp) -> Notice {
        Notice {
            id: format!("{}-{receiver}", self.id),
            receiver: receiver.to_owned(),
            created_at: now,
            instead_of: Some(self.receiver.clone()),
            is_back: false,
            ..self.clone()
        }
    }
}

/// Why a message goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeReason {
    First,
    Escalated,
    NewAlerts,
    Resolved,
    Reminder,
}

impl NoticeReason {
    pub fn as_str(self) -> &'static str {
        match self {
            NoticeReason::First => "first",
            NoticeReason::Escalated => "escalated",
            NoticeReason::NewAlerts => "new_alerts",
            NoticeReason::Resolved => "resolved",
            NoticeReason::Reminder => "reminder",
        }
    }
}

/// An alert as a message tells it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertFacts {
    /// Which alert: the same each time that it fires.
    pub id: Identity,
    pub rule: String,
    /// The highest level that has fired.
    pub severity: Severity,
    pub status: AlertStatus,
    /// `(label, value)` as rules know them; ids bare.
    pub labels: Vec<(String, String)>,
    /// The headline, rendered from the rule's `summary` or the built-in text.
    pub summary: String,
    /// When the condition began to hold.
    pub began_at: Timestamp,
    pub fired_at: Timestamp,
    /// What was compared: the value that fired it beside its threshold.
    pub readings: Vec<Reading>,
    /// Failures in a row, where it is about those.
    pub in_a_row: Option<InARow>,
    pub cause: Option<Cause>,
    /// Up to three deliveries.
    pub samples: Vec<Sample>,
    /// Sentences that the reader needs: detected late, deactivation, no proof.
    pub notes: Vec<String>,
    pub runbook: Option<String>,
    /// Why no message goes out for it now, where one that goes out for others lists it.
    pub held_back: Option<String>,
}

impl AlertFacts {
    /// Whether the message is not about it.
    pub fn is_held_back(&self) -> bool {
        self.held_back.is_some()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertStatus {
    Firing,
    /// Its condition is clear, but no success proves a cure.
    Quiet,
    /// Cured, with proof.
    Resolved {
        resolved_at: Timestamp,
    },
    /// Ended without traffic: not proven cured.
    Expired {
        resolved_at: Timestamp,
    },
    /// Its rule or source was removed from the configuration.
    Removed {
        resolved_at: Timestamp,
    },
}

impl AlertStatus {
    /// Whether nothing more is to come of it.
    pub fn is_over(self) -> bool {
        self.ended_at().is_some()
    }

    /// `None` while it stands.
    pub fn ended_at(self) -> Option<Timestamp> {
        match self {
            AlertStatus::Firing | AlertStatus::Quiet => None,
            AlertStatus::Resolved { resolved_at }
            | AlertStatus::Expired { resolved_at }
            | AlertStatus::Removed { resolved_at } => Some(resolved_at),
        }
    }
}

/// The alerts that a message is about: it only lists the others.
pub fn subjects(alerts: &[AlertFacts]) -> impl Iterator<Item = &AlertFacts> + Clone {
    alerts.iter().filter(|alert| !alert.is_held_back())
}

/// Puts alerts in the order of a message: what it is about first, and of that what fires,
/// worst first, oldest first.
pub fn in_reading_order(alerts: &mut [AlertFacts]) {
    alerts.sort_by_key(|alert| {
        let AlertFacts { status, severity, fired_at, .. } = alert;
        (alert.is_held_back(), status.is_over(), std::cmp::Reverse(*severity), *fired_at)
    });
}

/// One compared measure, both sides written for people: `failure_rate`, `83 %`, `>= 20 %`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    pub measure: String,
    /// In the measure's unit; of a value between bounds the lower one.
    pub number: f64,
    pub value: String,
    pub threshold: String,
}

/// What explains most of the failures, and whom it hits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cause {
    pub part: Part,
    /// Distinct ones among the failures that it explains.
    pub hosts: usize,
    pub affiliates: usize,
    /// What the failures of the group share beyond that, and its other deliveries do not.
    pub within: Option<Part>,
    /// The most frequent reason among the failures: `tls`, `http_404`, …
    pub reason: String,
    /// What that reason means and whether retries may cure it.
    pub advice: String,
}

/// A value of a dimension, and its part of the failures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// `host`, `reason`, `affiliate`, `offer`, …; `network` where none explains most.
    pub by: String,
    /// The label's value, bare; empty for the whole network.
    pub value: String,
    /// The value as people read it: `Acme Media (7)`.
    pub shown: String,
    /// Its part of the failures, 0 to 1.
    pub share: f64,
    /// Its part of all deliveries of that time, where it is known.
    pub usual: Option<f64>,
}

/// A failing delivery shown as an example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    pub delivery: Identity,
    /// The commit that holds its texts.
    pub text_commit: u64,
    pub timestamp: Timestamp,
    pub failed_attempts: u32,
    pub reason: String,
    /// `Name (7)`.
    pub offer: String,
    pub affiliate: String,
    /// Read from the store when the message is written; never kept in a notice.
    #[serde(skip)]
    pub text: Option<SampleText>,
}

/// The stored texts of a delivery, made safe to show.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleText {
    pub conversion_id: String,
    /// The payload's URL with every query value hidden.
    pub url: String,
    /// What the network wrote of the answer, without addresses or headers.
    pub answer: String,
}
