//! The labels of an alert that routes, mutes and inhibitions match.

use std::collections::BTreeMap;

use crate::domain::alert::Alert;
use crate::domain::policy::Labelled;
use crate::domain::rules::Severity;

/// The same as [`routing_labels`], without writing them out: each turn asks for some
/// label of many alerts.
impl Labelled for Alert {
    fn label(&self, name: &str) -> Option<&str> {
        let of_story = || self.story.as_ref()?.labels.get(name).map(String::as_str);
        match name {
            "source" => Some(&self.key.source),
            "rule" | "alertname" => Some(&self.key.rule),
            "severity" => self.severity().map(Severity::as_str).or_else(of_story),
            _ => of_story(),
        }
    }
}

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
