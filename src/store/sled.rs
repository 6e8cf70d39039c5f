//! The store on disk: sled, one tree, one atomic batch a commit, and a real
//! fsync at its end.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sled::{Batch, Db};

use super::journal::{self, CHECKPOINT, JOURNAL, RECORDS};
use super::{Store, StoreError, codec};
use crate::domain::delivery::Identity;
use crate::domain::state::{Changes, Checkpoint, DeliveryText, Stored};
use crate::domain::time::Timestamp;

/// The journal is written once and read at a start: it needs little cache.
const CACHE_BYTES: u64 = 8 << 20;

pub struct SledStore {
    db: Db,
    folder: PathBuf,
    /// sled's `flush` starts the write-back of its file but does not wait for the
    /// disk's own cache (`sync_file_range`): this handle does.
    file: File,
    written_at: Timestamp,
}

impl SledStore {
    /// Opens the store in `folder`, which is made (mode 0700) where it is missing.
    pub fn open(folder: &Path) -> Result<SledStore, StoreError> {
        make_private_folder(folder).map_err(|error| unusable(folder, &error))?;
        let config =
            sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(Some(500));
        let opened = guarded(folder, || config.open());
        let db = opened?.map_err(|error| explain_open(folder, &error))?;
        let file = File::open(folder.join("db")).map_err(|error| unusable(folder, &error))?;
        let mut store = SledStore { db, folder: folder.to_owned(), file, written_at: Timestamp(0) };
        store.written_at = guarded(folder, || store.last_written_at())??;
        Ok(store)
    }

    fn last_written_at(&self) -> Result<Timestamp, StoreError> {
        let last = self.db.scan_prefix([JOURNAL]).next_back();
        let last = last.transpose().map_err(|error| self.explain(&error))?;
        let key = last.and_then(|(key, _)| journal::read_journal_key(&key));
        Ok(key.map_or(Timestamp(0), |(written_at, _)| written_at))
    }

    /// All or nothing, and on the disk when it returns.
    fn write(&self, writes: Vec<journal::Write>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key, value),
                None => batch.remove(key),
            }
        }
        self.db.apply_batch(batch).map_err(|error| self.explain(&error))?;
        self.db.flush().map_err(|error| self.explain(&error))?;
        self.file.sync_data().map_err(|error| unusable(&self.folder, &error))
    }

    fn explain(&self, error: &sled::Error) -> StoreError {
        explain(&self.folder, error)
    }
}

impl Store for SledStore {
    fn load(&mut self, span: Duration, take: &mut dyn FnMut(Stored)) -> Result<u64, StoreError> {
        let since = self.written_at - span;
        let (db, folder) = (&self.db, &self.folder);
        let loading = || {
            load_from(since, take, |prefix| {
                let pairs = db.scan_prefix([prefix]).map(move |pair| {
                    let (key, value) = pair.map_err(|error| explain(folder, &error))?;
                    Ok((key.to_vec(), value.to_vec()))
                });
                Box::new(pairs)
            })
        };
        match guarded(folder, loading)? {
            Err(StoreError::Damaged(why)) if !why.starts_with("the store in") => {
                Err(damaged(folder, &why))
            }
            loaded => loaded,
        }
    }

    fn commit(&mut self, now: Timestamp, changes: &Changes) -> Result<(), StoreError> {
        let written_at = now.max(self.written_at);
        self.write(journal::writes(written_at, changes))?;
        self.written_at = written_at;
        Ok(())
    }

    fn checkpoint(
        &mut self,
        commit: u64,
        checkpoints: &[(String, Checkpoint)],
    ) -> Result<(), StoreError> {
        self.write(vec![(vec![CHECKPOINT], Some(codec::encode(&(commit, checkpoints))))])
    }

    fn read(&self, wanted: &[(u64, Identity)]) -> Result<Vec<Option<DeliveryText>>, StoreError> {
        let find = |&(commit, identity): &(u64, Identity)| {
            let first = journal::text_key(commit, 0);
            for block in self.db.range(first..=journal::text_key(commit, u32::MAX)) {
                let (_, block) = block.map_err(|error| self.explain(&error))?;
                if let Some(text) = journal::find_text(&block, identity)? {
                    return Ok(Some(text));
                }
            }
            Ok(None)
        };
        wanted.iter().map(find).collect()
    }

    fn prune(&mut self, until: Timestamp) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        let mut last_commit = None;
        for pair in self.db.range(vec![JOURNAL]..journal::journal_key(until, 0, 0)) {
            let (key, _) = pair.map_err(|error| self.explain(&error))?;
            last_commit = journal::read_journal_key(&key).map(|(_, commit)| commit);
            batch.remove(key);
        }
        let Some(commit) = last_commit else { return Ok(()) };
        let texts = journal::text_key(0, 0)..=journal::text_key(commit, u32::MAX);
        for pair in self.db.range(texts) {
            let (key, _) = pair.map_err(|error| self.explain(&error))?;
            batch.remove(key);
        }
        self.db.apply_batch(batch).map_err(|error| self.explain(&error))
    }

    fn kind(&self) -> &'static str {
        "sled"
    }

    fn size(&self) -> u64 {
        self.db.size_on_disk().unwrap_or(0)
    }
}

/// Pairs of one kind, in the order of their keys.
type Pairs<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>), StoreError>> + 'a>;

/// Reads a whole store: records first, then the journal from `since` on, or
/// from the last checkpoint where that lies further back.
pub(super) fn load_from<'a>(
    since: Timestamp,
    take: &mut dyn FnMut(Stored),
    scan: impl Fn(u8) -> Pairs<'a>,
) -> Result<u64, StoreError> {
    for pair in scan(RECORDS) {
        take(Stored::Record(journal::read_record(&pair?.1)?));
    }
    let mut checkpoint: Option<(u64, Vec<(String, Checkpoint)>)> = None;
    if let Some(pair) = scan(CHECKPOINT).next() {
        checkpoint = Some(codec::decode("the checkpoint", &pair?.1)?);
    }
    let checkpoint_at = checkpoint.as_ref().map_or(0, |(commit, _)| *commit);
    let mut last_commit = 0;
    for pair in scan(JOURNAL) {
        let (key, block) = pair?;
        let Some((written_at, commit)) = journal::read_journal_key(&key) else {
            return Err(StoreError::Damaged("a key of the journal cannot be read".to_owned()));
        };
        last_commit = commit;
        if commit > checkpoint_at {
            take_checkpoint(&mut checkpoint, take);
        }
        if written_at < since && commit <= checkpoint_at {
            continue;
        }
        for (source, entry) in journal::read_journal_block(&block)? {
            take(Stored::Entry { source, entry });
        }
    }
    take_checkpoint(&mut checkpoint, take);
    Ok(last_commit.max(checkpoint_at))
}

fn take_checkpoint(
    checkpoint: &mut Option<(u64, Vec<(String, Checkpoint)>)>,
    take: &mut dyn FnMut(Stored),
) {
    for (source, checkpoint) in checkpoint.take().into_iter().flat_map(|(_, all)| all) {
        take(Stored::Checkpoint { source, checkpoint });
    }
}

fn make_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if !folder.exists() {
        return fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    }
    // A folder that is not ours cannot be changed; it must only be writable.
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
    let probe = folder.join(".writable");
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

fn explain_open(folder: &Path, error: &sled::Error) -> StoreError {
    let text = error.to_string();
    let shown = folder.display();
    if text.contains("lock") || text.contains("WouldBlock") {
        return StoreError::Locked(format!(
            "the store in {shown} is in use by another postwatch: stop that one, or give this \
             one its own folder with --data"
        ));
    }
    explain(folder, error)
}

fn explain(folder: &Path, error: &sled::Error) -> StoreError {
    match error {
        sled::Error::Io(error) => unusable(folder, error),
        sled::Error::Corruption { .. } => damaged(folder, NO_SENSE),
        sled::Error::ReportableBug(_)
        | sled::Error::CollectionNotFound(_)
        | sled::Error::Unsupported(_) => damaged(folder, &error.to_string()),
    }
}

fn damaged(folder: &Path, why: &str) -> StoreError {
    // sled's own words run over several lines and are for its authors.
    let why = why.lines().next().unwrap_or_default();
    StoreError::Damaged(format!(
        "the store in {} is damaged ({why}): move the folder aside and start again; what the \
         look-back still shows is read anew, and alerts that still hold are told again",
        folder.display()
    ))
}

const NO_SENSE: &str = "its content makes no sense";

/// sled panics over some of the damage that it finds: to whoever starts the
/// service that is one more damaged store, and no reason for a backtrace.
fn guarded<T>(folder: &Path, reading: impl FnOnce() -> T) -> Result<T, StoreError> {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    // What was half read is dropped unseen: the caller gets an error instead.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(reading));
    std::panic::set_hook(usual);
    read.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        tracing::debug!(panic = text, "sled gave up");
        damaged(folder, NO_SENSE)
    })
}

fn unusable(folder: &Path, error: &io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "give postwatch's user the right to write there, or choose another folder with --data"
        }
        io::ErrorKind::StorageFull => {
            "free some space, then restart postwatch; nothing that was committed is lost"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: mount it writable, or choose another folder with --data"
        }
        _ => "check the disk and the folder given with --data",
    };
    StoreError::Unusable(format!(
        "the folder {} cannot be used ({error}): {advice}",
        folder.display()
    ))
}
