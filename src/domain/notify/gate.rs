//! What stands between an alert and its messages: another alert that explains it,
//! or a time in which nobody wants to hear of it. Gates hold back messages, never
//! alerts, and never the end of what somebody was told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::labels::routing_labels;
use crate::domain::alert::{Alert, AlertKey, Status};
use crate::domain::policy::{Inhibition, Policy, fits};
use crate::domain::time::Timestamp;

/// Why an alert is not told now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// This alert explains it.
    Inhibited { by: AlertKey },
    /// The mute of this name is on.
    Muted { by: String },
}

/// Every gate at one moment. Made once for all alerts: who inhibits is looked up
/// only once.
pub struct Gates<'a> {
    now: Timestamp,
    policy: &'a Policy,
    /// By the place of the inhibition: the alerts that inhibit by it.
    inhibitors: Vec<Vec<(&'a Alert, BTreeMap<String, String>)>>,
}

impl<'a> Gates<'a> {
    pub fn new(
        now: Timestamp,
        policy: &'a Policy,
        alerts: &'a BTreeMap<AlertKey, Alert>,
    ) -> Gates<'a> {
        let of = |inhibition: &Inhibition| {
            // Most alerts are of another rule: that is seen without their labels.
            let could = |alert: &&Alert| match inhibition.when.get("rule") {
                Some(globs) => globs.iter().any(|glob| glob.matches(&alert.key.rule)),
                None => true,
            };
            let told = alerts.values().filter(|alert| alert.severity().is_some()).filter(could);
            let labelled = told.map(|alert| (alert, routing_labels(alert)));
            labelled.filter(|(_, labels)| fits(&inhibition.when, labels)).collect()
        };
        Gates { now, policy, inhibitors: policy.inhibitions.iter().map(of).collect() }
    }

    /// The first gate that is closed to the alert.
    pub fn closed_to(&self, alert: &Alert) -> Option<Gate> {
        if self.policy.inhibitions.is_empty() && self.policy.mutes.is_empty() {
            return None;
        }
        let labels = routing_labels(alert);
        self.inhibited(alert, &labels).or_else(|| self.muted(&labels))
    }

    fn inhibited(&self, alert: &Alert, labels: &BTreeMap<String, String>) -> Option<Gate> {
        let rows = self.policy.inhibitions.iter().zip(&self.inhibitors);
        let by = rows.filter(|(inhibition, _)| fits(&inhibition.mute, labels)).find_map(
            |(inhibition, inhibitors)| {
                // Two alerts that could explain each other do not silence both.
                let is_mutual = |other: &BTreeMap<String, String>| {
                    fits(&inhibition.when, labels) && fits(&inhibition.mute, other)
                };
                let explains = |(other, its): &&(&Alert, BTreeMap<String, String>)| {
                    let is_equal = |label: &String| its.get(label) == labels.get(label);
                    other.key != alert.key
                        && stands_beside(other, alert)
                        && inhibition.equal.iter().all(is_equal)
                        && !is_mutual(its)
                };
                inhibitors.iter().find(explains).map(|(other, _)| other.key.clone())
            },
        );
        by.map(|by| Gate::Inhibited { by })
    }

    fn muted(&self, labels: &BTreeMap<String, String>) -> Option<Gate> {
        let on = |mute: &&crate::domain::policy::Mute| {
            mute.is_on(self.now) && fits(&mute.matches, labels)
        };
        self.policy.mutes.iter().find(on).map(|mute| Gate::Muted { by: mute.name.clone() })
    }
}

/// Whether `other` lasts, or lasted at the time of an alert that is over as well:
/// what began and ended in an outage of ours is judged in one turn.
fn stands_beside(other: &Alert, alert: &Alert) -> bool {
    match (other.status, alert.status) {
        (Status::Pending, _) => false,
        (Status::Firing { .. } | Status::Quiet { .. }, _) => true,
        (
            Status::Ended { began_at, ended_at, .. },
            Status::Ended { began_at: its_began_at, ended_at: its_end, .. },
        ) => began_at <= its_end && its_began_at <= ended_at,
        (Status::Ended { .. }, Status::Pending | Status::Firing { .. } | Status::Quiet { .. }) => {
            false
        }
    }
}
