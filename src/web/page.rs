//! What a browser shows: what is wrong, for whom, why, and how far that is known. Rendered
//! here whole, so that it can be read without a script; never a payload or a key.

use std::collections::{BTreeMap, HashMap};

use maud::{Markup, html};

use crate::domain::delivery::Identity;
use crate::domain::policy::Policy;
use crate::domain::search::DeliveryWords;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::pipeline::StoreHealth;
use crate::web::Refusal;

mod alerts;
mod chart;
mod explained;
pub mod found;
mod frame;
mod headline;
pub mod one_alert;
mod outbox;
mod past;
mod postbacks;
mod ranked;
mod refused;
mod rules;
mod samples;
mod silences;
mod sources;
mod words;

pub use alerts::texts_of_first;
pub use frame::{SCRIPT, STYLE, sheet};

use frame::Frame;
use past::Past;

/// The stored texts of deliveries, made safe to show, as far as they could be read.
pub type Texts = HashMap<Identity, DeliveryWords>;

/// What a page is made from, as of `now`, the wall clock.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    pub now: Timestamp,
    pub policy: &'a Policy,
    pub state: &'a State,
    pub store: &'a StoreHealth,
    pub refusal: Option<&'a Refusal>,
    pub texts: &'a Texts,
    /// The kind of each receiver's channel.
    pub receivers: &'a BTreeMap<String, &'static str>,
}

/// The status page.
pub fn page(look: &Look<'_>) -> Markup {
    let Look { now, policy, state, store, .. } = *look;
    let headline = headline::headline(now, policy, state, store);
    let past = Past::of(look);
    let body = html! {
        (headline.markup(now))
        @if let Some(refusal) = look.refusal { (refused::banner(now, refusal)) }
        (contents())
        main #main {
            (alerts::section(look, &past))
            (found::section())
            (ranked::section(look, &past))
            (postbacks::section(now, policy, state))
            (silences::section(now, state))
            (sources::section(now, policy, state))
            (outbox::section(now, state))
            (rules::section(look))
        }
    };
    Frame { title: &headline.text, now: Some(now), is_renewed: true }.around(&body)
}

/// Where each section is.
fn contents() -> Markup {
    let sections = [
        ("alerts", "Alerts"),
        ("find", "Find a delivery"),
        ("failing", "What fails"),
        ("postbacks", "Postbacks"),
        ("silences", "Silences"),
        ("sources", "Sources"),
        ("outbox", "Outbox"),
        ("rules", "Rules"),
    ];
    html! {
        nav #contents aria-label="sections" {
            @for (id, name) in sections { a href={ "#" (id) } { (name) } " " }
        }
    }
}
