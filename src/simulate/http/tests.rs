//! What a client meets. The clock stands still, so that limits and states do too.

use std::collections::HashSet;
use std::time::Duration;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::simulate::{Fault, FaultKind, Running, Scenario, Telling, start};

const START: Timestamp = Timestamp(1_700_000_000);

async fn serve(scenario: Scenario) -> (Running, Client) {
    // Fails where another test was first: then it is installed.
    rustls::crypto::ring::default_provider().install_default().ok();
    let clock = Clock::scaled(START, 0.0);
    let network = start(([127, 0, 0, 1], 0).into(), scenario, clock).await.expect("a free port");
    (network, Client::builder().no_proxy().build().expect("plain HTTP needs nothing"))
}

fn span(filters: Value, exclusions: Value) -> Value {
    json!({
        "timezone_id": 67, "from": "2023-11-13", "to": "2023-11-15",
        "query": { "filters": filters, "exclusions": exclusions },
    })
}

fn whole_span() -> Value {
    span(json!([]), json!([]))
}

fn filter(resource_type: &str, value: &str) -> Value {
    json!({ "resource_type": resource_type, "filter_id_value": value })
}

fn ask(network: &Running, client: &Client, path: &str, body: &Value) -> RequestBuilder {
    let url = format!("{}/networks/reporting/affiliate/{path}", network.base_url());
    client.post(url).header("X-Eflow-API-Key", "simulated-key").json(body)
}

fn export_body(format: &str) -> Value {
    let mut body = whole_span();
    body["format"] = format.into();
    body
}

async fn report(network: &Running, client: &Client, body: &Value) -> Value {
    let reply = ask(network, client, "pixels", body).send().await.expect("an answer");
    assert_eq!(reply.status(), StatusCode::OK);
    reply.json().await.expect("JSON")
}

fn rows(report: &Value) -> &[Value] {
    report["pixels"].as_array().map_or(&[], Vec::as_slice)
}

#[tokio::test]
async fn a_report_is_capped_without_a_word_and_differs_each_time() {
    let (network, client) = serve(Scenario::fixed(1, 1500, 30)).await;
    let first = report(&network, &client, &whole_span()).await;
    let second = report(&network, &client, &whole_span()).await;
    assert_eq!((rows(&first).len(), rows(&second).len()), (1000, 1000));
    assert_ne!(first, second);
    let failures = span(json!([filter("delivery_status", "failure")]), json!([]));
    assert_eq!(rows(&report(&network, &client, &failures).await).len(), 30);
    let mut empty = whole_span();
    empty["from"] = "2023-11-15".into();
    assert_eq!(report(&network, &client, &empty).await, json!({ "pixels": null }));
    network.stop().await;
}

#[tokio::test]
async fn a_row_has_the_documented_shape() {
    let (network, client) = serve(Scenario::fixed(1, 500, 50)).await;
    let reply = report(&network, &client, &whole_span()).await;
    let documented: Value = serde_json::from_str(
        r#"{"network_id": 1, "network_offer_id": 11, "network_offer_payout_revenue_id": 0, "affiliate_id": 7, "pixel_id": 132,
            "conversion_id": "", "transaction_id": "", "timestamp": 1, "delivery_method": "", "pixel_level": "", "pixel_status": "",
            "pixel_type": "", "payload": "", "is_success": true, "debug_information": "", "last_attempt": 0, "failed_attempts": 0,
            "relationship": {"offer": {"network_offer_id": 11, "network_id": 1, "network_advertiser_id": 13, "network_offer_group_id": 0,
            "name": "", "offer_status": "", "network_tracking_domain_id": 134, "visibility": "", "currency_id": ""},
            "affiliate": {"network_affiliate_id": 7, "network_id": 1, "name": "", "account_status": "", "network_traffic_source_id": 0}}}"#,
    )
    .expect("the documentation's example");
    for row in rows(&reply) {
        assert!(has_shape(row, &documented), "{row}");
        assert_eq!(row["conversion_id"] == "", row["pixel_type"] == "cpc");
        assert_eq!(row["last_attempt"] == 0, row["failed_attempts"] == 0);
        assert!(!row["payload"].as_str().unwrap_or("{").contains("{sub"), "{row}");
    }
    network.stop().await;
}

fn has_shape(value: &Value, example: &Value) -> bool {
    match (value, example) {
        (Value::Object(value), Value::Object(example)) => example
            .iter()
            .all(|(key, example)| value.get(key).is_some_and(|it| has_shape(it, example))),
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => true,
        (_, _) => false,
    }
}

#[tokio::test]
async fn filters_and_exclusions_choose_rows() {
    let (network, client) = serve(Scenario::fixed(1, 900, 90)).await;
    let all = network.tell(Telling::All);
    let count = |wanted: fn(u64, u64, bool) -> bool| {
        all.iter().filter(|it| wanted(it.offer, it.affiliate, it.is_success)).count()
    };
    let (offer, affiliate, status) = (
        |id| filter("offer", id),
        |id| filter("affiliate", id),
        |word| filter("delivery_status", word),
    );
    for (filters, exclusions, expected) in [
        (json!([offer("11")]), json!([]), count(|o, _, _| o == 11)),
        (json!([offer("11"), offer("12")]), json!([]), count(|o, _, _| o == 11 || o == 12)),
        (json!([offer("11"), affiliate("1")]), json!([]), count(|o, a, _| o == 11 && a == 1)),
        (json!([status("failure"), affiliate("2")]), json!([]), count(|_, a, s| !s && a == 2)),
        (json!([]), json!([affiliate("1"), affiliate("2")]), count(|_, a, _| a > 2)),
        (json!([affiliate("1")]), json!([offer("11")]), count(|o, a, _| a == 1 && o != 11)),
    ] {
        let reply = report(&network, &client, &span(filters.clone(), exclusions)).await;
        assert!(expected > 0, "{filters} chooses nothing");
        assert_eq!(rows(&reply).len(), expected, "{filters}");
    }
    network.stop().await;
}

#[tokio::test]
async fn refusals_have_their_status_and_the_limit_in_their_head() {
    let (network, client) = serve(Scenario::fixed(1, 10, 0)).await;
    let url = format!("{}/networks", network.base_url());
    for (key, status, field) in [
        (None, 401, Some("error")),
        (Some("wrong"), 401, Some("error")),
        (Some("affiliate-key"), 403, Some("Error")),
        (Some("simulated-key"), 200, None),
    ] {
        let request = client.get(&url);
        let request = match key {
            Some(key) => request.header("X-Eflow-API-Key", key),
            None => request,
        };
        let reply = request.send().await.expect("an answer");
        assert_eq!(reply.status(), status);
        assert_eq!(reply.headers()["X-RateLimit-Limit"], "900");
        assert!(reply.headers().contains_key("X-RateLimit-Remaining"));
        let body: Value = reply.json().await.expect("JSON");
        assert!(field.is_none_or(|field| body[field].is_string()), "{body}");
    }
    let number = span(json!([{ "resource_type": "offer", "filter_id_value": 11 }]), json!([]));
    let reply = ask(&network, &client, "pixels", &number).send().await.expect("an answer");
    assert_eq!(reply.status(), StatusCode::BAD_REQUEST);
    let reply = ask(&network, &client, "nothing", &number).send().await.expect("an answer");
    assert_eq!(reply.status(), StatusCode::NOT_FOUND);
    network.stop().await;
}

#[tokio::test]
async fn too_many_requests_in_a_window_are_refused() {
    let scenario = Scenario { requests_per_window: 3, ..Scenario::fixed(1, 10, 0) };
    let (network, client) = serve(scenario).await;
    let mut seen = Vec::new();
    for _request in 0..5 {
        let reply =
            ask(&network, &client, "pixels", &whole_span()).send().await.expect("an answer");
        let left = reply.headers()["X-RateLimit-Remaining"].to_str().map(str::to_owned);
        seen.push((reply.status().as_u16(), left.expect("a number")));
    }
    let expected = [(200, "2"), (200, "1"), (200, "0"), (429, "0"), (429, "0")];
    assert_eq!(seen, expected.map(|(status, left)| (status, left.to_owned())));
    network.stop().await;
}

#[tokio::test]
async fn the_eleventh_report_at_once_is_refused() {
    let (network, client) = serve(Scenario::fixed(1, 10, 0)).await;
    network.faults().add(Fault::once(FaultKind::Hang).times(10));
    let hanging: Vec<_> = (0..10)
        .map(|_| tokio::spawn(ask(&network, &client, "pixels", &whole_span()).send()))
        .collect();
    while network.faults().hits() < 10 {
        tokio::task::yield_now().await;
    }
    let reply = ask(&network, &client, "pixels", &whole_span()).send().await.expect("an answer");
    assert_eq!(reply.status(), StatusCode::TOO_MANY_REQUESTS);
    // Only reports are counted.
    let url = format!("{}/meta/timezones", network.base_url());
    let zones = client.get(url).header("X-Eflow-API-Key", "simulated-key");
    let zones: Value = zones.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(rows(&json!({ "pixels": zones["timezones"] })).len(), 99);
    network.stop().await;
    for request in hanging {
        let reply = request.await.expect("no panic").expect("an answer");
        assert_eq!(reply.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn an_export_streams_every_row_in_each_format() {
    let (network, client) = serve(Scenario::fixed(1, 3000, 300)).await;
    let known: HashSet<String> =
        network.tell(Telling::All).into_iter().map(|it| it.transaction_id).collect();
    for client in [client.clone(), Client::builder().no_proxy().no_gzip().build().expect("HTTP")] {
        let reply = ask(&network, &client, "pixels/export", &export_body("json")).send().await;
        let reply = reply.expect("an answer");
        assert_eq!(reply.headers()["Content-Type"], "application/json");
        assert_eq!(reply.content_length(), None);
        let text = reply.text().await.expect("a whole body");
        assert_eq!(text.lines().count(), 3000);
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).expect("a row");
            assert!(row["transaction_id"].as_str().is_some_and(|it| known.contains(it)));
        }
    }
    let reply = ask(&network, &client, "pixels/export", &export_body("csv")).send().await;
    let text = reply.expect("an answer").text().await.expect("a whole body");
    assert_eq!(
        csv::Reader::from_reader(text.as_bytes()).records().filter(Result::is_ok).count(),
        3000
    );
    let reply = ask(&network, &client, "pixels/export", &whole_span()).send().await;
    assert_eq!(reply.expect("an answer").status(), StatusCode::BAD_REQUEST);
    network.stop().await;
}

#[tokio::test]
async fn a_cut_stream_is_really_cut() {
    let (network, client) = serve(Scenario::fixed(1, 500, 0)).await;
    let after_bytes = 100_000;
    network.faults().add(Fault::once(FaultKind::CutMidRow { after_bytes }).on("/export"));
    let reply = ask(&network, &client, "pixels/export", &export_body("json")).send().await;
    let text = reply.expect("an answer").text().await.expect("a proper end");
    assert!(text.len() > after_bytes && text.lines().count() < 500);
    let parses = |line: &str| serde_json::from_str::<Value>(line).is_ok();
    let broken: Vec<usize> =
        text.lines().enumerate().filter(|(_, it)| !parses(it)).map(|(place, _)| place).collect();
    assert_eq!(broken, [text.lines().count() - 1]);

    for path in ["pixels", "pixels/export"] {
        network.faults().add(Fault::once(FaultKind::CutShort { after_bytes }).on(path));
        let reply = ask(&network, &client, path, &export_body("json")).send().await;
        let reply = reply.expect("the head comes");
        assert_eq!(reply.status(), StatusCode::OK);
        assert!(reply.bytes().await.is_err(), "{path} came to a proper end");
    }
    network.stop().await;
}

#[tokio::test]
async fn faults_are_met_as_ordered() {
    let (network, client) = serve(Scenario::fixed(1, 10, 0)).await;
    let fault = |kind| network.faults().add(Fault::once(kind));
    let send = || ask(&network, &client, "pixels", &whole_span()).send();
    for status in [500, 401, 403, 429] {
        fault(FaultKind::Status(status));
        assert_eq!(send().await.expect("an answer").status(), status);
    }
    fault(FaultKind::Empty);
    assert_eq!(send().await.expect("an answer").bytes().await.expect("a body").len(), 0);
    fault(FaultKind::MalformedRows { every: 5 });
    let reply: Value = send().await.expect("an answer").json().await.expect("JSON");
    let lacking = rows(&reply).iter().filter(|it| it.get("pixel_id").is_none()).count();
    assert_eq!((rows(&reply).len(), lacking), (12, 2));
    fault(FaultKind::SlowBody { bytes_per_second: 200_000 });
    assert_eq!(rows(&send().await.expect("an answer").json().await.expect("JSON")).len(), 10);
    fault(FaultKind::Reset);
    let error = send().await.expect_err("a reset");
    assert!(format!("{error:?}").contains("ConnectionReset"), "{error:?}");
    fault(FaultKind::Hang);
    assert!(send_within(send(), 50).await.is_err());
    network.stop().await;
}

async fn send_within<T>(sending: impl Future<Output = T>, millis: u64) -> Result<T, ()> {
    tokio::time::timeout(Duration::from_millis(millis), sending).await.map_err(|_| ())
}

#[tokio::test]
async fn the_controls_tell_the_truth_and_switch_postbacks() {
    let (network, client) = serve(Scenario::fixed(1, 500, 20)).await;
    let at = |path: &str| format!("http://{}/simulate/{path}", network.address);
    for (path, lines) in [("truth", 20), ("truth?all=1", 500)] {
        let reply = client.get(at(path)).send().await.expect("an answer");
        assert_eq!(reply.text().await.expect("a body").lines().count(), lines);
    }
    let clock: Value =
        client.get(at("clock")).send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(clock["now"], START.0);
    let order = Fault::once(FaultKind::Status(500));
    let ordered = client.post(at("faults")).json(&order).send().await.expect("an answer");
    assert!(ordered.status().is_success());
    assert_eq!(network.faults().open(), [order]);
    client.delete(at("faults")).send().await.expect("an answer");

    let url = format!("{}/networks/pixels/101", network.base_url());
    for status in ["inactive", "active"] {
        let switch = client.post(at("postbacks/101")).json(&json!({ "status": status }));
        assert!(switch.send().await.expect("an answer").status().is_success());
        let pixel = client.get(&url).header("X-Eflow-API-Key", "simulated-key").send().await;
        let pixel: Value = pixel.expect("an answer").json().await.expect("JSON");
        assert_eq!(pixel["pixel_status"], status);
        let reply = report(&network, &client, &whole_span()).await;
        let mut of_it = rows(&reply).iter().filter(|it| it["pixel_id"] == 101);
        assert!(of_it.all(|it| it["pixel_status"] == status));
    }
    network.stop().await;
}

#[tokio::test]
async fn configurations_come_in_pages() {
    let (network, client) = serve(Scenario::fixed(1, 10, 0)).await;
    let get = |query: &str| {
        let url = format!("{}/networks/pixels?{query}", network.base_url());
        client.get(url).header("X-Eflow-API-Key", "simulated-key").send()
    };
    let all: Value = get("page_size=2000").await.expect("an answer").json().await.expect("JSON");
    let second: Value =
        get("page=2&page_size=10").await.expect("an answer").json().await.expect("JSON");
    assert_eq!(all["paging"]["total_count"], rows(&all).len());
    assert_eq!(rows(&second), &rows(&all)[10..20]);
    assert_eq!(get("page_size=2001").await.expect("an answer").status(), StatusCode::BAD_REQUEST);
    network.stop().await;
}
