//! What a browser, a scraper and an orchestrator get to see.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use std::time::Duration;

use super::*;

use crate::domain::delivery::Row;
use crate::domain::policy::{DeactivationCounts, Policy, Route, SourcePolicy, Timing};
use crate::domain::rules::{Condition, Label, Level, Measure, Op, Rule, Severity, Threshold};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::domain::turn::{News, WholeSpan, turn};
use crate::pipeline::StoreHealth;

mod access;
mod crowded;
mod described;
mod found;
mod large;
mod pages;
mod served;
#[path = "../../tests/support/suites.rs"]
#[expect(dead_code, clippy::duplicate_mod, reason = "only the names are of interest here")]
mod suites;

const NOW: Timestamp = Timestamp(1_772_366_400);
const HOSTILE: &str = "<script>alert(\"1\")</script>\\\n\u{202E}& co";

fn policy() -> Policy {
    let condition =
        Condition { measure: Measure::Failures, op: Op::Ge, threshold: Threshold::Number(2.0) };
    Policy {
        sources: vec![SourcePolicy::named("acme")],
        evaluate_every: Duration::from_secs(10),
        rules: vec![Rule {
            name: "failing".into(),
            summary: Some("{{ affiliate }} fails".into()),
            matches: BTreeMap::new(),
            per: vec![Label::Affiliate],
            over: Duration::from_secs(900),
            levels: vec![Level { severity: Severity::Critical, conditions: vec![condition] }],
            hold_for: Duration::ZERO,
            keep_firing_for: Duration::from_secs(600),
            labels: BTreeMap::new(),
            runbook: Some("javascript:alert(1)".into()),
        }],
        routes: vec![Route {
            matches: BTreeMap::new(),
            to: vec!["on-call".into()],
            fallback: vec!["partners".into()],
            continue_: false,
            timing: Timing::default(),
        }],
        ..Policy::default()
    }
}

fn row(conversion: u32, is_success: bool) -> Row<'static> {
    Row {
        offer: 11,
        offer_name: "Meal \"Kit\"".into(),
        affiliate: 7,
        affiliate_name: HOSTILE.into(),
        postback: 108,
        event: 0,
        conversion_id: format!("secret-conversion-{conversion}").into(),
        transaction_id: "secret-transaction".into(),
        timestamp: NOW - Duration::from_secs(60),
        last_attempt: NOW - Duration::from_secs(60),
        failed_attempts: u32::from(!is_success),
        is_success,
        delivery_method: "postback".into(),
        postback_level: "global".into(),
        postback_type: "conversion".into(),
        postback_status: "active".into(),
        payload: "https://s2s.example.com/p?click=secret-click".into(),
        debug_information: "Status: 503 Service Unavailable".into(),
    }
}

/// One source, read whole 20 s ago: 6 failures of 8 deliveries.
fn seen(policy: &Policy) -> State {
    seen_rows(policy, (0..8).map(|place| row(place, place >= 6)).collect())
}

fn seen_rows(policy: &Policy, rows: Vec<Row<'static>>) -> State {
    let mut state = State::default();
    let read_at = NOW - Duration::from_secs(20);
    let scope = policy.sources[0].scopes[0].key();
    let mut tell = |news: News<'_>| drop(turn(read_at, policy, &mut state, news));
    tell(News::Started);
    let from = read_at - Duration::from_secs(3600);
    let spans = [
        WholeSpan::Lookback { to: read_at - Duration::from_secs(50), successes_since: from },
        WholeSpan::Recent { failures_from: from, successes_from: from, to: read_at },
    ];
    for (read, span) in (1..).zip(spans) {
        tell(News::Began { source: "acme", read, at: read_at, counts: read == 2 });
        let mut rows = rows.iter().cloned();
        tell(News::Rows { source: "acme", read, rows: &mut rows });
        tell(News::Whole { source: "acme", scope, read, span, stopwatch: &|| Duration::ZERO });
    }
    state
}

/// The status page, without the texts of any delivery.
fn page_of(now: Timestamp, policy: &Policy, state: &State, store: &StoreHealth) -> String {
    let (texts, receivers) = (page::Texts::new(), BTreeMap::new());
    let refusal = None;
    let receivers = &receivers;
    page::page(&page::Look { now, policy, state, store, refusal, texts: &texts, receivers })
        .into_string()
}

fn metrics_of(state: &State, policy: &Policy) -> String {
    let families = crate::metrics::state::families(state, policy, &BTreeMap::new(), 12);
    TextEncoder::new().encode_to_string(&families).expect("families have series")
}

#[test]
fn the_series_of_the_contract_are_there() {
    let policy = policy();
    let text = metrics_of(&seen(&policy), &policy);
    let expected = [
        r#"deliveries_total{source="acme",offer="11",affiliate="7"} "#,
        r#"delivery_failures_total{source="acme",offer="11",affiliate="7",reason="http_503"} 6"#,
        r#"deliveries_open{source="acme",offer="11",affiliate="7"} 6"#,
        r#"deliveries_ended_total{source="acme",state="recovered"} 0"#,
        r#"deliveries_ended_total{source="acme",state="exhausted"} 0"#,
        r#"deliveries_ended_total{source="acme",state="abandoned"} 0"#,
        r#"deliveries_ended_total{source="acme",state="vanished"} 0"#,
        r#"deliveries_ended_total{source="acme",state="resent"} 0"#,
        r#"delivery_recovery_seconds_bucket{source="acme",le="60"} 0"#,
        r#"delivery_recovery_seconds_count{source="acme"} 0"#,
        r#"host_failures_total{source="acme",host="s2s.example.com",reason="http_503"} 6"#,
        r#"postback_active{source="acme",postback="108"} 1"#,
        r#"postback_streak{source="acme",postback="108"} "#,
        r#"alerts{rule="failing",severity="critical",state="firing"} 1"#,
        r#"source_watermark_timestamp_seconds{source="acme"} 1772366"#,
        r#"source_blind{source="acme"} 0"#,
        r#"source_gap_seconds{source="acme"} 0"#,
        r#"outbox_pending{receiver="on-call",channel="none"} "#,
        r#"outbox_dead_letters{receiver="partners",channel="none"} 0"#,
        r#"offer_info{source="acme",id="11",name="Meal \"Kit\""} 1"#,
        r#"build_info{version="0.1.0",revision="#,
        "config_hash 12",
    ];
    for series in expected {
        assert!(text.contains(&format!("\npostwatch_{series}")), "no {series} in\n{text}");
    }
}

#[test]
fn series_go_with_what_they_tell_of() {
    let policy = policy();
    let text = metrics_of(&State::default(), &policy);
    let told: Vec<&str> = text.lines().filter(|line| line.contains("acme")).collect();
    assert_eq!(told, [r#"postwatch_source_blind{source="acme"} 1"#]);
}

#[test]
fn a_hostile_name_stays_a_name() {
    let policy = policy();
    let state = seen(&policy);
    let metrics = metrics_of(&state, &policy);
    let name = "name=\"<script>alert(\\\"1\\\")</script>\\\\\\n\u{202E}& co\"} 1\n";
    assert!(metrics.contains(name), "{metrics}");
    let page = page_of(NOW, &policy, &state, &StoreHealth::default());
    assert!(page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"), "{page}");
    assert_eq!(page.matches("<script").count(), 1, "ours: {page}");
    assert!(!page.contains("href=\"javascript:"), "{page}");
}

/// What stands between the quotes of each `name` in the text format, as a scraper
/// reads it.
fn names_in(metrics: &str, family: &str) -> Vec<String> {
    let series = metrics.lines().filter(|line| line.starts_with(&format!("postwatch_{family}{{")));
    let written = series.filter_map(|line| line.split_once("name=\"")?.1.strip_suffix("\"} 1"));
    let unescape = |text: &str| {
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            plain.push(match c {
                '\\' => rest.next().map_or('\\', |c| if c == 'n' { '\n' } else { c }),
                c => c,
            });
        }
        plain
    };
    written.map(unescape).collect()
}

#[test]
fn names_that_others_collected_stay_names() {
    let policy = policy();
    for text in suites::naughty_strings() {
        let named = |place: u32| Row { affiliate_name: text.clone().into(), ..row(place, false) };
        let state = seen_rows(&policy, (0..4).map(named).collect());
        let told = if text.is_empty() { Vec::new() } else { vec![text.clone()] };
        assert_eq!(names_in(&metrics_of(&state, &policy), "affiliate_info"), told, "{text:?}");
        let page = page_of(NOW, &policy, &state, &StoreHealth::default());
        let usual = seen_rows(&policy, (0..4).map(|place| row(place, false)).collect());
        let known = page_of(NOW, &policy, &usual, &StoreHealth::default());
        for mark in ["<script", "<img", "<svg", "<a ", "<iframe", "<style", "</html>"] {
            let count = |page: &str| page.matches(mark).count();
            assert_eq!(count(&page), count(&known), "{mark} of {text:?}");
        }
    }
}

#[test]
fn a_postback_near_its_deactivation_is_shown_in_both_countings_and_with_a_forecast() {
    let mut policy = policy();
    let two_minutes_apart = |place: u32| Row {
        timestamp: NOW - Duration::from_secs(60 + 120 * u64::from(place)),
        failed_attempts: 1 + place % 2,
        ..row(place, false)
    };
    let rows: Vec<Row<'_>> = (0..6).map(two_minutes_apart).collect();
    let check = |policy: &Policy, expected: &str| {
        let state = seen_rows(policy, rows.clone());
        let page = page_of(NOW, policy, &state, &StoreHealth::default());
        assert!(page.contains(expected), "{expected}: {page}");
    };
    check(&policy, "<td>6 of 10<");
    check(&policy, "<td>9 of 10<");
    check(&policy, "<td>in about 7 min (12:07 UTC)</td>");
    policy.sources[0].deactivation_counts = DeactivationCounts::Attempts;
    check(&policy, "<td>at any moment</td>");
}

#[test]
fn nothing_personal_is_shown() {
    let policy = policy();
    let state = seen(&policy);
    let page = page_of(NOW, &policy, &state, &StoreHealth::default());
    for text in [page, metrics_of(&state, &policy)] {
        assert!(text.contains("s2s.example.com"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[test]
fn all_is_well_only_where_everything_is_in_sight() {
    let policy = policy();
    let check = |change: fn(&mut State), expected: &str| {
        let mut state = seen(&policy);
        change(&mut state);
        let page = page_of(NOW, &policy, &state, &StoreHealth::default());
        let (_, rest) = page.split_once("<h1>").expect("the page has a headline");
        assert!(rest.starts_with(expected), "{expected}: {rest:.200}");
    };
    check(|_| {}, "1 alert firing, critical");
    check(|state| state.alerts.clear(), "All quiet: acme was read whole 20\u{a0}s ago");
    check(
        |state| {
            state.alerts.clear();
            let source = state.sources.get_mut("acme").expect("it was read");
            source.sight.trouble = Some("429".into());
        },
        "No alert, but not everything is in sight",
    );
    check(|state| *state = State::default(), "No alert, but not everything is in sight");
    let mut quiet = seen(&policy);
    quiet.alerts.clear();
    let mut rebuilt = StoreHealth::default();
    rebuilt.condition.set_aside.push("damaged-2026-03-01T12-00-00Z".to_owned());
    let page = page_of(NOW, &policy, &quiet, &rebuilt);
    assert!(page.contains("<h1>No alert, but the store was damaged and rebuilt"), "{page}");
    assert!(page.contains("damaged-2026-03-01T12-00-00Z"), "{page}");
    let full = StoreHealth { trouble: Some("disk full".to_owned()), ..StoreHealth::default() };
    let page = page_of(NOW, &policy, &seen(&policy), &full);
    assert!(page.contains("The store does not work"), "{page}");
    assert!(page.contains("disk full"), "{page}");
}

#[test]
fn a_gap_is_shown_with_its_size_until_it_is_filled() {
    let policy = policy();
    let mut state = seen(&policy);
    state.alerts.clear();
    let scope = policy.sources[0].scopes[0].key();
    let source = state.sources.get_mut("acme").expect("it was read");
    let coverage = source.facts.coverage.get_mut(&scope).expect("it was read");
    let (from, to) = (NOW + Duration::from_secs(7180), NOW + Duration::from_secs(9000));
    coverage.take(from, Some(from), to);
    let now = to + Duration::from_secs(5);
    let page = page_of(now, &policy, &state, &StoreHealth::default());
    for text in ["catching up", "2\u{a0}h", "still being read after an outage"] {
        assert!(page.contains(text), "no {text} in {page}");
    }
    assert!(page.contains("No alert, but not everything is in sight"), "{page}");
    let metrics = metrics_of(&state, &policy);
    assert!(metrics.contains("source_gap_seconds{source=\"acme\"} 7200"), "{metrics}");
}

/// Reads the text format as strictly as its authors do, and prints each name by its id.
const STRICT: &str = "
import json, sys
from prometheus_client.parser import text_string_to_metric_families as read
text = sys.stdin.buffer.read().decode()
families = {family.name: family for family in read(text)}
names = {s.labels['id']: s.labels['name'] for s in families['postwatch_affiliate_info'].samples}
json.dump(names, sys.stdout)";

#[test]
fn the_strict_parser_of_pypi_reads_every_name_back() {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tools/venv/bin/python");
    let imported = Command::new(&python).args(["-c", "import prometheus_client"]).output();
    if !imported.is_ok_and(|imported| imported.status.success()) {
        assert!(std::env::var("CI").is_err(), "prometheus-client is missing: .ci/deploy-tools");
        println!("skipped: prometheus-client is missing, .ci/deploy-tools fetches it");
        return;
    }
    let policy = policy();
    let names = suites::naughty_strings().into_iter().chain([HOSTILE.to_owned()]);
    let names: BTreeMap<u64, String> = (1..).zip(names.filter(|name| !name.is_empty())).collect();
    let named = names.iter().map(|(&affiliate, name)| Row {
        affiliate,
        affiliate_name: name.clone().into(),
        ..row(u32::try_from(affiliate).unwrap_or_default(), false)
    });
    let metrics = metrics_of(&seen_rows(&policy, named.collect()), &policy);
    let mut parser = Command::new(python)
        .args(["-c", STRICT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let mut input = parser.stdin.take().expect("it is piped");
    input.write_all(metrics.as_bytes()).expect("it reads");
    drop(input);
    let parsed = parser.wait_with_output().expect("it ends");
    let read: BTreeMap<u64, String> = serde_json::from_slice(&parsed.stdout).expect("it is JSON");
    assert_eq!(read, names);
}

#[test]
fn past_the_most_series_what_is_new_is_gathered_and_nothing_is_lost() {
    let policy = Policy { max_series: Some(100), ..policy() };
    let of = |place: u32| Row {
        affiliate: u64::from(place),
        postback: u64::from(place),
        payload: format!("https://{place}.example/").into(),
        ..row(place, false)
    };
    let metrics = metrics_of(&seen_rows(&policy, (0..200).map(of).collect()), &policy);
    let of_partners = ["offer=", "affiliate=", "host=", "postback=", "id="];
    let series = metrics.lines().filter(|line| of_partners.iter().any(|one| line.contains(one)));
    let series: Vec<&str> = series.collect();
    assert!(series.len() <= 110, "{}", series.len());
    let sum = |family: &str| -> f64 {
        let of = series.iter().filter(|line| line.starts_with(family));
        of.filter_map(|line| line.rsplit_once(' ')).filter_map(|(_, n)| n.parse::<f64>().ok()).sum()
    };
    for family in
        ["deliveries_total", "delivery_failures_total", "deliveries_open", "host_failures_total"]
    {
        assert_eq!(sum(&format!("postwatch_{family}{{")), 200.0, "{family}");
    }
    assert!(
        metrics.contains("deliveries_open{source=\"acme\",offer=\"other\",affiliate=\"other\""),
        "{metrics}"
    );
    assert!(metrics.contains("postback_active{source=\"acme\",postback=\"other\""), "{metrics}");
    assert!(!metrics.contains("series_dropped{source=\"acme\"} 0"), "{metrics}");
}
