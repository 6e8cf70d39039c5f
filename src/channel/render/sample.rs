//! A failing delivery as an example: enough to ask the partner about it.

use crate::domain::notify::Sample;

use super::words::{Zone, clean};

/// One delivery, every string cleaned and clipped.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    pub at: String,
    /// Absent where the stored texts are gone.
    pub conversion: Option<String>,
    /// `Offer (11) · Affiliate (7)`.
    pub whose: String,
    /// `3 failed tries, tls`.
    pub tries: String,
    /// Redacted.
    pub url: Option<String>,
    pub answer: Option<String>,
}

/// Puts one delivery into words.
pub fn example(sample: &Sample, zone: &Zone) -> Example {
    let text = sample.text.as_ref();
    let said = |text: Option<&String>, max| {
        text.map(|text| clean(text, max)).filter(|text| !text.is_empty())
    };
    let tries = match sample.failed_attempts {
        1 => "1 failed try".to_owned(),
        many => format!("{many} failed tries"),
    };
    Example {
        at: zone.second(sample.timestamp),
        conversion: said(text.map(|t| &t.conversion_id), 80),
        whose: format!("{} · {}", clean(&sample.offer, 100), clean(&sample.affiliate, 100)),
        tries: format!("{tries}, {}", clean(&sample.reason, 40)),
        url: said(text.map(|t| &t.url), 300),
        answer: said(text.map(|t| &t.answer), 300),
    }
}
