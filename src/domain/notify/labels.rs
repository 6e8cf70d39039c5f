//! The labels of an alert that routes, mutes and inhibitions match.

use std::collections::BTreeMap;

use crate::domain::alert::Alert;
use crate::domain::policy::Labelled;
use crate::domain::rules::Severity;

/// What an alert has beside its own labels: its source, its rule and its severity; and the
/// rule once more as `alertname`, by which Alertmanager's tools know it.
const BESIDE: [&str; 4] = ["source", "rule", "alertname", "severity"];

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

/// All of them, written out.
pub fn routing_labels(alert: &Alert) -> BTreeMap<String, String> {
    let own = alert.story.iter().flat_map(|story| story.labels.keys().map(String::as_str));
    let written = |name: &str| Some((name.to_owned(), alert.label(name)?.to_owned()));
    own.chain(BESIDE).filter_map(written).collect()
}
