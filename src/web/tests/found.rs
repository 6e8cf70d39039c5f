//! What a search finds, and how its pages hang together.

use super::*;
use crate::domain::search::{MOST_VALUES, Search, Unclear, deliveries, postbacks};

fn search(pairs: &[(&str, &str)]) -> Search {
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    Search::for_deliveries(&pairs).expect("it is understood")
}

#[test]
fn deliveries_of_one_second_stand_on_one_page_each() {
    let policy = policy();
    let state = seen(&policy);
    let (mut ids, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let mut pairs = vec![("limit", "1")];
        pairs.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = deliveries(NOW, &policy, &state, &search(&pairs)).expect("the cursor is ours");
        ids.extend(page.items.into_iter().map(|one| one.id));
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    let distinct: std::collections::BTreeSet<&String> = ids.iter().collect();
    assert_eq!((ids.len(), distinct.len()), (6, 6));
}

#[test]
fn a_delivery_is_found_by_what_it_is_like() {
    let policy = policy();
    let state = seen(&policy);
    let check = |pairs: &[(&str, &str)], expected: usize| {
        let found = deliveries(NOW, &policy, &state, &search(pairs)).expect("no cursor is wrong");
        assert_eq!(found.items.len(), expected, "{pairs:?}");
    };
    check(&[("affiliate", "7"), ("host", "s2s.*"), ("reason", "http_5??")], 6);
    check(&[("affiliate", "8"), ("affiliate", "7")], 6);
    check(&[("affiliate", "8")], 0);
    check(&[("state", "failing"), ("source", "acme")], 6);
    check(&[("state", "exhausted"), ("state", "vanished")], 0);
    check(&[("source", "other")], 0);
    check(&[("conversion", "secret-conversion-3")], 1);
    check(&[("conversion", "")], 0);
    check(&[("transaction", "secret-transaction")], 6);
    check(&[("transaction", "secret-transaction"), ("conversion", "secret-conversion-3")], 1);
    check(&[("transaction", "")], 0);
    let at = (NOW - Duration::from_secs(60)).to_string();
    check(&[("since", &at)], 6);
    check(&[("until", &at)], 0);
}

#[test]
fn a_postback_is_found_with_its_failures_in_a_row() {
    let policy = policy();
    let state = seen(&policy);
    let found = postbacks(NOW, &policy, &state, &Search::default()).expect("no cursor is wrong");
    assert_eq!(found.items.len(), 1);
    let one = &found.items[0];
    assert_eq!((one.postback, one.failures, one.open, one.is_active), (108, 6, 6, true));
    assert_eq!(one.labels.get("host").map(String::as_str), Some("s2s.example.com"));
    assert_eq!(one.offer.as_deref(), Some("Meal \"Kit\" (11)"));
    assert_eq!(one.limit, 10);
    let none = postbacks(NOW, &policy, &state, &search(&[("affiliate", "8")]));
    assert_eq!(none.expect("no cursor is wrong").items, []);
}

#[test]
fn a_key_or_a_value_that_means_nothing_is_refused() {
    let read = |name: &str, value: &str| {
        Search::for_deliveries(&[(name.to_owned(), value.to_owned())]).expect_err("it is wrong")
    };
    assert!(matches!(read("afiliate", "7"), Unclear::Key { .. }));
    for (name, value) in [("limit", "0"), ("limit", "501"), ("state", "lost"), ("since", "now")] {
        assert!(matches!(read(name, value), Unclear::Value { .. }), "{name}={value}");
    }
    let state = Search::for_postbacks(&[("state".to_owned(), "failing".to_owned())]);
    assert!(state.is_err(), "postbacks have none");
    let mut pairs = Vec::new();
    for (name, value) in [("affiliate", "7"), ("host", "*.example"), ("state", "failing")] {
        pairs.extend(vec![(name.to_owned(), value.to_owned()); MOST_VALUES]);
    }
    assert!(Search::for_deliveries(&pairs).is_ok(), "each has as many as it may");
    for one_more in pairs.clone() {
        let name = one_more.0.clone();
        let pairs = [&pairs[..], &[one_more]].concat();
        assert_eq!(Search::for_deliveries(&pairs), Err(Unclear::TooMany { name }));
    }
    let policy = policy();
    for cursor in ["", "x", "1-", "-", "1-x"] {
        let search = search(&[("cursor", cursor)]);
        assert!(deliveries(NOW, &policy, &State::default(), &search).is_err(), "{cursor}");
    }
}
