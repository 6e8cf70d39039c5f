//! A counter that begins between two scrapes shows a zero first, so that
//! `increase()` sees its first step: to Prometheus a series that begins with 5
//! has not increased.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, PoisonError};

use prometheus::proto::{Counter, LabelPair, Metric, MetricFamily, MetricType};

/// What earlier scrapes found. What the first one finds is taken as it is: it went on
/// from the process before. So is what a source that was not there before brings with
/// it: the past that its first look-back found, or what it had counted until it was
/// taken out of the rules file.
#[derive(Debug, Default)]
pub struct Beginnings(Mutex<Option<Known>>);

#[derive(Debug, Default)]
struct Known {
    /// Series of counters, by their hashes.
    series: HashSet<u64>,
    sources: HashSet<String>,
}

impl Beginnings {
    /// Sets what begins to zero, for this scrape.
    pub fn show(&self, families: &mut [MetricFamily]) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_first = known.is_none();
        let known = known.get_or_insert_default();
        let mut sources = HashSet::new();
        let counters =
            families.iter_mut().filter(|one| one.get_field_type() == MetricType::COUNTER);
        for family in counters {
            let name = family.name().to_owned();
            for metric in family.mut_metric() {
                let source = source(metric).filter(|&source| !known.sources.contains(source));
                let is_new = known.series.insert(hash(&name, metric));
                sources.extend(source.map(str::to_owned));
                if is_new && !is_first && source.is_none() {
                    metric.set_counter(Counter::default());
                }
            }
        }
        known.sources.extend(sources);
    }
}

fn source(metric: &Metric) -> Option<&str> {
    metric.get_label().iter().find(|pair| pair.name() == "source").map(LabelPair::value)
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
        metrics.polls.with_label_values(&["beta", "whole"]).inc_by(9);
        assert_eq!(polls(), [1.0, 3.0, 9.0], "a source brings its past with it");
    }
}
