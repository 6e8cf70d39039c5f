//! SIGTERM at the worst moments: the end comes within five seconds, and the
//! next start knows and tells everything.

use std::time::Duration;

use postwatch::simulate::{Fault, FaultKind, Running};

use crate::program::{Place, Program, becomes, network, rules, to_slack};
use crate::support::slack::{self, FakeSlack};

const WITHIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn a_look_back_that_is_stopped_half_way_is_told_whole_by_the_next_start() {
    let (network, slack) = (network(200_000, 200_000).await, FakeSlack::start().await);
    let slow = FaultKind::SlowBody { bytes_per_second: 20_000_000 };
    network.faults().add(Fault::once(slow).on("/export"));
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let program = place.serve();
    let stored =
        || std::fs::metadata(place.path("postwatch-data/sled/db")).map_or(0, |db| db.len());
    assert!(becomes(|| stored() > 4_000_000).await, "{}", program.err());
    let (ended, took) = program.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took < WITHIN, "{took:?}");
    assert_eq!(slack.calls().len(), 0, "it was stopped half way");
    tells_all(&place, &network, &slack, 200_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slack_that_hangs_delays_no_end_and_costs_no_message() {
    let (network, slack) = (network(1_000, 500).await, FakeSlack::start().await);
    slack.then([slack::Fault::Hang]);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let program = place.serve();
    assert!(becomes(|| slack.faults_left() == 0).await, "{}", program.err());
    let (ended, took) = program.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took < WITHIN, "{took:?}");
    assert!(!ended.err.contains("last commit did not succeed"), "{}", ended.err);
    tells_all(&place, &network, &slack, 500).await;
}

/// One message, and nothing is left for a further start to tell.
async fn tells_all(place: &Place, network: &Running, slack: &FakeSlack, failing: usize) {
    let program = place.serve();
    assert!(becomes(|| !slack.calls().is_empty()).await, "{}", program.err());
    settles(network, &program).await;
    assert_eq!(program.terminate().await.0.code, Some(0));
    let program = place.serve();
    settles(network, &program).await;
    assert_eq!(program.terminate().await.0.code, Some(0));
    let texts: Vec<String> = slack.calls().iter().map(|call| call.body.to_string()).collect();
    assert_eq!(texts.len(), 1, "{texts:?}");
    // Those of the last seconds are later than the first moment that was judged.
    let told = texts[0].split("exactly ").nth(1).and_then(|rest| rest.split(' ').next());
    let told: usize = told.and_then(|number| number.parse().ok()).expect("it says how many");
    assert!((failing - failing / 50..=failing).contains(&told), "{told} of {failing}");
    assert_eq!(slack.refusals(), Vec::<String>::new());
}

/// Three more polls have come to nothing new.
async fn settles(network: &Running, program: &Program) {
    let enough = network.requests() + 9;
    assert!(becomes(|| network.requests() >= enough).await, "{}", program.err());
}
