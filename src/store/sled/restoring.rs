//! A store that was found damaged: set aside, and built anew from the snapshot.

use std::fs;
use std::time::Duration;

use sled::Batch;

use super::opening::open_sled;
use super::{SledStore, explain, scan};
use crate::domain::time::Timestamp;
use crate::failpoint::{Step, reach};
use crate::store::journal::{JOURNAL, WRITTEN, Written};
use crate::store::replay::replay;
use crate::store::{StoreError, codec, snapshot};

/// Pairs in one batch.
const RESTORED_AT_ONCE: usize = 500;

impl SledStore {
    /// Whenever this ends early, the store is missing or damaged still, and the
    /// next start does it again.
    pub(super) fn restore(&mut self, now: Timestamp, why: &str) -> Result<(), StoreError> {
        let place = self.folder.set_aside(now)?;
        reach(Step::RebuildSetAside);
        let set_aside = place.as_ref().map(|place| place.display().to_string());
        let set_aside = set_aside.unwrap_or_else(|| "nowhere: its files were missing".to_owned());
        match self.write_anew(true) {
            Ok(written) => tracing::error!(
                why,
                set_aside,
                as_of = %written.written_at,
                "THE STORE WAS DAMAGED and is rebuilt from its snapshot; what the network showed \
                 later is read again, and messages of that time may come twice"
            ),
            Err(StoreError::Damaged(no_snapshot)) => {
                let aside = self.folder.set_snapshot_aside(place.as_deref());
                aside.map_err(|error| self.folder.unusable(&error))?;
                self.write_anew(false)?;
                tracing::error!(
                    why,
                    set_aside,
                    no_snapshot,
                    "THE STORE WAS DAMAGED and there is no snapshot of it: postwatch begins anew \
                     with what the network's look-back shows; counters start at 0, and alerts that \
                     still hold are told again"
                );
            }
            Err(error) => {
                // It may be what fills the disk.
                fs::remove_dir_all(self.folder.new_sled()).ok();
                return Err(error);
            }
        }
        self.folder.forget_oldest();
        Ok(())
    }

    /// Builds the store beside its place, from the snapshot or empty, and moves it there.
    fn write_anew(&mut self, from_snapshot: bool) -> Result<Written, StoreError> {
        let unusable = |error| self.folder.unusable(&error);
        let path = self.folder.new_sled();
        if path.exists() {
            fs::remove_dir_all(&path).map_err(unusable)?;
        }
        let written = match from_snapshot {
            true => self.copy_snapshot()?,
            false => Written::default(),
        };
        reach(Step::RebuildWritten);
        // First the number, then the store: a crash in between finds no store, and
        // rebuilds it.
        let (acknowledged, _) = self.acknowledged()?;
        let kept = acknowledged.write(written.commit).and_then(|()| acknowledged.sync());
        kept.map_err(unusable)?;
        if path.exists() {
            fs::rename(&path, self.folder.sled()).map_err(unusable)?;
        }
        self.folder.sync().map_err(unusable)?;
        Ok(written)
    }

    fn copy_snapshot(&self) -> Result<Written, StoreError> {
        let db = open_sled(&self.folder, &self.folder.new_sled())?;
        let failed = |error: sled::Error| explain(&self.folder, &error);
        let (mut batch, mut held) = (Batch::default(), 0);
        let mut written = Written::default();
        snapshot::read(&self.folder.snapshot(), &mut |(key, value)| {
            match key.first() {
                Some(&WRITTEN) => {
                    let kept: Written = codec::decode("its snapshot's head", &value)?;
                    // The snapshot holds a part of the journal: its sum is another.
                    written = kept.without_blocks();
                    return Ok(());
                }
                Some(&JOURNAL) => written.add(&key),
                _ => {}
            }
            batch.insert(key, value);
            held += 1;
            if held == RESTORED_AT_ONCE {
                held = 0;
                db.apply_batch(std::mem::take(&mut batch)).map_err(failed)?;
            }
            Ok(())
        })?;
        let (key, head) = written.write();
        batch.insert(key, head.unwrap_or_default());
        db.apply_batch(batch).map_err(failed)?;
        db.flush().map_err(failed)?;
        // What cannot be read back is no copy.
        replay(Duration::MAX, &mut |_| {}, |prefix| scan(&db, prefix))?;
        drop(db);
        let synced = fs::File::open(self.folder.new_sled().join("db"));
        synced.and_then(|file| file.sync_all()).map_err(|error| self.folder.unusable(&error))?;
        Ok(written)
    }
}
