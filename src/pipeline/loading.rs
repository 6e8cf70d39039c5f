//! A start, and the state built anew after a failed commit: from the store alone.

use std::time::Duration;

use super::Keeper;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::domain::turn::{News, turn};
use crate::store::{Store, StoreError};

/// How far beyond the look-back the journal is read at a start: a delivery's
/// last entry may have been written this long before its time was up.
const LOAD_MARGIN: Duration = Duration::from_secs(24 * 3600);

impl<S: Store + 'static> Keeper<S> {
    /// How far back a start reads.
    pub(super) fn span(&self) -> Duration {
        let lookback = self.policy.sources.iter().map(|source| source.lookback).max();
        lookback.unwrap_or_default() + LOAD_MARGIN
    }

    pub(super) fn load(&mut self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut fresh = match self.read_state() {
            Err(StoreError::Damaged(why)) => {
                self.store.rebuild(now, &why)?;
                self.house.looked_at = Timestamp::default();
                self.read_state()?
            }
            read => read?,
        };
        self.house.checkpoint_at = fresh.commit;
        let (changes, _) = turn(now, &self.policy, &mut fresh, News::Started);
        if !changes.is_empty() {
            self.store.commit(&changes)?;
        }
        *self.view.state_mut() = fresh;
        self.is_loaded = true;
        Ok(())
    }

    fn read_state(&mut self) -> Result<State, StoreError> {
        let span = self.span();
        let mut fresh = State::default();
        fresh.share_series(&self.policy);
        fresh.commit = self.store.load(span, &mut |stored| fresh.restore(stored))?;
        Ok(fresh)
    }
}
