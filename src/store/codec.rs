//! Bytes of the store: postcard behind a version byte; texts deflated.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::StoreError;

/// Rises when what is written can no longer be read by the version before.
const VERSION: u8 = 4;

/// A text block never unpacks to more: its rows were limited when they came in.
const LARGEST_UNPACKED: u64 = 64 << 20;

pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    let bytes = vec![VERSION];
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

pub fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory takes every byte")
}

pub fn unpack(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut unpacked = Vec::new();
    DeflateDecoder::new(bytes).take(LARGEST_UNPACKED).read_to_end(&mut unpacked).map_err(
        |error| StoreError::Damaged(format!("a block of texts cannot be read: {error}")),
    )?;
    Ok(unpacked)
}
