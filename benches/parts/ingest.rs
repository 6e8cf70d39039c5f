//! What a row costs: to read it from its bytes, and to take in a page of rows that were
//! seen before, or that were not.

use std::cell::RefCell;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use postwatch::source::Page;
use postwatch::source::everflow::export::Splitter;
use postwatch::store::Store;
use postwatch::store::memory::MemoryStore;
use postwatch::store::sled::SledStore;

use crate::network::{Mix, Network};
use crate::watched::{PAGE, START, Watched, rows};

/// What one read of a socket gives.
const CHUNK: usize = 16 << 10;
/// Pages of failures that were seen before one is measured.
const SEEN_PAGES: u64 = 10;
const GROUPS: u64 = 1_000;
pub const RULES: u32 = 10;
/// A page that is seen for the first time can be measured once only.
const NEW_PAGES: u32 = 50;

#[divan::bench]
fn page_from_bytes(bencher: Bencher<'_, '_>) {
    let page = Network::of(GROUPS).page(PAGE, Mix::Usual, START);
    let length = Network::of(GROUPS).lines(PAGE, Mix::Usual, START).len();
    bencher
        .counter(ItemsCount::new(PAGE))
        .counter(BytesCount::new(length))
        .bench_local(|| parse(&page));
}

/// Reads every row; a number made of them, so that none of it can be left out.
pub fn parse(page: &Page) -> u64 {
    page.rows().flatten().map(|row| row.postback ^ row.debug_information.len() as u64).sum()
}

#[divan::bench]
fn stream_of_10_pages(bencher: Bencher<'_, '_>) {
    let stream = Network::of(GROUPS).lines(10 * PAGE, Mix::Usual, START);
    bencher
        .counter(ItemsCount::new(10 * PAGE))
        .counter(BytesCount::new(stream.len()))
        .bench_local(|| split(&stream));
}

/// Cuts the stream into pages as it arrives; how many rows they have.
pub fn split(stream: &[u8]) -> usize {
    let (mut splitter, mut found) = (Splitter::default(), 0);
    for chunk in stream.chunks(CHUNK) {
        splitter.feed(chunk);
        while let Some(page) = splitter.page().expect("every line is a row") {
            found += page.len();
        }
    }
    found + splitter.finish().expect("the last line is whole").len()
}

#[divan::bench]
fn page_of_repeats(bencher: Bencher<'_, '_>) {
    let mut watched = seeing(None);
    let page = watched.network.page(PAGE, Mix::Failures, watched.now);
    assert_eq!(watched.take(rows(&page)).new, PAGE);
    let watched = RefCell::new(watched);
    bencher
        .counter(ItemsCount::new(PAGE))
        .with_inputs(|| rows(&page))
        .bench_local_values(|rows| watched.borrow_mut().take(rows).repeated);
}

#[divan::bench]
fn page_of_successes(bencher: Bencher<'_, '_>) {
    let mut watched = seeing(None);
    let page = watched.network.page(PAGE, Mix::Successes, watched.now);
    let watched = RefCell::new(watched);
    bencher
        .counter(ItemsCount::new(PAGE))
        .with_inputs(|| {
            watched.borrow_mut().begin_read(true);
            rows(&page)
        })
        .bench_local_values(|rows| watched.borrow_mut().take(rows).repeated);
}

#[divan::bench(sample_count = NEW_PAGES, sample_size = 1)]
fn page_of_failures(bencher: Bencher<'_, '_>) {
    take_failures(bencher, None);
}

#[divan::bench(sample_count = NEW_PAGES, sample_size = 1)]
fn page_of_failures_into_memory(bencher: Bencher<'_, '_>) {
    take_failures(bencher, Some(Box::new(MemoryStore::default())));
}

#[divan::bench(sample_count = NEW_PAGES, sample_size = 1)]
fn page_of_failures_onto_disk(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir().expect("there is a place for temporary files");
    let mut store = SledStore::open(folder.path()).expect("the folder is new");
    store.load(std::time::Duration::ZERO, &mut |_| ()).expect("there is nothing in it");
    take_failures(bencher, Some(Box::new(store)));
}

fn take_failures(bencher: Bencher<'_, '_>, store: Option<Box<dyn Store>>) {
    let mut watched = seeing(store);
    let pages: Vec<Page> =
        (0..NEW_PAGES).map(|_| watched.network.page(PAGE, Mix::Failures, watched.now)).collect();
    let mut pages = pages.iter();
    bencher
        .counter(ItemsCount::new(PAGE))
        .with_inputs(|| rows(pages.next().expect("one for each sample")))
        .bench_local_values(|rows| watched.take(rows).new);
}

/// A service that has seen some failures, within a read.
pub fn seeing(store: Option<Box<dyn Store>>) -> Watched {
    let mut watched = Watched::new(RULES, GROUPS, store);
    watched.look_back(SEEN_PAGES * PAGE);
    let page = watched.next_minute(PAGE);
    watched.poll(&page);
    watched.begin_read(true);
    watched
}
