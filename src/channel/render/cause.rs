//! The likely cause as one line.

use super::words::clean;
use crate::domain::notify::{Cause, Part};

/// What explains the alert, how much of it, and whom it hits.
pub fn likely_cause(cause: &Cause) -> String {
    let reason = clean(&cause.reason, 40);
    let mut text = match cause.part.by.as_str() {
        "network" => format!("the whole network, most often {reason}"),
        "reason" => part(&cause.part, "the failures"),
        _ => format!("{}, mostly {reason}", part(&cause.part, "the failures")),
    };
    text.push_str(&hit(cause));
    if let Some(within) = &cause.within {
        text.push_str(&format!("; of these {}", part(within, "the failures")));
    }
    text
}

/// `host a.example: 92 % of the failures (6 % of all deliveries)`.
fn part(part: &Part, of: &str) -> String {
    let percent = |share: f64| (share.clamp(0.0, 1.0) * 100.0).round() as u8;
    let (by, shown) = (clean(&part.by, 40), clean(&part.shown, 120));
    let usual = part.usual.map(|usual| format!(" ({} % of all deliveries)", percent(usual)));
    format!("{by} {shown}: {} % of {of}{}", percent(part.share), usual.unwrap_or_default())
}

/// Whom it hits, where that is more than one.
fn hit(cause: &Cause) -> String {
    let counted = |count: usize, word: &str| (count > 1).then(|| format!("{count} {word}"));
    let affiliates = counted(cause.affiliates, "affiliates");
    let hosts = counted(cause.hosts, "hosts");
    match (affiliates, hosts) {
        (Some(affiliates), Some(hosts)) => format!(", for {affiliates} on {hosts}"),
        (Some(one), None) => format!(", for {one}"),
        (None, Some(one)) => format!(", on {one}"),
        (None, None) => String::new(),
    }
}
