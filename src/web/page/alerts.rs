//! The alerts as they stand: worst first, each with what it means and what to do.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::past::Past;
use super::words::{age, ago, clock, count, label_value, name, number, scroll};
use super::{Look, chart, samples, silences};
use crate::channel::render::likely_cause;
use crate::domain::alert::{Alert, AlertKey, Phase, Status};
use crate::domain::delivery::Identity;
use crate::domain::explain::{Desk, Gate, GateExplained, standing_alerts};
use crate::domain::facts::Facts;
use crate::domain::notify::plan::alert_facts;
use crate::domain::notify::{AlertFacts, AlertStatus, Cause, Reading};
use crate::domain::rules::Severity;
use crate::domain::state::State;
use crate::domain::time::Timestamp;

/// Alerts told in full, then those with a row each; the rest is counted.
const IN_FULL: usize = 12;
const ROWS: usize = 88;

pub fn section(look: &Look<'_>, past: &Past<'_>) -> Markup {
    let alerts = in_order(look.state);
    let (full, rest) = alerts.split_at(alerts.len().min(IN_FULL));
    let (rows, more) = rest.split_at(rest.len().min(ROWS));
    let desk = Desk::new(look.now, look.policy, look.state);
    let hidden = silences::Hidden::of(look.state);
    html! {
        section aria-labelledby="alerts" {
            h2 #alerts { "Alerts" }
            @if alerts.is_empty() { p.none { "None is firing." } }
            @for alert in full { (article(look, past, &desk, &hidden, alert)) }
            (table(look, rows))
            (counted(more))
            (pending(look))
        }
    }
}

/// The alerts that stand, the worst first.
fn in_order(state: &State) -> Vec<&Alert> {
    let fired_at = |alert: &Alert| match alert.status {
        Status::Firing { fired_at, .. }
        | Status::Quiet { fired_at, .. }
        | Status::Ended { fired_at, .. } => fired_at,
        Status::Pending => Timestamp::default(),
    };
    let mut alerts: Vec<&Alert> = standing_alerts(state).collect();
    alerts.sort_by_key(|alert| {
        let is_quiet = matches!(alert.status, Status::Quiet { .. });
        (is_quiet, Reverse(alert.severity()), Reverse(fired_at(alert)))
    });
    alerts
}

/// The texts that the alerts in full show, by the commits that hold them.
pub fn texts_of_first(state: &State) -> Vec<(u64, Identity)> {
    let first = in_order(state).into_iter().take(IN_FULL);
    first.flat_map(texts_of).collect()
}

pub fn texts_of(alert: &Alert) -> Vec<(u64, Identity)> {
    let samples = alert.story.as_ref().map(|story| samples::shown(&story.samples));
    let samples = samples.unwrap_or_default().iter();
    samples.map(|sample| (sample.text_commit, sample.delivery)).collect()
}

pub fn facts_of<'a>(look: &Look<'a>, alert: &Alert) -> Option<&'a Facts> {
    look.state.sources.get(&alert.key.source).map(|source| &source.facts)
}

/// Where the page of an alert is.
pub fn link(key: &AlertKey) -> String {
    format!("/alerts/{:032x}", key.identity().0)
}

fn article(
    look: &Look<'_>,
    past: &Past<'_>,
    desk: &Desk<'_>,
    hidden: &silences::Hidden,
    alert: &Alert,
) -> Markup {
    let Some(told) = alert_facts(look.policy, alert, &TimeZone::UTC) else { return html! {} };
    let gates = desk.closed_to(alert);
    let is_silenced = gates.iter().any(|one| matches!(one.gate, Gate::Silenced { .. }));
    let link = link(&alert.key);
    html! {
        article class={ "alert " (class(&told)) } data-key=(link) {
            h3 {
                (badge(&told)) " "
                a href=(link) { (name(&told.summary)) }
            }
            (body(look, past, alert, &told, &gates))
            @if !told.samples.is_empty() {
                details data-key="samples" {
                    summary { (count(samples::shown(&told.samples).len() as u64, "delivery", "deliveries")) " as an example" }
                    (samples::list(&told.samples, look.texts))
                }
            }
            div.actions {
                a href=(link) { "explain: why it fires and what ends it" }
                @if !is_silenced { (silences::button(&alert.key, hidden)) }
            }
        }
    }
}

/// What is told of an alert wherever it is shown in full.
pub fn body(
    look: &Look<'_>,
    past: &Past<'_>,
    alert: &Alert,
    told: &AlertFacts,
    gates: &[GateExplained],
) -> Markup {
    let now = look.now;
    let series = past.of_alert(alert);
    html! {
        div.told {
            div {
                p.since {
                    (told.rule) " · began " (ago(now, told.began_at))
                    " · fired " (age(now.since(told.fired_at))) " ago"
                }
                @if told.status == AlertStatus::Quiet {
                    p { "Its condition is clear, but no success proves a cure." }
                }
                @for gate in gates { p.held { "Held back now: " (name(&gate.says)) "." } }
                (readings(&told.readings))
                @if let Some(cause) = &told.cause { (cause_(cause)) }
            }
            @if let Some((series, counts)) = &series {
                (chart::with_axis(&past.bars, series, *counts, told.began_at))
            }
        }
        @if let Some(in_a_row) = &told.in_a_row { p.note { (in_a_row.sentence(now, clock)) } }
        @for note in &told.notes { p.note { (name(note)) } }
        (labels(facts_of(look, alert), told))
        (runbook(told.runbook.as_deref()))
    }
}

pub fn class(told: &AlertFacts) -> &'static str {
    match told.status {
        AlertStatus::Quiet => "quiet",
        _ => told.severity.as_str(),
    }
}

pub fn badge(told: &AlertFacts) -> Markup {
    html! {
        span class={ "badge " (class(told)) } {
            (told.severity) @if told.status == AlertStatus::Quiet { ", quiet" }
        }
    }
}

fn cause_(cause: &Cause) -> Markup {
    html! {
        p.cause { b { "Likely cause: " } (likely_cause(cause)) "." }
        p { (cause.advice) }
    }
}

/// What was compared, as of the moment it fired.
fn readings(readings: &[Reading]) -> Markup {
    html! {
        @if !readings.is_empty() {
            dl.figures aria-label="when it fired" {
                @for reading in readings {
                    div {
                        dt { (reading.measure.replace('_', " ")) }
                        dd { (reading.value) " " span.moment { (reading.threshold) } }
                    }
                }
            }
        }
    }
}

fn labels(facts: Option<&Facts>, told: &AlertFacts) -> Markup {
    html! {
        ul.labels aria-label="labels" {
            @for (label, value) in &told.labels {
                li { span { (name(label)) } " " (name(&label_value(facts, label, value))) }
            }
        }
    }
}

/// A link only where it leads to a web page: the file may hold any text.
pub fn runbook(runbook: Option<&str>) -> Markup {
    html! {
        @if let Some(runbook) = runbook {
            p {
                "Runbook: "
                @if runbook.starts_with("https://") || runbook.starts_with("http://") {
                    a href=(runbook) rel="noreferrer" { (runbook) }
                } @else { (name(runbook)) }
            }
        }
    }
}

fn table(look: &Look<'_>, alerts: &[&Alert]) -> Markup {
    let told = alerts
        .iter()
        .filter_map(|alert| Some((&alert.key, alert_facts(look.policy, alert, &TimeZone::UTC)?)));
    html! {
        @if !alerts.is_empty() {
            h3 { "And these" }
            ul.rows {
                @for (key, told) in told {
                    li data-key=(link(key)) {
                        (badge(&told)) " " a href=(link(key)) { (name(&told.summary)) }
                        " " span.moment { "for " (age(look.now.since(told.began_at))) }
                    }
                }
            }
        }
    }
}

/// How many more there are, of which rules.
fn counted(alerts: &[&Alert]) -> Markup {
    let mut by_rule: BTreeMap<&str, u64> = BTreeMap::new();
    for alert in alerts {
        *by_rule.entry(&alert.key.rule).or_default() += 1;
    }
    html! {
        @if !alerts.is_empty() {
            p.none {
                "+" (count(alerts.len() as u64, "more alert", "more alerts")) ":"
                @for (rule, count) in by_rule { " " (name(rule)) " " (number(count)) ";" }
                " all are in " a href="/api/v1/alerts" { "the API" } "."
            }
        }
    }
}

fn pending(look: &Look<'_>) -> Markup {
    let is_pending = |alert: &&Alert| alert.status == Status::Pending;
    let pending: Vec<&Alert> = look.state.alerts.values().filter(is_pending).collect();
    let table = html! {
        table {
            thead {
                tr {
                    th scope="col" { "alert" }
                    th scope="col" { "group" }
                    th scope="col" { "would be" }
                    th scope="col" { "holds" }
                }
            }
            tbody {
                @for alert in pending.iter().take(ROWS) { (pending_row(look, alert)) }
            }
        }
    };
    html! {
        @if !pending.is_empty() {
            h3 { "Pending" }
            (scroll("pending alerts", &table))
            @if pending.len() > ROWS {
                p.none { "+" (count((pending.len() - ROWS) as u64, "more", "more")) }
            }
        }
    }
}

fn pending_row(look: &Look<'_>, alert: &Alert) -> Markup {
    let rule = look.policy.rules.iter().find(|rule| rule.name == alert.key.rule);
    let waits = alert.levels.iter().filter_map(|(severity, phase)| match phase {
        Phase::Pending { active_at, held } => Some((*severity, *active_at, *held)),
        Phase::Inactive | Phase::Firing { .. } | Phase::Clearing { .. } => None,
    });
    let highest: Option<(Severity, Timestamp, i64)> = waits.max_by_key(|wait| wait.0);
    html! {
        tr data-key=(link(&alert.key)) {
            th scope="row" { a href=(link(&alert.key)) { (alert.key.rule) } }
            td { (group(facts_of(look, alert), &alert.key)) }
            @if let Some((severity, active_at, held)) = highest {
                td { span class={ "badge " (severity.as_str()) } { (severity) } }
                td {
                    (shown_held(held))
                    @if let Some(rule) = rule { " of " (age(rule.hold_for)) }
                    ", since " (ago(look.now, active_at))
                }
            } @else { td {} td {} }
        }
    }
}

/// Source and labels of a group.
pub fn group(facts: Option<&Facts>, key: &AlertKey) -> Markup {
    html! {
        ul.labels {
            li { span { "source" } " " (key.source) }
            @for (label, value) in &key.group {
                li {
                    span { (label.as_str()) } " "
                    (name(&label_value(facts, label.as_str(), value)))
                }
            }
        }
    }
}

fn shown_held(held: i64) -> String {
    age(std::time::Duration::from_secs(u64::try_from(held).unwrap_or_default()))
}
