//! What survives a crash. Speaks in use cases: load, commit, checkpoint,
//! snapshot, rebuild, read, prune. Decides nothing.

use std::time::Duration;

use crate::domain::delivery::DeliveryText;
use crate::domain::delivery::Identity;
use crate::domain::state::{Changes, Checkpoint, Stored};
use crate::domain::time::Timestamp;

mod acknowledged;
pub mod codec;
mod folder;
pub mod journal;
pub mod memory;
mod replay;
pub mod sled;
mod snapshot;

/// Why the store could not do it; by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process holds it.
    #[error("{0}")]
    Locked(String),
    /// The folder cannot be used: missing rights, no space, an I/O error. Worth
    /// another try once a person has mended it.
    #[error("{0}")]
    Unusable(String),
    /// Some of its content makes no sense, or is missing: [`Store::rebuild`] helps.
    #[error("{0}")]
    Damaged(String),
    /// It does not come back from a call: only a new process can go on.
    #[error("{0}")]
    Stuck(String),
    /// Written in a format that this version does not know. Nothing is wrong with it.
    #[error("{0}")]
    Newer(String),
}

/// How a store is, beyond its content.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    /// On disk.
    pub bytes: u64,
    /// When the last snapshot was complete.
    pub snapshot_at: Option<Timestamp>,
    /// Names of the folders with content that was found damaged.
    pub set_aside: Vec<String>,
}

/// Where state is kept.
pub trait Store: Send {
    /// Gives back everything that was needed to follow deliveries over `span` when
    /// the store was last written, in the order of [`Stored`]; returns the number
    /// of the last commit. Opens the store first where it is not open: at a start,
    /// and after a write that failed.
    fn load(&mut self, span: Duration, take: &mut dyn FnMut(Stored)) -> Result<u64, StoreError>;

    /// Makes the changes durable, all or nothing: when it returns, a power cut
    /// loses none of them. After an error the store must be loaded again.
    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError>;

    /// Notes what the journal adds up to after `commit`, so that a start need not
    /// read what came before the look-back.
    fn checkpoint(
        &mut self,
        commit: u64,
        checkpoints: &[(String, Checkpoint)],
    ) -> Result<(), StoreError>;

    /// Begins to copy what [`Store::load`] would give back, to rebuild from. Goes on
    /// in the background; says in the log when it fails.
    fn snapshot(&mut self, span: Duration) -> Result<(), StoreError>;

    /// Sets damaged content aside and begins anew with the last snapshot, or with
    /// nothing where there is none. Says in the log what that means.
    fn rebuild(&mut self, now: Timestamp, why: &str) -> Result<(), StoreError>;

    /// The texts of deliveries, each by the commit that holds it.
    fn read(&self, wanted: &[(u64, Identity)]) -> Result<Vec<Option<DeliveryText>>, StoreError>;

    /// Drops the journal and the texts that are older than `retain`, counted back
    /// from the last that was written.
    fn prune(&mut self, retain: Duration) -> Result<(), StoreError>;

    /// A metric's label.
    fn kind(&self) -> &'static str;

    fn condition(&self) -> Condition;
}
