//! What stands around every page: its head, its foot, and the script that renews it.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::words;
use crate::domain::time::Timestamp;
use crate::metrics::state::revision;

/// In every page as it stands here: the policy of [`crate::web::headers`] knows its hash.
pub const STYLE: &str = include_str!("style.css");
/// The same.
pub const SCRIPT: &str = include_str!("script.js");

/// Where the script does it, more often, and without losing what is being typed.
const SECONDS_TO_REFRESH: u32 = 60;

/// A whole document around what it shows.
pub struct Frame<'a> {
    pub title: &'a str,
    /// As of when, where it tells how things stand.
    pub now: Option<Timestamp>,
    /// Whether it shows by itself what has changed.
    pub is_renewed: bool,
}

impl Frame<'_> {
    pub fn around(&self, body: &Markup) -> Markup {
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    (head(self.title))
                    @if self.is_renewed {
                        noscript { meta http-equiv="refresh" content=(SECONDS_TO_REFRESH); }
                    }
                }
                body data-renewed[self.is_renewed] {
                    (body)
                    @if let Some(now) = self.now { (footer(now, self.is_renewed)) }
                    @if self.is_renewed {
                        p #news role="status" {}
                        script { (PreEscaped(SCRIPT)) }
                    }
                }
            }
        }
    }
}

/// A page with little on it: where to log in, say.
pub fn sheet(title: &str, body: &Markup) -> Markup {
    let body = html! { main { header.unknown { p.brand { "postwatch" } (body) } } };
    Frame { title, now: None, is_renewed: false }.around(&body)
}

/// The top of a page that is not the first one.
pub fn top(now: Timestamp) -> Markup {
    html! {
        p.brand { a href="/" { "postwatch" } span.moment { (words::moment(now)) } }
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

fn footer(now: Timestamp, is_renewed: bool) -> Markup {
    html! {
        footer #foot {
            p {
                "postwatch " (env!("CARGO_PKG_VERSION")) " (" (revision()) ") · as of "
                (words::moment(now)) @if is_renewed { " · renews itself" } " · "
                a href="/metrics" { "metrics" } " · " a href="/login" { "who may read this" }
            }
        }
    }
}
