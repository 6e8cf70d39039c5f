//! A receiver's own words for its messages: templates that take the place of the
//! built-in title and body. One that fails returns why; the built-in text is sent.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use minijinja::value::Value;

use super::{AlertFacts, AlertStatus, Notice, sample, subjects};
use crate::domain::rules::{Label, Severity};
use crate::domain::summary;
use crate::domain::time::Timestamp;

/// A longer body is cut.
const MAX_BODY: usize = 6_000;

/// Of a storm a template sees as many alerts, the worst first.
const MOST_ALERTS: usize = 50;

/// Templates of one receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wording {
    pub title: Option<String>,
    pub body: Option<String>,
}

/// Names that a template has.
pub const NAMES: [&str; 14] = [
    "title",
    "reason",
    "receiver",
    "status",
    "severity",
    "alerts",
    "count",
    "firing",
    "ended",
    "instead_of",
    "is_back",
    "late_since",
    "link",
    "sent_at",
];

impl Wording {
    pub fn is_built_in(&self) -> bool {
        *self == Wording::default()
    }
}

/// Renders `template` for `notice`. `title` is the built-in one, `link` our page.
pub fn render(template: &str, notice: &Notice, title: &str, link: &str) -> Result<String, String> {
    let zone = TimeZone::get(&notice.timezone).unwrap_or(TimeZone::UTC);
    let context = Value::from(context(notice, title, link));
    let text = summary::render_in(&zone, template, context)?;
    Ok(text.chars().take(MAX_BODY).collect())
}

/// Tries `template` on a message about nothing, whose alert has `labels` too.
pub fn try_out(template: &str, labels: impl Iterator<Item = String>) -> Result<String, String> {
    let mut notice = sample::notice(Timestamp(1_772_331_120), "receiver");
    let more: Vec<_> = labels.map(|name| (name, "value".to_owned())).collect();
    notice.alerts.iter_mut().for_each(|alert| alert.labels.extend(more.clone()));
    render(template, &notice, "INFO: a title", "http://localhost:9467/")
}

fn context(notice: &Notice, title: &str, link: &str) -> BTreeMap<&'static str, Value> {
    let is_live = |alert: &&AlertFacts| !alert.status.is_over();
    let firing = notice.alerts.iter().filter(is_live).count();
    let alerts = notice.alerts.iter().take(MOST_ALERTS).map(|alert| Value::from(alert_of(alert)));
    BTreeMap::from([
        ("title", Value::from(title)),
        ("reason", Value::from(notice.reason.as_str())),
        ("receiver", Value::from(notice.receiver.as_str())),
        ("status", Value::from(if firing > 0 { "firing" } else { "resolved" })),
        ("severity", Value::from(worst(&notice.alerts).as_str())),
        ("alerts", alerts.collect()),
        ("count", Value::from(notice.alerts.len())),
        ("firing", Value::from(firing)),
        ("ended", Value::from(notice.alerts.len() - firing)),
        ("instead_of", Value::from(notice.instead_of.clone().unwrap_or_default())),
        ("late_since", Value::from(notice.late_since.map(|at| at.0))),
        ("is_back", Value::from(notice.is_back)),
        ("link", Value::from(link)),
        ("sent_at", Value::from(notice.created_at.0)),
    ])
}

/// Every label exists: one that the alert lacks reads as nothing.
fn alert_of(alert: &AlertFacts) -> BTreeMap<&'static str, Value> {
    let mut labels: BTreeMap<String, Value> =
        Label::ALL.iter().map(|label| (label.as_str().to_owned(), Value::from(""))).collect();
    let own = alert.labels.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str())));
    labels.extend(own);
    let values = alert.readings.iter();
    let values: BTreeMap<String, Value> = values
        .map(|reading| (reading.measure.clone(), Value::from(reading.value.as_str())))
        .collect();
    let cause = alert.cause.as_ref();
    BTreeMap::from([
        ("rule", Value::from(alert.rule.as_str())),
        ("severity", Value::from(alert.severity.as_str())),
        ("status", Value::from(status(alert.status))),
        ("summary", Value::from(alert.summary.as_str())),
        ("labels", Value::from(labels)),
        ("values", Value::from(values)),
        ("began_at", Value::from(alert.began_at.0)),
        ("fired_at", Value::from(alert.fired_at.0)),
        ("ended_at", Value::from(alert.status.ended_at().map(|at| at.0))),
        ("cause", Value::from(cause.map(|cause| cause.part.shown.clone()).unwrap_or_default())),
        ("why", Value::from(cause.map(|cause| cause.reason.clone()).unwrap_or_default())),
        ("advice", Value::from(cause.map(|cause| cause.advice.clone()).unwrap_or_default())),
        ("notes", Value::from(alert.notes.clone())),
        ("runbook", Value::from(alert.runbook.clone().unwrap_or_default())),
        ("held_back", Value::from(alert.held_back.clone().unwrap_or_default())),
    ])
}

fn worst(alerts: &[AlertFacts]) -> Severity {
    subjects(alerts).map(|alert| alert.severity).max().unwrap_or(Severity::Info)
}

fn status(status: AlertStatus) -> &'static str {
    match status {
        AlertStatus::Firing => "firing",
        AlertStatus::Quiet => "quiet",
        AlertStatus::Resolved { .. } => "resolved",
        AlertStatus::Expired { .. } => "expired",
        AlertStatus::Removed { .. } => "removed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: &str) {
        let found = try_out(template, ["team".to_owned()].into_iter());
        assert_eq!(found.unwrap_or_else(|why| format!("error: {why}")), expected, "{template}");
    }

    #[test]
    fn a_template_reads_the_message_and_its_alerts() {
        check("[prod] {{ title }}", "[prod] INFO: a title");
        check("{{ status }} {{ severity }} {{ firing }} of {{ count }}", "firing info 1 of 1");
        check(
            "{% for a in alerts %}{{ a.rule }} {{ a.values.failure_rate }}\n{% endfor %}",
            "postwatch-test 83 %\n",
        );
        check("since {{ time(alerts[0].began_at) }}", "since 2026-03-01 02:04 UTC");
        check("{{ duration(sent_at - alerts[0].began_at) }}", "8 min");
        check("{{ alerts[0].labels.offer }}{{ alerts[0].labels.team }}", "value");
        check("{{ alerts[0].ended_at is none }}", "True");
        check("{{ instead_of }}{{ is_back }}", "False");
        check("{% if late_since %}late since {{ time(late_since) }}{% endif %}", "");
        check("{{ receivr }}", "error: `receivr` is undefined");
        check("{% for i in range(100000) %}x{% endfor %}", "error: engine ran out of fuel");
    }
}
