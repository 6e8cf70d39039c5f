//! What the model promises.

use std::time::Duration;

use super::super::scenario::{Incident, IncidentKind, Target};
use super::super::truth::{Telling, TruthRow, tell};
use super::*;

const START: Timestamp = Timestamp(1_700_000_000);

fn after(minutes: u64) -> Timestamp {
    START + Duration::from_secs(minutes * 60)
}

fn truth(network: &Network, telling: Telling) -> Vec<TruthRow> {
    (0..network.deliveries().len()).filter_map(|it| tell(network, it, telling)).collect()
}

#[test]
fn the_same_seed_tells_the_same_truth_however_often_it_is_asked() {
    let mut often = Network::begin(Scenario::demo(7), START);
    let mut once = Network::begin(Scenario::demo(7), START);
    let mut other = Network::begin(Scenario::demo(8), START);
    for minute in 0..60 {
        often.advance(after(minute));
    }
    for network in [&mut often, &mut once, &mut other] {
        network.advance(after(60));
    }
    let expected = truth(&once, Telling::All);
    assert_eq!(truth(&often, Telling::All), expected);
    assert_ne!(truth(&other, Telling::All), expected);
}

#[test]
fn at_rest_few_first_tries_fail_and_retries_cure_most() {
    let mut scenario = Scenario::quiet(3);
    scenario.deliveries_per_day = 200_000.0;
    scenario.history = Duration::from_secs(24 * 3600);
    let network = Network::begin(scenario, START);
    let deliveries = network.deliveries();
    let failed = deliveries.iter().filter(|it| it.failed_attempts > 0).count() as f64;
    let open = deliveries.iter().filter(|it| it.reason.is_some()).count() as f64;
    let total = deliveries.len() as f64;
    assert!((180_000.0..220_000.0).contains(&total), "{total} deliveries");
    assert!((0.02..0.04).contains(&(failed / total)), "{failed} of {total} failed");
    assert!(open / failed < 0.1, "{open} of {failed} are not cured");
    assert!((0..deliveries.len()).all(|it| it == 0 || deliveries[it - 1].at <= deliveries[it].at));
    assert!(size_of::<Delivery>() <= 48);
}

#[test]
fn a_failing_delivery_flips_to_success_and_keeps_its_first_reason() {
    let mut network = Network::begin(Scenario::fixed(1, 1000, 100), START);
    let before = truth(&network, Telling::Failed);
    assert_eq!((network.deliveries().len(), before.len()), (1000, 100));
    assert!(before.iter().all(|it| !it.is_success && it.failed_attempts == 1 && it.visible));
    network.advance(after(5));
    let after = truth(&network, Telling::Failed);
    assert_eq!((network.deliveries().len(), after.len()), (1000, 100));
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((&before.payload, &before.first_reason), (&after.payload, &after.first_reason));
        assert!(after.last_attempt > START);
    }
    assert!(after.iter().filter(|it| it.is_success).count() > 95);
}

fn deactivating() -> Scenario {
    let incident = Incident {
        kind: IncidentKind::Deactivation,
        starts: Duration::from_secs(60),
        lasts: Some(Duration::from_secs(3600)),
        target: Target::Postback(101),
        share: 1.0,
    };
    Scenario { incidents: vec![incident], ..Scenario::demo(5) }
}

#[test]
fn ten_failures_in_a_row_switch_a_postback_off_until_the_script_switches_it_on() {
    let mut network = Network::begin(deactivating(), START);
    let of_it = |network: &Network, from, to| {
        let all = truth(network, Telling::All);
        all.into_iter()
            .filter(|it| it.pixel_id == 101 && it.timestamp >= from && it.timestamp < to)
            .collect::<Vec<_>>()
    };
    network.advance(after(30));
    let failing = of_it(&network, after(1), after(30));
    // Nothing is recorded after the tenth: its conversions vanish.
    assert_eq!(failing.len(), 10);
    assert!(failing.iter().all(|it| it.reason.as_deref() == Some("http_401")));
    assert!(!network.is_active(0));
    network.advance(after(60));
    let frozen = of_it(&network, after(1), after(30));
    assert_eq!(
        frozen.iter().map(|it| it.failed_attempts).collect::<Vec<_>>(),
        failing.iter().map(|it| it.failed_attempts).collect::<Vec<_>>(),
    );
    network.advance(after(70));
    assert!(network.is_active(0));
    assert!(of_it(&network, after(61), after(70)).iter().any(|it| it.is_success));
}

#[test]
fn each_incident_of_the_demo_shows_and_is_cured_within_the_hour() {
    // Whatever the seed and the hour: traffic follows the day.
    for (seed, hour) in [(1, 0), (2, 6), (3, 10), (4, 12), (5, 18)] {
        let start = START + Duration::from_secs(hour * 3600);
        let mut network = Network::begin(Scenario::demo(seed), start);
        let history = network.deliveries().len();
        network.advance(start + Duration::from_secs(3600));
        let rows = truth(&network, Telling::All).split_off(history);
        for (reason, affiliate) in [
            ("tls", Some(2)),
            ("http_404", Some(3)),
            ("challenge", Some(6)),
            ("http_401", Some(4)),
            ("timeout", Some(1)),
            ("refused", None),
        ] {
            expect_cured(&rows, reason, affiliate);
        }
        assert!(rows.iter().any(|it| it.payload.contains("{sub5}")));
        assert!(rows.iter().any(|it| it.payload.contains("%7Bsub5%7D")));
        // One is switched off, the one that the script means, and is on again.
        assert_eq!(network.standings.iter().map(|it| it.switched_off).sum::<u8>(), 1);
        assert!(network.standings.iter().all(|it| !it.inactive));
    }
}

fn expect_cured(rows: &[TruthRow], reason: &str, affiliate: Option<u64>) {
    let hit: Vec<&TruthRow> = rows
        .iter()
        .filter(|it| it.first_reason.as_deref() == Some(reason))
        .filter(|it| affiliate.is_none_or(|id| it.affiliate == id))
        .collect();
    assert!(hit.len() >= 10, "{reason}: {} deliveries", hit.len());
    let last = hit[hit.len() - 1];
    let cured =
        |it: &TruthRow| it.is_success && it.timestamp > last.timestamp && it.host == last.host;
    assert!(rows.iter().any(cured), "{reason} has no success after its last failure");
}
