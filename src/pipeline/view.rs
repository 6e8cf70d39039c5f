//! What everybody else may see of state and store.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::domain::policy::Policy;
use crate::domain::state::State;
use crate::store::Condition;

/// What everybody else may see of the state.
#[derive(Clone)]
pub struct View {
    state: Arc<RwLock<State>>,
    health: Arc<RwLock<StoreHealth>>,
    /// Changes only while the state is locked: who holds [`View::state`] sees the
    /// rules that it was made by.
    in_force: Arc<RwLock<InForce>>,
}

/// The rules file that the state follows.
#[derive(Debug, Clone)]
pub struct InForce {
    pub policy: Arc<Policy>,
    /// Of the file's text, for `config_hash`.
    pub hash: u64,
}

/// What people should know of the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StoreHealth {
    /// Why it cannot be written, while it cannot.
    pub trouble: Option<String>,
    pub condition: Condition,
}

impl View {
    pub(super) fn new(in_force: InForce) -> View {
        View {
            state: Arc::default(),
            health: Arc::default(),
            in_force: Arc::new(RwLock::new(in_force)),
        }
    }

    pub fn in_force(&self) -> InForce {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn policy(&self) -> Arc<Policy> {
        self.in_force().policy
    }

    pub(super) fn put_in_force(&self, rules: InForce) {
        *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = rules;
    }

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
