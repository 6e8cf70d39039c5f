//! Deliveries that failed, as somebody looks for them: by an id, or by what they have in
//! common; each with its whole life.

use maud::{Markup, html};
use url::form_urlencoded::Serializer;

use super::words::{ago, count, moment, name};
use super::{Frame, Look, alerts, frame, headline, samples};
use crate::domain::alert::AlertKey;
use crate::domain::alert::shown::shown_duration;
use crate::domain::delivery::Identity;
use crate::domain::explain::GroupOfDelivery;
use crate::domain::search::{DeliveryFound, Found, Search, Unclear, deliveries};

/// Deliveries on one page.
const LIMIT: &str = "25";
/// So few are shown with all that is known of them.
const FEW: usize = 3;

/// What is asked for: the pairs of the address.
pub type Asked = [(String, String)];

/// Where a page of those deliveries is.
pub fn href(pairs: &[(&str, &str)]) -> String {
    format!("/deliveries?{}", Serializer::new(String::new()).extend_pairs(pairs).finish())
}

/// The place to look for one, on the status page.
pub fn section() -> Markup {
    html! {
        section aria-labelledby="find" {
            h2 #find { "Find a delivery" }
            (form(""))
            p.none {
                "By the id of a conversion or a transaction. Only deliveries that failed at least "
                "once are kept."
            }
        }
    }
}

fn form(id: &str) -> Markup {
    html! {
        form.find #search role="search" action="/deliveries" {
            label for="id" { "conversion or transaction id" }
            input #id name="id" value=(id) autocomplete="off" spellcheck="false" maxlength="200";
            button type="submit" { "find" }
        }
    }
}

/// Looks for them.
///
/// # Errors
/// The first pair that means nothing.
pub fn find(look: &Look<'_>, asked: &Asked) -> Result<Found<DeliveryFound>, Unclear> {
    let is_filter = |(name, value): &&(String, String)| name != "id" && !value.is_empty();
    let filters: Vec<_> = asked.iter().filter(is_filter).cloned().collect();
    let search = |also: Option<(&str, &str)>| {
        let also = also.into_iter().chain([("limit", LIMIT)]);
        let also = also.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let pairs: Vec<_> = filters.iter().cloned().chain(also).collect();
        deliveries(look.now, look.policy, look.state, &Search::for_deliveries(&pairs)?)
    };
    match id_of(asked) {
        "" => search(None),
        id => {
            let mut found = search(Some(("conversion", id)))?;
            let of_transaction = search(Some(("transaction", id)))?.items.into_iter();
            let is_known = |one: &DeliveryFound| found.items.iter().any(|known| known.id == one.id);
            let more: Vec<_> = of_transaction.filter(|one| !is_known(one)).collect();
            found.items.extend(more);
            Ok(found)
        }
    }
}

/// The texts that the page shows.
pub fn texts(found: &Found<DeliveryFound>) -> Vec<(u64, Identity)> {
    found.items.iter().map(|one| (one.text, one.identity)).collect()
}

fn id_of(asked: &Asked) -> &str {
    asked.iter().find(|(name, _)| name == "id").map_or("", |(_, id)| id.trim())
}

/// The page of what was found.
pub fn page(look: &Look<'_>, asked: &Asked, found: &Found<DeliveryFound>) -> Markup {
    let all = found.items.len();
    let title = match (all, &found.next) {
        (0, _) => "No failed delivery is known".to_owned(),
        (all, None) => count(all as u64, "failed delivery", "failed deliveries"),
        (all, Some(_)) => format!("The latest {all} failed deliveries"),
    };
    let filters = asked.iter().filter(|(name, value)| name != "cursor" && !value.is_empty());
    let body = html! {
        header #top.unknown {
            (frame::top(look.now))
            h1 { (title) }
            ul.labels aria-label="looked for" {
                @for (label, value) in filters { li { span { (name(label)) } " " (name(value)) } }
            }
            @for line in headline::unseen_lines(look) { p { bdi { (line) } } }
        }
        main #main {
            (form(id_of(asked)))
            @if all == 0 { p { (why_none(look, asked)) } }
            @for one in &found.items { (delivery(look, one, all <= FEW)) }
            @if let Some(next) = &found.next { (next_page(asked, next)) }
        }
    };
    Frame { title: &title, now: Some(look.now), is_renewed: false }.around(&body)
}

fn why_none(look: &Look<'_>, asked: &Asked) -> String {
    let sources = look.policy.sources.iter();
    let lookback = sources.map(|source| source.lookback).max().unwrap_or_default();
    let lookback = shown_duration(lookback);
    match id_of(asked) {
        "" => format!("None like that failed in the last {lookback}, as far as it was read."),
        _ => format!(
            "None of that id failed in the last {lookback}, as far as it was read: each was \
             delivered at its first try, or the id is another one's, or it is older. A delivery \
             that has a conversion is found by the conversion's id alone."
        ),
    }
}

fn next_page(asked: &Asked, next: &str) -> Markup {
    let filters = asked.iter().filter(|(name, _)| name != "cursor");
    let filters = filters.map(|(name, value)| (name.as_str(), value.as_str()));
    let pairs: Vec<_> = filters.chain([("cursor", next)]).collect();
    html! { p { a href=(href(&pairs)) rel="next" { "older ones" } } }
}

fn delivery(look: &Look<'_>, one: &DeliveryFound, is_open: bool) -> Markup {
    let life = &one.life;
    let class = match (life.state.as_str(), life.postback_is_active) {
        ("recovered", _) => "well",
        ("failing", true) => "warning",
        ("failing" | "exhausted" | "abandoned", _) => "critical",
        _ => "unknown",
    };
    html! {
        details.delivery data-key=(one.id) open[is_open] {
            summary {
                span class={ "badge " (class) } { (life.state) } " "
                code { (life.reason) } " · " (name(&life.affiliate)) " · " (name(&life.offer)) " "
                span.moment { (moment(life.timestamp.0)) }
            }
            (lived(look, one))
            (samples::said(look.texts.get(&one.identity)))
            @if !life.groups.is_empty() {
                h2 { "Rules that count it" }
                ul { @for group in &life.groups { li { (counted_in(look, &life.source, group)) } } }
            }
        }
    }
}

/// From its first try to how it ended.
fn lived(look: &Look<'_>, one: &DeliveryFound) -> Markup {
    let (now, life, said) = (look.now, &one.life, look.texts.get(&one.identity));
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let rows = [
        ("conversion", given(said.map(|said| said.conversion_id.as_str()))),
        ("transaction", given(said.map(|said| said.transaction_id.as_str()))),
        ("source", Some(life.source.clone())),
        ("postback", Some(life.postback.to_string())),
        (
            "host",
            Some(if life.host.is_empty() { "none in its URL".into() } else { life.host.clone() }),
        ),
        ("event", Some(life.event.to_string()).filter(|event| event != "0")),
    ];
    html! {
        p { (life.advice) }
        @if !life.postback_is_active {
            p.held { "Its postback is switched off: nothing is delivered any more." }
        }
        dl.life {
            @for (label, value) in rows {
                @if let Some(value) = value { dt { (label) } dd { (name(&value)) } }
            }
            dt { "first tried" } dd { (ago(now, life.timestamp.0)) }
            dt { "failed tries" } dd {
                (life.failed_attempts)
                @if let Some(at) = life.last_attempt { ", the last " (ago(now, at.0)) }
            }
            dt { "now" } dd {
                @match life.ended_at {
                    Some(at) => { (life.state) ", seen " (ago(now, at.0)) },
                    None => "failing: the network may try again",
                }
            }
        }
    }
}

fn counted_in(look: &Look<'_>, source: &str, group: &GroupOfDelivery) -> Markup {
    let is_it = |key: &&AlertKey| {
        let mut labels = key.group.iter();
        key.source == source
            && key.rule == group.rule
            && labels.all(|(label, value)| group.labels.get(label.as_str()) == Some(value))
    };
    let alert = look.state.alerts.keys().find(is_it);
    html! {
        @match alert {
            Some(key) => a href=(alerts::link(key)) { (name(&group.rule)) },
            None => (name(&group.rule)),
        }
        @for (label, value) in &group.labels {
            " " span.dim { (label) } " " (name(if value.is_empty() { "none" } else { value }))
        }
        ": " (if group.is_in_window { "in its window" } else { "past its window" })
        ", " (group.state.as_str())
        @if let Some(severity) = group.severity { " " (severity) }
    }
}
