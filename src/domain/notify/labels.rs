//! The labels of an alert that routes, mutes and inhibitions match.

use std::collections::BTreeMap;

use crate::domain::alert::Alert;

/// The alert's own labels, its source, its rule and its severity; and the rule once more
/// as `alertname`, by which Alertmanager's tools know it.
pub fn routing_labels(alert: &Alert) -> BTreeMap<String, String> {
    let mut labels = alert.story.as_ref().map(|story| story.labels.clone()).unwrap_or_default();
    labels.insert("source".to_owned(), alert.key.source.clone());
    labels.insert("rule".to_owned(), alert.key.rule.clone());
    labels.insert("alertname".to_owned(), alert.key.rule.clone());
    if let Some(severity) = alert.severity() {
        labels.insert("severity".to_owned(), severity.to_string());
    }
    labels
}
