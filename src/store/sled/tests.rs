//! What becomes of a store whose files or whose disk are in trouble.

use std::os::unix::fs::FileExt;
use std::process::Command;

use tempfile::TempDir;

use super::*;
use crate::domain::delivery::{Delivery, Fold, Life, Row};
use crate::domain::dims::DimsId;
use crate::domain::facts::Entry;
use crate::domain::reason::Reason;
use crate::domain::state::Record;

mod power;

const DAY: Duration = Duration::from_secs(24 * 3600);
const SPAN: Duration = Duration::from_secs(4 * 24 * 3600);
const NOON: Timestamp = Timestamp(1_772_366_400);

/// Commit `number`: some deliveries, their texts, and a record that changes.
fn changes(number: u64, deliveries: u64) -> Changes {
    changes_at(NOON + Duration::from_secs(number), number, deliveries)
}

/// The same, of deliveries at this moment.
fn changes_at(at: Timestamp, number: u64, deliveries: u64) -> Changes {
    let delivery = |place: u64| Delivery {
        identity: Identity(u128::from(number * 100_000 + place) << 17),
        dims: DimsId(0),
        conversion: place,
        transaction: place,
        timestamp: at,
        newest: Fold { last_attempt: at, timestamp: at, failed_attempts: 1, is_success: false },
        reason: Reason::Timeout,
        life: Life::Failing,
        text: number,
    };
    let text = |place: u64| {
        let payload = format!("https://t.example/postback?cid={number}{place}&payout=1.5");
        let row = Row {
            conversion_id: format!("{number}-{place}").into(),
            transaction_id: format!("t{number}-{place}").into(),
            payload: payload.into(),
            debug_information: "Status: 500\nScheme: https\nHeaders: Server: [nginx]".into(),
            ..Row::default()
        };
        DeliveryText::of(delivery(place).identity, &row)
    };
    Changes {
        commit: number,
        seen_at: at,
        journal: vec![(
            "acme".to_owned(),
            (0..deliveries).map(|n| Entry::Delivery(delivery(n))).collect(),
        )],
        texts: (0..deliveries).map(text).collect(),
        records: vec![Record::OfferName {
            source: "acme".to_owned(),
            id: number % 7,
            name: format!("offer as of {number}"),
        }],
    }
}

/// Everything that a start reads, in words.
fn loaded(store: &mut SledStore) -> Result<(u64, Vec<String>), StoreError> {
    let mut all = Vec::new();
    let commit = store.load(SPAN, &mut |stored| match stored {
        Stored::Entries { source, entries } => {
            all.extend(entries.iter().map(|entry| format!("Entry {source} {entry:?}")));
        }
        other => all.push(format!("{other:?}")),
    })?;
    Ok((commit, all))
}

fn opened(folder: &Path) -> SledStore {
    let mut store = SledStore::open(folder).expect("the folder can be used");
    loaded(&mut store).expect("the store can be read");
    store
}

fn wait_for_snapshot(store: &mut SledStore) {
    let copying = store.open.as_mut().and_then(|open| open.copying.take());
    copying.expect("one was begun").thread.join().expect("it ends");
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a temporary folder");
    for entry in fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("it can be read");
        let place = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &place);
        } else {
            fs::copy(entry.path(), place).expect("there is room");
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("it is there").flatten() {
        match entry.path().is_dir() {
            true => files.extend(self::files(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

/// A store of 60 commits, with a snapshot as of the 40th.
fn whole(folder: &Path) -> ((u64, Vec<String>), (u64, Vec<String>)) {
    let mut store = opened(folder);
    let mut as_of_snapshot = None;
    for number in 1..=60 {
        store.commit(&changes(number, 40)).expect("the disk has room");
        if number == 40 {
            store.checkpoint(number, &[("acme".to_owned(), Checkpoint::default())]).expect("room");
            store.snapshot(SPAN).expect("it begins");
            wait_for_snapshot(&mut store);
            as_of_snapshot = Some(loaded(&mut store).expect("it can be read"));
        }
    }
    (loaded(&mut store).expect("it can be read"), as_of_snapshot.expect("there was a 40th"))
}

/// What a start makes of a store that may be damaged: as the keeper does.
fn started(folder: &Path) -> (u64, Vec<String>) {
    let mut store = SledStore::open(folder).expect("the folder can be used");
    match loaded(&mut store) {
        Ok(all) => all,
        Err(StoreError::Damaged(why)) => {
            store.rebuild(NOON, &why).expect("a new store can be written");
            assert!(!store.condition().set_aside.is_empty(), "{why}");
            loaded(&mut store).expect("a new store is sound")
        }
        Err(error) => panic!("{error}"),
    }
}

/// Cuts, flips and zeroes at places all over the files, one at a time.
#[test]
fn a_damaged_store_comes_back_whole_or_as_of_its_snapshot_and_never_with_less() {
    let place = TempDir::new().expect("a temporary folder");
    let sound = place.path().join("sound");
    let (all, as_of_snapshot) = whole(&sound);
    let mut chance = fastrand::Rng::with_seed(7);
    let (mut as_it_was, mut rebuilt) = (0, 0);
    for number in 0..200 {
        let folder = place.path().join("damaged");
        copy(&sound, &folder);
        let files = files(&folder);
        let files: Vec<_> = files.iter().filter(|file| !file.ends_with("lock")).collect();
        let file = files[chance.usize(..files.len())];
        let length = fs::metadata(file).expect("it is there").len();
        let at = chance.u64(..length.max(1));
        let kind = ["cut", "flip", "zero"][chance.usize(..3)];
        let writable = fs::File::options().read(true).write(true).open(file).expect("it is ours");
        match kind {
            "cut" => writable.set_len(at).expect("it is ours"),
            _ => {
                let count = [1, 64, 4_096, 40_000][chance.usize(..4)].min(length - at) as usize;
                let mut bytes = vec![0; count];
                writable.read_exact_at(&mut bytes, at).expect("it is that long");
                let change = |byte: &u8| if kind == "flip" { !byte } else { 0 };
                let changed: Vec<u8> = bytes.iter().map(change).collect();
                writable.write_all_at(&changed, at).expect("it is ours");
            }
        }
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let damage = format!("damage {number}: {kind} at {at} of {length} of {name}");
        let found = started(&folder);
        match found.0 {
            60 => {
                assert!(found == all, "{damage}: the last commit is there, and not all before it")
            }
            _ => assert!(found == as_of_snapshot, "{damage}: neither whole nor as of the snapshot"),
        }
        as_it_was += u32::from(found.0 == 60);
        rebuilt += u32::from(found.0 == 40);
        assert_eq!(started(&folder), found, "{damage}: the next start finds the same");
        fs::remove_dir_all(&folder).expect("it is ours");
    }
    println!("200 damages: {as_it_was} did no harm, {rebuilt} rebuilt from the snapshot");
    assert!(rebuilt > 50 && as_it_was > 0, "{rebuilt} rebuilt, {as_it_was} as it was");
}

#[test]
fn a_snapshot_tells_that_the_store_ends_too_early_where_the_last_number_is_lost() {
    let place = TempDir::new().expect("a temporary folder");
    let (_, as_of_snapshot) = whole(place.path());
    fs::remove_file(place.path().join("acknowledged")).expect("ours");
    let db = place.path().join("sled/db");
    fs::File::options().write(true).open(&db).and_then(|file| file.set_len(0)).expect("ours");
    assert!(started(place.path()) == as_of_snapshot, "it is as of the snapshot");
}

#[test]
fn a_snapshot_that_cannot_be_read_is_set_aside_beside_its_store() {
    let place = TempDir::new().expect("a temporary folder");
    whole(place.path());
    let garbage = b"no snapshot at all";
    fs::write(place.path().join("snapshot"), garbage).expect("ours");
    let db = place.path().join("sled/db");
    fs::File::options().write(true).open(&db).and_then(|file| file.set_len(0)).expect("ours");
    assert_eq!(started(place.path()), (0, Vec::new()));
    let aside = SledStore::open(place.path()).expect("ours").condition().set_aside;
    let kept = fs::read(place.path().join(&aside[0]).join("snapshot"));
    assert_eq!(kept.expect("it was kept"), garbage);
}

/// A copy whose bytes are sound and mean nothing must not take the store's place,
/// and be found damaged again at each start.
#[test]
fn a_snapshot_that_cannot_be_replayed_is_none() {
    let place = TempDir::new().expect("a temporary folder");
    whole(place.path());
    let path = place.path().join("snapshot");
    let mut pairs = Vec::new();
    snapshot::read(&path, &mut |pair| {
        pairs.push(pair);
        Ok(())
    })
    .expect("it is sound");
    let block = pairs.iter_mut().find(|(key, _)| key[0] == JOURNAL).expect("there are some");
    block.1.truncate(5);
    snapshot::write(&path, pairs.into_iter().map(Ok)).expect("there is room");
    let db = place.path().join("sled/db");
    fs::File::options().write(true).open(&db).and_then(|file| file.set_len(0)).expect("ours");
    assert_eq!(started(place.path()), (0, Vec::new()));
    assert_eq!(started(place.path()), (0, Vec::new()), "the next start finds a sound one");
}

#[test]
fn without_a_snapshot_a_damaged_store_begins_anew_and_is_set_aside() {
    let place = TempDir::new().expect("a temporary folder");
    {
        let mut store = opened(place.path());
        store.commit(&changes(1, 40)).expect("room");
    }
    let db = place.path().join("sled/db");
    fs::File::options().write(true).open(&db).and_then(|file| file.set_len(0)).expect("ours");
    assert_eq!(started(place.path()), (0, Vec::new()));
    fs::remove_dir_all(place.path().join("sled")).expect("ours");
    assert_eq!(started(place.path()).0, 0, "a store that was removed by hand");
}

#[test]
fn a_call_that_never_comes_back_is_not_waited_for() {
    let (_keeps_it_waiting, never) = std::sync::mpsc::channel::<()>();
    let worker = Worker::start();
    assert!(worker.within(DAY, || true, || {}).is_ok_and(|came_back| came_back));
    let waited = worker.within(Duration::from_millis(20), move || never.recv().is_ok(), || {});
    assert!(waited.is_err());
}

#[test]
fn a_folder_is_used_by_one_process_alone() {
    let place = TempDir::new().expect("a temporary folder");
    let _store = opened(place.path());
    let second = SledStore::open(place.path()).err().map(|error| error.to_string());
    assert!(second.is_some_and(|told| told.contains("in use by another postwatch")));
}

/// A small file system of its own; `None` where only root could make it.
struct Disk {
    place: TempDir,
}

impl Disk {
    fn new(size: &str) -> Option<Disk> {
        let place = TempDir::new().expect("a temporary folder");
        let options = format!("size={size}");
        let arguments = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let made = Command::new("mount").args(arguments).arg(place.path()).output();
        if made.is_ok_and(|made| made.status.success()) {
            return Some(Disk { place });
        }
        println!("skipped: mounting a small disk needs root");
        None
    }

    fn remount(&self, option: &str) {
        let options = format!("remount,{option}");
        let done = Command::new("mount").args(["-o", &options]).arg(self.place.path()).status();
        assert!(done.is_ok_and(|status| status.success()), "mount -o {options}");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.place.path()).status().ok();
    }
}

#[test]
fn a_store_goes_on_by_itself_when_a_full_disk_has_room_again() {
    let Some(disk) = Disk::new("6m") else { return };
    for round in 0..3 {
        let folder = disk.place.path().join(format!("data{round}"));
        disk.remount(&format!("size={}m", 6 + round * 20));
        let mut store = opened(&folder);
        let mut last = 0;
        let refused = loop {
            match store.commit(&changes(last + 1, 400)) {
                Ok(()) => last += 1,
                Err(error) => break error.to_string(),
            }
        };
        assert!(refused.contains("free some space"), "{refused}");
        for _ in 0..5 {
            let told = loaded(&mut store).expect_err("there is no room").to_string();
            assert!(told.contains("free some space"), "{told}");
        }
        disk.remount(&format!("size={}m", 20 + round * 20));
        let (commit, all) = loaded(&mut store).expect("there is room");
        assert!(commit == last || commit == last + 1, "{commit} of {last}");
        let entries = all.iter().filter(|one| one.starts_with("Entry")).count();
        assert_eq!(entries as u64, commit * 400);
        store.commit(&changes(commit + 1, 400)).expect("there is room");
    }
}

#[test]
fn a_store_goes_on_by_itself_when_a_read_only_disk_is_writable_again() {
    let Some(disk) = Disk::new("60m") else { return };
    let mut store = opened(&disk.place.path().join("data"));
    store.commit(&changes(1, 40)).expect("room");
    // As after a failed write: with a file of its open for writing no disk can be
    // made read-only by hand.
    store.close();
    disk.remount("ro");
    let told = loaded(&mut store).expect_err("it is read-only").to_string();
    assert!(told.contains("read-only"), "{told}");
    assert!(store.commit(&changes(2, 40)).is_err());
    disk.remount("rw");
    assert_eq!(loaded(&mut store).expect("it is writable").0, 1);
    store.commit(&changes(2, 40)).expect("it is writable");
}

/// Half a year at a steady load, 30 days kept: neither the disk nor what a start
/// reads grows after that.
#[test]
fn after_thirty_days_the_disk_is_level() {
    let place = TempDir::new().expect("a temporary folder");
    let mut store = opened(place.path());
    let mut most = [0; 6];
    for day in 0..180u64 {
        let now = NOON + DAY * day as u32;
        for part in 0..4 {
            store.commit(&changes_at(now, day * 4 + part + 1, 500)).expect("room");
        }
        store.checkpoint(day * 4 + 4, &[]).expect("room");
        store.prune(DAY * 30).expect("room");
        let month = &mut most[day as usize / 30];
        *month = store.condition().bytes.max(*month);
    }
    println!("at most, in bytes, month by month: {most:?}");
    // sled tidies up twice a second: on a busy machine some months lie in between.
    assert!(most[5] <= most[2] + most[2] / 3, "{most:?}");
}
