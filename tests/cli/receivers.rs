//! Receivers as a user sets them up: `notify`, `check --online`, words of their own,
//! and an Alertmanager that hears of its alerts after a restart.

use crate::program::{Place, becomes, network, rules, slack_receiver};
use crate::support::alertmanager::RealAlertmanager;
use crate::support::sink::{Meets, Sink};
use crate::support::slack::FakeSlack;

const SECRET: &str = "whsec_aHVudGVyMi1odW50ZXIyLWh1bnRlcjItMQ==";

/// Receivers `hook` and `am`, and a heartbeat, all at `sink`.
fn to_sink(sink: &Sink) -> String {
    let url = &sink.url;
    format!(
        "receivers:\n  - {{ name: hook, webhook: {{ url: \"{url}/hook?key=hunter2\", secret: {SECRET} }} }}\n  \
         - {{ name: am, alertmanager: {{ url: [\"{url}\"] }} }}\n\
         heartbeat: {{ url: \"{url}/ping/hunter2\", every: 1s }}\nroutes: [{{ to: [hook, am] }}]"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn notify_sends_a_test_and_shows_the_answer() {
    let (sink, slack) = (Sink::start().await, FakeSlack::start().await);
    let chat = format!("receivers:\n  - {}\n", slack_receiver(&slack, "#postbacks"));
    let receivers = to_sink(&sink).replacen("receivers:\n", &chat, 1);
    let place = Place::new(&rules("http://127.0.0.1:1/v1", &receivers));
    let check = async |words: &str, code: i32, told: &str| {
        let ended = place.run(words).await;
        assert_eq!(ended.code, Some(code), "{words}: {ended:?}");
        let shown = format!("{}{}", ended.out, ended.err);
        assert!(shown.contains(told), "{words}: no {told:?} in\n{shown}");
    };
    check("notify hook", 0, "receiver \"hook\": a test message was sent: 127.0.0.1:").await;
    let requests = sink.requests();
    assert_eq!(requests[0].line, "POST /hook?key=hunter2");
    assert!(requests[0].header("webhook-signature").starts_with("v1,"));
    let alert = &requests[0].json()["alerts"][0];
    assert!(alert["annotations"]["summary"].as_str().is_some_and(|text| text.starts_with("TEST")));
    assert_eq!(alert["labels"]["severity"], "info");
    check("notify am", 0, "1 of 1 took it").await;
    check("notify chat", 0, "Slack posted it in C0POSTBACKS").await;
    assert!(slack.calls()[0].body["text"].as_str().is_some_and(|text| text.contains("TEST")));
    sink.then([Meets::Answer("401 No")]);
    check("notify hook", 1, "not sent: 127.0.0.1:").await;
    check("notify hok", 2, "did you mean `hook`?; there are chat, hook, am").await;
    check("notify hook --rules nowhere.yaml", 2, "nowhere.yaml cannot be read").await;
    place.write("sources: 5\n");
    check("notify hook", 1, "the rules are invalid").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn online_tries_each_kind_and_sends_nothing() {
    let (network, sink) = (network(10, 1).await, Sink::start().await);
    let place = Place::new(&rules(&network.base_url(), &to_sink(&sink)));
    let shown = place.run("check --online").await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    for told in [
        "ok: receiver \"hook\": 127.0.0.1:",
        "200 to HEAD",
        "error: receiver \"am\": 127.0.0.1:",
        "but not as an Alertmanager",
        "ok: heartbeat: 127.0.0.1:",
        "no heartbeat was sent",
    ] {
        assert!(shown.out.contains(told), "no {told:?} in\n{}", shown.out);
    }
    let mut lines: Vec<String> = sink.requests().into_iter().map(|request| request.line).collect();
    lines.sort();
    assert_eq!(lines, ["GET /api/v2/status", "HEAD /", "HEAD /hook?key=hunter2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_has_words_of_its_own_and_no_bad_template_loses_a_message() {
    let (network, slack) = (network(100, 40).await, FakeSlack::start().await);
    let receiver = slack_receiver(&slack, "#postbacks");
    let worded = |words: &str| {
        let receiver = receiver.replacen("name: chat", &format!("name: chat, {words}"), 1);
        rules(&network.base_url(), &format!("receivers: [{receiver}]\nroutes: [{{ to: [chat] }}]"))
    };
    let place = Place::new(&worded("title: \"{{ titel }}\""));
    let shown = place.run("check").await;
    assert_eq!(shown.code, Some(1), "{shown:?}");
    let told = "receiver \"chat\": `title` cannot be rendered: `titel` is undefined";
    assert!(shown.out.contains(told), "{}", shown.out);
    // Good for a message about failures, and bad for this one, which is about `open`.
    let body = "body: \"{{ alerts[0].values.failures }} failed\"";
    place.write(&worded(&format!("title: \"[prod] {{{{ title }}}}\", {body}")));
    let program = place.serve();
    program.says("postwatch watches").await;
    assert!(becomes(|| !slack.calls().is_empty()).await, "{}", program.err());
    let call = slack.calls()[0].body.to_string();
    assert!(call.contains("[prod] CRITICAL: exactly 40 fail"), "{call}");
    assert!(
        call.contains("*Note:*") || call.contains("Rule *some-fail*"),
        "the built-in text: {call}"
    );
    program.says("a template of the receiver failed").await;
    assert_eq!(program.metric("postwatch_template_failures_total").await, 1.0);
    program.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alertmanager_hears_of_its_alerts_again_after_a_kill() {
    let (network, sink) = (network(100, 40).await, Sink::start().await);
    let receivers = to_sink(&sink).replace("[hook, am]", "[am]").replace("\nheartbeat", "\n#");
    let place = Place::new(&rules(&network.base_url(), &receivers));
    let program = place.serve();
    assert!(becomes(|| !sink.requests().is_empty()).await, "{}", program.err());
    // It is kept that it was told.
    program.says("postwatch watches").await;
    program.shows("metrics", "reason=\"first\"").await;
    program.signal("-KILL");
    program.ends().await;
    let told = sink.requests();
    let again = place.serve();
    assert!(becomes(|| sink.requests().len() > told.len()).await, "{}", again.err());
    let (first, restated) = (told[0].json(), sink.requests()[told.len()].json());
    assert_eq!(first[0]["labels"], restated[0]["labels"]);
    assert_eq!(first[0]["labels"]["alertname"], "some-fail");
    again.shows("metrics", "outcome=\"restated\"").await;
    again.terminate().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_alertmanager_is_told_by_the_service() {
    let Some(server) = RealAlertmanager::start().await else { return };
    let network = network(100, 40).await;
    let receivers = format!(
        "receivers: [{{ name: am, alertmanager: {{ url: \"{}\" }} }}]\nroutes: [{{ to: [am] }}]",
        server.url
    );
    let text = rules(&network.base_url(), &receivers).replace("0s }", "0s, min_gap: 0s }");
    let place = Place::new(&text);
    let online = place.run("check --online").await;
    assert!(online.out.contains("receiver \"am\": Alertmanager \"0."), "{online:?}");
    let program = place.serve();
    program.shows("metrics", "reason=\"first\"").await;
    let alerts = server.alerts().await;
    assert_eq!(alerts[0]["annotations"]["summary"], "exactly 40 fail");
    // The rule is taken out: who was told that it fires is told the end.
    place.write(&text.replace("some-fail", "other-name"));
    program.signal("-HUP");
    program.shows("metrics", "reason=\"resolved\"").await;
    let names: Vec<String> = server
        .alerts()
        .await
        .iter()
        .map(|alert| alert["labels"]["alertname"].as_str().unwrap_or("?").to_owned())
        .collect();
    assert!(!names.contains(&"some-fail".to_owned()), "{names:?}");
    program.terminate().await;
}
