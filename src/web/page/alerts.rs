//! The alerts as they stand: worst first, each with what it means and what to do.

use std::cmp::Reverse;

use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::silences;
use super::words::{age, ago, clock, count, label_value, name};
use crate::channel::render::likely_cause;
use crate::domain::alert::{Alert, Phase, Status};
use crate::domain::explain::{Desk, Gate, GateExplained};
use crate::domain::facts::Facts;
use crate::domain::notify::plan::alert_facts;
use crate::domain::notify::{AlertFacts, AlertStatus, Cause, Reading};
use crate::domain::policy::Policy;
use crate::domain::rules::Severity;
use crate::domain::state::State;
use crate::domain::time::Timestamp;

/// Alerts told in full; the rest is counted.
const MOST_SHOWN: usize = 50;

pub fn section(now: Timestamp, policy: &Policy, state: &State) -> Markup {
    let mut alerts: Vec<(&Alert, AlertFacts)> = state
        .alerts
        .values()
        .filter(|alert| !alert.has_ended())
        .filter_map(|alert| alert_facts(policy, alert, &TimeZone::UTC).map(|facts| (alert, facts)))
        .collect();
    alerts.sort_by_key(|(_, told)| {
        (told.status == AlertStatus::Quiet, Reverse(told.severity), Reverse(told.fired_at))
    });
    let more = alerts.len().saturating_sub(MOST_SHOWN) as u64;
    let desk = Desk::new(now, policy, state);
    html! {
        section aria-labelledby="alerts" {
            h2 #alerts { "Alerts" }
            @if alerts.is_empty() { p.none { "None is firing." } }
            @for (alert, told) in alerts.iter().take(MOST_SHOWN) {
                (article(now, facts_of(state, alert), alert, told, &desk.closed_to(alert)))
            }
            @if more > 0 { p.none { "+" (count(more, "more alert", "more alerts")) } }
            (pending(now, policy, state))
        }
    }
}

fn facts_of<'a>(state: &'a State, alert: &Alert) -> Option<&'a Facts> {
    state.sources.get(&alert.key.source).map(|source| &source.facts)
}

fn article(
    now: Timestamp,
    facts: Option<&Facts>,
    alert: &Alert,
    told: &AlertFacts,
    gates: &[GateExplained],
) -> Markup {
    let is_silenced = gates.iter().any(|one| matches!(one.gate, Gate::Silenced { .. }));
    let is_quiet = told.status == AlertStatus::Quiet;
    let class = if is_quiet { "quiet" } else { told.severity.as_str() };
    html! {
        article class={ "alert " (class) } {
            h3 {
                span class={ "badge " (class) } { (told.severity) @if is_quiet { ", quiet" } }
                " " (name(&told.summary))
            }
            p.since {
                (told.rule) " · began " (ago(now, told.began_at))
                " · fired " (age(now.since(told.fired_at))) " ago"
            }
            @if is_quiet {
                p { "Its condition is clear, but no success proves a cure." }
            }
            @for gate in gates { p.held { "Not told: " (name(&gate.says)) "." } }
            (readings(&told.readings))
            @if let Some(cause) = &told.cause { (cause_(cause)) }
            @if let Some(in_a_row) = &told.in_a_row { p.note { (in_a_row.sentence(now, clock)) } }
            @for note in &told.notes { p.note { (name(note)) } }
            (labels(facts, told))
            (runbook(told.runbook.as_deref()))
            @if !is_silenced { (silences::button(&alert.key)) }
        }
    }
}

fn cause_(cause: &Cause) -> Markup {
    html! {
        p.cause {
            "Likely cause: " (likely_cause(cause)) "."
        }
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
                        dt { (reading.measure) }
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
fn runbook(runbook: Option<&str>) -> Markup {
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

fn pending(now: Timestamp, policy: &Policy, state: &State) -> Markup {
    let is_pending = |alert: &&Alert| alert.status == Status::Pending;
    let pending: Vec<&Alert> = state.alerts.values().filter(is_pending).collect();
    html! {
        @if !pending.is_empty() {
            h3 { "Pending" }
            div.scroll {
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
                        @for alert in pending.iter().take(MOST_SHOWN) {
                            (pending_row(now, policy, facts_of(state, alert), alert))
                        }
                    }
                }
            }
            @if pending.len() > MOST_SHOWN {
                p.none { "+" (count((pending.len() - MOST_SHOWN) as u64, "more", "more")) }
            }
        }
    }
}

fn pending_row(now: Timestamp, policy: &Policy, facts: Option<&Facts>, alert: &Alert) -> Markup {
    let rule = policy.rules.iter().find(|rule| rule.name == alert.key.rule);
    let waits = alert.levels.iter().filter_map(|(severity, phase)| match phase {
        Phase::Pending { active_at, held } => Some((*severity, *active_at, *held)),
        Phase::Inactive | Phase::Firing { .. } | Phase::Clearing { .. } => None,
    });
    let highest: Option<(Severity, Timestamp, i64)> = waits.max_by_key(|wait| wait.0);
    html! {
        tr {
            th scope="row" { (alert.key.rule) }
            td {
                ul.labels {
                    li { span { "source" } " " (alert.key.source) }
                    @for (label, value) in &alert.key.group {
                        li {
                            span { (label.as_str()) } " "
                            (name(&label_value(facts, label.as_str(), value)))
                        }
                    }
                }
            }
            @if let Some((severity, active_at, held)) = highest {
                td { span class={ "badge " (severity.as_str()) } { (severity) } }
                td {
                    (shown_held(held))
                    @if let Some(rule) = rule { " of " (age(rule.hold_for)) }
                    ", since " (ago(now, active_at))
                }
            } @else { td {} td {} }
        }
    }
}

fn shown_held(held: i64) -> String {
    age(std::time::Duration::from_secs(u64::try_from(held).unwrap_or_default()))
}
