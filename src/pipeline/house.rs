//! The keeper's housekeeping: checkpoints, snapshots, pruning, and what is said of
//! the store while it is in trouble.

use std::time::Duration;

use prometheus::IntGaugeVec;

use super::Keeper;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::domain::turn::News;
use crate::store::{Store, StoreError};

const COMMITS_PER_CHECKPOINT: u64 = 500;
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
const CONDITION_EVERY: Duration = Duration::from_secs(60);

/// A damaged store is rebuilt from the last snapshot: what came after it is read
/// again, but messages of that time may come twice.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(15 * 60);

/// The first one comes sooner: a new store has none.
const FIRST_SNAPSHOT_AFTER: Duration = Duration::from_secs(10);

/// `retain` where the rules file does not set it.
const RETAIN: Duration = Duration::from_secs(30 * 24 * 3600);

/// When what was last done.
pub(super) struct House {
    /// A commit's number.
    pub checkpoint_at: u64,
    pub pruned_at: Timestamp,
    pub looked_at: Timestamp,
    pub snapshot_at: Timestamp,
}

impl House {
    pub fn new(now: Timestamp) -> House {
        House {
            checkpoint_at: 0,
            pruned_at: now,
            looked_at: Timestamp::default(),
            snapshot_at: now + FIRST_SNAPSHOT_AFTER - SNAPSHOT_EVERY,
        }
    }
}

impl<S: Store + 'static> Keeper<S> {
    pub(super) fn tick(&mut self) {
        let uptime = self.clock.passed(self.began);
        if let Ok(tally) = self.turn(News::Tick { uptime }) {
            self.warn_of_unused_silences(&tally);
        }
        let now = self.clock.now();
        if is_due(self.house.looked_at, CONDITION_EVERY, now) {
            self.house.looked_at = now;
            self.look_at_store();
        }
        if self.is_loaded && is_due(self.house.pruned_at, PRUNE_EVERY, now) {
            self.house.pruned_at = now;
            let retain = self.policy.retain.unwrap_or(RETAIN);
            let prune = |store: &mut S, span| store.prune(retain.max(span));
            self.keep_house("old deliveries cannot be dropped", prune);
        }
        if self.is_loaded && is_due(self.house.snapshot_at, SNAPSHOT_EVERY, now) {
            self.house.snapshot_at = now;
            self.checkpoint();
            self.keep_house("no snapshot of the store could be begun", |store, span| {
                store.snapshot(span)
            });
        }
    }

    fn look_at_store(&mut self) {
        let condition = self.store.condition();
        let store = [self.store.kind()];
        let set = |gauge: &IntGaugeVec, value: i64| gauge.with_label_values(&store).set(value);
        set(&self.metrics.store_bytes, i64::try_from(condition.bytes).unwrap_or(i64::MAX));
        set(&self.metrics.store_snapshot, condition.snapshot_at.unwrap_or_default().0);
        set(&self.metrics.store_set_aside, condition.set_aside.len() as i64);
        self.view.store_mut().condition = condition;
    }

    /// Does what a later time can do as well: where it fails, the store is read anew.
    fn keep_house(
        &mut self,
        trouble: &str,
        work: impl FnOnce(&mut S, Duration) -> Result<(), StoreError>,
    ) {
        if !self.is_loaded {
            return;
        }
        let span = self.span();
        if let Err(error) = work(&mut self.store, span) {
            tracing::warn!(%error, "{trouble}");
            self.lose_state();
        }
    }

    /// What is not durable must not be seen, let alone sent: there is no state
    /// until it is built anew.
    fn lose_state(&mut self) {
        self.is_loaded = false;
        *self.view.state_mut() = State::default();
    }

    pub(super) fn checkpoint_if_due(&mut self) {
        if self.view.state().commit >= self.house.checkpoint_at + COMMITS_PER_CHECKPOINT {
            self.checkpoint();
        }
    }

    /// Without it the next start reads more, no more than that.
    pub(super) fn checkpoint(&mut self) {
        let (commit, checkpoints) = {
            let state = self.view.state();
            (state.commit, state.checkpoints())
        };
        self.house.checkpoint_at = commit;
        self.keep_house("no checkpoint could be written", |store, _| {
            store.checkpoint(commit, &checkpoints)
        });
    }

    pub(super) fn note_trouble(&mut self, error: &StoreError) -> String {
        let text = error.to_string();
        self.metrics.store_failed_commits.with_label_values(&[self.store.kind()]).inc();
        self.metrics.store_trouble.with_label_values(&[self.store.kind()]).set(1);
        self.is_over |= matches!(error, StoreError::Stuck(_));
        let mut health = self.view.store_mut();
        if health.trouble.as_ref() != Some(&text) {
            tracing::error!(%error, "the store does not work; nothing is read or sent until it does");
        }
        health.trouble = Some(text.clone());
        text
    }

    pub(super) fn note_well(&self) {
        if self.view.store_mut().trouble.take().is_some() {
            self.metrics.store_trouble.with_label_values(&[self.store.kind()]).set(0);
            tracing::info!("the store works again");
        }
    }
}

/// Also where the clock was set back behind the last time.
fn is_due(last: Timestamp, every: Duration, now: Timestamp) -> bool {
    now < last || now.since(last) >= every
}
