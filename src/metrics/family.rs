//! Families of series built at a scrape, out of what stands in the state then.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

use super::full_name;

/// One metric with its series so far.
pub struct Family {
    name: &'static str,
    help: &'static str,
    kind: MetricType,
    labels: &'static [&'static str],
    series: Vec<Metric>,
}

impl Family {
    pub fn counter(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family {
        Family { name, help, kind: MetricType::COUNTER, labels, series: Vec::new() }
    }

    pub fn gauge(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family {
        Family { name, help, kind: MetricType::GAUGE, labels, series: Vec::new() }
    }

    pub fn histogram(
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
    ) -> Family {
        Family { name, help, kind: MetricType::HISTOGRAM, labels, series: Vec::new() }
    }

    /// Adds a series of a counter or gauge; `values` are those of its labels.
    pub fn add(&mut self, values: &[&str], value: f64) {
        let mut metric = self.series(values);
        if self.kind == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.series.push(metric);
    }

    /// Adds a histogram; `buckets` are `(upper bound, count up to it)`, cumulated.
    pub fn add_histogram(&mut self, values: &[&str], buckets: &[(f64, u64)], count: u64, sum: f64) {
        let buckets = buckets.iter().map(|&(bound, count)| {
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(bound);
            bucket.set_cumulative_count(count);
            bucket
        });
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets.collect());
        histogram.set_sample_count(count);
        histogram.set_sample_sum(sum);
        let mut metric = self.series(values);
        metric.set_histogram(histogram);
        self.series.push(metric);
    }

    /// The family, its series as they were added; `None` without any, which the encoder
    /// refuses.
    pub fn finish(self) -> Option<MetricFamily> {
        if self.series.is_empty() {
            return None;
        }
        let mut family = MetricFamily::default();
        family.set_name(full_name(self.name));
        family.set_help(self.help.to_owned());
        family.set_field_type(self.kind);
        family.set_metric(self.series);
        Some(family)
    }

    fn series(&self, values: &[&str]) -> Metric {
        debug_assert_eq!(self.labels.len(), values.len(), "labels of {}", self.name);
        let pairs = self.labels.iter().zip(values).map(|(name, value)| {
            let mut pair = LabelPair::default();
            pair.set_name((*name).to_owned());
            pair.set_value((*value).to_owned());
            pair
        });
        Metric::from_label(pairs.collect())
    }
}
