//! What fails most over the look-back: hosts, affiliates, offers and postbacks, each with
//! its history and a way to its deliveries.

use maud::{Markup, html};

use super::chart;
use super::found::href;
use super::past::Past;
use super::words::{age, count, name, number};
use super::{Look, words};
use crate::domain::alert::shown::{shown_duration, shown_percent};
use crate::domain::bars::{Ranked, Series};
use crate::domain::facts::Facts;
use crate::domain::rules::Label;

const MOST_SHOWN: usize = 10;

const RANKINGS: [(Label, &str); 4] = [
    (Label::Host, "Hosts"),
    (Label::Affiliate, "Affiliates"),
    (Label::Offer, "Offers"),
    (Label::Postback, "Postbacks"),
];

pub fn section(look: &Look<'_>, past: &Past<'_>) -> Markup {
    let rankings = RANKINGS.map(|(label, title)| (label, title, past.ranked(label)));
    let (bars, known) = (&past.bars, rankings.iter().any(|(.., ranked)| !ranked.is_empty()));
    html! {
        section aria-labelledby="failing" {
            h2 #failing { "What fails" }
            @if !known {
                p.none { "No delivery that was read has failed." }
            } @else {
                p.none {
                    "By failures since " (words::day_and_clock(bars.from)) "; a bar is "
                    (shown_duration(bars.width)) "."
                }
                div.columns {
                    @for (label, title, ranked) in &rankings {
                        div.ranking data-key=(label.as_str()) {
                            h3 { (title) }
                            ol { @for one in ranked.iter().take(MOST_SHOWN) { (entry(look, past, *label, one)) } }
                            @if ranked.len() > MOST_SHOWN {
                                p.none { "+" (number((ranked.len() - MOST_SHOWN) as u64)) " more" }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn entry(
    look: &Look<'_>,
    past: &Past<'_>,
    label: Label,
    (source, facts, one): &(&str, &Facts, Ranked),
) -> Markup {
    let series = past.of_value(source, label, one.value).unwrap_or_default();
    let bare = facts.dims.value_text(label, one.value);
    html! {
        li data-key=(format!("{source} {bare}")) {
            div {
                @if bare.is_empty() { "no URL" } @else {
                    a href=(href(&[("source", source), (label.as_str(), &bare)])) {
                        (name(&shown(facts, label, one.value)))
                    }
                }
                @if look.policy.sources.len() > 1 { " " span.moment { (name(source)) } }
            }
            (chart::small(&past.bars, &series))
            p {
                (count(one.failures, "failure", "failures"))
                @if let Some(rate) = rate(&series) { ", " (rate) }
                ", mostly " code { (one.reason) }
                @if one.open > 0 {
                    "; " b { (number(one.open)) " failing now" }
                    ", the oldest for " (age(look.now.since(one.oldest_open)))
                }
            }
        }
    }
}

/// Of the time of which the deliveries are known.
fn rate(series: &Series) -> Option<String> {
    let (failed, all) = series.known()?;
    let share = shown_percent(failed as f64 / all as f64).replace(' ', "\u{a0}");
    let lately = if series.known_from > 0 { "lately " } else { "" };
    Some(format!("{lately}{share} of the deliveries"))
}

fn shown(facts: &Facts, label: Label, value: u64) -> String {
    match label {
        Label::Affiliate => facts.affiliate_text(value),
        Label::Offer => facts.offer_text(value),
        Label::Source
        | Label::Postback
        | Label::Host
        | Label::Event
        | Label::DeliveryMethod
        | Label::PostbackLevel
        | Label::PostbackType
        | Label::Reason => facts.dims.value_text(label, value),
    }
}
