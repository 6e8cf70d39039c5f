//! Every metric's name, once. What follows the process is counted here as it
//! happens; what follows the state is read from it at each scrape.

use std::sync::Arc;

use prometheus::process_collector::ProcessCollector;
use prometheus::proto::MetricFamily;
use prometheus::{
    HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
};

mod beginnings;
mod family;
pub mod state;

use beginnings::Beginnings;

/// Counters of this process, shared by every room that does something.
#[derive(Clone)]
pub struct Metrics {
    registry: Registry,
    beginnings: Arc<Beginnings>,
    pub polls: IntCounterVec,
    pub poll_seconds: HistogramVec,
    pub poll_rows: IntCounterVec,
    pub api_requests: IntCounterVec,
    pub api_throttled: IntCounterVec,
    pub reports_truncated: IntCounterVec,
    pub limits_reached: IntCounterVec,
    pub rule_evaluation_seconds: HistogramVec,
    pub rule_unknown: IntCounterVec,
    pub template_failures: IntCounterVec,
    pub notifications: IntCounterVec,
    pub notifications_repeated: IntCounterVec,
    pub notifications_merged: IntCounterVec,
    pub notifications_resent: IntCounterVec,
    pub outbox_dropped: IntCounterVec,
    pub notification_seconds: HistogramVec,
    pub heartbeats: IntCounterVec,
    pub store_commit_seconds: HistogramVec,
    pub store_bytes: IntGaugeVec,
    pub store_trouble: IntGaugeVec,
    pub store_failed_commits: IntCounterVec,
    pub store_snapshot: IntGaugeVec,
    pub store_set_aside: IntGaugeVec,
    pub config_last_reload_successful: IntGauge,
    pub config_last_reload_timestamp_seconds: IntGauge,
}

const SECONDS: &[f64] =
    &[0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

impl Metrics {
    pub fn new() -> Arc<Metrics> {
        let r = Registry::new();
        // The platform may lack /proc; a process without these still serves the rest.
        r.register(Box::new(ProcessCollector::for_self())).ok();
        Arc::new(Metrics {
            polls: counter(
                &r,
                "polls_total",
                "Polls of the postback report, by how they ended.",
                &["source", "outcome"],
            ),
            poll_seconds: histogram(
                &r,
                "poll_seconds",
                "How long a poll took, from its first request to its last commit.",
                &["source", "outcome"],
            ),
            poll_rows: counter(
                &r,
                "poll_rows_total",
                "Rows read: deliveries that failed, new or changed; rows that tell nothing new of a failure, clean successes among them (repeated); and rows that could not be read (rejected).",
                &["source", "kind"],
            ),
            api_requests: counter(
                &r,
                "api_requests_total",
                "Requests to the network's API; status is the HTTP status, or error where no answer came.",
                &["source", "endpoint", "status"],
            ),
            api_throttled: counter(
                &r,
                "api_throttled_total",
                "Requests that the network refused with 429: its rate limit is shared with your other tools.",
                &["source", "endpoint", "status"],
            ),
            reports_truncated: counter(
                &r,
                "reports_truncated_total",
                "Replies cut at the network's cap of 1,000 rows; their span is then read whole by the export.",
                &["source", "endpoint", "status"],
            ),
            limits_reached: counter(
                &r,
                "limits_reached_total",
                "What went beyond a limit. Of the network's answers a row longer than 1 MiB, which is counted as rejected (row), or a body larger than 64 MiB, which is not read (body); and, without a source, clients for whom no connection was left (connection).",
                &["source", "limit"],
            ),
            rule_evaluation_seconds: histogram(
                &r,
                "rule_evaluation_seconds",
                "How long evaluating the rule over all its touched groups took.",
                &["rule"],
            ),
            rule_unknown: counter(
                &r,
                "rule_unknown_total",
                "Evaluations whose answer was unknown: not covered yet, or a measure without a value. Unknown changes no alert.",
                &["rule"],
            ),
            template_failures: counter(
                &r,
                "template_failures_total",
                "Texts whose template failed, so that the built-in text was sent: headlines of alerts, by rule, and messages, by receiver.",
                &["rule", "receiver"],
            ),
            notifications: counter(
                &r,
                "notifications_total",
                "Messages by receiver and channel; outcome is sent, retried or failed, restated where an Alertmanager was told again what holds, or overtaken where it was not because nothing of it holds; reason says why the message was made or why it failed.",
                &["receiver", "channel", "outcome", "reason"],
            ),
            notifications_repeated: counter(
                &r,
                "notifications_repeated_total",
                "Messages sent again because the answer to an earlier try was lost: the receiver may have got them twice, with the same id.",
                &["receiver"],
            ),
            notifications_merged: counter(
                &r,
                "notifications_merged_total",
                "Messages that became part of another one while both waited for their receiver's channel. Nothing that they told is lost.",
                &["receiver"],
            ),
            notifications_resent: counter(
                &r,
                "notifications_resent_total",
                "Messages that were given up and that somebody had sent again.",
                &["receiver"],
            ),
            outbox_dropped: counter(
                &r,
                "outbox_dropped_total",
                "Messages that were given up and are no longer kept: the newest 500 are.",
                &["receiver"],
            ),
            notification_seconds: histogram(
                &r,
                "notification_seconds",
                "How long the channel took to answer.",
                &["receiver", "channel"],
            ),
            heartbeats: counter(
                &r,
                "heartbeats_total",
                "Heartbeats to the outside watcher; outcome is sent, or why it was not heard.",
                &["outcome"],
            ),
            store_commit_seconds: histogram(
                &r,
                "store_commit_seconds",
                "How long a durable commit took, fsync included.",
                &["store"],
            ),
            store_bytes: gauge(&r, "store_bytes", "Size of the store on disk.", &["store"]),
            store_trouble: gauge(
                &r,
                "store_trouble",
                "1 while the store cannot be written or read: nothing is polled on or sent until it can; /readyz says why.",
                &["store"],
            ),
            store_failed_commits: counter(
                &r,
                "store_failed_commits_total",
                "Attempts to write or to open the store anew that failed; what they held is read again from the network.",
                &["store"],
            ),
            store_snapshot: gauge(
                &r,
                "store_snapshot_timestamp_seconds",
                "When the last snapshot of the store was complete, 0 before the first: a damaged store is rebuilt from it.",
                &["store"],
            ),
            store_set_aside: gauge(
                &r,
                "store_set_aside",
                "Folders with a store that was found damaged and rebuilt: look at them, then remove them.",
                &["store"],
            ),
            config_last_reload_successful: single(
                &r,
                "config_last_reload_successful",
                "1 if the rules file was good when it was last read, else 0: the former rules are still in force.",
            ),
            config_last_reload_timestamp_seconds: single(
                &r,
                "config_last_reload_timestamp_seconds",
                "When the rules file was last read successfully.",
            ),
            registry: r,
            beginnings: Arc::default(),
        })
    }

    /// Everything as of this scrape, in a stable order; `of_state` is what follows the
    /// state.
    pub fn scrape(&self, of_state: Vec<MetricFamily>) -> Vec<MetricFamily> {
        let mut families = self.registry.gather();
        families.extend(of_state);
        families.sort_by(|a, b| a.name().cmp(b.name()));
        self.beginnings.show(&mut families);
        families
    }
}

/// `name` as everybody sees it.
pub fn full_name(name: &str) -> String {
    format!("postwatch_{name}")
}

fn counter(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
    let made = IntCounterVec::new(Opts::new(full_name(name), help), labels);
    registered(registry, made.expect("a constant name is valid"))
}

fn gauge(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
    let made = IntGaugeVec::new(Opts::new(full_name(name), help), labels);
    registered(registry, made.expect("a constant name is valid"))
}

fn single(registry: &Registry, name: &str, help: &str) -> IntGauge {
    let made = IntGauge::with_opts(Opts::new(full_name(name), help));
    registered(registry, made.expect("a constant name is valid"))
}

fn histogram(registry: &Registry, name: &str, help: &str, labels: &[&str]) -> HistogramVec {
    let options = HistogramOpts::new(full_name(name), help).buckets(SECONDS.to_vec());
    registered(registry, HistogramVec::new(options, labels).expect("a constant name is valid"))
}

fn registered<C: prometheus::core::Collector + Clone + 'static>(registry: &Registry, c: C) -> C {
    registry.register(Box::new(c.clone())).expect("each name is registered once");
    c
}
