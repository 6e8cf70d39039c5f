//! `postwatch check`, of the shipped file and online.

use std::time::{Duration, Instant};

use postwatch::simulate::{Fault, FaultKind};

use crate::program::{KEY, Place, network, rules, to_slack};
use crate::support::slack::{self, FakeSlack};

const SHIPPED: &str = include_str!("../../rules.yaml");

#[tokio::test]
async fn the_shipped_file_wants_two_variables_and_nothing_else() {
    let place = Place::new(SHIPPED);
    let fine = place.run("check").await;
    assert_eq!(fine.code, Some(0), "{fine:?}");
    assert_eq!(fine.out, "rules.yaml: fine: 1 source, 10 rules, 1 receiver, 2 routes\n");
    let environment = [("EVERFLOW_API_KEY", ""), ("SLACK_BOT_TOKEN", "")];
    let bare = place.start_with("check", &environment).ends().await;
    assert_eq!(bare.code, Some(1), "{bare:?}");
    for name in ["EVERFLOW_API_KEY", "SLACK_BOT_TOKEN"] {
        assert!(bare.out.contains(&format!("`{name}`")), "{}", bare.out);
        assert!(bare.out.contains(&format!("export {name}=…")), "{}", bare.out);
    }
}

#[tokio::test]
async fn json_holds_what_the_text_says() {
    let place = Place::new(&SHIPPED.replace("over: 15m", "over: 15"));
    let shown = place.run("check --json").await;
    assert_eq!(shown.code, Some(1));
    let json: serde_json::Value = serde_json::from_str(&shown.out).expect("it is JSON");
    assert_eq!(json["valid"], false);
    let mistake = &json["mistakes"][0];
    assert!(mistake["line"].as_u64() > Some(1), "{json}");
    assert!(mistake["message"].as_str().is_some_and(|told| told.contains("over")), "{json}");
    assert!(mistake["hint"].as_str().is_some_and(|hint| hint.contains("15m")), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn online_says_whose_key_and_token_they_are() {
    let (network, slack) = (network(10, 1).await, FakeSlack::start().await);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let shown = place.run("check --online").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.out.contains("ok: source \"acme\": the key works: network "), "{}", shown.out);
    assert!(
        shown.out.contains("ok: receiver \"chat\": the token is good: it posts as postwatch in T"),
        "{}",
        shown.out
    );
    assert!(slack.calls().iter().all(|call| call.method == "auth.test"), "nobody was written to");
}

#[tokio::test(flavor = "multi_thread")]
async fn online_says_what_to_do_about_what_is_refused() {
    let (network, slack) = (network(10, 1).await, FakeSlack::start().await);
    slack.then([slack::Fault::Error("invalid_auth")]);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let environment = [("EVERFLOW_API_KEY", "hunter2-wrong")];
    let shown = place.start_with("check --online", &environment).ends().await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    for told in [
        "error: source \"acme\": the network refused the API key (401)",
        "check api_key of source \"acme\"",
        "error: receiver \"chat\": Slack does not accept the token: install the app again",
        "but 2 of 2 tried online do not work",
    ] {
        assert!(shown.out.contains(told), "no {told:?} in\n{}", shown.out);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn online_answers_within_30_seconds_of_a_dead_network() {
    let (network, slack) = (network(10, 1).await, FakeSlack::start().await);
    network.faults().add(Fault::always(FaultKind::Hang));
    slack.then([slack::Fault::Hang]);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let since = Instant::now();
    let shown = place.run("check --online --json").await;
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    assert_eq!(shown.code, Some(1), "{shown:?}");
    let json: serde_json::Value = serde_json::from_str(&shown.out).expect("it is JSON");
    for trial in json["online"].as_array().expect("two trials") {
        assert_eq!(trial["ok"], false);
        let told = trial["message"].as_str().unwrap_or_default();
        assert!(told.contains("did not answer") || told.contains("no answer"), "{told}");
    }
    assert!(!shown.out.contains(KEY));
}

#[tokio::test(flavor = "multi_thread")]
async fn online_names_a_rule_that_matches_no_delivery() {
    let network = network(400, 40).await;
    let matching = |name: &str, matches: &str| {
        format!(
            "  - {{ name: {name}, match: {{ {matches} }}, over: 15m, when: {{ failures: 3 }}, severity: info }}\n"
        )
    };
    let more = [
        matching("mistyped", "host: \"*.exampel\""),
        matching("other-offer", "offer: 999999"),
        matching("some", "host: \"*.example\""),
        // What did not fail so yet may still do.
        matching("rare", "reason: challenge"),
    ];
    let rules = rules(&network.base_url(), "");
    let place = Place::new(&rules.replacen("rules:\n", &format!("rules:\n{}", more.concat()), 1));
    let shown = place.run("check --online").await;
    assert_eq!(shown.code, Some(0), "{shown:?}");
    let doubts = shown.out.lines().filter(|line| line.contains("matches none of the"));
    let doubts: Vec<_> = doubts.filter_map(|line| line.split('"').nth(3)).collect();
    assert_eq!(doubts, ["mistyped", "other-offer"], "{}", shown.out);
}
