//! The silences that are on and to come, what each hides now, and the button that ends
//! it; on an alert, the button that silences it.

use maud::{Markup, html};

use super::words::{age, count, moment, name};
use crate::domain::alert::AlertKey;
use crate::domain::explain::{SilenceStanding, silences};
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
                div.scroll {
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
            @if more > 0 { p.none { "+" (count(more, "more silence", "more silences")) } }
        }
    }
}

fn row(now: Timestamp, one: &SilenceStanding) -> Markup {
    html! {
        tr {
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

/// Silences this alert for an hour, at whatever severity.
pub fn button(key: &AlertKey) -> Markup {
    let group = key.group.iter().map(|(label, value)| (label.as_str(), value.as_str()));
    let labels = [("rule", key.rule.as_str()), ("source", key.source.as_str())];
    let matchers = labels.into_iter().chain(group);
    let matchers = matchers.filter_map(|(label, value)| Matcher::new(label, Op::Equal, value).ok());
    html! {
        form method="post" action="/silences" {
            @for matcher in matchers { input type="hidden" name="matcher" value=(matcher); }
            button type="submit" { "silence for 1 h" }
        }
    }
}
