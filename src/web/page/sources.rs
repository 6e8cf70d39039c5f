//! The sources and how far they were read: every other section is only as good
//! as this one.

use std::time::Duration;

use maud::{Markup, html};

use super::words::{age, ago, moment, name, number, scroll};
use crate::domain::coverage::{Coverage, Span};
use crate::domain::policy::{Policy, Scope, SourcePolicy};
use crate::domain::state::{SourceState, State};
use crate::domain::time::Timestamp;
use crate::metrics::state::is_blind;

pub fn section(now: Timestamp, policy: &Policy, state: &State) -> Markup {
    html! {
        section aria-labelledby="sources" {
            h2 #sources { "Sources" }
            @if policy.sources.is_empty() { p.none { "None is configured." } }
            @for source in &policy.sources {
                @match state.sources.get(&source.name) {
                    Some(known) => (article(now, policy, source, state, known)),
                    None => article.source { h3 { (source.name) } p { "Not loaded yet." } },
                }
            }
        }
    }
}

fn article(
    now: Timestamp,
    policy: &Policy,
    source: &SourcePolicy,
    state: &State,
    known: &SourceState,
) -> Markup {
    let sight = sight(now, policy, source, state, known);
    html! {
        article class={ "source " (sight.class) } {
            h3 { (name(&source.name)) " " span class={ "badge " (sight.class) } { (sight.badge) } }
            p.since { (sight.text) }
            @if let Some(trouble) = &known.sight.trouble {
                p.note { "The last poll said: " (name(trouble)) }
            }
            (figures(now, source, known))
            (scopes(now, source, known))
        }
    }
}

/// How well the source is seen.
struct Shown {
    class: &'static str,
    badge: &'static str,
    text: Markup,
}

fn sight(
    now: Timestamp,
    policy: &Policy,
    source: &SourcePolicy,
    state: &State,
    known: &SourceState,
) -> Shown {
    let sight = known.sight(policy, &source.name);
    let read = match sight.whole_at {
        Some(at) => html! { "read whole " (ago(now, at)) },
        None => html! { "never read whole" },
    };
    let shown = |class, badge, text| Shown { class, badge, text };
    match (is_blind(state, &source.name), sight.whole_at, &known.sight.trouble) {
        (_, Some(_), None) if !known.facts.gap().is_zero() => shown(
            "unknown",
            "catching up",
            html! {
                "the present is read; " (age(known.facts.gap()))
                " of the past are still to be read, oldest first, and rules are judged as that goes on"
            },
        ),
        (true, _, _) => shown("critical", "blind", read),
        (false, None, None) if sight.arriving_at.is_some() => shown(
            "unknown",
            "looking back",
            html! { "the first look-back of " (age(source.lookback)) " is under way" },
        ),
        (false, None, _) => shown("unknown", "not read yet", read),
        (false, Some(_), Some(_)) => shown("warning", "last poll failed", read),
        (false, Some(_), None) => shown("well", "in sight", read),
    }
}

fn figures(now: Timestamp, source: &SourcePolicy, known: &SourceState) -> Markup {
    let facts = &known.facts;
    let failures = facts.deliveries.len() as u64;
    let open = facts.deliveries.open().count() as u64;
    let successes: u64 = facts
        .successes_within(now - source.lookback, now)
        .map(|(_, _, count)| u64::from(count))
        .sum();
    html! {
        dl.figures {
            div { dt { "complete to" } dd {
                @match facts.watermark {
                    Some(at) => { (age(now.since(at))) " ago" },
                    None => "–",
                }
            } }
            div { dt { "deliveries" } dd {
                // Without successes the sum would pass failures off as traffic.
                @if source.successes { (number(failures + successes)) } @else { "not read" }
            } }
            div { dt { "failed" } dd { (number(failures)) } }
            div { dt { "failing now" } dd { (number(open)) } }
            div { dt { "look-back" } dd { (age(source.lookback)) } }
        }
    }
}

/// How far each scope was read, and what is missing before the present.
fn scopes(now: Timestamp, source: &SourcePolicy, known: &SourceState) -> Markup {
    let nothing = Coverage::default();
    let of = |scope: &Scope| known.facts.coverage.get(&scope.key()).unwrap_or(&nothing);
    let is_plain = source.scopes.len() < 2 && known.facts.gap().is_zero();
    let table = html! {
        table {
            thead { tr {
                th scope="col" { "scope" }
                th scope="col" { "read whole up to" }
                th scope="col" { "missing" }
            } }
            tbody {
                @for scope in &source.scopes {
                    tr {
                        th scope="row" { (described(scope)) }
                        td {
                            @match of(scope).front {
                                Some(at) => (ago(now, at)),
                                None => "not yet",
                            }
                        }
                        td { (missing(of(scope))) }
                    }
                }
            }
        }
    };
    html! { @if !is_plain { (scroll("scopes", &table)) } }
}

fn missing(coverage: &Coverage) -> Markup {
    let gaps: Vec<Span> = coverage.gaps().collect();
    let total: Duration = gaps.iter().map(Span::length).sum();
    html! {
        @match gaps.as_slice() {
            [] => "nothing",
            [gap] => { (age(total)) ", from " (moment(gap.from)) " to " (moment(gap.to)) },
            [first, ..] => { (age(total)) " in " (gaps.len()) " spans, from " (moment(first.from)) },
        }
    }
}

/// `offers 11, 15; without affiliates 7`.
fn described(scope: &Scope) -> String {
    let list = |word: &str, ids: &[u64]| {
        let ids: Vec<String> = ids.iter().map(u64::to_string).collect();
        (!ids.is_empty()).then(|| format!("{word} {}", ids.join(", ")))
    };
    let parts: Vec<String> = [
        list("offers", &scope.offers),
        list("affiliates", &scope.affiliates),
        list("without offers", &scope.exclude_offers),
        list("without affiliates", &scope.exclude_affiliates),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.is_empty() {
        true => "the whole network".to_owned(),
        false => parts.join("; "),
    }
}
