//! Tells receivers again what they would forget: an Alertmanager takes an alert of
//! which it hears no more for resolved. What they were told is in the state, and
//! nowhere else.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::{Outbox, handing};
use crate::channel::alertmanager::told::Standing;
use crate::channel::{SendError, Thread};
use crate::domain::state::State;
use crate::domain::time::Timestamp;

/// Prometheus does so as often.
const EVERY: Duration = Duration::from_secs(60);

/// When each receiver was last told again, in this process, and what.
#[derive(Debug, Default)]
pub(super) struct Restated(BTreeMap<String, (Timestamp, Vec<Standing>)>);

impl Restated {
    /// Those whose time has come, and who are not being written to: what they hear
    /// must not overtake the news. A process that begins knows nothing and begins with all.
    pub fn due(
        &mut self,
        outbox: &Outbox,
        busy: &HashMap<tokio::task::Id, String>,
    ) -> Vec<(String, Vec<Standing>)> {
        let now = outbox.clock.now();
        let channels = outbox.channels.borrow().clone();
        // While the store is in trouble there is no state: what was durable last stands.
        let is_known = outbox.view.store().trouble.is_none();
        let mut due = Vec::new();
        for (receiver, channel) in channels.iter() {
            let last = self.0.get(receiver);
            // A moment that is far from now either way: the clock may have been set.
            let is_due = last.is_none_or(|(at, _)| now.0.abs_diff(at.0) >= EVERY.as_secs());
            if channel.forgets() && is_due && !busy.values().any(|one| one == receiver) {
                let standing = match last {
                    Some((_, standing)) if !is_known => standing.clone(),
                    Some(_) | None => standing(&outbox.view.state(), receiver),
                };
                self.0.insert(receiver.clone(), (now, standing.clone()));
                due.push((receiver.clone(), standing));
            }
        }
        self.0.retain(|receiver, _| channels.contains_key(receiver));
        due
    }
}

/// What `receiver` was told and has not been told the end of, and ends of late. An
/// alert whose end was given up as a dead letter is told no longer: it runs out there.
pub fn standing(state: &State, receiver: &str) -> Vec<Standing> {
    let firing = handing::standing_alerts(state);
    let threads = state.threads.iter().filter(|((to, _), _)| to == receiver);
    let standing = threads.filter_map(|(_, kept)| {
        let finished_at = kept.finished_at;
        let mut told = match serde_json::from_str(&kept.text).ok()? {
            Thread::Alertmanager { told } => told,
            Thread::Slack { .. } | Thread::Email { .. } => return None,
        };
        let is_over = finished_at.is_some();
        told.retain(|told| {
            is_over || told.alert.ends_at.is_some() || firing.contains_key(&told.id)
        });
        Some(Standing { told, finished_at })
    });
    standing.collect()
}

impl Outbox {
    /// Tells `receiver` what stands. What fails is told at the next time.
    pub(super) async fn restate(self, receiver: String, standing: Vec<Standing>) {
        let channels = self.channels.borrow().clone();
        let Some(channel) = channels.get(&receiver).filter(|_| !standing.is_empty()) else {
            return;
        };
        let told = channel.restate(self.clock.now(), &standing, &self.link).await;
        let reason = told.as_ref().map_or_else(SendError::reason, |()| "told_again");
        let labels = [receiver.as_str(), channel.kind(), "restated", reason];
        self.metrics.notifications.with_label_values(&labels).inc();
    }
}
