//! What the commands make of answers that a postwatch would not give, or that others
//! wrote into one.

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::program::{Ended, Place, network, rules};

/// Something that gives this answer to whatever is asked: where it is.
async fn answering(status: u16, location: &'static str, body: String) -> String {
    let status = StatusCode::from_u16(status).expect("it is one");
    let answer = async move || -> Response {
        (status, [(header::LOCATION, location)], body.clone()).into_response()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await });
    format!("ann:hunter2@{address}")
}

async fn ask(address: &str, words: &str) -> Ended {
    let url = format!("http://{address}/");
    let environment = [("POSTWATCH_URL", url.as_str()), ("POSTWATCH_TOKEN", "stale-token")];
    Place::new("").start_with(words, &environment).ends().await
}

const ADD: &str = "silence add rule=some-fail --for 2h --comment moves";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_login_shows_no_password() {
    let address = answering(401, "", String::new()).await;
    let ended = ask(&address, "alerts").await;
    let at = address.trim_start_matches("ann:hunter2@");
    assert!(ended.err.contains(&format!("http://{at} does not take the token")), "{ended:?}");
    assert_eq!(ended.code, Some(2), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_told_and_not_followed() {
    // The first would take the answer for that of a wish which it turned into a read.
    let elsewhere = answering(200, "", "{\"sent_again\":[]}".to_owned()).await;
    let elsewhere: &str = format!("http://{elsewhere}/log/in?cid=hunter2").leak();
    for words in ["outbox resend --all", "alerts", "deliveries", ADD] {
        for status in [301, 302, 307] {
            let ended = ask(&answering(status, elsewhere, String::new()).await, words).await;
            assert_eq!(ended.code, Some(3), "{words}: {ended:?}");
            assert!(ended.err.contains(&format!("/log/in ({status})")), "{words}: {ended:?}");
            assert!(!ended.err.contains("cid"), "{words}: {ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silence_without_an_id_was_not_set() {
    let none = "{\"now\":\"2026-03-01T12:00:00Z\",\"alerts\":[]}";
    let empty = "{\"now\":\"2026-03-01T12:00:00Z\",\"alerts\":[],\"silenceID\":\"\"}";
    for (answer, told) in [(none, "is no postwatch"), (empty, "names no silence")] {
        let ended = ask(&answering(200, "", answer.to_owned()).await, ADD).await;
        assert_eq!(ended.code, Some(3), "{ended:?}");
        assert!(ended.err.contains(told), "{ended:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_postwatch_answers_nothing_of_it() {
    let as_text = ["alerts", "deliveries", "explain some-fail", "outbox", "outbox resend --all"];
    let as_json = as_text.map(|words| format!("{words} --json"));
    let all = as_text.into_iter().chain(as_json.iter().map(String::as_str));
    let all: Vec<&str> =
        all.chain(["silence list", "silence list --json", "silence expire 1", ADD]).collect();
    let pages = ["<!doctype html><title>Welcome</title>", "{\"status\":\"ok\"}", "\"ok\"", "7"];
    let good = pages.into_iter().map(|page| (200, page));
    for (status, page) in good.chain([(404, ""), (403, "<title>No</title>"), (502, "bad gateway")])
    {
        let address = answering(status, "", page.to_owned()).await;
        for words in &all {
            let ended = ask(&address, words).await;
            assert_eq!((ended.code, ended.out.as_str()), (Some(3), ""), "{words}: {ended:?}");
            assert!(ended.err.contains("is no postwatch"), "{words}: {ended:?}");
            assert!(ended.err.contains("--url names another"), "{words}: {ended:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_partners_wrote_commands_no_terminal() {
    let network = network(100, 40).await;
    let place = Place::new(&rules(&network.base_url(), ""));
    let program = place.serve();
    program.shows("api/v1/deliveries", "\"conversion_id\"").await;
    let told = program.get("api/v1/deliveries?limit=1").await;
    let mut told: serde_json::Value = serde_json::from_str(&told).expect("it is JSON");
    told["items"][0]["affiliate"] = "Acme\u{1b}]0;title\u{7}\u{202E}".into();
    told["items"][0]["said"]["conversion_id"] = "one\u{9b}31m\nFIRING".into();
    let ended = ask(&answering(200, "", told.to_string()).await, "deliveries").await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("Acme\u{fffd}]0;title\u{fffd}\u{fffd}"), "{ended:?}");
    assert!(ended.out.contains("one\u{fffd}31m FIRING"), "{ended:?}");
}
