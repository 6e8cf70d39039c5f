//! What `outbox` shows of messages that nobody got, and that it sends them again.

use postwatch::simulate::Running;

use crate::program::{Place, Program, network, rules, to_slack};
use crate::support::slack::{FakeSlack, Fault};

async fn outbox(program: &Program, words: &str) -> (Option<i32>, String) {
    let url = program.page();
    let other = Place::new("");
    let ended = other.start_with(&format!("outbox {words}"), &[("POSTWATCH_URL", &url)]);
    let ended = ended.ends().await;
    (ended.code, format!("{}{}", ended.out, ended.err))
}

async fn serve(slack: &FakeSlack) -> (Running, Place, Program) {
    let network = network(100, 40).await;
    let place = Place::new(&rules(&network.base_url(), &to_slack(slack)));
    let program = place.serve();
    program.says("a message was refused").await;
    (network, place, program)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_was_refused_is_listed_and_sent_again_with_its_id() {
    let slack = FakeSlack::start().await;
    slack.then([Fault::Error("not_in_channel")]);
    let (network, _place, program) = serve(&slack).await;
    program.shows("", "Send again").await;
    let (code, listed) = outbox(&program, "").await;
    assert_eq!(code, Some(0), "{listed}");
    for text in ["Given up: 1", "chat", "given up 20", "invite the bot"] {
        assert!(listed.contains(text), "no {text:?} in\n{listed}");
    }
    let (_, json) = outbox(&program, "--json").await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("it is JSON");
    let dead = json["dead_letters"][0].clone();
    let (number, id) = (dead["number"].as_u64(), dead["id"].as_str());
    assert!(id.is_some() && dead["next_try_at"].is_null(), "{json}");
    let (code, said) = outbox(&program, "resend 4711").await;
    assert!(code == Some(1) && said.contains("No dead letter has the number 4711"), "{said}");
    let (code, _) = outbox(&program, "resend").await;
    assert_eq!(code, Some(2), "it must say which");
    assert!(slack.calls().is_empty());
    let resend = format!("resend {}", number.expect("it has a number"));
    let (code, said) = outbox(&program, &resend).await;
    assert!(code == Some(0) && said.contains("1 message is sent again"), "{said}");
    program.shows("", "Every message was taken").await;
    let calls = slack.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].body["metadata"]["event_payload"]["id"].as_str(), id);
    let (_, said) = outbox(&program, "resend --all").await;
    assert!(said.contains("There is no dead letter"), "{said}");
    program.shows("metrics", "postwatch_notifications_resent_total{receiver=\"chat\"} 1").await;
    network.stop().await;
}
