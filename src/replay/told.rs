//! What a replay would have told: alerts from their first firing to their end, and
//! the messages about them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::domain::alert::{Alert, AlertEnd, AlertKey, Status};
use crate::domain::notify::{Cause, Notice, NoticeReason};
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;

/// Everything that was told.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Told {
    /// In the order in which they fired.
    pub alerts: Vec<ToldAlert>,
    /// In the order in which they went out.
    pub messages: Vec<ToldMessage>,
}

/// One life of an alert: from when it fired to its end.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldAlert {
    pub key: AlertKey,
    pub source: String,
    pub rule: String,
    /// The highest that it reached.
    pub severity: Severity,
    /// As of then; likewise the summary and the cause.
    pub labels: BTreeMap<String, String>,
    pub summary: String,
    pub cause: Option<Cause>,
    /// As of its firing: of the first condition of the level that fired.
    pub value: Option<f64>,
    pub began_at: Timestamp,
    pub fired_at: Timestamp,
    /// Found in data that an outage had kept back.
    pub is_late: bool,
    /// `None` while it lasts.
    pub resolved_at: Option<Timestamp>,
    pub ended: Option<AlertEnd>,
    /// How it stood from each moment on; `None` after its end.
    pub course: Vec<(Timestamp, Option<Stand>)>,
}

/// How an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    pub severity: Severity,
    /// Clear, but nothing proves a cure.
    pub is_quiet: bool,
}

impl ToldAlert {
    /// How it stood at `at`; `None` before it fired and after its end.
    pub fn stand(&self, at: Timestamp) -> Option<Stand> {
        let until = self.course.partition_point(|(since, _)| *since <= at);
        self.course[..until].last().and_then(|(_, stand)| *stand)
    }

    /// `resolved`, `expired`, …; `None` while it lasts.
    pub fn ended_word(&self) -> Option<&'static str> {
        self.ended.map(|how| match how {
            AlertEnd::Resolved => "resolved",
            AlertEnd::Expired => "expired",
            AlertEnd::Removed => "removed",
        })
    }
}

/// One message to one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldMessage {
    pub at: Timestamp,
    pub receiver: String,
    pub reason: NoticeReason,
    /// Places in [`Told::alerts`].
    pub alerts: Vec<usize>,
}

#[derive(Default)]
pub(super) struct Collector {
    told: Told,
    /// The last life of each alert.
    lives: HashMap<AlertKey, usize>,
    /// By life: its labels as messages tell them now.
    labels: Vec<Vec<(String, String)>>,
    notices: HashSet<String>,
}

impl Collector {
    pub(super) fn alert(&mut self, at: Timestamp, alert: &Alert) {
        let key = &alert.key;
        let (severity, began_at, fired_at, is_late, end) = match alert.status {
            Status::Pending => return,
            Status::Firing { severity, began_at, fired_at, is_late }
            | Status::Quiet { severity, began_at, fired_at, is_late } => {
                (severity, began_at, fired_at, is_late, None)
            }
            Status::Ended { severity, began_at, fired_at, is_late, how, ended_at } => {
                (severity, began_at, fired_at, is_late, Some((how, ended_at)))
            }
        };
        let Some(story) = &alert.story else { return };
        let place = self.lives.get(key).copied();
        let is_same = |place: &usize| self.told.alerts[*place].fired_at == fired_at;
        let place = place.filter(is_same).unwrap_or_else(|| {
            self.labels.push(Vec::new());
            self.told.alerts.push(ToldAlert {
                key: key.clone(),
                source: key.source.clone(),
                rule: key.rule.clone(),
                severity,
                labels: BTreeMap::new(),
                summary: String::new(),
                cause: None,
                value: story.readings.first().map(|reading| reading.number),
                began_at,
                fired_at,
                is_late,
                resolved_at: None,
                ended: None,
                course: Vec::new(),
            });
            self.told.alerts.len() - 1
        });
        self.lives.insert(key.clone(), place);
        self.labels[place] = story.labels.clone().into_iter().collect();
        let life = &mut self.told.alerts[place];
        if severity > life.severity || life.labels.is_empty() {
            life.severity = severity;
            life.labels.clone_from(&story.labels);
            life.summary.clone_from(&story.summary);
            life.cause.clone_from(&story.cause);
        }
        let stand = match alert.status {
            Status::Pending | Status::Ended { .. } => None,
            Status::Firing { severity, .. } => Some(Stand { severity, is_quiet: false }),
            Status::Quiet { severity, .. } => Some(Stand { severity, is_quiet: true }),
        };
        life.course.push((at, stand));
        (life.ended, life.resolved_at) = (end.map(|(how, _)| how), end.map(|(_, at)| at));
    }

    /// A notice is kept several times: as it is written, as its send begins.
    pub(super) fn message(&mut self, notice: &Notice) {
        if !self.notices.insert(notice.id.clone()) {
            return;
        }
        let place = |facts: &crate::domain::notify::AlertFacts| {
            self.told.alerts.iter().zip(&self.labels).rposition(|(life, labels)| {
                life.rule == facts.rule
                    && life.fired_at == facts.fired_at
                    && *labels == facts.labels
            })
        };
        self.told.messages.push(ToldMessage {
            at: notice.created_at,
            receiver: notice.receiver.clone(),
            reason: notice.reason,
            alerts: notice.alerts.iter().filter_map(place).collect(),
        });
    }

    /// Alerts of one moment in the order of their keys, so that the order of rows
    /// makes no difference.
    pub(super) fn finish(self) -> Told {
        let Told { alerts, mut messages } = self.told;
        let mut alerts: Vec<(usize, ToldAlert)> = alerts.into_iter().enumerate().collect();
        alerts.sort_by(|(_, one), (_, other)| {
            (one.fired_at, &one.key).cmp(&(other.fired_at, &other.key))
        });
        let places: HashMap<usize, usize> =
            alerts.iter().enumerate().map(|(place, (before, _))| (*before, place)).collect();
        for place in messages.iter_mut().flat_map(|message| &mut message.alerts) {
            *place = places[place];
        }
        Told { alerts: alerts.into_iter().map(|(_, alert)| alert).collect(), messages }
    }
}
