//! What survives a crash. Speaks in use cases: load, commit, checkpoint, read,
//! prune. Decides nothing.

use std::time::Duration;

use crate::domain::delivery::Identity;
use crate::domain::state::{Changes, Checkpoint, DeliveryText, Stored};
use crate::domain::time::Timestamp;

pub mod codec;
pub mod journal;
pub mod memory;
pub mod sled;

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
    /// Its content makes no sense.
    #[error("{0}")]
    Damaged(String),
}

/// Where state is kept.
pub trait Store: Send {
    /// Gives back everything that was needed to follow deliveries over `span` when
    /// the store was last written, in the order of [`Stored`]; returns the number
    /// of the last commit.
    fn load(&mut self, span: Duration, take: &mut dyn FnMut(Stored)) -> Result<u64, StoreError>;

    /// Makes the changes durable, all or nothing: when it returns, a power cut
    /// loses none of them.
    fn commit(&mut self, now: Timestamp, changes: &Changes) -> Result<(), StoreError>;

    /// Notes what the journal adds up to after `commit`, so that a start need not
    /// read what came before the look-back.
    fn checkpoint(
        &mut self,
        commit: u64,
        checkpoints: &[(String, Checkpoint)],
    ) -> Result<(), StoreError>;

    /// The texts of deliveries, each by the commit that holds it.
    fn read(&self, wanted: &[(u64, Identity)]) -> Result<Vec<Option<DeliveryText>>, StoreError>;

    /// Drops the journal and the texts written before `until`.
    fn prune(&mut self, until: Timestamp) -> Result<(), StoreError>;

    /// A metric's label.
    fn kind(&self) -> &'static str;

    /// Bytes on disk.
    fn size(&self) -> u64;
}
