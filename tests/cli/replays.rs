//! `backtest` and `test`, as scripts and people use them.

use serde_json::{Value, json};

use crate::program::Place;

const RULES: &str = r##"
sources: [{ name: acme, api_key: "${NOT_SET_ANYWHERE}" }]
rules:
  - name: failing
    per: [affiliate, host]
    over: 5m
    levels:
      warning: { failures: ">= 3", failure_rate: ">= 50%" }
      critical: { failures: ">= 5" }
    keep_firing_for: 2m
receivers: [{ name: ops, slack: { token: "${NOR_THIS}", channel: "#a" } }]
routes: [{ to: [ops] }]
"##;

/// 2026-03-01 12:00:00 UTC.
const NOON: i64 = 1_772_366_400;

fn row(number: i64, at: i64, fails: bool) -> String {
    let answer = if fails { "dial tcp: connection refused" } else { "Status: 200" };
    let row = json!({
        "network_offer_id": 11, "affiliate_id": 7, "pixel_id": 132, "conversion_id": format!("c{number}"),
        "timestamp": NOON + at, "delivery_method": "postback", "pixel_level": "specific",
        "pixel_status": "active", "pixel_type": "conversion", "is_success": !fails,
        "payload": "https://a.example/p?cid=secret-click", "debug_information": answer,
        "last_attempt": if fails { NOON + at } else { 0 }, "failed_attempts": u8::from(fails),
        "relationship": { "affiliate": { "name": "Acme Media" } },
    });
    row.to_string()
}

/// Successes, then eight failures a minute apart, then successes again; shuffled.
fn export() -> String {
    let mut rows: Vec<String> = (0..8).map(|n| row(n, 603 + n * 60, true)).collect();
    rows.extend((0..10).map(|n| row(100 + n, n * 60, false)));
    rows.extend((0..20).map(|n| row(200 + n, 1_200 + n * 60, false)));
    rows.reverse();
    rows.join("\n") + "\n"
}

async fn backtest(place: &Place, words: &str) -> Value {
    let ended = place.run(&format!("backtest --json {words}")).await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.out.contains("secret-click"), "{}", ended.out);
    serde_json::from_str(&ended.out).expect("it is JSON")
}

#[tokio::test]
async fn a_backtest_tells_alerts_and_messages_under_the_contract_s_names() {
    let place = Place::new(RULES);
    std::fs::write(place.path("rows.ndjson"), export()).expect("the folder is ours");
    let told = backtest(&place, "--export rows.ndjson").await;
    let expected = json!({
        "rule": "failing",
        "severity": "critical",
        "labels": {
            "affiliate": "7", "host": "a.example", "offer": "11", "postback": "132", "event": "0",
            "reason": "refused", "source": "acme", "delivery_method": "postback",
            "postback_level": "specific", "postback_type": "conversion",
        },
        // The third failure, at 12:12:03, of three failures and a success in five minutes.
        "began_at": "2026-03-01T12:12:10Z",
        "fired_at": "2026-03-01T12:12:10Z",
        // The last but two leaves the window at 12:20:03; clear for two minutes, and cured.
        "resolved_at": "2026-03-01T12:22:10Z",
        "ended": "resolved",
        "value": 3,
        "cause": { "by": "host", "value": "a.example", "share": 1.0 },
    });
    let mut alert = told["alerts"][0].clone();
    alert.as_object_mut().map(|alert| alert.remove("summary"));
    assert_eq!(alert, expected);
    assert_eq!(told["alerts"].as_array().map(Vec::len), Some(1));
    let messages = told["messages"].as_array().expect("a list");
    let reasons: Vec<&str> = messages.iter().filter_map(|of| of["reason"].as_str()).collect();
    assert_eq!(reasons.first(), Some(&"first"), "{messages:?}");
    assert_eq!(reasons.last(), Some(&"resolved"), "{messages:?}");
    assert!(messages.iter().all(|of| of["receiver"] == "ops" && of["alerts"] == json!([0])));
}
