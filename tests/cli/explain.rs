//! What `explain` tells a person, and a script, of a running service.

use crate::program::{Place, Program, network, rules, to_slack};
use crate::support::slack::{FakeSlack, Fault};

/// Beside the rule that fires: one that waits for `for`, and whose rate is unknown.
const RULES: &str = r#"rules:
  - name: many-fail
    per: [affiliate]
    over: 3d
    for: 10m
    levels:
      warning: { failures: ">= 1" }
      critical: { failures: ">= 90", failure_rate: ">= 20%" }
"#;

async fn serve(slack: &FakeSlack) -> (Place, Program) {
    let network = network(100, 40).await;
    let rules = rules(&network.base_url(), &to_slack(slack));
    let place = Place::new(&rules.replacen("rules:\n", RULES, 1));
    let program = place.serve();
    program.shows("", "exactly 40 fail").await;
    // The network must outlive the test.
    std::mem::forget(network);
    (place, program)
}

/// `explain …` of that service: exit code, standard output and error.
async fn explain(place: &Place, program: &Program, words: &str) -> (Option<i32>, String, String) {
    let url = program.page();
    let other = Place::new("");
    let ended = other.start_with(&format!("explain {words}"), &[("POSTWATCH_URL", &url)]);
    let ended = ended.ends().await;
    assert!(place.path("rules.yaml").exists());
    (ended.code, ended.out, ended.err)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_learns_why_it_fires_and_why_it_does_not() {
    let slack = FakeSlack::start().await;
    slack.then([Fault::Status(503), Fault::Status(503), Fault::Status(503)]);
    let (place, program) = serve(&slack).await;
    let check = async |words: &str, code: i32, expected: &[&str]| {
        let (ended, out, err) = explain(&place, &program, words).await;
        let shown = format!("{out}{err}");
        assert_eq!(ended, Some(code), "{words}: {shown}");
        for text in expected {
            assert!(shown.contains(text), "{words}: no {text:?} in\n{shown}");
        }
    };
    program.says("Slack answered 503").await;
    let failing = [
        "FIRING critical",
        "open",
        "40",
        ">= 1",
        "holds",
        "has not taken it yet",
        "Slack answered 503",
    ];
    check("some-fail", 0, &failing).await;
    let missing =
        ["PENDING", "of 10 min", "failures", "more", "unknown", "to chat", "it does not fire"];
    check("many-fail", 0, &missing).await;
    check("source-blind", 0, &["INACTIVE", "without a whole read", "> 10 min"]).await;
    check("postback-deactivated", 0, &["INACTIVE", "active"]).await;
    check("some-fial", 1, &["there is no rule `some-fial`", "did you mean `some-fail`?"]).await;
    check("many-fail afiliate=7", 1, &["no label `afiliate`", "did you mean `affiliate`?"]).await;
    check("many-fail affiliate=999", 1, &["it has no group affiliate=999", "source=acme"]).await;
    check("--conversion nowhere", 1, &["no delivery of this conversion failed"]).await;
    check("", 2, &["<RULE>"]).await;
    check("some-fail seven", 2, &["KEY=VALUE"]).await;
    check("some-fail --url http://127.0.0.1:9", 3, &["no postwatch answers", "is it running?"])
        .await;
}

/// Stands before the conversion of an example, in a code block of Slack's.
const NAMED: &str = " · conversion ";

#[tokio::test(flavor = "multi_thread")]
async fn a_script_reads_the_same_and_a_conversion_has_a_life() {
    let slack = FakeSlack::start().await;
    let (place, program) = serve(&slack).await;
    let (code, out, _) = explain(&place, &program, "some-fail --json").await;
    assert_eq!(code, Some(0), "{out}");
    let told: serde_json::Value = serde_json::from_str(&out).expect("it is JSON");
    let group = &told["groups"][0];
    assert_eq!(group["state"], "firing", "{group}");
    assert_eq!(group["levels"][0]["conditions"][0]["verdict"], "true", "{group}");
    assert!(group["sees"]["at"].as_str().is_some_and(|at| at.ends_with('Z')), "{group}");

    // The message names three conversions.
    let told = || slack.calls().iter().map(|call| call.body.to_string()).collect::<String>();
    assert!(crate::program::becomes(|| told().contains(NAMED)).await);
    let told = told();
    let id = told.split(NAMED).nth(1).and_then(|rest| rest.split('\\').next());
    let words = format!("--conversion {}", id.expect("it names one"));
    let (code, out, err) = explain(&place, &program, &words).await;
    assert_eq!(code, Some(0), "{err}");
    let expected = ["FAILING", "host", "reason", "counts in", "some-fail", "firing, critical"];
    for text in expected {
        assert!(out.contains(text), "no {text:?} in {out}");
    }
}
