//! What the store costs: a page made into keys and blocks, its commit, and a start with
//! everything that was kept.

use std::path::Path;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use postwatch::domain::policy::Policy;
use postwatch::domain::state::{Changes, State};
use postwatch::domain::turn::{News, turn};
use postwatch::store::Store;
use postwatch::store::journal::{Written, writes};
use postwatch::store::sled::SledStore;

use crate::ingest::{RULES, seeing};
use crate::network::Mix;
use crate::watched::{PAGE, START, Watched, policy, rows};

const GROUPS: u64 = 10_000;
/// The look-back, and a day.
const SPAN: Duration = Duration::from_secs(96 * 3600);
/// A commit can be measured once only.
const COMMITS: u32 = 50;

#[divan::bench]
fn page_encoded(bencher: Bencher<'_, '_>) {
    let [changes] = pages_of_failures();
    bencher.counter(ItemsCount::new(PAGE)).bench_local(|| encode(&changes));
}

/// The bytes of one commit.
pub fn encode(changes: &Changes) -> usize {
    let writes = writes(changes, &mut Written::default());
    writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, Vec::len)).sum()
}

/// What the turns decide that see 1,000 failures each for the first time.
pub fn pages_of_failures<const COUNT: usize>() -> [Changes; COUNT] {
    let mut watched = seeing(None);
    std::array::from_fn(|_| {
        let page = watched.network.page(PAGE, Mix::Failures, watched.now);
        watched.decide(rows(&page)).0
    })
}

#[divan::bench(sample_count = COMMITS, sample_size = 1)]
fn page_committed(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let mut store = SledStore::open(folder.path()).expect("the folder is new");
    store.load(SPAN, &mut |_| ()).expect("there is nothing in it");
    let mut pages = pages_of_failures::<{ COMMITS as usize }>().into_iter();
    bencher
        .counter(ItemsCount::new(PAGE))
        .with_inputs(|| pages.next().expect("one for each sample"))
        .bench_local_refs(|changes| store.commit(changes).expect("the disk has room"));
}

#[divan::bench(args = [10_000, 100_000, 1_000_000], sample_count = 7, sample_size = 1)]
fn start_with_deliveries(bencher: Bencher<'_, '_>, deliveries: u64) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    fill(folder.path(), deliveries);
    let policy = policy(RULES);
    bencher.counter(ItemsCount::new(deliveries)).bench_local(|| open(folder.path(), &policy));
}

fn fill(folder: &Path, deliveries: u64) {
    let mut store = SledStore::open(folder).expect("the folder is new");
    store.load(SPAN, &mut |_| ()).expect("there is nothing in it");
    see(deliveries, GROUPS, Box::new(store));
}

/// Fills a store with the first look-back, and with what a poll adds to it.
pub fn see(deliveries: u64, groups: u64, store: Box<dyn Store>) {
    let mut watched = Watched::new(RULES, groups, Some(store));
    watched.look_back(deliveries);
    let page = watched.next_minute(PAGE);
    watched.poll(&page);
}

fn open(folder: &Path, policy: &Policy) -> (SledStore, State) {
    let mut store = SledStore::open(folder).expect("nobody else holds it");
    let state = load(&mut store, policy);
    (store, state)
}

/// As a start does, up to the state that it goes on with.
pub fn load(store: &mut dyn Store, policy: &Policy) -> State {
    let mut state = State::default();
    state.share_series(policy);
    state.commit = store.load(SPAN, &mut |stored| state.restore(stored)).expect("it is whole");
    turn(START, policy, &mut state, News::Started);
    state
}
