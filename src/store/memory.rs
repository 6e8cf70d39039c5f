//! A store in memory: for `demo`, which leaves nothing behind, and for tests.
//! The same keys and bytes as on disk.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::journal::{self, CHECKPOINT, JOURNAL, TEXTS};
use super::replay::{self, Pairs};
use super::{Condition, Store, StoreError, codec};
use crate::domain::delivery::DeliveryText;
use crate::domain::delivery::Identity;
use crate::domain::state::{Changes, Checkpoint, Stored};
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

fn scan(keys: &BTreeMap<Vec<u8>, Vec<u8>>, prefix: u8) -> Pairs<'_> {
    let from = keys.range(vec![prefix]..vec![prefix + 1]);
    Box::new(from.map(|(key, value)| Ok((key.clone(), value.clone()))))
}

impl Store for MemoryStore {
    fn load(&mut self, span: Duration, take: &mut dyn FnMut(Stored)) -> Result<u64, StoreError> {
        let keys = self.keys();
        Ok(replay::replay(span, take, |prefix| scan(&keys, prefix))?.commit)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let mut keys = self.keys();
        let mut written = replay::read_written(&|prefix| scan(&keys, prefix))?;
        for (key, value) in journal::writes(changes, &mut written) {
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

    /// Memory is lost with its process, copies and all.
    fn snapshot(&mut self, _span: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn rebuild(&mut self, _now: Timestamp, why: &str) -> Result<(), StoreError> {
        Err(StoreError::Damaged(why.to_owned()))
    }

    fn read(&self, wanted: &[(u64, Identity)]) -> Result<Vec<Option<DeliveryText>>, StoreError> {
        let keys = self.keys();
        let blocks = |commit| {
            let of_it = journal::text_key(commit, 0)..=journal::text_key(commit, u32::MAX);
            keys.range(of_it).map(|(_, block)| Ok(block))
        };
        journal::find_texts(wanted, blocks)
    }

    fn prune(&mut self, retain: Duration) -> Result<(), StoreError> {
        let mut keys = self.keys();
        let mut written = replay::read_written(&|prefix| scan(&keys, prefix))?;
        let until = written.written_at - retain;
        let mut last_commit = None;
        keys.retain(|key, _| match (key.first(), journal::read_journal_key(key)) {
            (Some(&JOURNAL), Some((written_at, commit))) if written_at < until => {
                last_commit = Some(commit);
                written.remove(key);
                false
            }
            _ => true,
        });
        let Some(commit) = last_commit else { return Ok(()) };
        keys.retain(|key, _| {
            key.first() != Some(&TEXTS) || *key > journal::text_key(commit, u32::MAX)
        });
        let (key, head) = written.write();
        keys.insert(key, head.unwrap_or_default());
        Ok(())
    }

    fn kind(&self) -> &'static str {
        "memory"
    }

    fn condition(&self) -> Condition {
        let keys = self.keys();
        let bytes = keys.iter().map(|(key, value)| (key.len() + value.len()) as u64).sum();
        Condition { bytes, ..Condition::default() }
    }
}
