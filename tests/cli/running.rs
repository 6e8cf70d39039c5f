//! The commands that go on: what they print, what they survive, what they leave.

use std::time::Duration;

use postwatch::simulate::{Fault, FaultKind};

use crate::program::{Place, becomes, network, rules, to_slack};
use crate::support::slack::FakeSlack;

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_away_at_the_start_is_asked_again() {
    let slack = FakeSlack::start().await;
    for kind in [FaultKind::Hang, FaultKind::Reset, FaultKind::Status(503)] {
        let network = network(100, 40).await;
        network.faults().add(Fault::always(kind.clone()));
        let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
        let mut program = place.serve();
        program.says("the network does not answer yet").await;
        program.says("postwatch watches").await;
        assert!(program.is_running(), "{kind:?}");
        let (ended, took) = program.terminate().await;
        assert_eq!(ended.code, Some(0), "{kind:?}: {ended:?}");
        assert!(took < Duration::from_secs(5), "{kind:?}: {took:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_takes_long_can_be_stopped() {
    let network = network(10, 1).await;
    network.faults().add(Fault::always(FaultKind::Hang));
    let place = Place::new(&rules(&network.base_url(), ""));
    let program = place.serve();
    assert!(becomes(|| network.requests() > 0).await);
    let (ended, took) = program.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_refused_later_ends_nothing() {
    let (network, slack) = (network(100, 40).await, FakeSlack::start().await);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let mut program = place.serve();
    program.says("postwatch watches").await;
    network.faults().add(Fault::always(FaultKind::Status(401)));
    program.says("the network refused the API key (401)").await;
    let asked = network.requests();
    assert!(becomes(|| network.requests() > asked + 1).await, "it is asked again");
    assert!(program.is_running());
    network.faults().clear();
    assert!(becomes(|| !slack.calls().is_empty()).await, "{}", program.err());
    assert_eq!(program.terminate().await.0.code, Some(0));
    assert_eq!(slack.refusals(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_in_json_parse_line_by_line_and_the_environment_is_heard() {
    let (network, slack) = (network(100, 40).await, FakeSlack::start().await);
    let place = Place::new("");
    let rules_file = place.path("other.yaml");
    std::fs::write(&rules_file, rules(&network.base_url(), &to_slack(&slack))).expect("ours");
    slack.then([crate::support::slack::Fault::Status(503)]);
    let environment = [
        ("POSTWATCH_RULES", "other.yaml"),
        ("POSTWATCH_DATA", "kept-here"),
        ("POSTWATCH_LISTEN", "127.0.0.1:0"),
        ("POSTWATCH_LOG_FORMAT", "json"),
        ("POSTWATCH_LOG", "trace"),
    ];
    let program = place.start_with("run", &environment);
    assert!(becomes(|| !slack.calls().is_empty()).await, "{}", program.err());
    let (ended, _) = program.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(place.path("kept-here/sled/db").exists());
    for line in ended.err.lines() {
        let said: serde_json::Value = serde_json::from_str(line).expect(line);
        assert!(said["message"].is_string() && said["level"].is_string(), "{line}");
    }
    assert!(ended.err.contains("Slack answered 503"), "{}", ended.err);
    let environment = [("POSTWATCH_RULES", "nowhere.yaml"), ("POSTWATCH_LOG_FORMAT", "json")];
    let ended = place.start_with("run", &environment).ends().await;
    assert_eq!(ended.code, Some(2));
    serde_json::from_str::<serde_json::Value>(&ended.err).expect("the refusal is JSON too");
}

#[tokio::test(flavor = "multi_thread")]
async fn simulate_prints_a_source_that_run_takes() {
    let place = Place::new("");
    let network = place.start("simulate --listen 127.0.0.1:0");
    assert!(becomes(|| network.out().contains("/simulate/faults")).await, "{}", network.err());
    let shown = network.out();
    let source = shown.lines().skip_while(|line| line.trim() != "sources:").take(4);
    let yaml: String = source.map(|line| format!("{line}\n")).collect();
    let reader = Place::new(&yaml);
    let check = reader.run("check --online").await;
    assert_eq!(check.code, Some(0), "{yaml}{check:?}");
    assert_eq!(network.terminate().await.0.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_shows_messages_and_leaves_nothing() {
    let place = Place::new("");
    let short = place.run("demo --for 5s").await;
    assert_eq!(short.code, Some(0), "{short:?}");
    assert!(short.out.contains("page      http://127.0.0.1:"), "{}", short.out);
    assert!(short.out.contains("The demo is over"), "{}", short.out);
    let demo = place.start("demo");
    assert!(becomes(|| demo.out().contains("partner-endpoint-failing")).await, "{}", demo.out());
    let (ended, took) = demo.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(place.names(), Vec::<String>::new());
}
