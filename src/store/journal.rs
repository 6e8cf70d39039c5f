//! How changes become keys and blocks.
//!
//! A key for each delivery costs twelve times the time and memory of a journal
//! of blocks, so deliveries live in blocks of a few kB under rising keys, and
//! are found through the index in memory. What is small and few has keys of its
//! own. Blocks stay under 8 kB: sled moves larger values to files of their own.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use siphasher::sip::SipHasher13;

use super::StoreError;
use super::codec::{Packer, append, decode, encode, unpack};
use crate::domain::delivery::DeliveryText;
use crate::domain::delivery::Identity;
use crate::domain::facts::Entry;
use crate::domain::state::{Changes, Record};
use crate::domain::time::Timestamp;

/// A block is closed once it holds this much.
const BLOCK: usize = 6 << 10;

/// Texts pack to about a third.
const UNPACKED_BLOCK: usize = 16 << 10;

/// A row from the far future must not make all that comes after it look as late.
const MOST_AHEAD: Duration = Duration::from_secs(24 * 3600);

/// Keys begin with what they hold, and sort in the order of writing.
pub const JOURNAL: u8 = b'j';
pub const TEXTS: u8 = b't';
pub const RECORDS: u8 = b'r';
pub const CHECKPOINT: u8 = b'c';
pub const WRITTEN: u8 = b'w';

/// One write: `None` removes the key.
pub type Write = (Vec<u8>, Option<Vec<u8>>);

/// What the store holds by now, kept in it with each commit: a start that finds
/// less knows that something is missing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Written {
    /// The last commit.
    pub commit: u64,
    /// The latest moment that the journal tells of, by the network's clock: no jump
    /// of this machine's clock makes a block look old that a start needs. It never
    /// goes back: the order of the journal's keys is the order of what happened.
    pub written_at: Timestamp,
    /// Blocks of the journal.
    pub blocks: u64,
    /// The sum of a hash of each of their keys, in no order.
    digest: u64,
}

impl Written {
    pub fn add(&mut self, journal_key: &[u8]) {
        self.blocks += 1;
        self.digest = self.digest.wrapping_add(key_hash(journal_key));
    }

    pub fn remove(&mut self, journal_key: &[u8]) {
        self.blocks = self.blocks.saturating_sub(1);
        self.digest = self.digest.wrapping_sub(key_hash(journal_key));
    }

    /// The same commit of a store without a journal.
    pub fn without_blocks(self) -> Written {
        Written { blocks: 0, digest: 0, ..self }
    }

    pub fn is_same_journal(&self, other: &Written) -> bool {
        (self.blocks, self.digest) == (other.blocks, other.digest)
    }

    /// The write that keeps it.
    pub fn write(&self) -> Write {
        (vec![WRITTEN], Some(encode(self)))
    }
}

fn key_hash(key: &[u8]) -> u64 {
    SipHasher13::new_with_keys(0x6a6f_7572, 0x006e_616c).hash(key)
}

/// Everything that one commit writes, after what was `written` before.
pub fn writes(changes: &Changes, written: &mut Written) -> Vec<Write> {
    written.commit = changes.commit;
    let entries = changes.journal.iter().flat_map(|(_, entries)| entries);
    let shown_at = entries.map(Entry::shown_at).max();
    let shown_at =
        shown_at.unwrap_or_default().min(changes.seen_at.max(written.written_at) + MOST_AHEAD);
    written.written_at = written.written_at.max(shown_at);
    let mut writes: Vec<Write> = Vec::new();
    let journal = changes.journal.iter().flat_map(|(source, of)| blocks(source, of, BLOCK));
    for (number, block) in (0u32..).zip(journal) {
        let key = journal_key(written.written_at, changes.commit, number);
        written.add(&key);
        writes.push((key, Some(block)));
    }
    if !changes.texts.is_empty() {
        let mut packer = Packer::default();
        for (number, block) in (0u32..).zip(blocks(&(), &changes.texts, UNPACKED_BLOCK)) {
            writes.push((text_key(changes.commit, number), Some(packer.pack(&block))));
        }
    }
    for record in &changes.records {
        writes.push((record_key(record), (!is_removal(record)).then(|| encode(record))));
    }
    writes.push(written.write());
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

/// The source of a block, and what happened there.
pub fn read_journal_block(bytes: &[u8]) -> Result<(String, Vec<Entry>), StoreError> {
    decode("a block of the journal", bytes)
}

pub fn text_key(commit: u64, number: u32) -> Vec<u8> {
    let mut key = vec![TEXTS];
    key.extend(commit.to_be_bytes());
    key.extend(number.to_be_bytes());
    key
}

/// Finds deliveries' texts by commit and identity, in the order in which they are wanted.
/// `blocks` are those of a commit: each is unpacked once, whoever is wanted of it.
pub fn find_texts<B: AsRef<[u8]>, Blocks: Iterator<Item = Result<B, StoreError>>>(
    wanted: &[(u64, Identity)],
    blocks: impl Fn(u64) -> Blocks,
) -> Result<Vec<Option<DeliveryText>>, StoreError> {
    let mut commits: BTreeMap<u64, HashMap<Identity, Vec<usize>>> = BTreeMap::new();
    for (place, &(commit, identity)) in wanted.iter().enumerate() {
        commits.entry(commit).or_default().entry(identity).or_default().push(place);
    }
    let mut found = vec![None; wanted.len()];
    for (commit, mut missing) in commits {
        let mut blocks = blocks(commit);
        while !missing.is_empty()
            && let Some(block) = blocks.next()
        {
            for text in read_texts(block?.as_ref())? {
                for place in missing.remove(&text.identity).unwrap_or_default() {
                    found[place] = Some(text.clone());
                }
            }
        }
    }
    Ok(found)
}

fn read_texts(bytes: &[u8]) -> Result<Vec<DeliveryText>, StoreError> {
    let ((), texts) = decode("a block of texts", &unpack(bytes)?)?;
    Ok(texts)
}

pub fn read_record(bytes: &[u8]) -> Result<Record, StoreError> {
    decode("a record", bytes)
}

/// Items encoded into blocks of about `size` bytes, each of which reads as
/// `(head, Vec<item>)`.
fn blocks<T: Serialize>(head: &impl Serialize, items: &[T], size: usize) -> Vec<Vec<u8>> {
    let (mut blocks, mut block, mut count) = (Vec::new(), Vec::new(), 0usize);
    for (place, item) in items.iter().enumerate() {
        block = append(block, item);
        count += 1;
        if block.len() >= size || place + 1 == items.len() {
            // A list is its length, then its items.
            let mut whole = encode(&(head, std::mem::take(&mut count)));
            whole.append(&mut block);
            blocks.push(whole);
        }
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
        Record::ClickParameters { source, id, .. } => {
            put(&mut key, b'c', &[source.as_bytes(), &id.to_be_bytes()]);
        }
        Record::Alert { key: alert, .. } => put(&mut key, b'l', &[&encode(alert)]),
        Record::Batch { key: batch, .. } => put(&mut key, b'b', &[&encode(batch)]),
        Record::Outgoing { number, .. } => put(&mut key, b'n', &[&number.to_be_bytes()]),
        Record::Thread { receiver, batch, .. } => {
            put(&mut key, b't', &[receiver.as_bytes(), batch.as_bytes()]);
        }
        Record::Silence { id, .. } => put(&mut key, b's', &[id.0.as_bytes()]),
        Record::ToldInstead { told, .. } => put(&mut key, b'i', &[&encode(told)]),
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
            | Record::Silence { silence: None, .. }
            | Record::ToldInstead { fired_at: None, .. }
    )
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::domain::delivery::Row;

    fn text(commit: u64, place: u64) -> DeliveryText {
        let conversion_id = format!("{commit}-{place}").into();
        let row = Row { conversion_id, payload: "p".repeat(400).into(), ..Row::default() };
        DeliveryText::of(Identity(u128::from(place)), &row)
    }

    /// The blocks of texts of a commit with a thousand deliveries.
    fn blocks_of(commit: u64) -> Vec<Vec<u8>> {
        let texts: Vec<DeliveryText> = (0..1_000).map(|place| text(commit, place)).collect();
        let mut packer = Packer::default();
        blocks(&(), &texts, UNPACKED_BLOCK).iter().map(|block| packer.pack(block)).collect()
    }

    #[test]
    fn a_page_of_texts_unpacks_each_block_once() {
        let stored = [blocks_of(1), blocks_of(2)];
        let unpacked = Cell::new(0);
        let blocks = |commit: u64| {
            let of_it = stored.get(commit as usize - 1).into_iter().flatten();
            of_it.inspect(|_| unpacked.set(unpacked.get() + 1)).map(Ok)
        };
        let find = |wanted: &[(u64, u128)]| {
            let wanted: Vec<_> = wanted.iter().map(|&(at, place)| (at, Identity(place))).collect();
            let found = find_texts(&wanted, blocks).expect("the blocks are whole");
            found
                .into_iter()
                .map(|text| text.map(|text| text.conversion_id().to_owned()))
                .collect::<Vec<_>>()
        };
        let page: Vec<(u64, u128)> =
            (0..1_000).rev().flat_map(|place| [(2, place), (1, place)]).collect();
        let expected = page.iter().map(|(commit, place)| Some(format!("{commit}-{place}")));
        assert_eq!(find(&page), expected.collect::<Vec<_>>());
        assert_eq!(unpacked.get(), stored.iter().map(Vec::len).sum::<usize>());
        unpacked.set(0);
        let some = [(1, 0), (3, 0), (1, 5_000), (1, 0), (2, 0)];
        let [first, other] = ["1-0", "2-0"].map(|id| Some(id.to_owned()));
        assert_eq!(find(&some), [first.clone(), None, None, first, other]);
        assert_eq!(unpacked.get(), stored[0].len() + 1, "it stops where all are found");
    }
}
