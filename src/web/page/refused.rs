//! The rules file that was not taken up, until it is mended.

use maud::{Markup, html};

use super::words::{ago, count, name};
use crate::domain::time::Timestamp;
use crate::web::Refusal;

/// Mistakes told; the rest is counted.
const MOST_SHOWN: usize = 20;

pub fn banner(now: Timestamp, refusal: &Refusal) -> Markup {
    let more = refusal.mistakes.len().saturating_sub(MOST_SHOWN) as u64;
    html! {
        article.alert.critical #refused {
            h3 { "The rules file was not taken up" }
            p {
                (name(&refusal.summary)) " Read " (ago(now, refusal.at))
                "; the rules before it stay in force."
            }
            ul {
                @for mistake in refusal.mistakes.iter().take(MOST_SHOWN) {
                    li { code { (name(&format!("{}:{mistake}", refusal.file))) } }
                }
            }
            @if more > 0 { p.none { "+" (count(more, "more mistake", "more mistakes")) } }
        }
    }
}
