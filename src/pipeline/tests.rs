//! What the keeper shows while its store cannot be written.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::Bytes;

use super::*;
use crate::domain::policy::SourcePolicy;
use crate::domain::state::{Changes, Checkpoint, Stored};
use crate::store::Condition;
use crate::store::memory::MemoryStore;

/// What is wrong with the disk.
#[derive(Default)]
struct Disk {
    is_full: AtomicBool,
    hangs: AtomicBool,
    /// Seconds that were kept when it was last pruned.
    kept: AtomicU64,
}

struct Fragile {
    store: MemoryStore,
    disk: Arc<Disk>,
}

impl Store for Fragile {
    fn load(&mut self, span: Duration, take: &mut dyn FnMut(Stored)) -> Result<u64, StoreError> {
        self.store.load(span, take)
    }

    fn commit(&mut self, changes: &Changes) -> Result<(), StoreError> {
        if self.disk.hangs.load(Ordering::Relaxed) {
            return Err(StoreError::Stuck("the disk hangs".to_owned()));
        }
        match self.disk.is_full.load(Ordering::Relaxed) {
            true => Err(StoreError::Unusable("the disk is full".to_owned())),
            false => self.store.commit(changes),
        }
    }

    fn checkpoint(&mut self, commit: u64, all: &[(String, Checkpoint)]) -> Result<(), StoreError> {
        self.store.checkpoint(commit, all)
    }

    fn read(&self, wanted: &[(u64, Identity)]) -> Result<Vec<Option<DeliveryText>>, StoreError> {
        self.store.read(wanted)
    }

    fn prune(&mut self, retain: Duration) -> Result<(), StoreError> {
        self.disk.kept.store(retain.as_secs(), Ordering::Relaxed);
        self.store.prune(retain)
    }

    fn snapshot(&mut self, span: Duration) -> Result<(), StoreError> {
        self.store.snapshot(span)
    }

    fn rebuild(&mut self, now: Timestamp, why: &str) -> Result<(), StoreError> {
        self.store.rebuild(now, why)
    }

    fn kind(&self) -> &'static str {
        "fragile"
    }

    fn condition(&self) -> Condition {
        self.store.condition()
    }
}

fn failing_row(conversion: &str) -> Page {
    let row = format!(
        r#"{{"network_offer_id":11,"affiliate_id":7,"pixel_id":132,"conversion_id":"{conversion}","transaction_id":"t","timestamp":1772366000,"is_success":false,"failed_attempts":1,"last_attempt":1772366000,"delivery_method":"postback","payload":"https://t.example/","debug_information":"Status: 500"}}"#
    );
    let end = row.len();
    let place = std::iter::once(0..end).collect();
    Page::new(Bytes::from(row), place)
}

fn keeper() -> (Keeper<Fragile>, Arc<Disk>) {
    keeper_that_retains(None)
}

fn keeper_that_retains(retain: Option<Duration>) -> (Keeper<Fragile>, Arc<Disk>) {
    let policy = Policy {
        retain,
        sources: vec![SourcePolicy::named("acme")],
        evaluate_every: Duration::from_secs(10),
        ..Policy::default()
    };
    let disk = Arc::new(Disk::default());
    let store = Fragile { store: MemoryStore::default(), disk: disk.clone() };
    let rules = InForce { policy: Arc::new(policy), hash: 1 };
    let opened = Keeper::open(store, rules, Clock::System, Metrics::new(), Arc::default());
    (opened.expect("memory opens"), disk)
}

#[test]
fn nobody_sees_what_a_full_disk_did_not_take_and_the_keeper_goes_on_by_itself() {
    let (mut keeper, disk) = keeper();
    let view = keeper.view();
    let failures = || {
        let state = view.state();
        state.sources.get("acme").map(|source| source.facts.deliveries.len())
    };
    let source = || "acme".to_owned();
    let page =
        |conversion| Message::Page { source: source(), read: 1, page: failing_row(conversion) };
    assert!(
        keeper
            .take(Message::Began { source: source(), read: 1, at: Timestamp(9), counts: true })
            .is_continue()
    );
    assert!(keeper.take(page("first")).is_continue());
    assert_eq!(failures(), Some(1));

    disk.is_full.store(true, Ordering::Relaxed);
    assert!(keeper.take(page("second")).is_continue());
    assert_eq!(failures(), None, "nothing that is not durable is shown");
    assert_eq!(view.store().trouble.as_deref(), Some("the disk is full"));

    disk.is_full.store(false, Ordering::Relaxed);
    assert!(keeper.take(page("third")).is_continue());
    assert_eq!(failures(), Some(2), "what was stored, and what came after");
    assert_eq!(view.store().trouble, None);
    let known =
        keeper.end_read("acme", 0, 1, WholeSpan::Older { from: Timestamp(0), to: Timestamp(9) });
    assert!(known.is_err(), "a read that lost a page proves nothing");
}

#[tokio::test]
async fn a_store_that_hangs_ends_the_keeper_so_that_a_new_process_goes_on() {
    let (keeper, disk) = keeper();
    let view = keeper.view();
    let sender = keeper.start();
    disk.hangs.store(true, Ordering::Relaxed);
    let source = || "acme".to_owned();
    let began = Message::Began { source: source(), read: 1, at: Timestamp(9), counts: true };
    sender.send(began).await.expect("it listens");
    let page = Message::Page { source: source(), read: 1, page: failing_row("first") };
    sender.send(page).await.expect("it listens");
    sender.closed().await;
    assert_eq!(view.store().trouble.as_deref(), Some("the disk hangs"));
}

#[test]
fn deliveries_are_kept_as_long_as_the_file_says_and_no_shorter_than_they_are_followed() {
    let days = |days: u64| Duration::from_secs(days * 86_400);
    let check = |retain: Option<Duration>, kept: Duration| {
        let (mut keeper, disk) = keeper_that_retains(retain);
        let began =
            Message::Began { source: "acme".to_owned(), read: 1, at: Timestamp(9), counts: true };
        assert!(keeper.take(began).is_continue());
        keeper.house.pruned_at = Timestamp::default();
        keeper.tick();
        assert_eq!(disk.kept.load(Ordering::Relaxed), kept.as_secs(), "{retain:?}");
    };
    check(None, days(30));
    check(Some(days(90)), days(90));
    // The look-back and a day.
    check(Some(days(1)), days(4));
}
