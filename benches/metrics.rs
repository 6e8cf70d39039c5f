//! What a scrape costs: 10,000 series, from the state to the text. The promise is
//! 20 ms on one core.

use std::collections::BTreeMap;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use postwatch::domain::counters::Counters;
use postwatch::domain::policy::{Policy, SourcePolicy};
use postwatch::domain::reason::Reason;
use postwatch::domain::state::{SourceState, State};
use postwatch::metrics::{Metrics, state};
use prometheus::TextEncoder;

const SOURCE: &str = "acme";
const SERIES: usize = 10_000;
/// Its deliveries; its failures and those of its host, of two reasons.
const SERIES_OF_ONE: usize = 5;

fn main() {
    divan::main();
}

/// A network of many partners with failures of two reasons.
fn watched() -> (State, Policy) {
    let mut source = SourceState::default();
    let counters = &mut source.facts.counters;
    counters.most_series = 2 * SERIES;
    for affiliate in 0..SERIES / SERIES_OF_ONE {
        add(counters, affiliate as u64);
    }
    let mut state = State::default();
    state.sources.insert(SOURCE.to_owned(), source);
    (state, Policy { sources: vec![SourcePolicy::named(SOURCE)], ..Policy::default() })
}

fn add(counters: &mut Counters, affiliate: u64) {
    let host = format!("s2s.partner-{affiliate}.example");
    for reason in [Reason::Tls, Reason::Timeout] {
        counters.add_failure(affiliate % 100, affiliate, &host, reason);
    }
    counters.add_deliveries(affiliate % 100, affiliate, 1_000);
}

#[divan::bench(max_time = 3)]
fn scrape(bencher: Bencher<'_, '_>) {
    let (state, policy) = watched();
    let metrics = Metrics::new();
    let scrape = || {
        let families = state::families(&state, &policy, &BTreeMap::new(), 1);
        TextEncoder::new().encode_to_string(&metrics.scrape(families)).unwrap_or_default()
    };
    let text = scrape();
    let series =
        text.lines().filter(|line| line.contains("partner") || line.contains("affiliate="));
    bencher
        .counter(ItemsCount::new(series.count()))
        .counter(BytesCount::of_str(&text))
        .bench(scrape);
}
