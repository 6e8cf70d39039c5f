//! Alerts in the words of Prometheus and its Alertmanager: labels, annotations
//! and two moments. What webhooks and Alertmanagers are told.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::notify::{AlertFacts, Notice};
use crate::domain::time::Timestamp;

use super::plain::sentence;
use super::words::{Zone, clean};
use super::{Entry, Example, entry};

/// Names to values, as labels and annotations are.
pub type Pairs = BTreeMap<String, String>;

/// The longest value of a label or an annotation that has one line.
const VALUE: usize = 500;

/// One alert. Names are those that Prometheus allows; every value is clean.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labelled {
    /// The alert's own, `rule`, `alertname` (the same) and `severity`.
    pub labels: Pairs,
    /// `summary`, `description` and, where there is one, `runbook_url`.
    pub annotations: Pairs,
    pub starts_at: Timestamp,
    /// Set once it is over.
    pub ends_at: Option<Timestamp>,
}

/// `alert` of `notice`, as it stood then.
pub fn labelled(notice: &Notice, alert: &AlertFacts) -> Labelled {
    let entry = entry(notice, alert, &Zone::named(&notice.timezone));
    let own = alert.labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let severity = alert.severity.to_string();
    let given = [("rule", alert.rule.as_str()), ("severity", severity.as_str())];
    Labelled {
        labels: pairs(own.chain(given)),
        annotations: annotations(&entry),
        starts_at: alert.began_at,
        ends_at: alert.status.ended_at(),
    }
}

/// Labels by Prometheus' names: a rule is an `alertname` too, and an empty label is none.
pub fn pairs<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> Pairs {
    let named = labels.map(|(name, value)| (label_name(name), clean(value, VALUE)));
    let mut pairs: Pairs = named.filter(|(_, value)| !value.is_empty()).collect();
    if let Some(rule) = pairs.get("rule").cloned() {
        pairs.insert("alertname".to_owned(), rule);
    }
    pairs
}

/// What all have in common.
pub fn common<'a>(mut all: impl Iterator<Item = &'a Pairs>) -> Pairs {
    let first = all.next().cloned().unwrap_or_default();
    all.fold(first, |mut common, pairs| {
        common.retain(|name, value| pairs.get(name) == Some(value));
        common
    })
}

/// The deliveries shown as examples, a line each; empty where there are none.
pub fn examples(notice: &Notice, alert: &AlertFacts) -> String {
    let entry = entry(notice, alert, &Zone::named(&notice.timezone));
    entry.examples.iter().map(example).collect::<Vec<_>>().join("\n")
}

fn example(example: &Example) -> String {
    let conversion = example.conversion.as_ref().map(|id| format!("conversion {id}"));
    let answer = example.answer.as_ref().map(|answer| format!("answer: {answer}"));
    let parts = [Some(&example.at), conversion.as_ref(), Some(&example.tries)];
    let rest = [Some(&example.whose), example.url.as_ref(), answer.as_ref()];
    let parts: Vec<&str> = parts.into_iter().chain(rest).flatten().map(String::as_str).collect();
    parts.join(" · ")
}

fn annotations(entry: &Entry) -> Pairs {
    let mut annotations = Pairs::new();
    annotations.insert("summary".to_owned(), entry.row.title.clone());
    annotations.insert("description".to_owned(), description(entry));
    if let Some(runbook) = &entry.runbook {
        annotations.insert("runbook_url".to_owned(), runbook.clone());
    }
    annotations.retain(|_, value| !value.is_empty());
    annotations
}

fn description(entry: &Entry) -> String {
    let mut lines = vec![sentence(&entry.row.status)];
    let readings = entry.readings.iter();
    lines.extend(
        readings
            .map(|(measure, value, threshold)| format!("{measure} {value} (rule: {threshold})")),
    );
    lines.extend(entry.cause.iter().map(|(word, cause)| format!("{word}: {cause}")));
    lines.extend(entry.advice.iter().cloned());
    lines.extend(entry.notes.iter().map(|note| format!("Note: {note}")));
    lines.join("\n")
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`: Alertmanager refuses a whole request for one name
/// that is none.
fn label_name(name: &str) -> String {
    let named = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().take(80).map(named).collect();
    match name.chars().next() {
        Some(c) if !c.is_ascii_digit() => name,
        Some(_) | None => format!("_{name}"),
    }
}
