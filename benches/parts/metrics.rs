//! What a scrape costs, from the state to the text. The promise is 20 ms for 10,000
//! series on one core.

use std::collections::BTreeMap;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use postwatch::domain::counters::Counters;
use postwatch::domain::policy::Policy;
use postwatch::domain::reason::Reason;
use postwatch::domain::state::{SourceState, State};
use postwatch::metrics::{Metrics, state};
use prometheus::TextEncoder;

use crate::watched::{SOURCE, policy};

/// Its deliveries; its failures and those of its host, of two reasons.
const SERIES_OF_ONE: usize = 5;

/// A network of many partners with failures of two reasons, about to be scraped.
pub struct Scraped {
    state: State,
    policy: Policy,
    metrics: Arc<Metrics>,
}

impl Scraped {
    pub fn of(series: usize) -> Scraped {
        let mut source = SourceState::default();
        let counters = &mut source.facts.counters;
        counters.most_series = 2 * series;
        for affiliate in 0..series / SERIES_OF_ONE {
            add(counters, affiliate as u64);
        }
        let mut state = State::default();
        state.sources.insert(SOURCE.to_owned(), source);
        Scraped { state, policy: policy(0), metrics: Metrics::new() }
    }

    pub fn scrape(&self) -> String {
        let families = state::families(&self.state, &self.policy, &BTreeMap::new(), 1);
        TextEncoder::new().encode_to_string(&self.metrics.scrape(families)).unwrap_or_default()
    }
}

fn add(counters: &mut Counters, affiliate: u64) {
    let host = format!("s2s.partner-{affiliate}.example");
    for reason in [Reason::Tls, Reason::Timeout] {
        counters.add_failure(affiliate % 100, affiliate, &host, reason);
    }
    counters.add_deliveries(affiliate % 100, affiliate, 1_000);
}

#[divan::bench(args = [100, 1_000, 10_000], max_time = 3)]
fn scrape_of_series(bencher: Bencher<'_, '_>, series: usize) {
    let scraped = Scraped::of(series);
    let text = scraped.scrape();
    let shown = text.lines().filter(|line| line.contains("partner") || line.contains("affiliate="));
    bencher
        .counter(ItemsCount::new(shown.count()))
        .counter(BytesCount::of_str(&text))
        .bench(|| scraped.scrape());
}
