//! Why an alert fires, or does not, as `postwatch explain` says it: what its rule sees now,
//! where its clocks stand, and every gate between it and a message.

use maud::{Markup, html};

use super::words::{age, ago, name, number, scroll};
use crate::domain::alert::shown::shown_duration;
use crate::domain::explain::{Answer, GroupExplained, LevelExplained, Messages, Sees};
use crate::domain::time::Timestamp;

pub fn section(now: Timestamp, group: &GroupExplained) -> Markup {
    html! {
        section aria-labelledby="explain" {
            h2 #explain { "Why, as it stands now" }
            article {
                h3 { "What its rule sees" }
                (sees(now, &group.sees))
            }
            article {
                h3 { "What it compares" }
                @for level in &group.levels { (one_level(level)) }
            }
            @if !group.ends_when.is_empty() {
                article {
                    h3 { "It ends when" }
                    ul { @for wait in &group.ends_when { li { (name(wait)) } } }
                }
            }
            article {
                h3 { "Who is told" }
                @for messages in &group.messages { (receiver(now, messages)) }
                @if let Some(nobody) = &group.nobody_is_told { p.held { (nobody) } }
            }
        }
    }
}

fn sees(now: Timestamp, sees: &Sees) -> Markup {
    let Some(at) = sees.at else {
        return html! { p { "Nothing was read whole yet." } };
    };
    html! {
        @for trouble in &sees.troubles { p.held { (name(trouble)) } }
        dl.figures {
            div { dt { "complete to" } dd { (age(now.since(at.0))) " ago" } }
            @if let Some(since) = sees.since {
                div { dt { "window" } dd { (shown_duration(at.0.since(since.0))) } }
                div { dt { "deliveries in it" } dd {
                    @match sees.deliveries {
                        Some(count) => { (number(count.max(0) as u64)) },
                        None => "unknown",
                    }
                } }
                div { dt { "failures in it" } dd { (number(sees.failures.max(0) as u64)) } }
                div { dt { "failing now" } dd { (number(sees.open)) } }
            }
        }
        @if !sees.reasons.is_empty() {
            p {
                "By reason: "
                @for (place, (reason, count)) in sees.reasons.iter().enumerate() {
                    @if place > 0 { ", " }
                    code { (reason) } " " (number(*count))
                }
            }
        }
        @if let Some(at) = sees.newest_failure { p { "The newest failure: " (ago(now, at.0)) } }
        @if let Some(at) = sees.last_success { p { "The last success: " (ago(now, at.0)) } }
    }
}

fn one_level(level: &LevelExplained) -> Markup {
    let table = html! {
        table {
            thead {
                tr {
                    th scope="col" { "measure" }
                    th scope="col" { "now" }
                    th scope="col" { "wanted" }
                    th scope="col" { "so it" }
                }
            }
            tbody {
                @for one in &level.conditions {
                    tr {
                        th scope="row" { (one.measure.replace('_', " ")) }
                        td { (one.value) }
                        td { (one.threshold) }
                        td {
                            (answer(one.verdict))
                            @if let Some(by) = &one.misses_by { ", needs " (by) }
                            @if let Some(why) = &one.unknown_because { ": " (name(why)) }
                        }
                    }
                }
            }
        }
    };
    html! {
        p {
            span class={ "badge " (level.severity.as_str()) } { (level.severity) } " "
            (answer(level.verdict)) ", " (level.clock)
        }
        (scroll(level.severity.as_str(), &table))
    }
}

fn answer(answer: Answer) -> Markup {
    html! {
        @match answer {
            Answer::True => b { "holds" },
            Answer::False => "does not hold",
            Answer::Unknown => "is unknown",
        }
    }
}

fn receiver(now: Timestamp, messages: &Messages) -> Markup {
    html! {
        p {
            b { (name(&messages.receiver)) }
            @if let Some(route) = &messages.route { " by " (name(route)) }
            ", knows: " (messages.told)
            @if let Some(at) = messages.last_told_at { ", last message " (ago(now, at.0)) }
        }
        @if !messages.gates.is_empty() {
            ul {
                @for gate in &messages.gates { li { "gate: " (name(&gate.says)) } }
            }
        }
    }
}
