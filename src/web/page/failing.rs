//! What fails now: the hosts, affiliates and offers with the most deliveries
//! that wait for a cure.

use std::collections::HashMap;

use maud::{Markup, html};

use super::words::{age, bar, name, number};
use crate::domain::delivery::Delivery;
use crate::domain::facts::Facts;
use crate::domain::policy::Policy;
use crate::domain::reason::Reason;
use crate::domain::rules::Label;
use crate::domain::state::State;
use crate::domain::time::Timestamp;

const MOST_SHOWN: usize = 10;

/// The open deliveries of one host, affiliate or offer of one source.
struct Group<'a> {
    source: &'a str,
    text: String,
    open: u64,
    oldest: Timestamp,
    reasons: HashMap<Reason, u64>,
}

pub fn section(now: Timestamp, policy: &Policy, state: &State) -> Markup {
    let by = |label| groups(policy, state, label);
    let hosts = by(Label::Host);
    html! {
        section aria-labelledby="failing" {
            h2 #failing { "Failing now" }
            @if hosts.is_empty() {
                p.none { "No delivery that was read is failing." }
            } @else {
                div.columns {
                    (table(now, policy, "Hosts", &hosts))
                    (table(now, policy, "Affiliates", &by(Label::Affiliate)))
                    (table(now, policy, "Offers", &by(Label::Offer)))
                }
            }
        }
    }
}

/// Every group of the label with open deliveries, the largest first.
fn groups<'a>(policy: &'a Policy, state: &State, label: Label) -> Vec<Group<'a>> {
    let mut all = Vec::new();
    for source in &policy.sources {
        let Some(known) = state.sources.get(&source.name) else { continue };
        let facts = &known.facts;
        let mut of_source: HashMap<u64, Group<'_>> = HashMap::new();
        for (_, slot) in facts.deliveries.open() {
            let delivery = facts.deliveries.get(slot);
            let value = facts.dims.get(delivery.dims).value(label);
            let fresh = || Group::new(&source.name, shown(facts, label, value), delivery);
            of_source.entry(value).or_insert_with(fresh).add(delivery);
        }
        all.extend(of_source.into_values());
    }
    all.sort_by(|a, b| b.open.cmp(&a.open).then_with(|| a.text.cmp(&b.text)));
    all
}

impl<'a> Group<'a> {
    fn new(source: &'a str, text: String, first: &Delivery) -> Group<'a> {
        Group { source, text, open: 0, oldest: first.timestamp, reasons: HashMap::new() }
    }

    fn add(&mut self, delivery: &Delivery) {
        self.open += 1;
        self.oldest = self.oldest.min(delivery.timestamp);
        *self.reasons.entry(delivery.reason).or_default() += 1;
    }

    fn most_frequent(&self) -> Option<Reason> {
        let most = self.reasons.iter().max_by_key(|&(reason, count)| (*count, *reason));
        most.map(|(&reason, _)| reason)
    }
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
        | Label::Reason => match facts.dims.value_text(label, value) {
            text if text.is_empty() => "(no URL)".to_owned(),
            text => text,
        },
    }
}

fn table(now: Timestamp, policy: &Policy, title: &str, groups: &[Group<'_>]) -> Markup {
    let all: u64 = groups.iter().map(|group| group.open).sum();
    let several = policy.sources.len() > 1;
    html! {
        div.scroll {
            table {
                caption { (title) }
                thead {
                    tr {
                        th scope="col" { "name" }
                        th.number scope="col" { "failing" }
                        th scope="col" { "mostly" }
                        th.number scope="col" { "oldest" }
                    }
                }
                tbody {
                    @for group in groups.iter().take(MOST_SHOWN) {
                        tr {
                            th scope="row" {
                                (name(&group.text))
                                @if several { " " span.moment { (name(group.source)) } }
                                (bar(group.open as f64, all as f64))
                            }
                            td.number { (number(group.open)) }
                            td {
                                @if let Some(reason) = group.most_frequent() { code { (reason) } }
                            }
                            td.number { (age(now.since(group.oldest))) }
                        }
                    }
                }
            }
            @if groups.len() > MOST_SHOWN {
                p.none { "+" (number((groups.len() - MOST_SHOWN) as u64)) " more" }
            }
        }
    }
}
