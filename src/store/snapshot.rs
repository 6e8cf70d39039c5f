//! A copy of the store in one file, written while the service runs: what a
//! damaged store is rebuilt from.
//!
//! It holds what a start reads (records, checkpoint, the journal of the look-back)
//! and not the texts of deliveries, which are most of a store's bytes. gzip makes
//! it compact and carries the checksum.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use super::StoreError;
use crate::failpoint::{Step, reach};

/// What stands at the beginning; the number rises with the format.
const MAGIC: &[u8] = b"postwatch snapshot 1\n";

/// No key and no value of ours is longer: the journal's blocks are of a few kB.
const LONGEST: u32 = 64 << 20;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Writes the pairs to `path`, which holds either the copy before or the whole
/// new one, whenever the process or the machine ends.
pub fn write(
    path: &Path,
    pairs: impl Iterator<Item = Result<Pair, StoreError>>,
) -> Result<(), StoreError> {
    let unusable = |error: io::Error| {
        StoreError::Unusable(format!("the snapshot {} cannot be written: {error}", path.display()))
    };
    let beside = path.with_extension("new");
    let written = File::create(&beside).map_err(unusable).and_then(|file| {
        let mut out = GzEncoder::new(BufWriter::new(file), Compression::fast());
        out.write_all(MAGIC).map_err(unusable)?;
        for pair in pairs {
            let (key, value) = pair?;
            write_pair(&mut out, &key, &value).map_err(unusable)?;
        }
        // An empty key: no pair has one. Without it the copy is not whole.
        write_pair(&mut out, b"", b"").map_err(unusable)?;
        let out = out.finish().map_err(unusable)?;
        let file = out.into_inner().map_err(|error| unusable(error.into_error()))?;
        file.sync_all().map_err(unusable)
    });
    if written.is_err() {
        fs::remove_file(&beside).ok();
        return written;
    }
    reach(Step::SnapshotWritten);
    fs::rename(&beside, path).map_err(unusable)?;
    reach(Step::SnapshotRenamed);
    let parent = path.parent().unwrap_or(Path::new("."));
    File::open(parent).and_then(|folder| folder.sync_all()).map_err(unusable)
}

fn write_pair(out: &mut impl Write, key: &[u8], value: &[u8]) -> io::Result<()> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).map_err(io::Error::other);
    out.write_all(&length(key)?.to_le_bytes())?;
    out.write_all(&length(value)?.to_le_bytes())?;
    out.write_all(key)?;
    out.write_all(value)
}

/// Reads the pairs back. Only when it returns `Ok` was the copy whole and sound:
/// whatever was taken before an error is to be thrown away.
pub fn read(
    path: &Path,
    take: &mut dyn FnMut(Pair) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let file = File::open(path).map_err(unsound)?;
    let mut input = GzDecoder::new(BufReader::new(file));
    let mut magic = vec![0; MAGIC.len()];
    input.read_exact(&mut magic).map_err(unsound)?;
    if magic != MAGIC {
        return Err(unsound(io::Error::other("it is none, or of another version")));
    }
    loop {
        let (key, value) = read_pair(&mut input).map_err(unsound)?;
        if key.is_empty() {
            break;
        }
        take((key, value))?;
    }
    // The checksum stands at the end, and is compared when the end is read.
    match input.read(&mut [0]).map_err(unsound)? {
        0 => Ok(()),
        _ => Err(unsound(io::Error::other("it goes on behind its end"))),
    }
}

/// What the copy begins with; `None` where there is no copy, or none that makes sense.
pub fn first(path: &Path) -> Option<Pair> {
    let mut input = GzDecoder::new(BufReader::new(File::open(path).ok()?));
    let mut magic = vec![0; MAGIC.len()];
    input.read_exact(&mut magic).ok()?;
    if magic == MAGIC { read_pair(&mut input).ok() } else { None }
}

/// A disk that cannot be read now may be read later: that is no damage.
fn unsound(error: io::Error) -> StoreError {
    match error.raw_os_error() {
        Some(_) if error.kind() != io::ErrorKind::NotFound => {
            StoreError::Unusable(format!("the store's snapshot cannot be read: {error}"))
        }
        _ => StoreError::Damaged(format!("its snapshot: {error}")),
    }
}

fn read_pair(input: &mut impl Read) -> io::Result<Pair> {
    let key = read_length(input)?;
    let value = read_length(input)?;
    Ok((read_bytes(input, key)?, read_bytes(input, value)?))
}

fn read_length(input: &mut impl Read) -> io::Result<u32> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_le_bytes(length);
    if length > LONGEST { Err(io::Error::other("a length makes no sense")) } else { Ok(length) }
}

fn read_bytes(input: &mut impl Read, length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    input.by_ref().take(length.into()).read_to_end(&mut bytes)?;
    if bytes.len() == length as usize {
        Ok(bytes)
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}
