//! What everybody else may see of state and store.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::state::State;
use crate::store::Condition;

/// What everybody else may see of the state.
#[derive(Clone, Default)]
pub struct View {
    state: Arc<RwLock<State>>,
    health: Arc<RwLock<StoreHealth>>,
}

/// What people should know of the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreHealth {
    /// Why it cannot be written, while it cannot.
    pub trouble: Option<String>,
    pub condition: Condition,
}

impl View {
    /// The state as of the last commit.
    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn store(&self) -> StoreHealth {
        self.health.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store_mut(&self) -> RwLockWriteGuard<'_, StoreHealth> {
        self.health.write().unwrap_or_else(PoisonError::into_inner)
    }
}
