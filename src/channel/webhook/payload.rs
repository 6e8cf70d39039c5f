//! The body of a webhook: version 4 of what Alertmanager sends, field by field.

use std::collections::HashMap;

use serde::Serialize;

use crate::channel::Link;
use crate::channel::render::clean;
use crate::channel::render::labelled::{Labelled, Pairs, common, examples, labelled, pairs};
use crate::domain::delivery::Identity;
use crate::domain::notify::{AlertFacts, Notice, subjects};

/// The worst come first; the others are counted in `truncatedAlerts`.
const MOST_ALERTS: usize = 500;

/// How Alertmanager writes an end that is not known.
const NOT_YET: &str = "0001-01-01T00:00:00Z";

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    version: &'static str,
    group_key: String,
    truncated_alerts: usize,
    status: &'static str,
    receiver: String,
    group_labels: Pairs,
    common_labels: Pairs,
    common_annotations: Pairs,
    #[serde(rename = "externalURL")]
    external_url: String,
    alerts: Vec<Item>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Item {
    status: &'static str,
    labels: Pairs,
    annotations: Pairs,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    fingerprint: String,
}

/// The message of `notice`; `link` is our own page.
pub fn json(notice: &Notice, link: &Link) -> String {
    let known = each_once(&notice.alerts);
    let told = known.iter().take(MOST_ALERTS);
    let alerts: Vec<Item> = told.map(|alert| item(notice, alert, link)).collect();
    let group_labels =
        pairs(notice.group.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    // Whoever goes by this alone closes the incident: what is held back keeps it open.
    let is_firing = notice.alerts.iter().any(|alert| !alert.status.is_over());
    let payload = Payload {
        version: "4",
        group_key: group_key(&group_labels),
        truncated_alerts: known.len() - alerts.len(),
        status: if is_firing { "firing" } else { "resolved" },
        receiver: clean(&notice.receiver, 80),
        group_labels,
        common_labels: common(alerts.iter().map(|alert| &alert.labels)),
        common_annotations: common(alerts.iter().map(|alert| &alert.annotations)),
        external_url: link.as_str().to_owned(),
        alerts,
    };
    serde_json::to_string(&payload).expect("names and texts are always JSON")
}

/// Each alert that the message is about, as it stands last: a program that reads one
/// fingerprint both as firing and as over may take it for over. What fires comes before what
/// ended; what is held back Alertmanager leaves out as well.
fn each_once(alerts: &[AlertFacts]) -> Vec<&AlertFacts> {
    let mut last: HashMap<Identity, &AlertFacts> = HashMap::new();
    for alert in subjects(alerts) {
        let known = last.entry(alert.id).or_insert(alert);
        if (!alert.status.is_over(), alert.fired_at) > (!known.status.is_over(), known.fired_at) {
            *known = alert;
        }
    }
    let is_last = |alert: &&AlertFacts| std::ptr::eq(last[&alert.id], *alert);
    subjects(alerts).filter(is_last).collect()
}

fn item(notice: &Notice, alert: &AlertFacts, link: &Link) -> Item {
    let Labelled { labels, mut annotations, starts_at, ends_at } = labelled(notice, alert);
    let examples = examples(notice, alert);
    if !examples.is_empty() {
        annotations.insert("examples".to_owned(), examples);
    }
    if let Some(receiver) = &notice.instead_of {
        annotations.insert("instead_of".to_owned(), clean(receiver, 80));
        if notice.is_back {
            annotations.insert("instead_of_is_back".to_owned(), "true".to_owned());
        }
    }
    Item {
        status: if ends_at.is_some() { "resolved" } else { "firing" },
        labels,
        annotations,
        starts_at: starts_at.to_string(),
        ends_at: ends_at.map_or_else(|| NOT_YET.to_owned(), |at| at.to_string()),
        generator_url: link.as_str().to_owned(),
        fingerprint: format!("{:016x}", alert.id.0 as u64),
    }
}

/// `{}:{alertname="burst", source="acme"}`, as Alertmanager names a group.
fn group_key(labels: &Pairs) -> String {
    let named: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{}}:{{{}}}", named.join(", "))
}
