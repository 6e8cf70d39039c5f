//! What a rule test expects: alerts that fire, messages that went out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Expected, ExpectedAlert, ExpectedMessage};
use crate::config::decode::{Decoder, Entry, Shape};
use crate::config::rules::BUILT_IN;
use crate::config::{Config, labels, names};
use crate::domain::notify::NoticeReason;
use crate::domain::rules::Severity;

const EXPECTED: Shape =
    Shape { what: "an expectation", known: &["at", "of", "firing", "messages"], later: &[] };

const MESSAGE: Shape =
    Shape { what: "an expected message", known: &["to", "reason", "rule"], later: &[] };

const REASONS: [(&str, NoticeReason); 5] = [
    ("first", NoticeReason::First),
    ("escalated", NoticeReason::Escalated),
    ("new_alerts", NoticeReason::NewAlerts),
    ("resolved", NoticeReason::Resolved),
    ("reminder", NoticeReason::Reminder),
];

pub fn all(d: &mut Decoder<'_>, entry: Entry<'_>, config: Option<&Config>) -> Vec<Expected> {
    let mut all = Vec::new();
    for item in d.some_items(entry) {
        let Some(fields) = d.map(item, &EXPECTED) else { continue };
        let at = d.required(&fields, "at", "at: 5m");
        let at = at.and_then(|entry| d.duration(entry, Duration::ZERO));
        if fields.get("firing").is_none() && fields.get("messages").is_none() {
            let hint = "write `firing: []` where nothing must fire, or `messages: […]`";
            d.wrong(fields.at, "nothing is expected here", hint);
        }
        let firing = fields.get("firing").map(|entry| {
            let items = d.items(entry);
            items.into_iter().filter_map(|item| alert(d, item, config)).collect()
        });
        let messages = fields.get("messages").map(|entry| {
            let items = d.items(entry);
            items.into_iter().filter_map(|item| message(d, item, config)).collect()
        });
        let of = fields.get("of").map(|entry| {
            let items = d.some_items(entry);
            items.into_iter().filter_map(|item| rule(d, item, config)).collect()
        });
        let place = fields.at;
        all.extend(at.map(|at| Expected { at, place, of, firing, messages }));
    }
    all
}

fn alert(d: &mut Decoder<'_>, item: Entry<'_>, config: Option<&Config>) -> Option<ExpectedAlert> {
    let fields = d.any_map(item, "an expected alert")?;
    let rule = d.required(&fields, "rule", "rule: …").and_then(|entry| rule(d, entry, config));
    let severities = Severity::ALL.map(|severity| (severity.as_str(), severity));
    let severity = fields.get("severity").and_then(|entry| d.choice(entry, &severities));
    let mut labels = BTreeMap::new();
    for entry in fields.iter().filter(|entry| !matches!(entry.name, "rule" | "severity")) {
        let rules = config.map(|config| config.policy.rules.as_slice()).unwrap_or_default();
        let known = labels::of_alerts(rules);
        if !known.iter().any(|name| name == entry.name) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let hint = names::suggest(entry.name, &known);
            d.wrong(entry.at, format!("no alert has a label `{}`", entry.name), hint);
            continue;
        }
        if let Some(value) = d.word(entry) {
            labels.insert(entry.name.to_owned(), value);
        }
    }
    Some(ExpectedAlert { rule: rule?, severity, labels })
}

fn message(
    d: &mut Decoder<'_>,
    item: Entry<'_>,
    config: Option<&Config>,
) -> Option<ExpectedMessage> {
    let fields = d.map(item, &MESSAGE)?;
    let to = d.required(&fields, "to", "to: slack").and_then(|entry| receiver(d, entry, config));
    let reason = d.required(&fields, "reason", "reason: first");
    let reason = reason.and_then(|entry| d.choice(entry, &REASONS));
    let rule = fields.get("rule").and_then(|entry| rule(d, entry, config));
    Some(ExpectedMessage { to: to?, reason: reason?, rule })
}

fn rule(d: &mut Decoder<'_>, entry: Entry<'_>, config: Option<&Config>) -> Option<String> {
    let name = d.word(entry)?;
    if let Some(config) = config {
        let rules = config.policy.rules.iter().map(|rule| rule.name.as_str());
        let known: Vec<&str> = rules.chain(BUILT_IN).collect();
        is_one_of(d, entry, &name, &known, "rule");
    }
    Some(name)
}

fn receiver(d: &mut Decoder<'_>, entry: Entry<'_>, config: Option<&Config>) -> Option<String> {
    let name = d.word(entry)?;
    if let Some(config) = config {
        let routes = config.policy.routes.iter();
        let known: Vec<&str> = routes
            .flat_map(|route| route.to.iter().chain(&route.fallback))
            .map(String::as_str)
            .collect();
        is_one_of(d, entry, &name, &known, "receiver that a route names");
    }
    Some(name)
}

fn is_one_of(d: &mut Decoder<'_>, entry: Entry<'_>, name: &str, known: &[&str], what: &str) {
    if !known.contains(&name) {
        let hint = names::suggest(name, known);
        d.wrong(entry.at, format!("there is no {what} `{}`", d.show(entry)), hint);
    }
}
