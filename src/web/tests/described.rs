//! The OpenAPI document tells of every path and method that the router has, and of no other.

use std::collections::BTreeSet;

use serde_json::Value;

use super::served::serve_within;
use super::*;
use crate::config::AccessConfig;

#[tokio::test]
async fn every_path_and_method_of_the_api_is_described_and_no_other() {
    let served = serve_within(true, AccessConfig::default(), Limits::of_this_process()).await;
    let document = openapi::document(false);
    let described = document["paths"].as_object().expect("they are a map");
    let routed: BTreeSet<&str> =
        told_while_known().into_iter().chain(told_always()).map(|(path, _)| path).collect();
    assert_eq!(described.keys().map(String::as_str).collect::<BTreeSet<_>>(), routed);
    for (path, item) in described {
        let head = format!("PURGE {path} HTTP/1.1\r\nHost: localhost");
        let answer = served.send(&head, "").await;
        let allowed = answer.lines().find_map(|line| line.strip_prefix("allow: "));
        let allowed = allowed.unwrap_or_default().to_lowercase().replace(",head", "");
        let methods: Vec<&str> =
            item.as_object().expect("it is a map").keys().map(String::as_str).collect();
        assert_eq!(allowed.split(',').collect::<Vec<_>>(), methods, "{path}");
    }
}

#[test]
fn a_document_says_whether_it_asks_for_a_token_and_every_reference_leads_somewhere() {
    let document = openapi::document(true);
    assert_eq!(document["security"].as_array().map(Vec::len), Some(2));
    assert_eq!(openapi::document(false)["security"].as_array().map(Vec::len), Some(0));
    for name in ["PageOfDeliveryFound", "PageOfPostbackFound", "Outbox", "Problem"] {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
    let mut references = Vec::new();
    collect(&document, &mut references);
    assert!(references.len() > 20, "{references:?}");
    for reference in references {
        let there = document.pointer(reference.trim_start_matches('#'));
        assert!(there.is_some(), "{reference}");
    }
}

fn collect(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            into.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
            map.values().for_each(|value| collect(value, into));
        }
        Value::Array(items) => items.iter().for_each(|value| collect(value, into)),
        _ => {}
    }
}
