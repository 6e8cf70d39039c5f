//! Deliveries as examples: enough to ask the partner about them, with every value of the
//! URL hidden, as messages show them.

use maud::{Markup, html};

use super::Texts;
use super::words::{count, moment, name};
use crate::channel::render::clean;
use crate::domain::notify::Sample;
use crate::domain::search::DeliveryWords;

/// As messages do.
const MOST_SHOWN: usize = 3;
const LONGEST: usize = 300;

/// Those that can be shown.
pub fn shown(samples: &[Sample]) -> &[Sample] {
    &samples[..samples.len().min(MOST_SHOWN)]
}

pub fn list(samples: &[Sample], texts: &Texts) -> Markup {
    html! {
        ul.samples {
            @for sample in shown(samples) { li { (one(sample, texts.get(&sample.delivery))) } }
        }
    }
}

fn one(sample: &Sample, text: Option<&DeliveryWords>) -> Markup {
    html! {
        p {
            (moment(sample.timestamp)) ", "
            (count(u64::from(sample.failed_attempts), "failed try", "failed tries")) ", "
            code { (sample.reason) }
            @if let Some(id) = text.map(|text| &text.conversion_id).filter(|id| !id.is_empty()) {
                ", conversion " code { (name(&clean(id, 80))) }
            }
        }
        p.dim { (name(&clean(&sample.offer, 100))) " · " (name(&clean(&sample.affiliate, 100))) }
        (said(text))
    }
}

/// What was called, and what it answered.
pub fn said(text: Option<&DeliveryWords>) -> Markup {
    html! {
        @match text {
            Some(text) => {
                // What is no URL is hidden whole.
                @if text.url.len() > "…".len() { p { code { (name(&clean(&text.url, LONGEST))) } } }
                @if !text.answer.is_empty() {
                    p { "answer: " code { (name(&clean(&text.answer, LONGEST))) } }
                }
            },
            None => p.none { "Its URL and the answer could not be read now." },
        }
    }
}
