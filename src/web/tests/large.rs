//! What the status page costs where there is much of everything. By hand, for the promise of
//! 200 ms: `POSTWATCH_PAGE_DELIVERIES=1000000 cargo test --release --lib page_of_much -- --nocapture`.

use std::time::Instant;

use super::*;

const AFFILIATES: u64 = 1_000;
const LOOKBACK: Duration = Duration::from_secs(72 * 3600);
/// Of a release build.
const AT_MOST: Duration = Duration::from_millis(200);

/// The shipped rules, with their inhibitions, and one that every affiliate breaks.
fn shipped() -> Policy {
    let env = |_: &str| Some("a-key-of-this-test".to_owned());
    let no_file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let (config, _) = crate::config::parse(include_str!("../../../rules.yaml"), &env, &no_file);
    let mut policy = config.expect("the shipped rules are right").policy;
    policy.rules.push(Rule { over: LOOKBACK, ..super::policy().rules.remove(0) });
    policy.sources[0].name = "acme".to_owned();
    policy
}

/// Spread over the look-back; one in seven fails.
fn one_of(number: u64, all: u64) -> Row<'static> {
    let after = (LOOKBACK.as_secs() - 120) * number / all;
    let timestamp = NOW - LOOKBACK + Duration::from_secs(after);
    let (affiliate, has_failed) = (number % AFFILIATES, number.is_multiple_of(7));
    Row {
        offer: number % 50,
        affiliate,
        affiliate_name: format!("Partner {affiliate}").into(),
        postback: affiliate * 3 + number % 3,
        conversion_id: format!("c{number}").into(),
        transaction_id: format!("t{number}").into(),
        timestamp,
        last_attempt: if has_failed { timestamp } else { Timestamp(0) },
        failed_attempts: u32::from(has_failed),
        payload: format!("https://s2s{}.example.com/p?click={number}", affiliate % 700).into(),
        ..row(0, !has_failed)
    }
}

fn much(policy: &Policy, all: u64) -> State {
    let mut state = State::default();
    let scope = policy.sources[0].scopes[0].key();
    let (from, at, source) = (NOW - LOOKBACK, NOW - Duration::from_secs(20), "acme");
    let mut tell = |news: News<'_>| turn(at, policy, &mut state, news).1.uncounted;
    tell(News::Started);
    let spans = [
        WholeSpan::Lookback { to: at - Duration::from_secs(50), successes_since: from },
        WholeSpan::Recent { failures_from: from, successes_from: from, to: at },
    ];
    for (read, span) in (1..).zip(spans) {
        tell(News::Began { source, read, at, counts: read == 2 });
        let mut rows = (0..all).map(|number| one_of(number, all));
        tell(News::Rows { source, read, rows: &mut rows });
        while read == 2 && tell(News::Count { source, scope, read, span }) > 0 {}
        tell(News::Whole { source, scope, read, span, stopwatch: &|| Duration::ZERO });
    }
    state
}

#[test]
fn a_page_of_much_stays_small_and_comes_at_once() {
    let asked = std::env::var("POSTWATCH_PAGE_DELIVERIES").ok();
    let all: u64 = asked.and_then(|asked| asked.parse().ok()).unwrap_or(40_000);
    let policy = shipped();
    let state = much(&policy, all);
    let mut times = Vec::new();
    let mut page = String::new();
    for _ in 0..5 {
        let began = Instant::now();
        page = page_of(NOW, &policy, &state, &StoreHealth::default());
        times.push(began.elapsed());
    }
    times.sort();
    let facts = &state.sources["acme"].facts;
    let (failed, alerts, kilobytes) =
        (facts.deliveries.len(), state.alerts.len(), page.len() / 1000);
    println!(
        "{all} deliveries, {failed} of them failed, {alerts} alerts: {:?}, {kilobytes} kB",
        times[times.len() / 2]
    );
    assert!(alerts >= 1_000, "{alerts}");
    assert!(kilobytes < 500, "{kilobytes} kB");
    assert!(cfg!(debug_assertions) || times[0] < AT_MOST, "{times:?}");
}
