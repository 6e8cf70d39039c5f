//! Webhooks, against a server that fails as it is told.

use std::time::Duration;

use postwatch::channel::webhook::payload;
use postwatch::channel::{Channel, SendError, Sent, Webhook, WebhookOptions};
use postwatch::config::Secret;
use postwatch::domain::delivery::Identity;
use postwatch::domain::notify::{AlertFacts, AlertStatus, Notice, NoticeReason};
use postwatch::domain::rules::Severity;
use postwatch::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::page;
use crate::support::notices::{self, BEGAN};
use crate::support::sink::{Meets, Sink};
use crate::support::{exim, tls};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn channel(url: &str) -> Channel {
    tls();
    let key = Secret::new(SECRET).signing_key();
    Channel::Webhook(Webhook::new(WebhookOptions { url: url.to_owned(), key }).expect("an address"))
}

async fn send(sink: &Sink, notice: &Notice) -> Result<Sent, SendError> {
    channel(&format!("{}/hooks/T0KEN?key=hunter2", sink.url)).send(notice, None, &page()).await
}

fn told(notice: &Notice) -> Value {
    serde_json::from_str(&payload::json(notice, &page())).expect("it is JSON")
}

#[test]
fn the_payload_is_alertmanagers_version_4() {
    let alerts = vec![notices::failing()];
    let notice = notices::notice(NoticeReason::First, alerts);
    let labels = json!({
        "rule": "partner-endpoint-failing", "alertname": "partner-endpoint-failing",
        "severity": "critical", "source": "acme", "affiliate": "7", "host": "trk.acme.example", "team": "partners",
    });
    let payload = told(&notice);
    let annotations = &payload["alerts"][0]["annotations"];
    let expected = json!({
        "version": "4",
        "groupKey": "{}:{alertname=\"partner-endpoint-failing\", \
                     rule=\"partner-endpoint-failing\", source=\"acme\"}",
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "on-call",
        "groupLabels": {
            "alertname": "partner-endpoint-failing", "rule": "partner-endpoint-failing",
            "source": "acme",
        },
        "commonLabels": labels,
        "commonAnnotations": annotations,
        "externalURL": "http://127.0.0.1:9467/",
        "alerts": [{
            "status": "firing",
            "labels": labels,
            "annotations": annotations,
            "startsAt": "2026-03-01T02:12:00Z",
            "endsAt": "0001-01-01T00:00:00Z",
            "generatorURL": "http://127.0.0.1:9467/",
            "fingerprint": "9c1f0e6a53d2b847",
        }],
    });
    assert_eq!(payload, expected);
    let check = |name: &str, needed: &str| {
        let text = annotations[name].as_str().unwrap_or_default();
        assert!(text.contains(needed), "{needed} is missing in {name}: {text}");
    };
    check("summary", "trk.acme.example fails 83 % of postbacks (tls)");
    check("description", "Since 2026-03-01 03:12 CET, for 8 min\nfailures 41 (rule: >= 20)");
    check("description", "Likely cause: host trk.acme.example: 94 %");
    check("description", "ask the partner to renew");
    check("examples", "conversion 4f1c9be07ad24a1e8d01b3c2 · 2 failed tries, tls");
    check("runbook_url", "https://wiki.example.com/postbacks#tls");
}

/// `UPDATE=1 cargo test --test channels payload` writes the example anew.
#[test]
fn the_payload_in_the_documentation_is_the_codes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notifications.md");
    let text = std::fs::read_to_string(&path).expect("the page is there");
    let (before, rest) = text.split_once("```json\n").expect("it has an example");
    let (_, after) = rest.split_once("```\n").expect("the example ends");
    // In the order in which it is sent.
    let example = pretty(&payload::json(&notices::critical(), &page()));
    let made = format!("{before}```json\n{example}\n```\n{after}");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &made).expect("the file can be written");
    }
    let kept = std::fs::read_to_string(&path).expect("the page is there");
    assert!(kept == made, "UPDATE=1 cargo test --test channels payload");
}

/// JSON with line ends and indentation, in the order that it has.
fn pretty(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) = (String::new(), 0_usize, false, false);
    for c in json.chars() {
        if in_text {
            out.push(c);
            (in_text, escaped) = (escaped || c != '"', !escaped && c == '\\');
            continue;
        }
        match c {
            '{' | '[' => depth += 1,
            '}' | ']' => {
                depth -= 1;
                out.push_str(&format!("\n{}", "  ".repeat(depth)));
            }
            _ => {}
        }
        out.push(c);
        match c {
            '"' => in_text = true,
            ':' => out.push(' '),
            '{' | '[' | ',' => out.push_str(&format!("\n{}", "  ".repeat(depth))),
            _ => {}
        }
    }
    out
}

#[test]
fn what_ended_says_when_and_a_batch_what_all_share() {
    let resolved = told(&notices::resolved());
    assert_eq!(resolved["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["endsAt"], "2026-03-01T02:37:00Z");
    let mut both = notices::notice(NoticeReason::Resolved, vec![notices::failing(); 2]);
    both.alerts[1].id = Identity(8);
    both.alerts[1].labels[1].1 = "8".to_owned();
    both.alerts[1].status = AlertStatus::Expired { resolved_at: Timestamp(BEGAN.0 + 60) };
    let both = told(&both);
    assert_eq!(
        (&both["status"], &both["alerts"][1]["status"]),
        (&json!("firing"), &json!("resolved"))
    );
    assert_eq!(both["commonLabels"]["affiliate"], Value::Null);
    assert_eq!(both["commonLabels"]["host"], "trk.acme.example");
    let instead = Notice { instead_of: Some("on-call".to_owned()), ..notices::critical() };
    let annotations = &told(&instead)["commonAnnotations"];
    assert_eq!(annotations["instead_of"], "on-call");
    assert_eq!(annotations["instead_of_is_back"], Value::Null);
    let back = told(&Notice { is_back: true, ..instead });
    assert_eq!(back["commonAnnotations"]["instead_of_is_back"], "true");
}

/// As where messages were merged.
#[test]
fn an_alert_that_ended_and_fired_anew_stands_in_a_payload_once_and_as_firing() {
    let mut ended = notices::failing();
    (ended.severity, ended.fired_at) = (Severity::Warning, BEGAN);
    ended.status = AlertStatus::Resolved { resolved_at: Timestamp(BEGAN.0 + 60) };
    let anew = AlertFacts { fired_at: Timestamp(BEGAN.0 + 120), ..notices::failing() };
    let shown = |alerts: &[&AlertFacts]| {
        let alerts = alerts.iter().map(|&alert| alert.clone()).collect();
        let payload = told(&notices::notice(NoticeReason::NewAlerts, alerts));
        let shown = payload["alerts"].as_array().expect("a list").iter();
        let shown = shown.map(|alert| format!("{} {}", alert["status"], alert["endsAt"]));
        (payload["truncatedAlerts"].clone(), shown.collect::<Vec<_>>())
    };
    let firing = vec!["\"firing\" \"0001-01-01T00:00:00Z\"".to_owned()];
    assert_eq!(shown(&[&anew, &ended]), (json!(0), firing.clone()));
    assert_eq!(shown(&[&ended, &anew]), (json!(0), firing));
    let mut later = anew.clone();
    later.status = AlertStatus::Resolved { resolved_at: Timestamp(BEGAN.0 + 180) };
    let last = vec!["\"resolved\" \"2026-03-01T02:15:00Z\"".to_owned()];
    assert_eq!(shown(&[&ended, &later]), (json!(0), last));
}

/// A program that pages for what fires would page for what somebody silenced.
#[test]
fn what_is_held_back_is_left_out_as_alertmanager_leaves_it_out() {
    let held_back = Some("Silenced.".to_owned());
    let silenced = AlertFacts { id: Identity(1), held_back, ..notices::failing() };
    let resolved_at = Timestamp(BEGAN.0 + 600);
    let mut ended = AlertFacts { severity: Severity::Warning, ..notices::failing() };
    ended.status = AlertStatus::Resolved { resolved_at };
    let payload = told(&notices::notice(NoticeReason::Resolved, vec![ended, silenced]));
    assert_eq!(payload["status"], "firing", "it is no all-clear");
    assert_eq!(payload["alerts"].as_array().map(Vec::len), Some(1), "{payload}");
    assert_eq!(payload["alerts"][0]["labels"]["severity"], "warning");
}

#[test]
fn a_storm_and_nasty_names_stay_within_bounds() {
    let many = told(&notices::many(2_000));
    assert_eq!(
        (&many["truncatedAlerts"], many["alerts"].as_array().map(Vec::len)),
        (&json!(1_500), Some(500))
    );
    assert!(many.to_string().len() < 2 << 20, "{} bytes", many.to_string().len());
    for nasty in notices::nasty().chain(["x<&\"".repeat(10_000)]) {
        let payload = told(&notices::hostile(&nasty));
        for name in
            payload["alerts"][0]["labels"].as_object().into_iter().flat_map(|all| all.keys())
        {
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            assert!(is_name && !name.is_empty(), "{name:?}");
        }
    }
}

#[tokio::test]
async fn a_message_is_posted_with_its_id_and_a_signature() {
    let sink = Sink::start().await;
    let sent = send(&sink, &notices::critical()).await.expect("it is taken");
    assert_eq!(sent.thread, None);
    assert!(sent.answer.is_some_and(|answer| answer.ends_with("answered 200")));
    let requests = sink.requests();
    let [request] = &requests[..] else { panic!("{}", requests.len()) };
    assert_eq!(request.line, "POST /hooks/T0KEN?key=hunter2");
    assert_eq!(request.header("content-type"), "application/json");
    assert_eq!(request.header("webhook-id"), "n-first-1");
    let sent_at: i64 = request.header("webhook-timestamp").parse().expect("seconds");
    assert!((jiff::Timestamp::now().as_second() - sent_at).abs() < 60);
    // As a receiver verifies it.
    let signed = format!("n-first-1.{sent_at}.{}", request.body);
    let key = Secret::new(SECRET).signing_key().expect("a good secret");
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let signature = request.header("webhook-signature").strip_prefix("v1,").unwrap_or_default();
    let signature = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, signature);
    let signature = signature.expect("base64");
    assert!(ring::hmac::verify(&key, signed.as_bytes(), &signature).is_ok());
    assert_eq!(request.json()["version"], "4");
}

#[tokio::test]
async fn a_message_whose_answer_was_lost_comes_again_with_the_same_id() {
    let sink = Sink::start().await;
    sink.then([Meets::ResetAfterAccepting]);
    let error = send(&sink, &notices::critical()).await.expect_err("nobody answers");
    assert!(error.is_answer_lost() && error.reason() == "connection_lost", "{error:?}");
    send(&sink, &notices::critical()).await.expect("it is taken");
    let requests = sink.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0].header("webhook-id"), requests[1].header("webhook-id"));
    assert_eq!(requests[0].body, requests[1].body);
}

#[tokio::test]
async fn what_may_pass_is_temporary() {
    let check = async |meets: &'static str, expected: &str, after: Option<u64>| {
        let sink = Sink::start().await;
        sink.then([Meets::Answer(meets)]);
        match send(&sink, &notices::critical()).await {
            Err(SendError::Temporary { retry_after, reason, message }) => {
                assert_eq!((reason, retry_after), (expected, after.map(Duration::from_secs)));
                is_discreet(&message);
            }
            other => panic!("{meets}: {other:?}"),
        }
    };
    check("500 Oh", "http_5xx", None).await;
    check("503 Busy\r\nretry-after: 7", "http_5xx", Some(7)).await;
    check("429 Slow\r\nretry-after: 31", "ratelimited", Some(31)).await;
    check("408 Late", "timeout", None).await;
    check("425 Early", "http_5xx", None).await;
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let check = async |meets: &'static str, expected: &str, words: &str| {
        let sink = Sink::start().await;
        sink.then([Meets::Answer(meets)]);
        match send(&sink, &notices::critical()).await {
            Err(SendError::Permanent { reason, message }) => {
                assert_eq!(reason, expected);
                assert!(message.contains(words), "{message}");
                is_discreet(&message);
            }
            other => panic!("{meets}: {other:?}"),
        }
        assert_eq!(sink.requests().len(), 1, "nothing is followed");
    };
    check("400 No", "http_4xx", "look into that server's log").await;
    check("401 No", "http_4xx", "check the user, password or token").await;
    check("404 No", "http_4xx", "check its path").await;
    check("413 No", "http_4xx", "too large").await;
    check(
        "302 There\r\nlocation: https://other.example/x?y=1",
        "redirect",
        "another host (other.example)",
    )
    .await;
    check("307 There\r\nlocation: /elsewhere", "redirect", "another address").await;
}

/// Nothing of the address but its host.
fn is_discreet(message: &str) {
    for secret in ["T0KEN", "hunter2", "/hooks", "y=1", "/elsewhere"] {
        assert!(!message.contains(secret), "{message}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let sink = Sink::start().await;
    sink.then([Meets::Hang]);
    let error = send(&sink, &notices::critical()).await.expect_err("nobody answers");
    assert_eq!(error.reason(), "timeout");
    is_discreet(&error.to_string());
}

#[tokio::test]
async fn a_server_that_is_not_there_or_nobody_vouches_for_is_told_apart() {
    let check = async |url: &str, expected: &str| {
        let error = channel(url).send(&notices::critical(), None, &page()).await;
        let error = error.expect_err("nothing can be sent there");
        assert_eq!(error.reason(), expected, "{error}");
        is_discreet(&error.to_string());
    };
    check("http://127.0.0.1:1/hooks/T0KEN", "connect").await;
    check("http://nobody.invalid/hooks/T0KEN", "connect").await;
    let Some(server) = exim::TlsServer::start() else { return };
    check(&format!("https://localhost:{}/hooks/T0KEN", server.port), "tls").await;
}

#[tokio::test]
async fn a_probe_sends_nothing() {
    let sink = Sink::start().await;
    sink.then([Meets::Answer("405 No")]);
    let found = channel(&format!("{}/hooks/T0KEN", sink.url)).probe().await.expect("it is there");
    assert!(found.contains("405 to HEAD") && found.contains("are signed"), "{found}");
    is_discreet(&found);
    let lines: Vec<String> = sink.requests().into_iter().map(|request| request.line).collect();
    assert_eq!(lines, ["HEAD /hooks/T0KEN"]);
}

#[test]
fn neither_address_nor_key_ever_shows() {
    tls();
    let options = WebhookOptions {
        url: "https://u:hunter2@hook.example/T0KEN".to_owned(),
        key: Some(b"hunter2".to_vec()),
    };
    let shown = format!("{options:?} {:?}", Webhook::new(options.clone()).expect("an address"));
    is_discreet(&shown);
}
