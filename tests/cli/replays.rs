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

#[tokio::test]
async fn the_same_rows_as_csv_tell_the_same() {
    let place = Place::new(RULES);
    std::fs::write(place.path("rows.ndjson"), export()).expect("the folder is ours");
    let mut csv =
        "Conversion ID;Offer;Affiliate;Pixel ID;Date;Delivery Method;Pixel Level;Pixel Type;\
                   Status;Failed Attempts;Last Attempt;Payload;Debug Information\n"
            .to_owned();
    for line in export().lines() {
        let row: Value = serde_json::from_str(line).expect("we wrote it");
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let number = |name: &str| row[name].as_i64().unwrap_or_default().to_string();
        let status = if row["is_success"] == true { "success" } else { "failure" };
        let cells = [
            text("conversion_id"),
            "Offer (11)".to_owned(),
            "Acme Media (7)".to_owned(),
            number("pixel_id"),
            number("timestamp"),
            text("delivery_method"),
            text("pixel_level"),
            text("pixel_type"),
            status.to_owned(),
            number("failed_attempts"),
            number("last_attempt"),
            text("payload"),
            text("debug_information"),
        ];
        csv.push_str(&(cells.join(";") + "\n"));
    }
    std::fs::write(place.path("rows.csv"), csv).expect("the folder is ours");
    let one = backtest(&place, "--export rows.ndjson").await;
    let other = backtest(&place, "--export rows.csv").await;
    assert_eq!((&one["alerts"], &one["messages"]), (&other["alerts"], &other["messages"]));
}

#[tokio::test]
async fn what_differs_between_two_files_is_told_and_drawn() {
    let place = Place::new(RULES);
    std::fs::write(place.path("rows.ndjson"), export()).expect("the folder is ours");
    let stricter = RULES.replace("failures: \">= 3\"", "failures: \">= 4\"");
    std::fs::write(place.path("stricter.yaml"), stricter).expect("the folder is ours");
    let told =
        backtest(&place, "--export rows.ndjson --against stricter.yaml --html page.html").await;
    let changed = &told["against"]["difference"]["alerts_changed"];
    assert_eq!(changed, &json!([{ "alert": 0, "other": 0 }]), "{told}");
    assert_eq!(told["against"]["alerts"][0]["fired_at"], "2026-03-01T12:13:10Z");
    let page = std::fs::read_to_string(place.path("page.html")).expect("it was written");
    assert!(page.contains("<svg") && page.contains("a.example"), "{page}");
    assert!(!page.contains("<script") && !page.contains("secret-click"), "{page}");
    let shown = place.run("backtest --export rows.ndjson --against stricter.yaml").await;
    assert!(shown.out.contains("rules.yaml against stricter.yaml"), "{}", shown.out);
}

#[tokio::test]
async fn wrong_files_are_told_with_the_right_exit_code() {
    let place = Place::new(RULES);
    std::fs::write(place.path("rows.ndjson"), export()).expect("the folder is ours");
    std::fs::write(place.path("none.csv"), "a,b\n1,2\n").expect("the folder is ours");
    std::fs::write(place.path("wrong.yaml"), "rules: 5").expect("the folder is ours");
    let header = "conversion_id,offer,affiliate,pixel,timestamp,is_success\n";
    let ages = row(1, 0, true) + "\n" + &row(2, -500 * 86_400, true);
    for (name, text) in [
        ("empty.csv", ""),
        ("empty.ndjson", "\n"),
        ("header.csv", header),
        ("cut.csv", &format!("{header}a,1,2")),
        ("bad.csv", &format!("{header}a,1,2,3,now,1\n")),
        ("ages.ndjson", &ages),
    ] {
        std::fs::write(place.path(name), text).expect("the folder is ours");
    }
    let two = RULES.replace("sources: [", "sources: [{ name: other, api_key: x }, ");
    std::fs::write(place.path("two.yaml"), two).expect("the folder is ours");
    for (words, code, expected) in [
        ("backtest --export missing.ndjson", 2, "missing.ndjson cannot be read"),
        ("backtest --export none.csv", 2, "it has no column `pixel_id`"),
        ("backtest --export empty.csv", 2, "empty.csv holds no rows: choose a time"),
        ("backtest --export empty.ndjson", 2, "empty.ndjson holds no rows: choose a time"),
        ("backtest --export header.csv", 2, "header.csv holds no rows: choose a time"),
        ("suggest --export empty.csv", 2, "empty.csv holds no rows: choose a time"),
        ("backtest --export cut.csv", 2, "cut.csv was cut within its first row"),
        ("backtest --export bad.csv", 2, "no row of bad.csv can be read; line 2: timestamp"),
        ("backtest --export ages.ndjson", 2, "2024-10-17 (line 2) to 2026-03-01 (line 1)"),
        ("backtest --from 401d", 2, "more than 400d are not played"),
        ("backtest", 2, "name a past"),
        ("backtest --rules missing.yaml --export rows.ndjson", 2, "missing.yaml cannot be read"),
        ("backtest --rules wrong.yaml --export rows.ndjson", 1, "wrong.yaml:1:1"),
        ("backtest --rules two.yaml --export rows.ndjson", 2, "--source NAME (other, acme)"),
        ("backtest --from 1d", 2, "its API key is not set"),
        ("test missing.yaml", 2, "missing.yaml cannot be read"),
    ] {
        let ended = place.run(words).await;
        let told = format!("{}{}", ended.out, ended.err);
        assert_eq!(ended.code, Some(code), "{words}: {told}");
        assert!(told.contains(expected), "{words}: {told}");
    }
    let of_acme = place.run("backtest --rules two.yaml --source acme --export rows.ndjson").await;
    assert_eq!(of_acme.code, Some(0), "{}", of_acme.err);
}

#[tokio::test]
async fn rows_that_cannot_be_read_stop_nothing_and_are_told() {
    let place = Place::new(RULES);
    let rows = format!("nonsense\n{}{{\"pixel_id\": 1, \"cut", export());
    std::fs::write(place.path("rows.ndjson"), rows).expect("the folder is ours");
    let told = backtest(&place, "--export rows.ndjson").await;
    assert_eq!(told["alerts"].as_array().map(Vec::len), Some(1));
    let summary = &told["summary"];
    assert_eq!(summary["rejected_rows"], 1);
    assert_eq!(summary["first_rejected_line"], 1);
    assert_eq!(summary["is_cut"], true);
}

#[tokio::test]
async fn several_rows_of_one_delivery_are_one_and_what_was_not_played_is_told() {
    let place = Place::new(&RULES.replace("api_key:", "scopes: { affiliates: [7] }, api_key:"));
    let of_others = export().replace("\"affiliate_id\":7", "\"affiliate_id\":8");
    let rows = [export(), export(), of_others, "nonsense\n".to_owned()].concat();
    std::fs::write(place.path("rows.ndjson"), rows).expect("the folder is ours");
    std::fs::write(place.path("once.ndjson"), export()).expect("the folder is ours");
    let told = backtest(&place, "--export rows.ndjson").await;
    let once = backtest(&place, "--export once.ndjson").await;
    assert_eq!((&told["alerts"], &told["messages"]), (&once["alerts"], &once["messages"]));
    let summary = |told: &Value| {
        ["rows", "rows_outside_scopes", "deliveries", "failures", "failing_at_end"]
            .map(|name| told["summary"][name].as_u64())
    };
    assert_eq!(summary(&told), [114, 38, 38, 8, 8].map(Some));
    assert_eq!(summary(&once), [38, 0, 38, 8, 8].map(Some));
    let shown = place.run("backtest --export rows.ndjson").await.out;
    let suggested = place.run("suggest --export rows.ndjson").await.out;
    assert!(shown.contains("\n  38 deliveries in 76 rows, 8 of them failed"), "{shown}");
    for expected in [
        "38 rows outside the `scopes` of the source: not played\n",
        "1 row could not be read; the first is line 115: the row is no object\n",
    ] {
        assert!(shown.contains(&format!("\n  {expected}")), "{expected} in {shown}");
        assert!(suggested.contains(&format!("\n# {expected}")), "{expected} in {suggested}");
    }
    let shown = place.run("backtest --export once.ndjson").await.out;
    assert!(shown.contains("\n  38 deliveries, 8 of them failed"), "{shown}");
}

#[tokio::test]
async fn the_shipped_rules_hold_their_tests() {
    let place = Place::new("");
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rules/shipped.yaml");
    let ended = place.run(&format!("test {tests}")).await;
    assert_eq!(ended.code, Some(0), "{}{}", ended.out, ended.err);
}

#[tokio::test]
async fn a_test_that_fails_draws_what_was_expected_and_what_came() {
    let place = Place::new(RULES);
    let tests = "rules: rules.yaml\ntests:\n  - name: five in a row\n    deliveries: [{ series: \"....fffff....\" }]\n    \
                 expect:\n      - { at: 4m, firing: [] }\n      - { at: 8m, firing: [] }\n      - { at: 9m, messages: [{ to: ops, reason: resolved }] }\n";
    std::fs::write(place.path("tests.yaml"), tests).expect("the folder is ours");
    let ended = place.run("test tests.yaml").await;
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    for expected in [
        "FAILED five in a row (line 3)",
        "at 8m (line 7): fires, and was not expected: critical failing affiliate=1 host=a.example",
        "expected     .   .",
        "got      ......WWCCCWWR",
        "messages expected: resolved to ops",
    ] {
        assert!(ended.out.contains(expected), "{expected} in\n{}", ended.out);
    }
    let json = place.run("test tests.yaml --json").await;
    let json: Value = serde_json::from_str(&json.out).expect("it is JSON");
    assert_eq!((&json["ok"], &json["tests"][0]["ok"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn a_wrong_file_of_tests_is_told_all_at_once() {
    let place = Place::new(RULES);
    let tests = "rules: rules.yaml\ntests:\n  - name: a\n    every: 5\n    deliveries: [{ series: \"..q\", reason: tsl }]\n    \
                 expect: [{ at: 1m, firing: [{ rule: faling }] }, { at: 2m }]\n";
    std::fs::write(place.path("tests.yaml"), tests).expect("the folder is ours");
    let ended = place.run("test tests.yaml").await;
    assert_eq!(ended.code, Some(1), "{}", ended.out);
    for expected in [
        "tests.yaml:4:12: error: test \"a\": `every: 5` has no unit",
        "`q` has no meaning in a series",
        "there is no reason `tsl`",
        "there is no rule `faling`",
        "nothing is expected here",
    ] {
        assert!(ended.out.contains(expected), "{expected} in\n{}", ended.out);
    }
}

#[tokio::test]
async fn suggestions_are_rules_again_and_say_why() {
    let place = Place::new(RULES);
    std::fs::write(place.path("rows.ndjson"), export()).expect("the folder is ours");
    let ended = place.run("suggest --export rows.ndjson --at-most 0/week").await;
    assert_eq!(ended.code, Some(0), "{}", ended.err);
    // Five failures in the window at most: six is the least that would have been silent.
    assert!(ended.out.contains("# failures 1: 1, 2: 1, 3 (now): 1, 5: 1, 6: 0"), "{}", ended.out);
    assert!(ended.out.contains("warning: { failures: \">= 6\""), "{}", ended.out);
    let (head, tail) = RULES.split_once("rules:").expect("it has rules");
    let (_, tail) = tail.split_once("receivers:").expect("it has receivers");
    place.write(&format!("{head}{}\nreceivers:{tail}", ended.out));
    let checked = place
        .start_with("check", &[("NOT_SET_ANYWHERE", "x"), ("NOR_THIS", "xoxb-hunter2")])
        .ends()
        .await;
    assert_eq!(checked.code, Some(0), "{}", checked.out);
}

/// A few simulated minutes at sixty times the speed of life, then the same from outside.
#[tokio::test(flavor = "multi_thread")]
async fn the_network_s_own_history_is_read_day_by_day() {
    let network = crate::program::network(400, 40).await;
    let rules = crate::program::rules(&network.base_url(), "");
    let place = Place::new(&rules);
    let told = backtest(&place, "--from 2d").await;
    assert!(told["summary"]["deliveries"].as_u64() > Some(100), "{}", told["summary"]);
}
