//! What stands between an alert and its messages: another alert that explains it, or a
//! time in which nobody wants to hear of it, by the rules file or by a silence. Gates hold back messages, never
//! alerts, and never the end of what somebody was told.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::alert::{Alert, AlertKey, Status};
use crate::domain::policy::{Inhibition, Labelled, Matches, Mute, Policy, fits};
use crate::domain::silence::{Silence, SilenceId, Silences};
use crate::domain::time::Timestamp;

/// Why an alert is not told now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// This alert explains it.
    Inhibited {
        by: AlertKey,
    },
    Silenced {
        by: SilenceId,
    },
    /// The mute of this name is on.
    Muted {
        by: String,
    },
}

impl Gate {
    /// What it does to an alert that was told before, for whoever was told.
    pub fn sentence(&self) -> String {
        let gate = match self {
            Gate::Inhibited { by } => format!("Explained by an alert of `{}`", by.rule),
            Gate::Silenced { .. } => "Silenced".to_owned(),
            Gate::Muted { by } => format!("Muted by `{by}`"),
        };
        format!("{gate}: while that lasts, no message goes out for it but its end.")
    }
}

/// Every gate at one moment. Made once for all alerts: who inhibits is looked up
/// once at most.
pub struct Gates<'a> {
    now: Timestamp,
    policy: &'a Policy,
    alerts: &'a BTreeMap<AlertKey, Alert>,
    /// By the place of the inhibition: the alerts that inhibit by it, once somebody asked.
    inhibitors: Vec<OnceCell<Vec<&'a Alert>>>,
    /// Those that are on.
    silences: Vec<(&'a SilenceId, &'a Silence)>,
}

impl<'a> Gates<'a> {
    pub fn new(
        now: Timestamp,
        policy: &'a Policy,
        alerts: &'a BTreeMap<AlertKey, Alert>,
        silences: &'a Silences,
    ) -> Gates<'a> {
        Gates {
            now,
            policy,
            alerts,
            inhibitors: vec![OnceCell::new(); policy.inhibitions.len()],
            silences: silences.iter().filter(|(_, silence)| silence.is_active(now)).collect(),
        }
    }

    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The first gate that is closed to the alert.
    pub fn closed_to(&self, alert: &Alert) -> Option<Gate> {
        let silenced = || self.silenced(alert).next();
        self.inhibited(alert).or_else(silenced).or_else(|| self.muted(alert))
    }

    /// Every gate that is closed to the alert; of inhibitions and mutes the first.
    pub fn all_closed_to(&self, alert: &Alert) -> Vec<Gate> {
        let inhibited = self.inhibited(alert);
        inhibited.into_iter().chain(self.silenced(alert)).chain(self.muted(alert)).collect()
    }

    fn silenced(&self, alert: &Alert) -> impl Iterator<Item = Gate> {
        let matching = self.silences.iter().filter(|(_, silence)| silence.matches(alert));
        matching.map(|&(id, _)| Gate::Silenced { by: id.clone() })
    }

    fn inhibited(&self, alert: &Alert) -> Option<Gate> {
        let rows = self.policy.inhibitions.iter().zip(&self.inhibitors);
        let by = rows.filter(|(inhibition, _)| fits(&inhibition.mute, alert)).find_map(
            |(inhibition, inhibitors)| {
                let inhibitors = inhibitors.get_or_init(|| self.told_alerts(&inhibition.when));
                inhibitors.iter().find(|other| {
                    other.key != alert.key
                        && self.stands_beside(other, alert)
                        && explains(inhibition, other, alert)
                        && !self.came_first(alert, other)
                })
            },
        );
        by.map(|by| Gate::Inhibited { by: by.key.clone() })
    }

    /// The alerts with these labels that are, or were, more than pending.
    fn told_alerts(&self, labels: &Matches) -> Vec<&'a Alert> {
        let told = self.alerts.values().filter(|alert| alert.severity().is_some());
        told.filter(|alert| fits(labels, *alert)).collect()
    }

    /// Of two alerts that explain each other, each by another inhibition, the one that
    /// fired first is told: they do not silence both.
    fn came_first(&self, alert: &Alert, other: &Alert) -> bool {
        let mut inhibitions = self.policy.inhibitions.iter();
        (alert.fired_at(), &alert.key) < (other.fired_at(), &other.key)
            && inhibitions.any(|inhibition| explains(inhibition, alert, other))
    }

    /// Whether `other` fires, or ended so lately that the alert counts what it explains;
    /// or lasted at the time of an alert that is over as well: what began and ended in an
    /// outage of ours is judged in one turn.
    fn stands_beside(&self, other: &Alert, alert: &Alert) -> bool {
        match (other.status, alert.status) {
            // Quiet, it is clear: what holds nevertheless has another reason.
            (Status::Pending | Status::Quiet { .. }, _) => false,
            (Status::Firing { .. }, _) => true,
            (
                Status::Ended { began_at, ended_at, .. },
                Status::Ended { began_at: its_began_at, ended_at: its_end, .. },
            ) => began_at <= its_end && its_began_at <= ended_at,
            (Status::Ended { ended_at, .. }, _) => {
                self.now.since(ended_at) < window(self.policy, &alert.key.rule)
            }
        }
    }

    fn muted(&self, alert: &Alert) -> Option<Gate> {
        let on = |mute: &&Mute| mute.is_on(self.now) && fits(&mute.matches, alert);
        self.policy.mutes.iter().find(on).map(|mute| Gate::Muted { by: mute.name.clone() })
    }
}

/// Whether `other` explains `alert`, by their labels. Two that one inhibition means both
/// ways explain nothing.
fn explains(inhibition: &Inhibition, other: &Alert, alert: &Alert) -> bool {
    let is_equal = |label: &String| other.label(label) == alert.label(label);
    let is_meant =
        |when: &Alert, mute: &Alert| fits(&inhibition.when, when) && fits(&inhibition.mute, mute);
    is_meant(other, alert) && !is_meant(alert, other) && inhibition.equal.iter().all(is_equal)
}

/// How far back an alert of this rule counts: what explained that explains it still.
fn window(policy: &Policy, rule: &str) -> Duration {
    policy.rules.iter().find(|known| known.name == rule).map_or(Duration::ZERO, |rule| rule.over)
}

/// Whether an alert that ended may still explain others: they count what failed then.
pub fn explains_still(now: Timestamp, policy: &Policy, alert: &Alert) -> bool {
    let Status::Ended { ended_at, .. } = alert.status else { return true };
    let is_recent = now.since(ended_at) < policy.longest_window();
    is_recent && policy.inhibitions.iter().any(|inhibition| fits(&inhibition.when, alert))
}
