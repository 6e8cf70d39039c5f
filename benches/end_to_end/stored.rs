//! How many bytes of a stopped postwatch's store are the journal, how many the texts
//! of deliveries: what no file shows, as sled keeps all kinds of keys in one.
//!
//! `stored FOLDER` prints a JSON object: for each kind of key its `keys`, and `bytes`,
//! the sum of its keys and values without what sled puts around them.

use std::collections::BTreeMap;
use std::path::Path;

use postwatch::store::journal::{CHECKPOINT, JOURNAL, RECORDS, TEXTS, WRITTEN};
use serde::Serialize;

#[derive(Default, Serialize)]
struct Kind {
    keys: u64,
    bytes: u64,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: stored FOLDER")?;
    println!("{}", serde_json::to_string(&kinds(Path::new(&folder))?)?);
    Ok(())
}

fn kinds(folder: &Path) -> Result<BTreeMap<&'static str, Kind>, Box<dyn std::error::Error>> {
    // Else a mistyped path would become a new, empty store.
    let path = folder.join("sled").canonicalize()?;
    let mut kinds: BTreeMap<&'static str, Kind> = BTreeMap::new();
    for pair in sled::open(path)?.iter() {
        let (key, value) = pair?;
        let kind = kinds.entry(kind_of(&key)?).or_default();
        kind.keys += 1;
        kind.bytes += (key.len() + value.len()) as u64;
    }
    Ok(kinds)
}

fn kind_of(key: &[u8]) -> Result<&'static str, String> {
    match key.first() {
        Some(&JOURNAL) => Ok("journal"),
        Some(&TEXTS) => Ok("texts"),
        Some(&RECORDS) => Ok("records"),
        Some(&CHECKPOINT) => Ok("checkpoint"),
        Some(&WRITTEN) => Ok("written"),
        _ => Err(format!("a key of an unknown kind: {key:?}")),
    }
}
