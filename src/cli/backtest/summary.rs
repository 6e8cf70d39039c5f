//! What a replay adds up to.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::policy::Policy;
use crate::domain::time::Timestamp;
use crate::replay::backtest;
use crate::replay::history::{Deliveries, History};
use crate::replay::{Told, ToldAlert};

const DAY: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// The first and the last moment of the past.
    pub span: (Timestamp, Timestamp),
    pub rows: usize,
    /// What those in the source's scopes tell of.
    pub deliveries: Deliveries,
    /// By receiver: its messages of each day, the first day first.
    pub messages: BTreeMap<String, Vec<usize>>,
    /// From an alert's first failure to the first message about it.
    pub waits: Vec<Duration>,
}

impl Summary {
    pub fn of(policy: &Policy, history: &History, deliveries: Deliveries, told: &Told) -> Summary {
        let span = history.span().unwrap_or_default();
        let first_day = span.0.floor_to(DAY);
        let judged = backtest::span(policy, history).map_or(span.0, |(_, until)| until);
        let last = told.messages.iter().map(|message| message.at).fold(judged, Timestamp::max);
        let days = (last.since(first_day).as_secs() / DAY.as_secs()) as usize + 1;
        let mut messages: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for message in &told.messages {
            let of = messages.entry(message.receiver.clone()).or_insert_with(|| vec![0; days]);
            of[(message.at.since(first_day).as_secs() / DAY.as_secs()) as usize] += 1;
        }
        let mut waits: Vec<Duration> = told
            .alerts
            .iter()
            .enumerate()
            .filter_map(|(place, alert)| wait(policy, history, told, place, alert))
            .collect();
        waits.sort_unstable();
        Summary { span, rows: history.len(), deliveries, messages, waits }
    }

    /// The median and the longest wait.
    pub fn waits(&self) -> Option<(Duration, Duration)> {
        Some((*self.waits.get(self.waits.len() / 2)?, *self.waits.last()?))
    }
}

/// From the alert's first failure to its first message; `None` where there was none.
fn wait(
    policy: &Policy,
    history: &History,
    told: &Told,
    place: usize,
    alert: &ToldAlert,
) -> Option<Duration> {
    let first = told.messages.iter().find(|message| message.alerts.contains(&place))?;
    let rule = policy.rules.iter().find(|rule| rule.name == alert.rule)?;
    let after = alert.began_at - rule.over;
    let failed = history.first_failure(after, alert.began_at, &alert.key.group);
    Some(first.at.since(failed.unwrap_or(alert.began_at)))
}
