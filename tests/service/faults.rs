//! The network's faults, one by one and mixed, and a clock that is wrong: counts
//! are the truth after each.

use std::time::Duration;

use postwatch::simulate::{Fault, FaultKind, Scenario};

use crate::truth::until;
use crate::watched::{self, SPEED, Watched};

const REPORT: &str = "affiliate/pixels";
const EXPORT: &str = "pixels/export";

/// Enough for reports to be cut at the cap, with retries from a minute to an hour.
fn scenario(seed: u64) -> Scenario {
    let minutes = |count: u64| Duration::from_secs(count * 60);
    Scenario {
        deliveries_per_day: 500_000.0,
        ends_after: None,
        retry_schedule: [1, 2, 5, 15, 60].map(minutes).into(),
        lateness: Duration::from_secs(8),
        requests_per_window: u32::MAX,
        ..Scenario::fixed(seed, 20_000, 2_000)
    }
}

fn each() -> Vec<(&'static str, Vec<Fault>)> {
    use FaultKind::*;
    let few = |kind: FaultKind| Fault::once(kind).times(6);
    vec![
        ("429", vec![few(Status(429))]),
        ("500", vec![few(Status(500))]),
        ("a hang", vec![Fault::once(Hang)]),
        ("a reset", vec![few(Reset)]),
        ("a body cut in the middle of a row", vec![few(CutMidRow { after_bytes: 40_000 })]),
        ("a body cut short", vec![few(CutShort { after_bytes: 40_000 })]),
        ("a broken export", vec![few(CutMidRow { after_bytes: 900_000 }).on(EXPORT)]),
        ("401 and back", vec![few(Status(401))]),
        ("empty replies", vec![few(Empty)]),
        ("empty reports", vec![few(Empty).on(REPORT)]),
        ("empty exports", vec![few(Empty).on(EXPORT)]),
        ("malformed rows", vec![few(MalformedRows { every: 3 })]),
        ("a refused export", vec![Fault::once(Status(403)).on(EXPORT).times(2)]),
        (
            "everything at once",
            vec![
                Fault::once(Status(500)).times(3),
                Fault::once(CutMidRow { after_bytes: 10_000 }).skip(1).times(2),
                Fault::once(Reset).times(2),
                Fault::once(Empty).on(EXPORT).times(2),
                Fault::once(Status(401)),
                Fault::once(CutShort { after_bytes: 300_000 }).on(EXPORT).times(2),
                Fault::once(MalformedRows { every: 2 }).times(3),
                Fault::once(Status(429)).times(2),
            ],
        ),
    ]
}

async fn order(watched: &Watched, faults: Vec<Fault>) {
    let hits = watched.network.faults().hits();
    for fault in faults {
        watched.network.faults().add(fault);
    }
    watched.pass(Duration::from_secs(180)).await;
    // A slow machine asks less often in the network's time.
    for _ in 0..10 {
        if watched.network.faults().hits() > hits {
            break;
        }
        watched.pass(Duration::from_secs(180)).await;
    }
    watched.network.faults().clear();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_are_the_truth_after_each_fault_of_the_network() {
    let mut watched = watched::begin(scenario(11), SPEED).await;
    watched.agree("after the first look-back").await;
    for (name, faults) in each() {
        let hits = watched.network.faults().hits();
        order(&watched, faults).await;
        assert!(watched.network.faults().hits() > hits, "{name} was met");
        watched.agree(&format!("after {name}")).await;
    }
    watched.stop_service().await;
    watched.network.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_is_wrong_by_an_hour_either_way_and_back_changes_no_count() {
    const HOUR: i64 = 3600;
    let mut watched = watched::begin(scenario(12), SPEED).await;
    watched.agree("with the right clock").await;
    for wrong_by in [HOUR, 0, -HOUR, HOUR, 0] {
        watched.stop_service().await;
        watched.start(wrong_by).await;
        watched.pass(Duration::from_secs(300)).await;
        watched.agree(&format!("with a clock {wrong_by} s ahead")).await;
    }
    watched.stop_service().await;
    watched.network.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_read_whole_afterwards() {
    let mut watched = watched::begin(scenario(13), SPEED).await;
    watched.agree("before the outage").await;
    watched.network.faults().add(Fault::always(FaultKind::Status(503)));
    watched.pass(Duration::from_secs(40 * 60)).await;
    watched.network.faults().clear();
    watched.agree("after the outage").await;
    // Sweeps may have shown every failure before the gap's own parts are read.
    let gap = || watched.ask(|source| source.facts.gap());
    until("the gap is read", || async { gap() == Some(Duration::ZERO) }).await;
    watched.stop_service().await;
    watched.network.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_for_each_attempt_counts_as_one_row_that_changes() {
    let scenario = Scenario { rows_per_attempt: true, ..scenario(14) };
    let mut watched = watched::begin(scenario, SPEED).await;
    watched.agree("after the first look-back").await;
    watched.pass(Duration::from_secs(45 * 60)).await;
    watched.agree("after many retries").await;
    watched.stop_service().await;
    watched.network.stop().await;
}
