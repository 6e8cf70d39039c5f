//! The client against a server that answers from a script. The clock runs a
//! thousand times as fast, so that back-offs pass while nobody waits.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};

use super::*;
use crate::domain::policy::Scope;
use crate::domain::time::Timestamp;
use crate::source::Status;

mod server;

pub(super) use server::ok;
use server::{Reply, Server, answer, cut, reply};

const KEY: &str = "s3cr3t-k3y";
pub(super) const ROW: &str = r#"{"pixel_id":1,"network_offer_id":2,"affiliate_id":3,"timestamp":4,"is_success":false,"conversion_id":"c"}"#;

pub(super) struct Setup {
    pub(super) api: Arc<Everflow>,
    server: Arc<Server>,
    arrivals: mpsc::UnboundedReceiver<()>,
    pub(super) metrics: Arc<Metrics>,
}

pub(super) async fn setup(script: Vec<Reply>) -> Setup {
    setup_with(script, Some(67), 1_000).await
}

async fn setup_with(script: Vec<Reply>, timezone_id: Option<u32>, leave: usize) -> Setup {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (arrived, arrivals) = mpsc::unbounded_channel();
    let server = Arc::new(Server {
        script: Mutex::new(script.into()),
        requests: Mutex::default(),
        now: AtomicUsize::new(0),
        most: AtomicUsize::new(0),
        arrived,
        leave: Semaphore::new(leave),
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("it is bound");
    let router = Router::new().fallback(answer).with_state(server.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let metrics = Metrics::new();
    let api = client_of(&format!("http://{address}/v1/"), timezone_id, metrics.clone());
    Setup { api: Arc::new(api), server, arrivals, metrics }
}

fn client_of(base_url: &str, timezone_id: Option<u32>, metrics: Arc<Metrics>) -> Everflow {
    let budget = Budget {
        per_second: 100.0,
        attempts: 3,
        request_timeout: Duration::from_secs(20),
        ..Budget::default()
    };
    let (source, base_url, api_key) = ("acme".to_owned(), base_url.to_owned(), ApiKey::new(KEY));
    let options = EverflowOptions { source, base_url, api_key, timezone_id, budget };
    assert!(!format!("{options:?}").contains(KEY));
    Everflow::new(options, Clock::scaled(Timestamp(1_000), 1_000.0), metrics)
        .expect("valid options")
}

pub(super) fn failures() -> Ask {
    let (from, to) = (Timestamp(0), Timestamp(60));
    Ask { status: Status::Failure, from, to, scope: Scope::default() }
}

fn rows(count: usize) -> String {
    format!("{{\"pixels\":[{}]}}", vec![ROW; count].join(","))
}

pub(super) fn lines(count: usize) -> String {
    format!("{ROW}\n").repeat(count)
}

/// Collects pages; wants `limit` of them.
struct Pages {
    lengths: Vec<usize>,
    limit: usize,
}

impl Pages {
    fn any() -> Pages {
        Pages { lengths: Vec::new(), limit: usize::MAX }
    }
}

impl PageSink for Pages {
    async fn page(&mut self, page: Page) -> bool {
        assert!(page.rows().all(|row| row.is_ok()));
        self.lengths.push(page.len());
        self.lengths.len() < self.limit
    }
}

/// The kind of an outcome, and how many requests it took.
async fn report(script: Vec<Reply>) -> (String, usize) {
    let setup = setup(script).await;
    let got = match setup.api.report(&failures()).await {
        Ok(Report::Whole(page)) => format!("whole {}", page.len()),
        Ok(Report::Truncated) => "truncated".into(),
        Err(error) => told(&error),
    };
    (got, setup.server.requests().len())
}

fn told(error: &ApiError) -> String {
    for text in [error.to_string(), format!("{error:?}")] {
        assert!(!text.contains(KEY) && !text.contains("/v1/networks"), "{text}");
    }
    let debug = format!("{error:?}");
    debug.split_whitespace().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_report_is_whole_truncated_or_an_error() {
    let throttled = || Reply { headers: vec![("Retry-After", "5")], ..reply(429, "slow down") };
    let date = || Reply {
        headers: vec![("Retry-After", "Thu, 01 Jan 1970 00:20:00 GMT")],
        ..reply(503, "")
    };
    let long = || Reply { headers: vec![("Retry-After", "7200")], ..reply(429, "") };
    let table = [
        (vec![ok(rows(2))], "whole 2", 1),
        (vec![ok(r#"{"pixels":null}"#)], "whole 0", 1),
        (vec![ok(rows(999))], "whole 999", 1),
        (vec![ok(rows(1_000))], "truncated", 1),
        (vec![throttled(), ok(rows(1))], "whole 1", 2),
        (vec![reply(429, ""), ok(rows(1))], "whole 1", 2),
        (vec![date(), ok(rows(1))], "whole 1", 2),
        (vec![long(), ok(rows(1))], "Unavailable", 1),
        (vec![reply(500, "oops"), reply(502, "<html>"), ok(rows(1))], "whole 1", 3),
        (vec![reply(500, ""), reply(500, ""), reply(500, ""), ok(rows(1))], "Unavailable", 3),
        (vec![reply(400, "bad"), ok(rows(1))], "Rejected", 1),
        (vec![reply(401, "bad"), ok(rows(1))], "Refused", 1),
        (vec![reply(403, "bad"), ok(rows(1))], "Refused", 1),
        (vec![reply(404, "bad"), ok(rows(1))], "Rejected", 1),
        (vec![cut(rows(3)), ok(rows(3))], "whole 3", 2),
        (vec![cut(rows(3)), cut(rows(3)), cut(rows(3))], "Incomplete", 3),
        (vec![ok(r#"{"error":"later"}"#)], "Rejected", 1),
        (vec![ok("<html>"), ok(rows(1))], "Incomplete", 1),
        (vec![ok("")], "Incomplete", 1),
    ];
    for (number, (script, expected, requests)) in table.into_iter().enumerate() {
        assert_eq!(report(script).await, (expected.to_owned(), requests), "line {number}");
    }
}

#[tokio::test]
async fn an_error_says_what_the_network_said_and_what_to_do() {
    let check = async |reply: Reply, parts: &[&str]| {
        let setup = setup(vec![reply]).await;
        let error = setup.api.report(&failures()).await.expect_err("an error");
        told(&error);
        for part in parts {
            assert!(error.to_string().contains(part), "{error}");
        }
    };
    check(
        reply(401, r#"{"error":"Invalid key s3cr3t-k3y"}"#),
        &["(401): Invalid key …", "api_key of source \"acme\""],
    )
    .await;
    check(reply(401, r#"{"Error":"Invalid"}"#), &["(401): Invalid — "]).await;
    check(reply(403, "not here"), &["(403): not here — ", "allowed IP addresses"]).await;
    let elsewhere =
        Reply { headers: vec![("Location", "http://127.0.0.2/steal")], ..reply(302, "") };
    check(elsewhere, &["redirect (302)", "base_url"]).await;
}

#[tokio::test]
async fn an_export_is_streamed_in_pages() {
    let check = async |script: Vec<Reply>, pages: &[usize], outcome: &str, requests: usize| {
        let setup = setup(script).await;
        let mut sink = Pages::any();
        let got = setup.api.export(&failures(), &mut sink).await;
        let got = got.map_or_else(|error| told(&error), |()| "whole".to_owned());
        assert_eq!((got.as_str(), &*sink.lengths), (outcome, pages));
        assert_eq!(setup.server.requests().len(), requests);
    };
    check(vec![ok(lines(2_500))], &[1_000, 1_000, 500], "whole", 1).await;
    check(vec![ok("")], &[], "whole", 1).await;
    check(vec![ok(lines(3).trim_end().to_owned())], &[3], "whole", 1).await;
    check(vec![ok(rows(1_500))], &[1_000, 500], "whole", 1).await;
    check(vec![reply(503, ""), ok(lines(1))], &[1], "whole", 2).await;
    check(vec![cut(lines(10)), ok(lines(10))], &[10], "whole", 2).await;
    // Once a page was handed over, another try would hand it again.
    check(vec![cut(lines(2_500)), ok(lines(1))], &[1_000, 1_000], "Incomplete", 1).await;
    check(vec![ok(lines(1_500) + "{\"pixel_id\":")], &[1_000], "Incomplete", 1).await;
    check(vec![ok(lines(1_500) + "{\"error\":\"gone\"}\n")], &[1_000], "Incomplete", 1).await;
    check(vec![cut(lines(1)), cut(lines(2)), cut(lines(3))], &[], "Incomplete", 3).await;
    check(vec![reply(401, "")], &[], "Refused", 1).await;
    check(vec![ok("{\"error\":\"no\"}")], &[], "Rejected", 1).await;
}

#[tokio::test]
async fn a_compressed_answer_is_read_and_a_cut_one_is_noticed() {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut encoder, lines(3).as_bytes()).expect("memory takes it");
    let whole = Bytes::from(encoder.finish().expect("memory takes it"));
    let zipped = |body| Reply { headers: vec![("Content-Encoding", "gzip")], ..ok(body) };
    let half = zipped(whole.slice(..whole.len() - 9));
    let setup = setup(vec![zipped(whole), half.clone(), half.clone(), half]).await;
    let mut sink = Pages::any();
    setup.api.export(&failures(), &mut sink).await.expect("whole");
    assert_eq!(sink.lengths, [3]);
    let error = setup.api.export(&failures(), &mut sink).await.expect_err("cut");
    assert_eq!(told(&error), "Incomplete");
}

#[tokio::test]
async fn a_network_without_trusted_tls_is_named_plainly() {
    let plain = setup(vec![]).await;
    let base = plain.api.caller.base.replace("http://", "https://");
    let api = client_of(&base, Some(67), Metrics::new());
    let error = api.report(&failures()).await.expect_err("it speaks no TLS");
    told(&error);
    assert!(error.to_string().starts_with("no trusted TLS connection to 127.0.0.1: "), "{error}");
}

#[tokio::test]
async fn a_sink_that_had_enough_ends_the_reading() {
    let setup = setup(vec![ok(lines(2_500)), ok(lines(1))]).await;
    let mut sink = Pages { lengths: Vec::new(), limit: 1 };
    let error = setup.api.export(&failures(), &mut sink).await.expect_err("not whole");
    assert_eq!((told(&error).as_str(), sink.lengths), ("Incomplete", vec![1_000]));
}

#[tokio::test]
async fn utc_is_looked_up_once() {
    let zones = r#"{"timezones":[{"timezone_id":12,"timezone":"UTC"}]}"#;
    let check = async |first: Reply, id: &str| {
        let setup = setup_with(vec![first, ok(rows(0)), ok(rows(0))], None, 1_000).await;
        for _ in 0..2 {
            setup.api.report(&failures()).await.expect("a report");
        }
        let requests = setup.server.requests();
        let places: Vec<&str> = requests.iter().map(|request| &*request.0).collect();
        let report = "/v1/networks/reporting/affiliate/pixels";
        assert_eq!(places, ["/v1/meta/timezones", report, report]);
        assert!(requests.iter().all(|request| request.1 == KEY));
        assert!(requests[1].2.starts_with(&format!("{{\"timezone_id\":{id},")));
    };
    check(ok(zones), "12").await;
    check(ok(r#"{"timezones":[]}"#), "67").await;
    check(reply(403, ""), "67").await;
    check(reply(404, ""), "67").await;
    let setup = setup_with(vec![reply(401, "")], None, 1_000).await;
    let error = setup.api.report(&failures()).await.expect_err("the key is refused");
    assert_eq!(told(&error), "Refused");
}

#[tokio::test]
async fn connecting_tells_who_the_key_belongs_to() {
    let network = ok(r#"{"network_id":1,"name":"My Network"}"#);
    let zones = ok(r#"{"timezones":[{"timezone_id":67,"timezone":"UTC"}]}"#);
    let setup = setup_with(vec![network, zones], None, 1_000).await;
    let network = setup.api.connect().await.expect("it connects");
    assert_eq!(network, Network { id: 1, name: "My Network".into() });
}

#[tokio::test]
async fn every_page_of_the_configurations_is_read() {
    let entries = |ids: &[u64], paging: &str| {
        let entries: Vec<String> =
            ids.iter().map(|id| format!("{{\"network_pixel_id\":{id}}}")).collect();
        ok(format!("{{\"pixels\":[{}]{paging}}}", entries.join(",")))
    };
    let check = async |script: Vec<Reply>, ids: &[u64], requests: usize| {
        let setup = setup(script).await;
        let got = setup.api.postbacks().await.expect("a list");
        assert_eq!(got.iter().map(|postback| postback.id).collect::<Vec<_>>(), ids);
        assert_eq!(setup.server.requests().len(), requests);
        assert_eq!(setup.server.requests()[0].0, "/v1/networks/pixels?page=1&page_size=2000");
    };
    check(vec![entries(&[1, 2], "")], &[1, 2], 1).await;
    let total = r#","paging":{"total_count":3}"#;
    check(vec![entries(&[1, 2], total), entries(&[3], total)], &[1, 2, 3], 2).await;
    check(vec![entries(&[1, 2], total), entries(&[], total)], &[1, 2], 2).await;
    let small = r#","paging":{"page_size":2}"#;
    check(vec![entries(&[1, 2], small), entries(&[3], small)], &[1, 2, 3], 2).await;
}

#[tokio::test]
async fn no_more_requests_at_once_than_the_budget_has() {
    let script = vec![ok(rows(0)); 6];
    let mut setup = setup_with(script, Some(67), 0).await;
    let asked: Vec<_> = (0..6)
        .map(|_| {
            let api = setup.api.clone();
            tokio::spawn(async move { api.report(&failures()).await.is_ok() })
        })
        .collect();
    setup.arrivals.recv().await;
    for _ in 1..6 {
        setup.arrivals.recv().await;
        setup.server.leave.add_permits(1);
    }
    setup.server.leave.add_permits(1);
    for answer in asked {
        assert!(answer.await.expect("it does not panic"));
    }
    assert_eq!(setup.server.most.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn requests_are_counted_by_how_they_ended() {
    let setup = setup(vec![reply(429, ""), ok(rows(1_000))]).await;
    setup.api.report(&failures()).await.expect("a report");
    let metrics = &setup.metrics;
    let count =
        |status: &str| metrics.api_requests.with_label_values(&["acme", "report", status]).get();
    assert_eq!((count("429"), count("200"), count("error")), (1, 1, 0));
    let labels = ["acme", "report", "429"];
    assert_eq!(metrics.api_throttled.with_label_values(&labels).get(), 1);
    let labels = ["acme", "report", "200"];
    assert_eq!(metrics.reports_truncated.with_label_values(&labels).get(), 1);
}

#[tokio::test]
async fn a_network_that_does_not_answer_is_named_plainly() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = closed.local_addr().expect("it is bound");
    drop(closed);
    let metrics = Metrics::new();
    let api = client_of(&format!("http://{address}/v1"), Some(67), metrics.clone());
    let error = api.report(&failures()).await.expect_err("nobody is there");
    assert_eq!(told(&error), "Unavailable");
    assert_eq!(error.to_string(), "127.0.0.1 refuses connections (source \"acme\")");
    assert_eq!(metrics.api_requests.with_label_values(&["acme", "report", "error"]).get(), 3);
}

#[tokio::test]
async fn a_silent_network_is_given_up() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    // Takes connections (the backlog does) and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = silent.local_addr().expect("it is bound");
    let budget =
        Budget { request_timeout: Duration::from_millis(50), attempts: 1, ..Budget::default() };
    let options = EverflowOptions {
        source: "acme".into(),
        base_url: format!("http://{address}"),
        api_key: ApiKey::new(KEY),
        timezone_id: Some(67),
        budget,
    };
    let api = Everflow::new(options, Clock::System, Metrics::new()).expect("valid options");
    let said = |error: ApiError| error.to_string();
    let report = api.report(&failures()).await.map(|_| ()).map_err(said);
    let export = api.export(&failures(), &mut Pages::any()).await.map_err(said);
    let expected = Err("127.0.0.1 did not answer in time (source \"acme\")".to_owned());
    assert_eq!((report, export), (expected.clone(), expected));
}

#[test]
fn options_that_cannot_work_are_told() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let check = |base_url: &str, key: &str, hint: &str| {
        let options = EverflowOptions {
            source: "acme".into(),
            base_url: base_url.into(),
            api_key: ApiKey::new(key),
            timezone_id: None,
            budget: Budget::default(),
        };
        let error = Everflow::new(options, Clock::System, Metrics::new()).err();
        let said = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(hint) && !said.contains("secret"), "{base_url}: {said}");
    };
    check("api.eflow.team", KEY, "is no URL");
    check("ftp://api.eflow.team", KEY, "neither https nor http");
    check("https://joe:secret@api.eflow.team", KEY, "holds a user");
    check("https://api.eflow.team/v1", "", "api_key of source \"acme\" is empty");
    check("https://api.eflow.team/v1", "secret\nkey", "characters that no key has");
}
