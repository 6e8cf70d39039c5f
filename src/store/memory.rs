//! A store in memory: for `demo`, which leaves nothing behind, and for tests.
//! The same keys and bytes as on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::journal::{self, CHECKPOINT, JOURNAL, RECORDS, TEXTS};
use super::{Store, StoreError, codec};
use crate::domain::delivery::Identity;
use crate::domain::state::{Changes, Checkpoint, DeliveryText, Stored};
use crate::domain::time::Timestamp;

/// Clones share their content, as two opens of one folder do.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore {
    keys: Arc<Mutex<BTreeMap<Vec<u8>, Vec<u8>>>>,
}

impl MemoryStore {
    fn keys(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last_written_at(keys: &BTreeMap<Vec<u8>, Vec<u8>>) -> Option<Timestamp> {
    let (key, _) = keys.range(vec![JOURNAL]..vec![JOURNAL + 1]).next_back()?;
    journal::read_journal_key(key).map(|(written_at, _)| written_at)
}

impl Store for MemoryStore {
    fn load(&mut self, span: Duration, take: &mut dyn FnMut(Stored)) -> Result<u64, StoreError> {
        let keys = self.keys();
        let since = last_written_at(&keys).unwrap_or_default() - span;
        super::sled::load_from(since, take, |prefix| {
            let from = keys.range(vec![prefix]..vec![prefix + 1]);
            Box::new(from.map(|(key, value)| Ok((key.clone(), value.clone()))))
        })
    }

    fn commit(&mut self, now: Timestamp, changes: &Changes) -> Result<(), StoreError> {
        let mut keys = self.keys();
        let written_at = last_written_at(&keys).map_or(now, |last| now.max(last));
        for (key, value) in journal::writes(written_at, changes) {
            match value {
                Some(value) => keys.insert(key, value),
                None => keys.remove(&key),
            };
        }
        Ok(())
    }

    fn checkpoint(
        &mut self,
        commit: u64,
        checkpoints: &[(String, Checkpoint)],
    ) -> Result<(), StoreError> {
        self.keys().insert(vec![CHECKPOINT], codec::encode(&(commit, checkpoints)));
        Ok(())
    }

    fn read(&self, wanted: &[(u64, Identity)]) -> Result<Vec<Option<DeliveryText>>, StoreError> {
        let keys = self.keys();
        let find = |&(commit, identity): &(u64, Identity)| {
            let blocks =
                keys.range(journal::text_key(commit, 0)..=journal::text_key(commit, u32::MAX));
            for (_, block) in blocks {
                if let Some(text) = journal::find_text(block, identity)? {
                    return Ok(Some(text));
                }
            }
            Ok(None)
        };
        wanted.iter().map(find).collect()
    }

    fn prune(&mut self, until: Timestamp) -> Result<(), StoreError> {
        let mut keys = self.keys();
        let mut last_commit = None;
        keys.retain(|key, _| match (key.first(), journal::read_journal_key(key)) {
            (Some(&JOURNAL), Some((written_at, commit))) if written_at < until => {
                last_commit = Some(commit);
                false
            }
            _ => true,
        });
        if let Some(commit) = last_commit {
            keys.retain(|key, _| {
                key.first() != Some(&TEXTS) || *key > journal::text_key(commit, u32::MAX)
            });
        }
        debug_assert!(
            keys.keys().all(|key| key.first() >= Some(&CHECKPOINT) && key.first() <= Some(&TEXTS)
                || key.first() == Some(&RECORDS))
        );
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn size(&self) -> u64 {
        self.keys().iter().map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }
}
