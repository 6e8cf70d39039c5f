//! The number of the last commit that was acknowledged, kept beside sled.
//!
//! At some damage sled cuts its log and opens with less, without a word. This
//! number tells: a store that ends before it has lost commits.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::domain::delivery::Identity;

const BYTES: usize = 16;

/// The file that holds the number.
#[derive(Debug)]
pub struct Acknowledged {
    file: File,
}

impl Acknowledged {
    pub fn open(path: &Path) -> io::Result<Acknowledged> {
        let file =
            File::options().create(true).truncate(false).read(true).write(true).open(path)?;
        Ok(Acknowledged { file })
    }

    /// `None` where the file is new, or makes no sense.
    pub fn read(&self) -> io::Result<Option<u64>> {
        let mut bytes = [0; BYTES];
        let read = self.file.read_at(&mut bytes, 0)?;
        let commit = u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"));
        let is_whole = read == BYTES && bytes[8..] == check(commit);
        Ok(is_whole.then_some(commit))
    }

    /// Not synced, on purpose: it is written after its commit is on the disk, so
    /// whatever of it a power cut leaves is never ahead of the store. It outlasts
    /// this process at once, and the machine within half a minute.
    pub fn write(&self, commit: u64) -> io::Result<()> {
        let mut bytes = [0; BYTES];
        bytes[..8].copy_from_slice(&commit.to_le_bytes());
        bytes[8..].copy_from_slice(&check(commit));
        self.file.write_all_at(&bytes, 0)
    }

    /// Waits until the disk has it.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }
}

fn check(commit: u64) -> [u8; 8] {
    let hash = Identity::of_parts(&["acknowledged", &commit.to_string()]).0;
    (hash as u64).to_le_bytes()
}
