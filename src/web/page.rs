//! The status page: what is wrong, for whom, why, and how far that is known.
//! One document without scripts; never a payload, a conversion or a key.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::domain::policy::Policy;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::metrics::state::revision;
use crate::pipeline::StoreHealth;
use crate::web::Refusal;

mod alerts;
mod failing;
mod headline;
mod outbox;
mod postbacks;
mod refused;
mod silences;
mod sources;
mod words;

/// In every page as it stands here: the policy of [`super::headers`] knows its hash.
pub const STYLE: &str = include_str!("page/style.css");
const SECONDS_TO_REFRESH: u32 = 30;

/// The page as of `now`, the wall clock.
pub fn page(
    now: Timestamp,
    policy: &Policy,
    state: &State,
    store: &StoreHealth,
    refusal: Option<&Refusal>,
) -> Markup {
    let headline = headline::headline(now, policy, state, store);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                (head(&headline.text))
                meta http-equiv="refresh" content=(SECONDS_TO_REFRESH);
            }
            body {
                (headline.markup(now))
                @if let Some(refusal) = refusal { (refused::banner(now, refusal)) }
                main {
                    (alerts::section(now, policy, state))
                    (silences::section(now, state))
                    (sources::section(now, policy, state))
                    (failing::section(now, policy, state))
                    (postbacks::section(now, policy, state))
                    (outbox::section(now, state))
                }
                (footer(now))
            }
        }
    }
}

/// A page with little on it: where to log in, say.
pub fn sheet(title: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head { (head(title)) }
            body { main { header.unknown { p.brand { "postwatch" } (body) } } }
        }
    }
}

fn head(title: &str) -> Markup {
    html! {
        meta charset="utf-8";
        meta name="viewport" content="width=device-width, initial-scale=1";
        meta name="color-scheme" content="light dark";
        title { (title) " · postwatch" }
        style { (PreEscaped(STYLE)) }
    }
}

fn footer(now: Timestamp) -> Markup {
    html! {
        footer {
            p {
                "postwatch " (env!("CARGO_PKG_VERSION")) " (" (revision()) ") · as of "
                (words::moment(now)) " · renews itself every " (SECONDS_TO_REFRESH) " s · "
                a href="/metrics" { "metrics" } " · " a href="/login" { "who may read this" }
            }
        }
    }
}
