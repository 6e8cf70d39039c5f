//! The silences that are on and to come, what each hides now, and the button that ends
//! it; on an alert, the button that silences it.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::Look;
use super::alerts::facts_of;
use super::words::{age, count, label_value, moment, name, scroll};
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::explain::{SilenceStanding, alert_name, silences, standing_alerts};
use crate::domain::notify::labels::routing_labels;
use crate::domain::silence::Stage;
use crate::domain::silence::matcher::{Matcher, Op};
use crate::domain::state::State;
use crate::domain::time::Timestamp;

const MOST_SHOWN: usize = 50;
const MOST_NAMED: usize = 5;

pub fn section(now: Timestamp, state: &State) -> Markup {
    let standing: Vec<SilenceStanding> =
        silences(now, state).into_iter().filter(|one| one.stage != Stage::Expired).collect();
    let more = standing.len().saturating_sub(MOST_SHOWN) as u64;
    html! {
        section aria-labelledby="silences" {
            h2 #silences { "Silences" }
            @if standing.is_empty() { p.none { "Nothing is silenced." } }
            @else {
                (scroll("silences", &table(now, &standing)))
            }
            @if more > 0 { p.none { "+" (count(more, "more silence", "more silences")) } }
        }
    }
}

fn table(now: Timestamp, standing: &[SilenceStanding]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "alerts with" }
                    th scope="col" { "until" }
                    th scope="col" { "hides" }
                    th scope="col" { "why" }
                    th scope="col" { "end it" }
                }
            }
            tbody { @for one in standing.iter().take(MOST_SHOWN) { (row(now, one)) } }
        }
    }
}

fn row(now: Timestamp, one: &SilenceStanding) -> Markup {
    html! {
        tr data-key=(one.id) {
            th scope="row" {
                ul.labels { @for matcher in &one.matchers { li { (name(matcher)) } } }
            }
            td {
                @if one.stage == Stage::Pending {
                    "begins in " (age(one.starts_at.0.since(now))) ", "
                }
                "ends in " (age(one.ends_at.0.since(now))) " "
                span.moment { (moment(one.ends_at.0)) }
            }
            td { (hides(one)) }
            td {
                (name(&one.created_by))
                @if !one.comment.is_empty() { ": " (name(&one.comment)) }
            }
            td {
                form method="post" action="/silences" {
                    input type="hidden" name="expire" value=(one.id);
                    button type="submit" { "end it" }
                }
            }
        }
    }
}

fn hides(one: &SilenceStanding) -> Markup {
    let more = one.hides.len().saturating_sub(MOST_NAMED) as u64;
    html! {
        @if one.is_unused {
            p.note { "Nothing has matched it for a day: is it still needed, are its labels right?" }
        } @else if one.hides.is_empty() { "nothing now" }
        @for hidden in one.hides.iter().take(MOST_NAMED) { div { (name(hidden)) } }
        @if more > 0 { div { "+" (count(more, "more", "more")) } }
    }
}

/// The alerts that stand, as silences see them: what a new one would hide.
pub struct Hidden(Vec<(String, BTreeMap<String, String>)>);

impl Hidden {
    pub fn of(state: &State) -> Hidden {
        let alerts = standing_alerts(state);
        Hidden(alerts.map(|alert| (alert_name(&alert.key), routing_labels(alert))).collect())
    }

    fn by(&self, matchers: &[Matcher]) -> Vec<&str> {
        let is_hidden = |labels| matchers.iter().all(|matcher| matcher.matches(labels));
        let hidden = self.0.iter().filter(|(_, labels)| is_hidden(labels));
        hidden.map(|(name, _)| name.as_str()).collect()
    }
}

/// Silences this alert for an hour, at whatever severity.
pub fn button(key: &AlertKey, hidden: &Hidden) -> Markup {
    let matchers = of_alert(key);
    let others = hidden.by(&matchers).len().saturating_sub(1) as u64;
    html! {
        (form(&matchers, "silence for 1 h"))
        span.moment {
            @if others == 0 { "hides this alert alone" }
            @else { "hides this alert and " (count(others, "other", "others")) }
        }
    }
}

/// The ways to silence an alert for an hour, each with what it would hide.
pub fn choices(look: &Look<'_>, alert: &Alert) -> Markup {
    let hidden = Hidden::of(look.state);
    let facts = facts_of(look, alert);
    let wide = WIDER.iter().filter_map(|label| {
        let value = alert.story.as_ref()?.labels.get(*label)?;
        let matchers = equal([("source", alert.key.source.as_str()), (*label, value.as_str())]);
        Some((matchers, format!("{label} {}", label_value(facts, label, value))))
    });
    html! {
        section aria-labelledby="silence" {
            h2 #silence { "Silence it for an hour" }
            p.none { "A silence holds back messages, not the alert: it goes on, and ends when it is cured." }
            (choice(&of_alert(&alert.key), "this alert", &hidden))
            @for (matchers, what) in wide {
                (choice(&matchers, &format!("everything of {what}"), &hidden))
            }
        }
    }
}

/// Labels of which all may be silenced at once.
const WIDER: [&str; 4] = ["affiliate", "host", "offer", "postback"];

fn choice(matchers: &[Matcher], what: &str, hidden: &Hidden) -> Markup {
    let names = hidden.by(matchers);
    let more = names.len().saturating_sub(MOST_NAMED) as u64;
    html! {
        div.choice data-key=(what) {
            (form(matchers, &format!("silence {what}")))
            p.none { "It would hide " (count(names.len() as u64, "alert", "alerts")) " now, and what comes within the hour:" }
            ul {
                @for hidden in names.iter().take(MOST_NAMED) { li { (name(hidden)) } }
                @if more > 0 { li { "+" (count(more, "more", "more")) } }
            }
        }
    }
}

fn form(matchers: &[Matcher], button: &str) -> Markup {
    html! {
        form method="post" action="/silences" {
            @for matcher in matchers { input type="hidden" name="matcher" value=(matcher); }
            button type="submit" { (name(button)) }
        }
    }
}

fn of_alert(key: &AlertKey) -> Vec<Matcher> {
    let group = key.group.iter().map(|(label, value)| (label.as_str(), value.as_str()));
    equal([("rule", key.rule.as_str()), ("source", key.source.as_str())].into_iter().chain(group))
}

fn equal<'a>(labels: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<Matcher> {
    let one = |(label, value)| Matcher::new(label, Op::Equal, value).ok();
    labels.into_iter().filter_map(one).collect()
}
