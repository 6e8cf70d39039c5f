//! The rules file changes under a running service.

use std::time::Duration;

use crate::program::{KEY, Place, Program, becomes, network, rules, slack_receiver, to_slack};
use crate::support::slack::FakeSlack;

const BANNER: &str = "The rules file was not taken up";

async fn metric_becomes(program: &Program, name: &str, expected: f64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    while program.metric(name).await != expected {
        assert!(tokio::time::Instant::now() < deadline, "{name} {expected}:\n{}", program.err());
        looks.tick().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_file_changes_nothing_and_stays_visible_until_it_is_mended() {
    let (network, slack) = (network(100, 40).await, FakeSlack::start().await);
    let good = rules(&network.base_url(), &to_slack(&slack));
    let place = Place::new(&good);
    let program = place.serve();
    program.shows("", "exactly 40 fail").await;
    assert_eq!(program.metric("postwatch_config_last_reload_successful").await, 1.0);
    let hash = program.metric("postwatch_config_hash").await;

    // A secret in the wrong place, an unknown key, a rule gone.
    let bad = good.replace("some-fail", "other").replace("severity: critical", "severity: grave");
    place.write(&format!("{bad}hooks: \"${{EVERFLOW_API_KEY}}\"\n"));
    program.signal("-HUP");
    program.says("stay in force").await;
    metric_becomes(&program, "postwatch_config_last_reload_successful", 0.0).await;
    assert_eq!(program.metric("postwatch_config_hash").await, hash);
    let (status, body) = program.post("api/v1/reload", None).await;
    assert_eq!(status, 422, "{body}");
    let problem: serde_json::Value = serde_json::from_str(&body).expect("it is JSON");
    let mistakes = problem["mistakes"].as_array().expect("they are told");
    assert_eq!(mistakes.len(), 2, "{body}");
    assert!(mistakes.iter().all(|mistake| mistake["line"].as_u64() > Some(0)), "{body}");
    let page = program.get("").await;
    assert!(page.contains(BANNER) && page.contains("hooks"), "{page}");
    for shown in [&page, &body] {
        assert!(!shown.contains(KEY), "{shown}");
    }
    assert!(page.contains("exactly 40 fail"), "the alert stands: {page}");

    place.write(&good.replace("exactly", "at present"));
    program.signal("-HUP");
    metric_becomes(&program, "postwatch_config_last_reload_successful", 1.0).await;
    assert!(program.metric("postwatch_config_hash").await != hash);
    assert!(!program.get("").await.contains(BANNER));
    std::fs::remove_file(place.path("rules.yaml")).expect("the folder is ours");
    program.says("cannot be read").await;
    program.shows("", BANNER).await;
    let (ended, took) = program.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_taken_up_by_itself_and_who_was_told_hears_the_end() {
    let (one, two) = (network(100, 40).await, network(100, 30).await);
    let slack = FakeSlack::start().await;
    let good = rules(&one.base_url(), &to_slack(&slack))
        .replace("batch_wait: 0s", "batch_wait: 0s, min_gap: 0s");
    let place = Place::new(&good);
    let program = place.serve();
    let told = |text: &str| slack.calls().iter().any(|call| call.body.to_string().contains(text));
    assert!(becomes(|| told("exactly 40 fail")).await, "{}", program.err());

    // A second network, and a receiver that takes the place of the first.
    let source = format!(
        "  - {{ name: second, api_key: \"${{EVERFLOW_API_KEY}}\", base_url: \"{}\", poll_every: 1s, settle: 1s }}\nrules:",
        two.base_url()
    );
    let renamed = good.replacen("rules:", &source, 1).replace("chat", "room");
    place.write(&renamed);
    assert!(becomes(|| told("exactly 30 fail")).await, "{}", program.err());
    program.shows("metrics", "source=\"second\"").await;

    // Both the rule and the second network are gone.
    let calls = slack.calls().len();
    place.write(&good.replace("some-fail", "other").replace("open: 1", "open: 1000"));
    let ended = || {
        let calls = slack.calls().split_off(calls);
        calls.iter().any(|call| call.body.to_string().contains("REMOVED"))
    };
    assert!(becomes(ended).await, "{}\n{:?}", program.err(), slack.calls().split_off(calls));
    let shown = program.get("metrics").await;
    assert!(
        !shown.contains("postwatch_source_watermark_timestamp_seconds{source=\"second\"}"),
        "{shown}"
    );
    let asked = two.requests();
    metric_becomes(&program, "postwatch_config_last_reload_successful", 1.0).await;
    let polls = program.metric("postwatch_polls_total").await;
    while program.metric("postwatch_polls_total").await < polls + 3.0 {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(two.requests(), asked, "nobody polls it any more");
    let (ended, _) = program.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(slack.refusals(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_address_cannot_ask_for_it() {
    let network = network(10, 1).await;
    let place = Place::new(&rules(&network.base_url(), ""));
    let program = place.serve();
    program.says("postwatch watches").await;
    for (origin, expected) in [(None, 200), (Some("http://evil.example"), 403), (Some("null"), 403)]
    {
        let (status, body) = program.post("api/v1/reload", origin).await;
        assert_eq!(status, expected, "{origin:?}: {body}");
    }
    let (status, _) =
        program.post("api/v1/reload", Some(program.page().trim_end_matches('/'))).await;
    assert_eq!(status, 200, "its own page may");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_leave_nothing_behind() {
    let (network, slack) = (network(2_000, 400).await, FakeSlack::start().await);
    let good = rules(&network.base_url(), &to_slack(&slack));
    let other_room =
        good.replace(&slack_receiver(&slack, "#postbacks"), &slack_receiver(&slack, "C0POSTBACKS"));
    let place = Place::new(&good);
    let program = place.serve();
    program.shows("", "some-fail").await;
    let reload = async |round: usize| {
        // Another poller, another rule, another channel each time.
        let base = if round.is_multiple_of(2) { &good } else { &other_room };
        place.write(&base.replace("settle: 1s", &format!("settle: {}s", 1 + round % 2)).replace("rules:\n", &format!(
            "rules:\n  - {{ name: r{round}, per: [], when: {{ open: 9999 }}, severity: info }}\n"
        )));
        let (status, body) = program.post("api/v1/reload", None).await;
        assert_eq!(status, 200, "{body}");
    };
    for round in 0..10 {
        reload(round).await;
    }
    let files = program.metric("process_open_fds").await;
    for round in 10..110 {
        reload(round).await;
    }
    let (polls, asked) = (program.metric("postwatch_polls_total").await, network.requests());
    let since = tokio::time::Instant::now();
    tokio::time::sleep(Duration::from_secs(4)).await;
    let polled = program.metric("postwatch_polls_total").await - polls;
    let most = since.elapsed().as_secs_f64() + 3.0;
    assert!(polled >= 1.0 && polled <= most, "{polled} polls in {:?}", since.elapsed());
    assert!(((network.requests() - asked) as f64) < 12.0 * most);
    assert!(program.metric("process_open_fds").await < files + 20.0);
    let shown = program.get("metrics").await;
    let gone = shown.lines().filter(|line| line.contains("rule=\"r") && !line.contains("r109"));
    assert_eq!(gone.count(), 0, "{shown}");
    assert_eq!(slack.calls().len(), 1, "told once: {:?}", slack.calls());
    assert_eq!(program.terminate().await.0.code, Some(0));
}
