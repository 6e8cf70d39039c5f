//! Opening sled: with what a crash or a full disk left behind, and without
//! believing that all of it is there.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{Advice, fadvise};
use sled::Db;

use super::{Open, SledStore, explain, guarded, scan};
use crate::store::acknowledged::Acknowledged;
use crate::store::journal::{WRITTEN, Written};
use crate::store::replay::read_written;
use crate::store::{StoreError, codec, folder::Folder, snapshot};

/// The journal is written once and read at a start: it needs little cache.
const CACHE_BYTES: u64 = 8 << 20;

/// A closed sled lets go of its lock when the last of its threads ends.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(5);

impl SledStore {
    /// Opens the store once its disk takes writes, and can be read.
    pub(super) fn reopen(&mut self) -> Result<Open, StoreError> {
        self.folder.probe().map_err(|error| self.folder.unusable(&error))?;
        let path = self.folder.sled();
        let (acknowledged, last) = self.acknowledged()?;
        let copied = self.copied_commit();
        let least = last.max(copied).unwrap_or_default();
        if !path.join("db").exists() && least > 0 {
            return Err(self.folder.damaged("its files are missing"));
        }
        if std::mem::take(&mut self.is_doubtful) {
            forget_cached(&path);
        }
        read_through(&path).map_err(|error| self.folder.unusable(&error))?;
        let db = open_sled(&self.folder, &path)?;
        let written = guarded(|| read_written(&|prefix| scan(&db, prefix)));
        let written = written.unwrap_or_else(|why| Err(self.folder.damaged(&why)))?;
        if written.commit < least {
            let why = format!("it ends at commit {} of {least}", written.commit);
            return Err(self.folder.damaged(&why));
        }
        if last.is_none() && written.commit > 0 {
            tracing::warn!(
                commit = written.commit,
                "whether the store is whole cannot be told: the number of its last commit is lost"
            );
        }
        let file = File::open(path.join("db")).map_err(|error| self.folder.unusable(&error))?;
        let file = Arc::new(file);
        Ok(Open { db, file, acknowledged, written, copying: None })
    }

    /// The last commit that the snapshot holds.
    fn copied_commit(&self) -> Option<u64> {
        let (key, value) = snapshot::first(&self.folder.snapshot())?;
        let written: Written = codec::decode("the snapshot's head", &value).ok()?;
        (key == [WRITTEN]).then_some(written.commit)
    }

    /// The number of the last commit that was acknowledged, and the file that holds it.
    pub(super) fn acknowledged(&self) -> Result<(Acknowledged, Option<u64>), StoreError> {
        let file = Acknowledged::open(&self.folder.acknowledged());
        let read = file.and_then(|file| file.read().map(|last| (file, last)));
        read.map_err(|error| self.folder.unusable(&error))
    }
}

/// Reads every file once. Where sled meets a disk that cannot be read, it takes
/// that for the end of its log, and cuts it there.
fn read_through(path: &Path) -> io::Result<()> {
    let mut buffer = vec![0; 1 << 20];
    for entry in fs::read_dir(path).into_iter().flatten() {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            let mut file = File::open(entry.path())?;
            while file.read(&mut buffer)? > 0 {}
        }
    }
    Ok(())
}

/// Opens sled, by its log alone where its own index of it is damaged.
pub(super) fn open_sled(folder: &Folder, path: &Path) -> Result<Db, StoreError> {
    // Half an index: from a disk that was full, or a crash. sled would take it for
    // the newest and refuse to open.
    remove(
        indices(path).into_iter().filter(|index| index.extension() == Some("generating".as_ref())),
    );
    match try_open(folder, path) {
        Err(StoreError::Damaged(why)) if !indices(path).is_empty() => {
            tracing::warn!(why, "sled's index is damaged: its log is read from the beginning");
            remove(indices(path).into_iter());
            try_open(folder, path)
        }
        opened => opened,
    }
}

fn try_open(folder: &Folder, path: &Path) -> Result<Db, StoreError> {
    let config =
        sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(Some(500));
    let until = Instant::now() + UNLOCKED_WITHIN;
    loop {
        let opened = guarded(|| config.open()).map_err(|why| folder.damaged(&why))?;
        match opened {
            Ok(db) => {
                let synced = File::open(path).and_then(|folder| folder.sync_all());
                synced.and_then(|()| folder.sync()).map_err(|error| folder.unusable(&error))?;
                return Ok(db);
            }
            Err(error) if is_locked(&error) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(error) => return Err(explain(folder, &error)),
        }
    }
}

fn is_locked(error: &sled::Error) -> bool {
    error.to_string().contains("could not acquire lock")
}

/// sled's own snapshots: where in its log each page lies.
fn indices(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let is_index = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with("snap.");
    entries.filter(is_index).map(|entry| entry.path()).collect()
}

fn remove(paths: impl Iterator<Item = PathBuf>) {
    for path in paths {
        fs::remove_file(path).ok();
    }
}

/// After a failed fsync the operating system may remember what the disk never
/// got, and take it for written: what is read from here on comes from the disk.
fn forget_cached(path: &Path) {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    for file in entries.filter_map(|entry| File::open(entry.path()).ok()) {
        file.sync_all().ok();
        fadvise(&file, 0, None, Advice::DontNeed).ok();
    }
}
