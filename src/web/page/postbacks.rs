//! The postbacks that the network is about to switch off, and those that are.

use maud::{Markup, html};

use super::found::href;
use super::words::{ago, bar, clock, count, name, scroll};
use crate::domain::dims::Dims;
use crate::domain::facts::Facts;
use crate::domain::policy::{DeactivationCounts, Policy, SourcePolicy};
use crate::domain::state::{SourceState, State};
use crate::domain::time::Timestamp;
use crate::domain::window::in_a_row::{Forecast, InARow, Stand, coming};
use crate::domain::window::streak::Bounds;

const MOST_SHOWN: usize = 30;

pub fn section(now: Timestamp, policy: &Policy, state: &State) -> Markup {
    html! {
        section aria-labelledby="postbacks" {
            h2 #postbacks { "Postbacks" }
            @for source in &policy.sources {
                @if let Some(known) = state.sources.get(&source.name) {
                    @if policy.sources.len() > 1 { h3 { (name(&source.name)) } }
                    (switched_off(now, source, known))
                    (near(now, source, known))
                }
            }
        }
    }
}

fn near(now: Timestamp, policy: &SourcePolicy, known: &SourceState) -> Markup {
    let limit = f64::from(policy.deactivates_after);
    let mut near: Vec<InARow> = in_a_row(policy, known)
        .filter(|row| row.stand == Stand::Growing && row.counted().least >= limit / 2.0)
        .collect();
    near.sort_by(|a, b| {
        b.counted().least.total_cmp(&a.counted().least).then(a.postback.cmp(&b.postback))
    });
    let table = html! {
        table {
            caption { "Near deactivation" }
            thead {
                tr {
                    (columns())
                    th scope="col" { "deliveries failed in a row" }
                    th scope="col" { "tries failed in a row" }
                    th scope="col" { "at this pace" }
                }
            }
            tbody {
                @for row in near.iter().take(MOST_SHOWN) {
                    (near_row(now, policy, known, row))
                }
            }
        }
    };
    html! {
        @if near.is_empty() {
            p.none { "No active postback is known to be near its deactivation." }
        } @else {
            (scroll("near deactivation", &table))
            (more(near.len()))
        }
    }
}

/// Both countings, as the network does not say which of them is its own; the bar
/// shows the one that the rules compare.
fn near_row(now: Timestamp, policy: &SourcePolicy, known: &SourceState, row: &InARow) -> Markup {
    let limit = f64::from(row.limit);
    let (deliveries, tries) = match row.counts {
        DeactivationCounts::Deliveries => (Some(row.deliveries), None),
        DeactivationCounts::Attempts => (None, Some(row.tries)),
    };
    html! {
        tr {
            (whose(&policy.name, &known.facts, row.postback))
            td {
                (bounds(&row.deliveries)) " of " (row.limit)
                @if let Some(counted) = deliveries { (bar(counted.least, limit)) }
            }
            td {
                (bounds(&row.tries)) " of " (row.limit)
                @if let Some(counted) = tries { (bar(counted.least, limit)) }
            }
            td { (outlook(now, row)) }
        }
    }
}

fn outlook(now: Timestamp, row: &InARow) -> String {
    if row.counted().least >= f64::from(row.limit) {
        return "at any moment".to_owned();
    }
    match row.forecast(now) {
        Forecast::Unknown => "–".to_owned(),
        Forecast::NotAtThisPace => "not within 72 h".to_owned(),
        Forecast::At(at) => coming(now, at, clock),
    }
}

fn in_a_row<'a>(
    policy: &'a SourcePolicy,
    known: &'a SourceState,
) -> impl Iterator<Item = InARow> + 'a {
    known.windows.iter().flat_map(move |windows| {
        windows
            .streaks
            .failing()
            .map(move |id| windows.streaks.in_a_row(&known.facts, policy, id, windows.at))
    })
}

fn bounds(streak: &Bounds) -> String {
    match streak.most > streak.least {
        true => format!("{} to {}", streak.least, streak.most),
        false => streak.least.to_string(),
    }
}

fn switched_off(now: Timestamp, policy: &SourcePolicy, known: &SourceState) -> Markup {
    let off = known.facts.postbacks.iter().filter(|(_, state)| !state.is_active);
    // What was off when it was first seen was not switched off under our eyes.
    let (mut off, before): (Vec<_>, Vec<_>) =
        off.partition(|(_, state)| state.changed_at > Timestamp(0));
    off.sort_by_key(|&(&id, state)| (std::cmp::Reverse(state.changed_at), id));
    let before = before.len() as u64;
    let table = html! {
        table {
            caption { "Switched off: nothing is delivered any more" }
            thead { tr { (columns()) th scope="col" { "since" } } }
            tbody {
                @for (id, state) in off.iter().take(MOST_SHOWN) {
                    tr.off {
                        (whose(&policy.name, &known.facts, **id))
                        td { (ago(now, state.changed_at)) }
                    }
                }
            }
        }
    };
    html! {
        @if !off.is_empty() {
            (scroll("switched off", &table))
            (more(off.len()))
        }
        @if before > 0 {
            p.none {
                (count(before, "postback was", "postbacks were"))
                " off already when first seen."
            }
        }
    }
}

fn columns() -> Markup {
    html! {
        th scope="col" { "postback" }
        th scope="col" { "affiliate" }
        th scope="col" { "offer" }
        th scope="col" { "host" }
    }
}

fn whose(source: &str, facts: &Facts, postback: u64) -> Markup {
    let value =
        |get: fn(&Dims) -> u64, text: &dyn Fn(u64) -> String| only(facts, postback, get, text);
    html! {
        th scope="row" {
            a href=(href(&[("source", source), ("postback", &postback.to_string())])) { (postback) }
        }
        td { (name(&value(|dims| dims.affiliate, &|id| facts.affiliate_text(id)))) }
        td { (name(&value(|dims| dims.offer, &|id| facts.offer_text(id)))) }
        td {
            (name(&value(
                |dims| u64::from(dims.host.0),
                &|symbol| facts.dims.symbols.text(crate::domain::dims::Symbol(symbol as u32)).to_owned(),
            )))
        }
    }
}

/// The value that all of the postback's deliveries share, else how many it has.
fn only(
    facts: &Facts,
    postback: u64,
    get: fn(&Dims) -> u64,
    text: &dyn Fn(u64) -> String,
) -> String {
    let values: std::collections::BTreeSet<u64> =
        facts.dims.of_postback(postback).map(|dims| get(&dims)).collect();
    match (values.first(), values.len()) {
        (None, _) => "–".to_owned(),
        (Some(&value), 1) => text(value),
        (Some(_), several) => format!("{several} different"),
    }
}

fn more(found: usize) -> Markup {
    html! {
        @if found > MOST_SHOWN { p.none { "+" (found - MOST_SHOWN) " more" } }
    }
}
