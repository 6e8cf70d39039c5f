//! Messages that nobody has got yet: those that wait, and those given up.

use maud::{Markup, html};

use super::words::{age, ago, count, name, scroll};
use crate::domain::outgoing::Outgoing;
use crate::domain::state::State;
use crate::domain::time::Timestamp;

const MOST_SHOWN: usize = 20;

pub fn section(now: Timestamp, state: &State) -> Markup {
    let (given_up, waiting): (Vec<Numbered<'_>>, Vec<Numbered<'_>>) =
        state.outbox.iter().rev().partition(|(_, outgoing)| outgoing.given_up.is_some());
    html! {
        section aria-labelledby="outbox" {
            h2 #outbox { "Outbox" }
            @if given_up.is_empty() && waiting.is_empty() {
                p.none { "Every message was taken by its channel." }
            }
            (messages(now, "Given up", &given_up))
            (messages(now, "Waiting", &waiting))
        }
    }
}

type Numbered<'a> = (&'a u64, &'a Outgoing);

fn messages(now: Timestamp, title: &str, outgoing: &[Numbered<'_>]) -> Markup {
    html! {
        @if !outgoing.is_empty() {
            (scroll(title, &table(now, title, outgoing)))
            @if outgoing.len() > MOST_SHOWN {
                p.none { "+" (count((outgoing.len() - MOST_SHOWN) as u64, "more", "more")) }
            }
        }
    }
}

fn table(now: Timestamp, title: &str, outgoing: &[Numbered<'_>]) -> Markup {
    html! {
        table {
            caption { (title) }
            thead {
                tr {
                    th scope="col" { "to" }
                    th scope="col" { "message" }
                    th scope="col" { "written" }
                    th scope="col" { "what became of it" }
                }
            }
            tbody {
                @for (number, outgoing) in outgoing.iter().take(MOST_SHOWN) { (row(now, **number, outgoing)) }
            }
        }
    }
}

fn row(now: Timestamp, number: u64, outgoing: &Outgoing) -> Markup {
    let notice = &outgoing.notice;
    let first = notice.alerts.first().map_or("", |alert| alert.summary.as_str());
    let others = notice.alerts.len().saturating_sub(1) as u64;
    html! {
        tr data-key=(number) {
            th scope="row" {
                (name(&notice.receiver))
                @if let Some(other) = &notice.instead_of { " instead of " (name(other)) }
            }
            td {
                (name(first))
                @if others > 0 { " and " (count(others, "other alert", "other alerts")) }
            }
            td { (ago(now, notice.created_at)) }
            td {
                (fate(now, outgoing))
                @if outgoing.given_up.is_some() {
                    form method="post" action=(format!("/api/v1/outbox/resend?number={number}&page=true")) {
                        button { "Send again" }
                    }
                }
            }
        }
    }
}

fn fate(now: Timestamp, outgoing: &Outgoing) -> Markup {
    let tries = || count(u64::from(outgoing.tries), "try failed", "tries failed");
    html! {
        @match &outgoing.given_up {
            Some(given_up) => { "given up " (age(now.since(given_up.at))) " ago: " (name(&given_up.message)) },
            None if outgoing.tries == 0 => "not tried yet",
            None => {
                (tries()) ", the next in " (age(outgoing.next_try_at.since(now)))
                @if let Some(trouble) = &outgoing.trouble { ": " (name(trouble)) }
            },
        }
    }
}
