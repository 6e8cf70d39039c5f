//! Reading a whole store back, and seeing that nothing of it is missing.

use std::time::Duration;

use super::journal::{self, CHECKPOINT, JOURNAL, RECORDS, WRITTEN, Written};
use super::snapshot::Pair;
use super::{StoreError, codec};
use crate::domain::state::{Checkpoint, Stored};

/// Pairs of one kind, in the order of their keys.
pub type Pairs<'a> = Box<dyn Iterator<Item = Result<Pair, StoreError>> + Send + 'a>;

/// What was added up by a commit.
type Checkpoints = (u64, Vec<(String, Checkpoint)>);

/// Reads records first, then the journal of `span`, or from the last checkpoint
/// on where that lies further back; returns what was last written.
pub fn replay<'a>(
    span: Duration,
    take: &mut dyn FnMut(Stored),
    scan: impl Fn(u8) -> Pairs<'a>,
) -> Result<Written, StoreError> {
    let written = read_written(&scan)?;
    for pair in scan(RECORDS) {
        take(Stored::Record(journal::read_record(&pair?.1)?));
    }
    let mut checkpoint = read_checkpoint(&scan)?;
    let checkpoint_at = checkpoint.as_ref().map_or(0, |(commit, _)| *commit);
    let mut found = Written::default();
    for pair in scan(JOURNAL) {
        let (key, block) = pair?;
        found.add(&key);
        let (_, commit) = read_key(&key)?;
        if commit > checkpoint_at {
            take_checkpoint(&mut checkpoint, take);
        }
        if is_needed(&key, &written, span, checkpoint_at)? {
            let (source, entries) = journal::read_journal_block(&block)?;
            take(Stored::Entries { source, entries });
        }
    }
    take_checkpoint(&mut checkpoint, take);
    if !found.is_same_journal(&written) {
        return Err(StoreError::Damaged(format!(
            "{} blocks of the journal were written, {} are there",
            written.blocks, found.blocks
        )));
    }
    Ok(written)
}

/// What a start over `span` would read, as it is kept.
pub fn needed<'a>(
    span: Duration,
    scan: impl Fn(u8) -> Pairs<'a>,
) -> Result<(Vec<Pair>, impl Iterator<Item = Result<Pair, StoreError>> + Send + 'a), StoreError> {
    let written = read_written(&scan)?;
    let checkpoint_at = read_checkpoint(&scan)?.map_or(0, |(commit, _)| commit);
    let head: Result<Vec<Pair>, StoreError> =
        [WRITTEN, CHECKPOINT, RECORDS].into_iter().flat_map(&scan).collect();
    let journal = scan(JOURNAL).filter_map(move |pair| match pair {
        Err(error) => Some(Err(error)),
        Ok((key, value)) => match is_needed(&key, &written, span, checkpoint_at) {
            Ok(true) if read_key(&key).is_ok_and(|(_, commit)| commit <= written.commit) => {
                Some(Ok((key, value)))
            }
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        },
    });
    Ok((head?, journal))
}

/// What was last written; nothing in a new store.
pub fn read_written<'a>(scan: &impl Fn(u8) -> Pairs<'a>) -> Result<Written, StoreError> {
    match scan(WRITTEN).next() {
        Some(pair) => codec::decode("the store's head", &pair?.1),
        None => Ok(Written::default()),
    }
}

fn read_checkpoint<'a>(scan: &impl Fn(u8) -> Pairs<'a>) -> Result<Option<Checkpoints>, StoreError> {
    let pair = scan(CHECKPOINT).next().transpose()?;
    pair.map(|(_, value)| codec::decode("the checkpoint", &value)).transpose()
}

fn read_key(key: &[u8]) -> Result<(crate::domain::time::Timestamp, u64), StoreError> {
    journal::read_journal_key(key)
        .ok_or_else(|| StoreError::Damaged("a key of the journal cannot be read".to_owned()))
}

/// Older blocks are in the checkpoint's sums.
fn is_needed(
    key: &[u8],
    written: &Written,
    span: Duration,
    checkpoint_at: u64,
) -> Result<bool, StoreError> {
    let (written_at, commit) = read_key(key)?;
    Ok(written_at >= written.written_at - span || commit > checkpoint_at)
}

fn take_checkpoint(checkpoint: &mut Option<Checkpoints>, take: &mut dyn FnMut(Stored)) {
    for (source, checkpoint) in checkpoint.take().into_iter().flat_map(|(_, all)| all) {
        take(Stored::Checkpoint { source, checkpoint });
    }
}
