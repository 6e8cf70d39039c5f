//! The rules in force, in words: what they look at and when they speak.

use std::time::Duration;

use maud::{Markup, html};

use super::Look;
use super::alerts::runbook;
use super::words::{count, name};
use crate::domain::alert::shown::{shown_duration, shown_threshold};
use crate::domain::explain::standing_alerts;
use crate::domain::rules::{Label, Level, Rule};

mod told;

pub fn section(look: &Look<'_>) -> Markup {
    let policy = look.policy;
    html! {
        section aria-labelledby="rules" {
            h2 #rules { "Rules" }
            p.none {
                (count(policy.rules.len() as u64, "rule is", "rules are")) " in force, judged every "
                (shown_duration(policy.evaluate_every)) ". Two more are always there: source-blind "
                "(postwatch cannot see) and postback-deactivated (the network switched a postback off)."
            }
            @for rule in &policy.rules { (one(look, rule)) }
            (told::receivers(look))
            (told::held_back(policy))
        }
    }
}

fn one(look: &Look<'_>, rule: &Rule) -> Markup {
    let standing = standing_alerts(look.state).filter(|alert| alert.key.rule == rule.name);
    let standing = standing.count() as u64;
    html! {
        details data-key=(rule.name) {
            summary {
                (name(&rule.name)) " " span.dim { (per(rule)) }
                @if standing > 0 { " · " b { (count(standing, "alert stands", "alerts stand")) } }
            }
            dl.life {
                @if !rule.matches.is_empty() {
                    dt { "counts" } dd { "deliveries with " (name(&matched(rule))) }
                }
                dt { "over" } dd { (shown_duration(rule.over)) }
                @for level in &rule.levels {
                    dt { span class={ "badge " (level.severity.as_str()) } { (level.severity) } }
                    dd { (conditions(level)) }
                }
                dt { "fires" } dd { (after(rule.hold_for)) }
                dt { "ends" } dd { (ends(rule)) }
                @if let Some(summary) = &rule.summary { dt { "says" } dd { (name(summary)) } }
                @if !rule.labels.is_empty() {
                    dt { "labels" }
                    dd { @for (label, value) in &rule.labels { (name(label)) "=" (name(value)) " " } }
                }
            }
            (runbook(rule.runbook.as_deref()))
        }
    }
}

fn per(rule: &Rule) -> String {
    let labels = rule.per.iter().filter(|label| **label != Label::Source);
    let labels: Vec<&str> = labels.map(|label| label.as_str()).collect();
    match labels.as_slice() {
        [] => "one alert for each source".to_owned(),
        labels => format!("one alert for each {}", labels.join(" and ")),
    }
}

fn conditions(level: &Level) -> String {
    let one = level.conditions.iter().map(|condition| {
        let measure = condition.measure.as_str().replace('_', " ");
        format!("{measure} {}", shown_threshold(condition, None))
    });
    one.collect::<Vec<_>>().join(" and ")
}

fn after(hold_for: Duration) -> String {
    match hold_for.is_zero() {
        true => "at once".to_owned(),
        false => format!("when that holds for {}", shown_duration(hold_for)),
    }
}

fn ends(rule: &Rule) -> String {
    let clear = format!("when that was false for {}", shown_duration(rule.keep_firing_for));
    match rule.needs_proof() {
        true => format!("{clear}, and a success proves the cure"),
        false => clear,
    }
}

/// `reason http_5* or timeout, offer 11`.
fn matched(rule: &Rule) -> String {
    let one = rule.matches.iter().map(|(label, globs)| told::label_is(label.as_str(), globs));
    one.collect::<Vec<_>>().join(", ")
}
