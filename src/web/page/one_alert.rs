//! One alert on a page of its own: what it tells, why it fires, and how to silence it.

use jiff::tz::TimeZone;
use maud::{Markup, html};

use super::past::Past;
use super::words::{ago, name};
use super::{Frame, Look, alerts, explained, found, frame, headline, samples, silences};
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::delivery::Identity;
use crate::domain::explain::{Desk, GroupExplained, Question, explain_rule};
use crate::domain::notify::AlertFacts;
use crate::domain::notify::plan::alert_facts;
use crate::domain::state::State;

/// The alert that the last part of its page's address names.
pub fn find<'a>(state: &'a State, name: &str) -> Option<&'a Alert> {
    let id = Identity(u128::from_str_radix(name, 16).ok()?);
    state.alerts.values().find(|alert| alert.key.identity() == id)
}

/// The texts that its page shows.
pub fn texts(state: &State, name: &str) -> Vec<(u64, Identity)> {
    find(state, name).map(alerts::texts_of).unwrap_or_default()
}

/// Its page.
pub fn page(look: &Look<'_>, alert: &Alert) -> Markup {
    let told = alert_facts(look.policy, alert, &TimeZone::UTC);
    let title = told.as_ref().map_or(alert.key.rule.as_str(), |told| &told.summary);
    let class = told.as_ref().map_or("unknown", |told| alerts::class(told));
    let explained = explained(look, &alert.key);
    let body = html! {
        header #top class=(class) {
            (frame::top(look.now))
            h1 { (name(title)) }
            (standing(look, alert, told.as_ref()))
            @for line in headline::unseen_lines(look) { p { bdi { (line) } } }
        }
        main #main {
            @if let Some(told) = &told { (told_(look, alert, told)) }
            @if told.is_some() && !alert.has_ended() { (silences::choices(look, alert)) }
            @if let Some(group) = &explained { (explained::section(look.now, group)) }
        }
    };
    Frame { title, now: Some(look.now), is_renewed: true }.around(&body)
}

fn standing(look: &Look<'_>, alert: &Alert, told: Option<&AlertFacts>) -> Markup {
    html! {
        @match told {
            None => p { "It is pending: its condition holds, not yet for long enough." },
            Some(told) => {
                @match told.status.ended_at() {
                    Some(at) => p { "It is over, since " (ago(look.now, at)) "." },
                    None => p { (alerts::badge(told)) " " (alerts::group(alerts::facts_of(look, alert), &alert.key)) },
                }
            },
        }
    }
}

fn told_(look: &Look<'_>, alert: &Alert, told: &AlertFacts) -> Markup {
    let gates = Desk::new(look.now, look.policy, look.state).closed_to(alert);
    let past = Past::of(look);
    let labels = alert.key.group.iter().map(|(label, value)| (label.as_str(), value.as_str()));
    let labels: Vec<_> =
        [("source", alert.key.source.as_str())].into_iter().chain(labels).collect();
    html! {
        article class={ "alert " (alerts::class(told)) } {
            h2 { "What it tells" }
            (alerts::body(look, &past, alert, told, &gates))
            @if !told.samples.is_empty() {
                h3 { "Deliveries as examples" }
                (samples::list(&told.samples, look.texts))
            }
            p { a href=(found::href(&labels)) { "all failed deliveries of its group" } }
        }
    }
}

/// `None` where its rule is gone.
fn explained(look: &Look<'_>, key: &AlertKey) -> Option<GroupExplained> {
    let labels = key.group.iter().map(|(label, value)| (label.as_str().to_owned(), value.clone()));
    let source = ("source".to_owned(), key.source.clone());
    let question = Question { rule: key.rule.clone(), labels: labels.chain([source]).collect() };
    let told = explain_rule(look.now, look.policy, look.state, &question).ok()?;
    let is_it = |group: &GroupExplained| {
        let mut labels = key.group.iter();
        labels.all(|(label, value)| group.labels.get(label.as_str()) == Some(value))
    };
    told.groups.into_iter().find(is_it)
}
