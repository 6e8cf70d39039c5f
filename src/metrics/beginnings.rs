//! A counter that begins between two scrapes shows a zero first, so that
//! `increase()` sees its first step: to Prometheus a series that begins with 5
//! has not increased.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use prometheus::proto::{Counter, Metric, MetricFamily, MetricType};

/// The counters' series of earlier scrapes, by their hashes. What the first scrape of
/// a process finds is taken as it is: it went on from the process before.
#[derive(Debug, Default)]
pub struct Beginnings(Mutex<Option<HashSet<u64>>>);

impl Beginnings {
    /// Sets what begins to zero, for this scrape.
    pub fn show(&self, families: &mut [MetricFamily]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = known.is_none();
        let known = known.get_or_insert_default();
        let counters =
            families.iter_mut().filter(|one| one.get_field_type() == MetricType::COUNTER);
        for family in counters {
            let name = family.name().to_owned();
            for metric in family.mut_metric() {
                if known.insert(hash(&name, metric)) && !is_first {
                    metric.set_counter(Counter::default());
                }
            }
        }
    }
}

fn hash(family: &str, metric: &Metric) -> u64 {
    let mut hasher = DefaultHasher::new();
    family.hash(&mut hasher);
    for pair in metric.get_label() {
        pair.value().hash(&mut hasher);
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::super::Metrics;

    #[test]
    fn a_counter_that_begins_after_the_first_scrape_shows_a_zero_first() {
        let metrics = Metrics::new();
        let polls = || {
            let families = metrics.scrape(Vec::new());
            let polls = families.iter().find(|one| one.name() == "postwatch_polls_total");
            let polls = polls.map(|polls| polls.get_metric().to_vec()).unwrap_or_default();
            polls.iter().map(|one| one.get_counter().get_value()).collect::<Vec<f64>>()
        };
        metrics.polls.with_label_values(&["acme", "whole"]).inc_by(3);
        assert_eq!(polls(), [3.0], "what was there at the first scrape is no beginning");
        metrics.polls.with_label_values(&["acme", "failed"]).inc();
        assert_eq!(polls(), [0.0, 3.0]);
        assert_eq!(polls(), [1.0, 3.0]);
    }
}
