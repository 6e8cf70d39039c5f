//! The parts whose instructions are counted: single-threaded ones, on fixed small inputs.
//! callgrind counts within [`under_callgrind`] alone.

use std::hint::black_box;

use postwatch::store::memory::MemoryStore;

use crate::evaluation::{NEW, settled};
use crate::ingest::{parse, seeing, split};
use crate::metrics::Scraped;
use crate::network::{Mix, Network};
use crate::store::{encode, load, pages_of_failures, see};
use crate::watched::{PAGE, START, Watched, policy, rows};

const RULES: u32 = 10;
const GROUPS: u64 = 1_000;
const SERIES: usize = 1_000;
/// What a store holds that a start reads.
const DELIVERIES: u64 = 5_000;

type Part = fn();

const PARTS: [(&str, Part); 10] = [
    ("page_from_bytes", page_from_bytes),
    ("page_of_a_stream", page_of_a_stream),
    ("page_of_repeats", page_of_repeats),
    ("page_of_successes", page_of_successes),
    ("page_of_failures", page_of_failures),
    ("page_encoded", page_encoded),
    ("start", start),
    ("turn_of_100_deliveries", turn_of_100_deliveries),
    ("every_group", every_group),
    ("scrape", scrape),
];

/// Prints the names of all parts.
pub fn list() {
    PARTS.iter().for_each(|(name, _)| println!("{name}"));
}

/// Runs the part of this name, once.
pub fn run(name: &str) {
    let (_, part) = PARTS.iter().find(|(known, _)| *known == name).expect("a part's name");
    part();
}

/// A function of its own, whose name callgrind is told; what it returns is dropped uncounted.
#[inline(never)]
fn under_callgrind<T>(part: impl FnOnce() -> T) -> T {
    black_box(part())
}

fn page_from_bytes() {
    let page = Network::of(GROUPS).page(PAGE, Mix::Usual, START);
    under_callgrind(|| parse(&page));
}

fn page_of_a_stream() {
    let stream = Network::of(GROUPS).lines(PAGE, Mix::Usual, START);
    under_callgrind(|| split(&stream));
}

fn page_of_repeats() {
    let mut watched = seeing(None);
    let page = watched.network.page(PAGE, Mix::Failures, watched.now);
    watched.take(rows(&page));
    let rows = rows(&page);
    under_callgrind(|| watched.decide(rows));
}

fn page_of_successes() {
    take(Mix::Successes);
}

fn page_of_failures() {
    take(Mix::Failures);
}

fn take(mix: Mix) {
    let mut watched = seeing(None);
    let page = watched.network.page(PAGE, mix, watched.now);
    let rows = rows(&page);
    under_callgrind(|| watched.decide(rows));
}

fn page_encoded() {
    let [changes] = pages_of_failures();
    under_callgrind(|| encode(&changes));
}

fn start() {
    let mut store = MemoryStore::default();
    see(DELIVERIES, GROUPS, Box::new(store.clone()));
    let policy = policy(RULES);
    under_callgrind(|| load(&mut store, &policy));
}

fn turn_of_100_deliveries() {
    let mut watched = settled(RULES, GROUPS);
    let page = watched.next_minute(NEW);
    under_callgrind(|| watched.poll(&page));
}

fn every_group() {
    let mut watched = Watched::begin(RULES, GROUPS);
    watched.touch_everything();
    under_callgrind(|| watched.judge_touched());
}

fn scrape() {
    let scraped = Scraped::of(SERIES);
    under_callgrind(|| scraped.scrape());
}
