//! What an Alertmanager was told, and what of that it has to hear again. Pure: it
//! is kept with the thread of each batch, so that it survives whatever we do not.
//!
//! To Alertmanager an alert is its labels. One that escalates is another alert:
//! the old severity ends as the new one fires, in the same request.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::channel::Thread;
use crate::channel::render::labelled::{Labelled, Pairs, labelled};
use crate::domain::delivery::Identity;
use crate::domain::notify::{Notice, subjects};
use crate::domain::outgoing::THREADS_LINGER;
use crate::domain::time::Timestamp;

/// An end is told again for this long.
const ENDS_TOLD_FOR: Duration = THREADS_LINGER;

/// An alert by its labels, as an Alertmanager was last told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Names the rule and its group, whatever the labels.
    pub id: Identity,
    pub alert: Labelled,
    /// When the notice that told it was written.
    pub told_at: Timestamp,
}

/// What one batch told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub told: Vec<Told>,
    /// Set once the batch is over: what it left without an end has ended then.
    pub finished_at: Option<Timestamp>,
}

/// What was told in `thread`.
pub fn before(thread: Option<&Thread>) -> &[Told] {
    match thread {
        Some(Thread::Alertmanager { told }) => told,
        Some(Thread::Slack { .. } | Thread::Email { .. }) | None => &[],
    }
}

/// What stands once `notice` is told to who was told `before` by the same batch.
pub fn after(before: &[Told], notice: &Notice) -> Vec<Told> {
    let told_at = notice.created_at;
    // What is held back stands there as it was told.
    let mut told: Vec<Told> = subjects(&notice.alerts)
        .map(|alert| Told { id: alert.id, alert: labelled(notice, alert), told_at })
        .collect();
    let labels: HashSet<Pairs> = told.iter().map(|new| new.alert.labels.clone()).collect();
    let ids: HashSet<Identity> = told.iter().map(|new| new.id).collect();
    keep_last(&mut told, |told| &told.alert);
    for old in before.iter().filter(|old| !labels.contains(&old.alert.labels)) {
        match old.alert.ends_at {
            // The same alert by other labels: it escalated.
            None if ids.contains(&old.id) => {
                let alert = Labelled { ends_at: Some(told_at), ..old.alert.clone() };
                told.push(Told { id: old.id, alert, told_at });
            }
            // A notice may leave out whose source is just being read anew.
            None => told.push(old.clone()),
            Some(_) if told_at.since(old.told_at) < ENDS_TOLD_FOR => told.push(old.clone()),
            Some(_) => {}
        }
    }
    told
}

/// What has to be told again at `now`: what fires, and what ended not long ago. Of
/// the same alert told by several batches the last word counts.
pub fn still(now: Timestamp, standing: &[Standing]) -> Vec<Labelled> {
    let all: Vec<(&Told, Option<Timestamp>)> = standing
        .iter()
        .flat_map(|batch| batch.told.iter().map(|told| (told, batch.finished_at)))
        .collect();
    let (mut by_labels, mut by_id) = (HashMap::new(), HashMap::new());
    for (told, _) in &all {
        let newest: &mut Timestamp = by_labels.entry(&told.alert.labels).or_default();
        *newest = told.told_at.max(*newest);
        let newest: &mut Timestamp = by_id.entry(told.id).or_default();
        *newest = told.told_at.max(*newest);
    }
    let is_outdated = |told: &Told, has_ended: bool| {
        by_labels[&told.alert.labels] > told.told_at || !has_ended && by_id[&told.id] > told.told_at
    };
    let mut alerts: Vec<Labelled> = Vec::new();
    for &(told, finished_at) in &all {
        let ends_at = told.alert.ends_at.or(finished_at);
        let ended_news_at = told.alert.ends_at.map_or(finished_at, |_| Some(told.told_at));
        let is_old_news = ended_news_at.is_some_and(|at| now.since(at) >= ENDS_TOLD_FOR);
        if !is_old_news && !is_outdated(told, ends_at.is_some()) {
            alerts.push(Labelled { ends_at, ..told.alert.clone() });
        }
    }
    keep_last(&mut alerts, |alert| alert);
    alerts
}

/// An alert that ended and fires anew has one set of labels: an Alertmanager that is
/// told both takes it for ended. Of several ends the last one counts.
fn keep_last<T>(told: &mut Vec<T>, alert: impl Fn(&T) -> &Labelled) {
    let end = |alert: &Labelled| alert.ends_at.unwrap_or(Timestamp(i64::MAX));
    let mut last: HashMap<Pairs, Timestamp> = HashMap::new();
    for alert in told.iter().map(&alert) {
        let known = last.entry(alert.labels.clone()).or_insert(end(alert));
        *known = end(alert).max(*known);
    }
    told.retain(|one| {
        let alert = alert(one);
        last.get(&alert.labels).copied() == Some(end(alert))
    });
}
