//! The pages beside the first one, and what all of them promise to a browser.

use super::served::{Served, serve_within};
use super::*;
use crate::config::AccessConfig;
use crate::domain::search::DeliveryWords;
use page::{Look, Texts, found, one_alert};

/// Shows something of a state as it is at [`NOW`], with the texts of every delivery.
fn shown(policy: &Policy, state: &State, show: impl FnOnce(&Look<'_>) -> String) -> String {
    let words = |number: usize| DeliveryWords {
        conversion_id: format!("conversion-{number}"),
        transaction_id: String::new(),
        url: "https://s2s.example.com/p?click=…".to_owned(),
        answer: "503 Service Unavailable".to_owned(),
    };
    let of = |source: &crate::domain::state::SourceState| -> Vec<_> {
        source.facts.deliveries.iter().map(|one| one.identity).collect()
    };
    let identities = state.sources.values().flat_map(of).enumerate();
    let texts: Texts = identities.map(|(number, identity)| (identity, words(number))).collect();
    let (store, receivers) =
        (StoreHealth::default(), BTreeMap::from([("on-call".into(), "slack")]));
    show(&Look {
        now: NOW,
        policy,
        state,
        store: &store,
        refusal: None,
        texts: &texts,
        receivers: &receivers,
    })
}

fn contains_all(page: &str, texts: &[&str]) {
    for text in texts {
        assert!(page.contains(text), "no {text} in {page}");
    }
}

/// The last part of the address of the page of the only alert.
fn name_of_alert(page: &str) -> &str {
    let (_, rest) = page.split_once("href=\"/alerts/").expect("an alert stands");
    rest.split('"').next().unwrap_or_default()
}

#[test]
fn an_alert_shows_its_cause_its_chart_its_deliveries_and_the_button_that_silences_it() {
    let policy = policy();
    let page = shown(&policy, &seen(&policy), |look| page::page(look).into_string());
    contains_all(
        &page,
        &[
            "Likely cause: ",
            "6 failed since 1 Mar",
            "3 deliveries as an example",
            "conversion-5",
            "https://s2s.example.com/p?click=…",
            "silence for 1 h",
            "hides this alert alone",
        ],
    );
}

#[test]
fn the_page_of_an_alert_explains_it_and_offers_wider_silences_with_what_they_hide() {
    let policy = policy();
    let state = seen(&policy);
    let first = shown(&policy, &state, |look| page::page(look).into_string());
    let name = name_of_alert(&first);
    let page = shown(&policy, &state, |look| {
        let alert = one_alert::find(look.state, name).expect("its link leads to it");
        one_alert::page(look, alert).into_string()
    });
    contains_all(
        &page,
        &[
            "failures in it",
            "http_503",
            "6</td><td>&gt;= 2</td><td><b>holds</b>",
            "its condition is false for 10 min",
            "on-call",
            "everything of affiliate",
            "It would hide 1 alert now",
            "href=\"/deliveries?source=acme&amp;affiliate=7\"",
        ],
    );
    for name in ["", "x", "00", "-1"] {
        assert!(one_alert::find(&state, name).is_none(), "{name:?}");
    }
}

#[test]
fn hosts_affiliates_offers_and_postbacks_are_ranked_with_their_rates() {
    let policy = policy();
    let page = shown(&policy, &seen(&policy), |look| page::page(look).into_string());
    let (_, ranked) = page.split_once("id=\"failing\"").expect("there is a ranking");
    let (ranked, _) = ranked.split_once("id=\"postbacks\"").expect("it ends");
    assert_eq!(ranked.matches("6 failures, ").count(), 4, "{ranked}");
    assert_eq!(ranked.matches("6 failing now").count(), 4, "{ranked}");
    contains_all(ranked, &["host=s2s.example.com", "postback=108", "Meal &quot;Kit&quot; (11)"]);
}

#[test]
fn a_delivery_is_found_by_its_id_with_its_whole_life() {
    let policy = policy();
    let state = seen(&policy);
    let find = |pairs: &[(&str, &str)]| {
        let asked: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        shown(&policy, &state, |look| {
            let found = found::find(look, &asked).expect("it can be looked for");
            found::page(look, &asked, &found).into_string()
        })
    };
    contains_all(
        &find(&[("id", " secret-conversion-3 ")]),
        &[
            "<h1>1 failed delivery</h1>",
            "<dd>failing: the network may try again</dd>",
            "http_503",
            "503 Service Unavailable",
            "in its window",
            "href=\"/alerts/",
        ],
    );
    contains_all(&find(&[("id", "no-such-id")]), &["as far as it was read"]);
    contains_all(&find(&[("affiliate", "7"), ("id", "")]), &["<h1>6 failed deliveries</h1>"]);
    contains_all(&find(&[("host", "other.example")]), &["None like that failed"]);
}

#[test]
fn rules_receivers_and_routes_are_told_in_words() {
    let policy = policy();
    let page = shown(&policy, &seen(&policy), |look| page::page(look).into_string());
    contains_all(
        &page,
        &[
            "one alert for each affiliate",
            "failures &gt;= 2",
            "when that was false for 10 min, and a success proves the cure",
            "<bdi>on-call</bdi> <span>slack</span>",
            "all alerts go to on-call, else to partners",
        ],
    );
}

#[test]
fn more_alerts_than_a_page_holds_are_counted() {
    let policy = policy();
    let of = |affiliate: u32| {
        (0..3).map(move |place| Row {
            affiliate: u64::from(affiliate),
            affiliate_name: format!("Partner {affiliate}").into(),
            ..row(affiliate * 10 + place, false)
        })
    };
    let state = seen_rows(&policy, (1..=150).flat_map(of).collect());
    let page = page_of(NOW, &policy, &state, &StoreHealth::default());
    contains_all(&page, &["150 alerts firing", "+50 more alerts:", "failing</bdi> 50;"]);
    assert_eq!(page.matches("<article class=\"alert critical\"").count(), 12);
}

#[tokio::test]
async fn a_browser_gets_pages_and_a_policy_that_lets_nothing_else_run() {
    let served = serve_within(true, AccessConfig::default(), Limits::of_this_process()).await;
    let get = async |served: &Served, path: &str| {
        served.send(&format!("GET {path} HTTP/1.1\r\nHost: localhost"), "").await
    };
    let page = get(&served, "/").await;
    contains_all(
        &page,
        &["HTTP/1.1 200", "script-src 'sha256-", "connect-src 'self'", "<noscript>"],
    );
    assert_eq!(page.matches("<script").count(), 1, "{page}");
    let alert = get(&served, "/alerts/00ff").await;
    contains_all(&alert, &["HTTP/1.1 404", "No such alert is known"]);
    contains_all(&get(&served, "/deliveries?id=x").await, &["HTTP/1.1 200", "not read whole yet"]);
    let wrong = get(&served, "/deliveries?afiliate=7").await;
    contains_all(&wrong, &["HTTP/1.1 400", "there is no key `afiliate`"]);
}
