//! Bytes of the store: postcard behind a version byte; texts deflated.

use std::io::Read;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Rises when what is written can no longer be read by the version before.
const VERSION: u8 = 6;

/// A text block never unpacks to more: its rows were limited when they came in.
const LARGEST_UNPACKED: u64 = 64 << 20;

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    append(vec![VERSION], value)
}

/// The value alone, behind what is there.
pub fn append<T: Serialize>(bytes: Vec<u8>, value: &T) -> Vec<u8> {
    postcard::to_extend(value, bytes)
        .expect("writing to memory cannot fail, and every type has a length")
}

pub fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&VERSION, rest)) => postcard::from_bytes(rest)
            .map_err(|error| StoreError::Damaged(format!("{what} cannot be read: {error}"))),
        Some((&version, _)) if version > VERSION => Err(StoreError::Newer(format!(
            "the store was written by a newer postwatch ({what} has format {version}, this \
             version reads up to {VERSION}): use that version, or a new --data folder"
        ))),
        Some((version, _)) => Err(StoreError::Damaged(format!(
            "{what} has format {version}, which this version reads no more"
        ))),
        None => Err(StoreError::Damaged(format!("{what} is empty"))),
    }
}

/// Deflates blocks, one after the other: to make a compressor costs more than to
/// compress a block with it.
pub struct Packer(Compress);

impl Default for Packer {
    fn default() -> Packer {
        Packer(Compress::new(Compression::fast(), false))
    }
}

impl Packer {
    pub fn pack(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.0.reset();
        let mut packed = Vec::with_capacity(bytes.len() / 2);
        loop {
            let rest = &bytes[self.0.total_in() as usize..];
            let status = self.0.compress_vec(rest, &mut packed, FlushCompress::Finish);
            if status.expect("memory takes every byte") == Status::StreamEnd {
                return packed;
            }
            packed.reserve(bytes.len().max(64));
        }
    }
}

pub fn unpack(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut unpacked = Vec::new();
    DeflateDecoder::new(bytes).take(LARGEST_UNPACKED).read_to_end(&mut unpacked).map_err(
        |error| StoreError::Damaged(format!("a block of texts cannot be read: {error}")),
    )?;
    Ok(unpacked)
}
