//! What polling costs: requests and bytes an hour of a network with a million
//! deliveries a day. `POSTWATCH_COST_HOURS` measures for longer; the table of
//! ARCHITECTURE.md was made so.

use std::collections::BTreeMap;
use std::time::Duration;

use postwatch::simulate::{Fault, FaultKind, Incident, IncidentKind, Scenario, Target};

use crate::watched::{self, Watched};

const SPEED: f64 = 120.0;

/// A tenth of the network's 30 a second, in an hour.
const MOST_REQUESTS: f64 = 3.0 * 3600.0;

/// Of an hour; a wide bound above what was measured, with reports that are not
/// compressed.
const MOST_BYTES: f64 = 700e6;

fn scenario(failing: f64, incidents: Vec<Incident>) -> Scenario {
    Scenario {
        deliveries_per_day: 1_000_000.0,
        base_failure_rate: failing,
        history: Duration::from_secs(6 * 3600),
        incidents,
        ..Scenario::quiet(5)
    }
}

/// The busiest affiliate's server answers with errors for an hour.
fn brownout() -> Incident {
    Incident {
        kind: IncidentKind::Brownout,
        starts: Duration::from_secs(5 * 60),
        lasts: Some(Duration::from_secs(3600)),
        target: Target::Affiliate(1),
        share: 0.8,
    }
}

/// Requests so far by endpoint, and polls.
fn requests(watched: &Watched) -> BTreeMap<String, f64> {
    let mut requests = BTreeMap::new();
    for family in watched.metrics.scrape(Vec::new()) {
        let label = match family.name() {
            "postwatch_api_requests_total" => "endpoint",
            "postwatch_polls_total" => "source",
            _ => continue,
        };
        for metric in family.get_metric() {
            let of = metric.get_label().iter().find(|pair| pair.name() == label);
            let name = of.map(|pair| pair.value().to_owned()).unwrap_or_default();
            *requests.entry(name).or_default() += metric.get_counter().get_value();
        }
    }
    requests
}

async fn measure(name: &str, scenario: Scenario, fault: Option<Fault>, hours: f64) {
    let mut watched = watched::begin(scenario, SPEED).await;
    watched.agree("after the first look-back").await;
    if let Some(fault) = fault {
        watched.network.faults().add(fault);
    }
    let (before, bytes_before) = (requests(&watched), watched.network.bytes());
    watched.pass(Duration::from_secs_f64(hours * 3600.0)).await;
    let bytes = (watched.network.bytes() - bytes_before) as f64 / hours;
    let mut rates = requests(&watched);
    for (name, count) in &mut rates {
        *count = (*count - before.get(name).copied().unwrap_or(0.0)) / hours;
    }
    let of = |name: &str| rates.get(name).copied().unwrap_or(0.0);
    let all = of("report") + of("export") + of("pixels");
    println!(
        "| {name} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} |",
        of("acme"),
        of("report"),
        of("export"),
        of("pixels"),
        all,
        bytes / 1e6,
    );
    assert!(of("acme") > 10.0, "{name}: {} polls an hour", of("acme"));
    assert!(all < MOST_REQUESTS, "{name}: {all} requests an hour");
    assert!(bytes < MOST_BYTES, "{name}: {bytes} bytes an hour");
    watched.agree(name).await;
    watched.stop_service().await;
    watched.network.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_stay_under_a_tenth_of_the_networks_limits() {
    let hours = std::env::var("POSTWATCH_COST_HOURS").ok().and_then(|text| text.parse().ok());
    let hours: f64 = hours.unwrap_or(0.3);
    println!("| an hour of | polls | reports | exports | lists | requests | MB |");
    println!("|---|---|---|---|---|---|---|");
    let calm = || scenario(0.02, Vec::new());
    measure("2 % failing", calm(), None, hours).await;
    measure("2 % and an incident", scenario(0.02, vec![brownout()]), None, hours).await;
    let refused = Fault::always(FaultKind::Status(403)).on("pixels/export");
    measure("2 %, export refused", calm(), Some(refused), hours).await;
}
