//! The data folder: who may use it, what lies where, and whether its disk takes
//! what is written.

use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::StoreError;
use crate::domain::time::Timestamp;

/// sled writes about this much when it opens a store of usual size; without that
/// room it leaves half a file behind.
const PROBE_BYTES: usize = 1 << 20;

const FREE_WITHIN: Duration = Duration::from_secs(1);

/// Damaged content is for a person to look at, but must not fill the disk.
const MOST_SET_ASIDE: usize = 3;

const SET_ASIDE: &str = "damaged-";

/// A data folder that this process alone uses.
///
/// | in it | |
/// |---|---|
/// | `lock` | locked while a postwatch uses the folder |
/// | `sled/` | the store |
/// | `acknowledged` | the number of the last commit, see [`super::acknowledged`] |
/// | `snapshot` | a copy to rebuild the store from, see [`super::snapshot`] |
/// | `damaged-…/` | a store that was found damaged then |
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Released by the operating system, however this process ends.
    _lock: File,
}

impl Folder {
    /// Makes the folder (mode 0700) where it is missing, and locks it.
    pub fn open(path: &Path) -> Result<Folder, StoreError> {
        make_private(path).map_err(|error| unusable(path, &error))?;
        let lock = path.join("lock");
        let made = File::options().create(true).append(true).open(&lock);
        // Read-only: a file that is open for writing keeps a disk from becoming so.
        let lock = made.and_then(|_| File::open(&lock));
        let lock = lock.map_err(|error| unusable(path, &error))?;
        take(path, &lock)?;
        Ok(Folder { path: path.to_owned(), _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn sled(&self) -> PathBuf {
        self.path.join("sled")
    }

    /// Where a store is built before it takes its place.
    pub fn new_sled(&self) -> PathBuf {
        self.path.join("sled.new")
    }

    pub fn acknowledged(&self) -> PathBuf {
        self.path.join("acknowledged")
    }

    pub fn snapshot(&self) -> PathBuf {
        self.path.join("snapshot")
    }

    /// Whether the disk takes writes now: some room is taken, and given back.
    pub fn probe(&self) -> io::Result<()> {
        let path = self.path.join("probe");
        let probed = File::create(&path).and_then(|mut file| {
            file.write_all(&[1; PROBE_BYTES])?;
            file.sync_all()
        });
        fs::remove_file(&path).ok();
        probed
    }

    /// Moves the store out of the way, under a name with the time; nothing to do
    /// where it is missing.
    pub fn set_aside(&self, now: Timestamp) -> Result<Option<PathBuf>, StoreError> {
        if !self.sled().exists() {
            return Ok(None);
        }
        let time = now.to_string().replace([':', ' '], "-");
        let names = (1..).map(|number| match number {
            1 => format!("{SET_ASIDE}{time}"),
            _ => format!("{SET_ASIDE}{time}-{number}"),
        });
        let mut places = names.map(|name| self.path.join(name));
        let place = places.find(|place| !place.exists()).expect("numbers do not end");
        let moved = fs::rename(self.sled(), &place).and_then(|()| self.sync());
        moved.map_err(|error| self.unusable(&error))?;
        Ok(Some(place))
    }

    /// Moves a snapshot that cannot be read out of the way: beside the store that it
    /// was to mend.
    pub fn set_snapshot_aside(&self, place: Option<&Path>) -> io::Result<()> {
        let aside = match place {
            Some(place) => place.join("snapshot"),
            None => self.path.join("damaged-snapshot"),
        };
        match fs::rename(self.snapshot(), aside) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            moved => moved,
        }
    }

    /// Names of the folders with damaged content, the oldest first.
    pub fn all_set_aside(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.path).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| name.starts_with(SET_ASIDE)).collect();
        names.sort();
        names
    }

    /// Only once another store stands in its place.
    pub fn forget_oldest(&self) {
        let names = self.all_set_aside();
        for name in &names[..names.len().saturating_sub(MOST_SET_ASIDE)] {
            tracing::warn!(name, "an old damaged store is removed, newer ones are kept");
            fs::remove_dir_all(self.path.join(name)).ok();
        }
    }

    /// Makes new names in the folder outlast a power cut.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    pub fn unusable(&self, error: &io::Error) -> StoreError {
        unusable(&self.path, error)
    }

    pub fn damaged(&self, why: &str) -> StoreError {
        // sled's own words run over several lines and are for its authors.
        let why = why.lines().next().unwrap_or_default();
        StoreError::Damaged(format!("the store in {} is damaged: {why}", self.path.display()))
    }
}

/// The one before may be about to end.
fn take(path: &Path, lock: &File) -> Result<(), StoreError> {
    let until = Instant::now() + FREE_WITHIN;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::Error(error)) => return Err(unusable(path, &error)),
            Err(TryLockError::WouldBlock) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked(format!(
                    "the store in {} is in use by another postwatch: stop that one, or give this \
                     one its own folder with --data",
                    path.display()
                )));
            }
        }
    }
}

fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    if !path.exists() {
        return fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    }
    // A folder that is not ours cannot be changed; it must only be writable.
    let _ = fs::set_permissions(path, fs::Permissions::from_mode(0o700));
    Ok(())
}

fn unusable(path: &Path, error: &io::Error) -> StoreError {
    let advice = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "give postwatch's user the right to write there, or choose another folder with --data"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space; nothing that was committed is lost"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: mount it writable, or choose another folder with --data"
        }
        _ => "check the disk and the folder given with --data",
    };
    StoreError::Unusable(format!(
        "the folder {} cannot be used ({error}): {advice}",
        path.display()
    ))
}
