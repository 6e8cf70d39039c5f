//! Tells receivers again what they would forget: an Alertmanager takes an alert of
//! which it hears no more for resolved. What they were told is in the state, and
//! nowhere else.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use super::Outbox;
use crate::channel::alertmanager::told::Standing;
use crate::channel::{SendError, Thread};
use crate::domain::time::{Timestamp, seconds};

/// Prometheus does so as often.
const EVERY: Duration = Duration::from_secs(60);

/// When each receiver was last told again, in this process.
#[derive(Debug, Default)]
pub(super) struct Restated(BTreeMap<String, Timestamp>);

impl Restated {
    /// Those whose time has come, and who are not being written to: what they hear
    /// must not overtake the news. A process that begins knows nothing and begins with all.
    pub fn due(&mut self, outbox: &Outbox, busy: &HashMap<tokio::task::Id, String>) -> Vec<String> {
        let now = outbox.clock.now();
        let channels = outbox.channels.borrow().clone();
        let mut due = Vec::new();
        for (receiver, channel) in channels.iter() {
            let last = self.0.get(receiver);
            // A moment that is far from now either way: the clock may have been set.
            let is_due = last.is_none_or(|at| now.0.abs_diff(at.0) >= EVERY.as_secs());
            if channel.forgets() && is_due && !busy.values().any(|one| one == receiver) {
                self.0.insert(receiver.clone(), now);
                due.push(receiver.clone());
            }
        }
        self.0.retain(|_, at| now.0.abs_diff(at.0) < 2 * seconds(EVERY).unsigned_abs());
        due
    }
}

impl Outbox {
    /// Tells `receiver` what stands. What fails is told at the next time.
    pub(super) async fn restate(self, receiver: String) {
        let (standing, channels) = {
            let state = self.view.state();
            let channels = self.channels.borrow().clone();
            let threads = state.threads.iter().filter(|((to, _), _)| *to == receiver);
            let standing = threads.filter_map(|(_, kept)| {
                let finished_at = kept.finished_at;
                match serde_json::from_str(&kept.text).ok()? {
                    Thread::Alertmanager { told } => Some(Standing { told, finished_at }),
                    Thread::Slack { .. } | Thread::Email { .. } => None,
                }
            });
            (standing.collect::<Vec<_>>(), channels)
        };
        let Some(channel) = channels.get(&receiver).filter(|_| !standing.is_empty()) else {
            return;
        };
        let told = channel.restate(self.clock.now(), &standing, &self.link).await;
        let reason = told.as_ref().map_or_else(SendError::reason, |()| "told_again");
        let labels = [receiver.as_str(), channel.kind(), "restated", reason];
        self.metrics.notifications.with_label_values(&labels).inc();
    }
}
