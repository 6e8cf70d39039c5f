//! Named steps at which a test may end this process, as a crash would.
//!
//! `POSTWATCH_KILL_AT=commit-flushed:3` ends it when that step is reached for the
//! third time. Nothing of it is in a release build.

/// The steps around every durable write and every send, in the order in which
/// they come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The domain decided; nothing is written.
    TurnDecided,
    /// The batch is in sled's memory.
    CommitApplied,
    /// It was handed to the operating system.
    CommitFlushed,
    /// It is on the disk, and nobody was told.
    CommitSynced,
    /// It is acknowledged, and nobody saw it.
    CommitMarked,
    /// The same of a commit in which an alert changed: whoever is to be told of it
    /// was not.
    AlertCommitted,
    CheckpointWritten,
    /// Our copy is complete, under its temporary name.
    SnapshotWritten,
    SnapshotRenamed,
    /// The damaged content is set aside, nothing stands in its place.
    RebuildSetAside,
    /// What the snapshot held is written, under its temporary name.
    RebuildWritten,
    /// A message is about to be sent.
    SendBegins,
    /// Its channel took it, and the store does not know.
    SendAnswered,
    SendSettled,
}

impl Step {
    pub const ALL: [Step; 14] = [
        Step::TurnDecided,
        Step::CommitApplied,
        Step::CommitFlushed,
        Step::CommitSynced,
        Step::CommitMarked,
        Step::AlertCommitted,
        Step::CheckpointWritten,
        Step::SnapshotWritten,
        Step::SnapshotRenamed,
        Step::RebuildSetAside,
        Step::RebuildWritten,
        Step::SendBegins,
        Step::SendAnswered,
        Step::SendSettled,
    ];

    /// As `POSTWATCH_KILL_AT` names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::TurnDecided => "turn-decided",
            Step::CommitApplied => "commit-applied",
            Step::CommitFlushed => "commit-flushed",
            Step::CommitSynced => "commit-synced",
            Step::CommitMarked => "commit-marked",
            Step::AlertCommitted => "alert-committed",
            Step::CheckpointWritten => "checkpoint-written",
            Step::SnapshotWritten => "snapshot-written",
            Step::SnapshotRenamed => "snapshot-renamed",
            Step::RebuildSetAside => "rebuild-set-aside",
            Step::RebuildWritten => "rebuild-written",
            Step::SendBegins => "send-begins",
            Step::SendAnswered => "send-answered",
            Step::SendSettled => "send-settled",
        }
    }
}

/// Ends the process without any clean-up where a test asked for it.
#[cfg(debug_assertions)]
pub fn reach(step: Step) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    static ORDER: LazyLock<Option<(String, AtomicU32)>> = LazyLock::new(|| {
        let order = std::env::var("POSTWATCH_KILL_AT").ok()?;
        let (step, times) = order.split_once(':')?;
        Some((step.to_owned(), AtomicU32::new(times.parse().ok()?)))
    });
    let Some((wanted, left)) = &*ORDER else { return };
    if wanted == step.as_str() && left.fetch_sub(1, Ordering::Relaxed) == 1 {
        std::process::abort();
    }
}

/// Ends nothing: this is a release build.
#[cfg(not(debug_assertions))]
pub fn reach(_step: Step) {}
