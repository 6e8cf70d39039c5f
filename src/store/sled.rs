//! The store on disk: sled, one tree, one atomic batch a commit, and a real
//! fsync at its end.
//!
//! sled takes nothing more after a write that failed, and holds in memory what the
//! disk does not. So it is closed then, and opened again once the disk is well.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, UNIX_EPOCH};

use sled::{Batch, Db};

use super::acknowledged::Acknowledged;
use super::folder::Folder;
use super::journal::{self, CHECKPOINT, JOURNAL, Written};
use super::replay::{self, Pairs};
use super::{Condition, Store, StoreError, codec, snapshot};
use crate::domain::delivery::DeliveryText;
use crate::domain::delivery::Identity;
use crate::domain::state::{Changes, Checkpoint, Stored};
use crate::domain::time::Timestamp;
use crate::failpoint::{Step, reach};

mod guard;
mod opening;
mod restoring;
#[cfg(test)]
mod tests;

use guard::{Stuck, Worker, guarded};

/// Keys that are removed in one batch.
const PRUNED_AT_ONCE: usize = 5_000;

/// A write takes milliseconds; a disk may think for some seconds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// So many accesses keep sled within its cache where its pages are scanned.
const BYTES_PER_ACCESS: usize = 1 << 10;

/// A snapshot takes at most this part of the time.
const SNAPSHOT_SHARE: u32 = 100;

pub struct SledStore {
    folder: Folder,
    worker: Worker,
    /// `None` until it is loaded, and again after a write that failed.
    open: Option<Open>,
    /// Whether what the operating system remembers of the files may be untrue.
    is_doubtful: bool,
    /// sled did not come back from a call: its threads still hold its files.
    is_stuck: bool,
    /// How long the last snapshot took, and when it began.
    copied: Option<(Instant, Duration)>,
}

/// A store that takes writes.
struct Open {
    db: Db,
    /// sled's `flush` starts the write-back of its file but does not wait for the
    /// disk's own cache (`sync_file_range`): this handle does.
    file: Arc<File>,
    acknowledged: Acknowledged,
    written: Written,
    copying: Option<Copying>,
}

/// A snapshot that is being written.
struct Copying {
    began_at: Instant,
    is_unwanted: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl SledStore {
    /// Takes hold of the store in `folder`, which is made (mode 0700) where it is
    /// missing. It is opened when it is loaded.
    pub fn open(folder: &Path) -> Result<SledStore, StoreError> {
        let folder = Folder::open(folder)?;
        match folder.probe() {
            // It is waited out, as it is later.
            Err(error) if error.kind() == ErrorKind::StorageFull => {}
            probed => probed.map_err(|error| folder.unusable(&error))?,
        }
        Ok(SledStore {
            folder,
            worker: Worker::start(),
            open: None,
            is_doubtful: false,
            is_stuck: false,
            copied: None,
        })
    }

    fn opened(&self) -> Result<&Open, StoreError> {
        self.open.as_ref().ok_or_else(closed)
    }

    /// Writes, all or nothing, and on the disk when it returns. Closes the store
    /// where that fails: what sled holds in memory then is not what is on the disk.
    fn write(&mut self, writes: Vec<journal::Write>) -> Result<(), StoreError> {
        let open = self.open.as_mut().ok_or_else(closed)?;
        let (db, file) = (open.db.clone(), open.file.clone());
        let nudged = open.db.clone();
        let written = self.worker.within(
            ANSWERS_WITHIN,
            move || guarded(|| apply(&db, &file, writes)),
            || nudge(&nudged),
        );
        drop(nudged);
        let error = match written {
            Ok(Ok(Ok(()))) => return Ok(()),
            Ok(Ok(Err(error))) => explain(&self.folder, &error),
            Ok(Err(panic)) => self.folder.damaged(&panic),
            Err(Stuck) => {
                // Its threads may write yet: nobody may open the files beside them.
                std::mem::forget(self.open.take());
                self.is_stuck = true;
                return Err(stuck(&self.folder));
            }
        };
        self.close();
        Err(error)
    }

    /// Lets go of sled, and of the lock that it has on its file.
    fn close(&mut self) {
        self.is_doubtful = true;
        let Some(open) = self.open.take() else { return };
        let closing = move || {
            if let Some(copying) = open.copying {
                copying.is_unwanted.store(true, Ordering::Relaxed);
                copying.thread.join().ok();
            }
            // It may find more to complain about at its end.
            guarded(|| drop(open.db)).ok();
        };
        self.is_stuck |= self.worker.within(ANSWERS_WITHIN, closing, || {}).is_err();
    }

    /// What drops the oldest blocks beyond `retain` and the texts of their commits,
    /// what is left then, and whether there may be more to drop.
    fn oldest(
        &self,
        retain: Duration,
    ) -> Result<(Vec<journal::Write>, Written, bool), sled::Error> {
        let Some(open) = &self.open else { return Ok(Default::default()) };
        let (mut writes, mut written) = (Vec::new(), open.written);
        let until = written.written_at - retain;
        let mut last_commit = None;
        let old = open.db.range(vec![JOURNAL]..journal::journal_key(until, 0, 0));
        for key in old.keys().take(PRUNED_AT_ONCE) {
            let key = key?;
            last_commit = journal::read_journal_key(&key).map(|(_, commit)| commit);
            written.remove(&key);
            writes.push((key.to_vec(), None));
        }
        let is_more = writes.len() == PRUNED_AT_ONCE;
        if let Some(commit) = last_commit {
            let texts = journal::text_key(0, 0)..=journal::text_key(commit, u32::MAX);
            for key in open.db.range(texts).keys() {
                writes.push((key?.to_vec(), None));
            }
            writes.push(written.write());
        }
        Ok((writes, written, is_more))
    }
}

/// Where a write fails in one of its threads, sled 0.34 notes the error and wakes
/// nobody who waits for that write (`exit_reservation`); the next flush does.
fn nudge(db: &Db) {
    let db = db.clone();
    std::thread::spawn(move || guarded(|| db.flush()).ok());
}

/// One batch, handed to the disk, and waited for.
fn apply(db: &Db, file: &File, writes: Vec<journal::Write>) -> Result<(), sled::Error> {
    let mut batch = Batch::default();
    for (key, value) in writes {
        match value {
            Some(value) => batch.insert(key, value),
            None => batch.remove(key),
        }
    }
    db.apply_batch(batch)?;
    reach(Step::CommitApplied);
    db.flush()?;
    reach(Step::CommitFlushed);
    file.sync_data()?;
    reach(Step::CommitSynced);
    Ok(())
}

impl Store for SledStore {
    fn load(&mut self, span: Duration, take: &mut dyn FnMut(Stored)) -> Result<u64, StoreError> {
        if self.is_stuck {
            return Err(stuck(&self.folder));
        }
        if self.open.is_none() {
            self.open = Some(self.reopen()?);
        }
        let open = self.opened()?;
        let read = guarded(|| replay::replay(span, take, |prefix| scan(&open.db, prefix)))
            .unwrap_or_else(|why| Err(StoreError::Damaged(why)));
        match read {
            Ok(written) => Ok(written.commit),
            Err(error) => {
                self.close();
                Err(match error {
                    StoreError::Damaged(why) => self.folder.damaged(&why),
                    error => error,
                })
            }
        }
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        let mut written = self.opened()?.written;
        self.write(journal::writes(changes, &mut written))?;
        let open = self.open.as_mut().ok_or_else(closed)?;
        open.written = written;
        if let Err(error) = open.acknowledged.write(written.commit) {
            self.close();
            return Err(self.folder.unusable(&error));
        }
        reach(Step::CommitMarked);
        Ok(())
    }

    fn checkpoint(
        &mut self,
        commit: u64,
        checkpoints: &[(String, Checkpoint)],
    ) -> Result<(), StoreError> {
        self.write(vec![(vec![CHECKPOINT], Some(codec::encode(&(commit, checkpoints))))])?;
        reach(Step::CheckpointWritten);
        Ok(())
    }

    fn snapshot(&mut self, span: Duration) -> Result<(), StoreError> {
        let path = self.folder.snapshot();
        let open = self.open.as_mut().ok_or_else(closed)?;
        match open.copying.take_if(|copying| copying.thread.is_finished()) {
            Some(copying) => {
                let took = copying.thread.join().unwrap_or_default();
                self.copied = Some((copying.began_at, took));
            }
            None if open.copying.is_some() => return Ok(()),
            None => {}
        }
        if self.copied.is_some_and(|(at, took)| at.elapsed() < took * SNAPSHOT_SHARE) {
            return Ok(());
        }
        let is_unwanted = Arc::new(AtomicBool::new(false));
        let (db, unwanted) = (open.db.clone(), is_unwanted.clone());
        // What changes in place is read now, between two commits.
        let (head, journal) = replay::needed(span, move |prefix| scan(&db, prefix))?;
        let pairs = head.into_iter().map(Ok).chain(journal);
        let pairs = pairs.map_while(move |pair| match unwanted.load(Ordering::Relaxed) {
            true => Some(Err(closed())),
            false => Some(pair),
        });
        let began_at = Instant::now();
        let thread = std::thread::spawn(move || {
            let copied = guarded(|| snapshot::write(&path, pairs));
            if let Err(error) = copied.unwrap_or_else(|why| Err(StoreError::Damaged(why))) {
                tracing::warn!(%error, "no snapshot of the store could be written");
            }
            began_at.elapsed()
        });
        open.copying = Some(Copying { began_at, is_unwanted, thread });
        Ok(())
    }

    fn rebuild(&mut self, now: Timestamp, why: &str) -> Result<(), StoreError> {
        self.close();
        self.restore(now, why)
    }

    fn read(&self, wanted: &[(u64, Identity)]) -> Result<Vec<Option<DeliveryText>>, StoreError> {
        let db = &self.opened()?.db;
        let blocks = |commit| {
            let keys = journal::text_key(commit, 0)..=journal::text_key(commit, u32::MAX);
            let blocks = db.range(keys).values();
            blocks.map(|block| block.map_err(|error| explain(&self.folder, &error)))
        };
        guarded(|| journal::find_texts(wanted, blocks))
            .unwrap_or_else(|why| Err(self.folder.damaged(&why)))
    }

    fn prune(&mut self, retain: Duration) -> Result<(), StoreError> {
        loop {
            let oldest =
                guarded(|| self.oldest(retain)).map_err(|why| self.folder.damaged(&why))?;
            let oldest = oldest.map_err(|error| explain(&self.folder, &error));
            let (writes, written, is_more) = oldest?;
            if writes.is_empty() {
                return Ok(());
            }
            self.write(writes)?;
            self.open.as_mut().ok_or_else(closed)?.written = written;
            if !is_more {
                return Ok(());
            }
        }
    }

    fn kind(&self) -> &'static str {
        "sled"
    }

    fn condition(&self) -> Condition {
        let bytes = self.open.as_ref().and_then(|open| open.db.size_on_disk().ok());
        let copied = fs::metadata(self.folder.snapshot()).and_then(|file| file.modified()).ok();
        let copied = copied.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        Condition {
            bytes: bytes.unwrap_or_default(),
            snapshot_at: copied.map(|since| Timestamp(0) + since),
            set_aside: self.folder.all_set_aside(),
        }
    }
}

/// Every pair whose key begins with `prefix`.
///
/// sled lets go of what is beyond its cache only at every 64th access to a part of it, of
/// 256, and a scan makes one for each page: of itself it would keep all that it has read.
fn scan(db: &Db, prefix: u8) -> Pairs<'static> {
    let (cached, mut scanned) = (db.clone(), 0);
    Box::new(db.scan_prefix([prefix]).map(move |pair| match pair {
        Ok((key, value)) => {
            scanned += value.len();
            for _ in 0..scanned / BYTES_PER_ACCESS {
                cached.get(&key).ok();
            }
            scanned %= BYTES_PER_ACCESS;
            Ok((key.to_vec(), value.to_vec()))
        }
        // A disk that cannot be read now may be read later: that is no damage.
        Err(sled::Error::Io(error)) => {
            Err(StoreError::Unusable(format!("the store cannot be read: {error}")))
        }
        Err(error) => Err(StoreError::Damaged(error.to_string())),
    }))
}

fn closed() -> StoreError {
    StoreError::Unusable("the store is closed since its last write failed".to_owned())
}

fn stuck(folder: &Folder) -> StoreError {
    StoreError::Stuck(format!(
        "the store in {} has not answered for {} s: the disk hangs, or sled does; only a new \
         process can go on, and nothing that was committed is lost",
        folder.path().display(),
        ANSWERS_WITHIN.as_secs()
    ))
}

fn explain(folder: &Folder, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => folder.unusable(error),
        sled::Error::Corruption { .. } => folder.damaged("its content makes no sense"),
        sled::Error::ReportableBug(_)
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_) => folder.damaged(&error.to_string()),
    }
}
