//! How changes become keys and blocks.
//!
//! A key for each delivery costs twelve times the time and memory of a journal
//! of blocks, so deliveries live in blocks of a few kB under rising keys, and
//! are found through the index in memory. What is small and few has keys of its
//! own. Blocks stay under 8 kB: sled moves larger values to files of their own.

use serde::Serialize;

use super::StoreError;
use super::codec::{decode, encode, pack, unpack};
use crate::domain::delivery::Identity;
use crate::domain::facts::Entry;
use crate::domain::state::{Changes, DeliveryText, Record};
use crate::domain::time::Timestamp;

/// A block is closed once it holds this much.
const BLOCK: usize = 6 << 10;

/// Texts pack to about a third.
const UNPACKED_BLOCK: usize = 16 << 10;

/// Keys begin with what they hold, and sort in the order of writing.
pub const JOURNAL: u8 = b'j';
pub const TEXTS: u8 = b't';
pub const RECORDS: u8 = b'r';
pub const CHECKPOINT: u8 = b'c';

/// One write: `None` removes the key.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// Everything that one commit writes. `written_at` never goes back, whatever the
/// clock does: the order of keys is the order of what happened.
pub fn writes(written_at: Timestamp, changes: &Changes) -> Vec<Write> {
    let mut writes: Vec<Write> = Vec::new();
    let blocks = blocks(&changes.journal, BLOCK);
    for (number, block) in (0u32..).zip(blocks) {
        writes.push((journal_key(written_at, changes.commit, number), Some(encode(&block))));
    }
    let blocks = self::blocks(&changes.texts, UNPACKED_BLOCK);
    for (number, block) in (0u32..).zip(blocks) {
        writes.push((text_key(changes.commit, number), Some(pack(&encode(&block)))));
    }
    for record in &changes.records {
        writes.push((record_key(record), (!is_removal(record)).then(|| encode(record))));
    }
    writes
}

/// `j`, when it was written, the commit, the number within it.
pub fn journal_key(written_at: Timestamp, commit: u64, number: u32) -> Vec<u8> {
    let mut key = vec![JOURNAL];
    key.extend((written_at.0.max(0) as u64).to_be_bytes());
    key.extend(commit.to_be_bytes());
    key.extend(number.to_be_bytes());
    key
}

/// When a journal block was written, and by which commit.
pub fn read_journal_key(key: &[u8]) -> Option<(Timestamp, u64)> {
    let written_at = u64::from_be_bytes(key.get(1..9)?.try_into().ok()?);
    let commit = u64::from_be_bytes(key.get(9..17)?.try_into().ok()?);
    Some((Timestamp(i64::try_from(written_at).ok()?), commit))
}

pub fn read_journal_block(bytes: &[u8]) -> Result<Vec<(String, Entry)>, StoreError> {
    decode("a block of the journal", bytes)
}

pub fn text_key(commit: u64, number: u32) -> Vec<u8> {
    let mut key = vec![TEXTS];
    key.extend(commit.to_be_bytes());
    key.extend(number.to_be_bytes());
    key
}

/// Finds a delivery's text in a block.
pub fn find_text(bytes: &[u8], identity: Identity) -> Result<Option<DeliveryText>, StoreError> {
    let texts: Vec<DeliveryText> = decode("a block of texts", &unpack(bytes)?)?;
    Ok(texts.into_iter().find(|text| text.identity == identity))
}

pub fn read_record(bytes: &[u8]) -> Result<Record, StoreError> {
    decode("a record", bytes)
}

/// Groups items into blocks of about `size` bytes.
fn blocks<T: Serialize>(items: &[T], size: usize) -> Vec<Vec<&T>> {
    let mut blocks: Vec<Vec<&T>> = Vec::new();
    let (mut block, mut held) = (Vec::new(), 0);
    for item in items {
        held += encode(item).len();
        block.push(item);
        if held >= size {
            blocks.push(std::mem::take(&mut block));
            held = 0;
        }
    }
    if !block.is_empty() {
        blocks.push(block);
    }
    blocks
}

/// A record's key sorts dims by their ids, which must come back in order.
fn record_key(record: &Record) -> Vec<u8> {
    let mut key = vec![RECORDS];
    match record {
        Record::Source { source, .. } => put(&mut key, b'a', &[source.as_bytes()]),
        Record::Dims { source, id, .. } => {
            put(&mut key, b'd', &[source.as_bytes(), &id.0.to_be_bytes()]);
        }
        Record::OfferName { source, id, .. } => {
            put(&mut key, b'o', &[source.as_bytes(), &id.to_be_bytes()]);
        }
        Record::AffiliateName { source, id, .. } => {
            put(&mut key, b'f', &[source.as_bytes(), &id.to_be_bytes()]);
        }
        Record::Coverage { source, scope, .. } => {
            put(&mut key, b'v', &[source.as_bytes(), &scope.to_be_bytes()]);
        }
        Record::Postback { source, id, .. } => {
            put(&mut key, b'p', &[source.as_bytes(), &id.to_be_bytes()]);
        }
        Record::Alert { key: alert, .. } => put(&mut key, b'l', &[&encode(alert)]),
        Record::Batch { key: batch, .. } => put(&mut key, b'b', &[&encode(batch)]),
        Record::Outgoing { number, .. } => put(&mut key, b'n', &[&number.to_be_bytes()]),
        Record::Thread { receiver, batch, .. } => {
            put(&mut key, b't', &[receiver.as_bytes(), batch.as_bytes()]);
        }
    }
    key
}

fn put(key: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    key.push(kind);
    for part in parts {
        key.extend(part.iter());
        // Names hold no zero byte: no two lists of parts give the same key.
        key.push(0);
    }
}

fn is_removal(record: &Record) -> bool {
    matches!(
        record,
        Record::Alert { alert: None, .. }
            | Record::Batch { batch: None, .. }
            | Record::Outgoing { outgoing: None, .. }
            | Record::Thread { thread: None, .. }
    )
}
