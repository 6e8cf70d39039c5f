//! From a notice to the text that every channel shows: what is broken, since
//! when, how much, why, and where to look. Pure; the renderings only lay it out.

use crate::domain::alert::builtin::POSTBACK_DEACTIVATED;
use crate::domain::notify::{AlertFacts, AlertStatus, Notice, NoticeReason, Reading, subjects};
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;

use super::Link;
use lead::{frame, lead};
use words::{Zone, span};

pub mod blocks;
mod cause;
pub mod html;
pub mod labelled;
mod lead;
pub mod own_words;
pub mod plain;
mod sample;
mod words;

pub use cause::likely_cause;
pub use sample::Example;
pub use words::{clean, is_direction_mark};

/// Alerts that are told in full; the worst come first.
const FULL: usize = 3;
/// Deliveries shown with an alert in full.
const EXAMPLES: usize = 3;
/// Alerts after those that get a row each.
const ROWS: usize = 20;
/// The longest headline: a subject that mail programs show whole has less.
const HEADLINE: usize = 150;

/// A message, laid out by no channel yet. Every string is cleaned and clipped,
/// and none is escaped: that is each rendering's own duty.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter {
    pub tone: Tone,
    /// The first line, which must do alone: `CRITICAL: …`.
    pub headline: String,
    /// The batch as it stands, whatever this message is about: for a root
    /// message that is edited.
    pub state: String,
    /// What happened since the last message, in a sentence or two.
    pub lead: Vec<String>,
    /// Lines of the receiver's own, in place of the alerts; empty where it has none.
    pub body: Vec<String>,
    /// Alerts in full.
    pub entries: Vec<Entry>,
    /// Further alerts, a row each.
    pub rows: Vec<Row>,
    /// Alerts that are only counted.
    pub more: usize,
    /// Our own page.
    pub link: String,
    pub footer: String,
}

/// What a message feels like: decides colour and emoji.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Critical,
    Warning,
    Info,
    /// Nothing fails any more, or nothing is left to watch, without a proof; or it is held back.
    Unproven,
    Cured,
}

impl Tone {
    /// Dark enough for white text on it, light enough for a dark page.
    pub fn colour(self) -> &'static str {
        match self {
            Tone::Critical => "#c62828",
            Tone::Warning => "#b45f06",
            Tone::Info => "#1a5fd0",
            Tone::Unproven => "#6b4fa3",
            Tone::Cured => "#1f7a3d",
        }
    }
}

/// One alert as a line.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub tone: Tone,
    /// `CRITICAL`, `QUIET`, `RESOLVED`, …
    pub badge: &'static str,
    pub title: String,
    /// Since when, or how it ended.
    pub status: String,
}

/// One alert in full.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    pub row: Row,
    /// `(what, how much, threshold)`.
    pub readings: Vec<(String, String, String)>,
    /// `Likely cause` or, once it is over, `Likely cause was`; and the cause with its share.
    pub cause: Option<(&'static str, String)>,
    /// What the reason means and who must act; nobody must where it is cured.
    pub advice: Option<String>,
    pub notes: Vec<String>,
    pub examples: Vec<Example>,
    /// `source acme · affiliate 7`.
    pub labels: String,
    pub rule: String,
    pub runbook: Option<String>,
}

/// Writes the message of `notice`; `link` is our own page.
pub fn compose(notice: &Notice, link: &Link) -> Letter {
    let zone = Zone::named(&notice.timezone);
    let alerts = &notice.alerts;
    // What is held back stands last, and nobody has to act on it: a line will do.
    let in_full = FULL.min(subjects(alerts).count());
    let full = alerts.iter().take(in_full).map(|alert| entry(notice, alert, &zone)).collect();
    let rows = alerts.iter().skip(in_full).take(ROWS);
    let rows = rows.map(|alert| short_row(notice, alert, &zone)).collect();
    Letter {
        tone: tone_of_all(alerts),
        headline: headline(notice),
        state: state(notice),
        lead: lead(notice, &zone),
        body: Vec::new(),
        entries: full,
        rows,
        more: alerts.len().saturating_sub(in_full + ROWS),
        link: link.as_str().to_owned(),
        footer: footer(notice, &zone),
    }
}

/// The first line, by why the message goes out.
fn headline(notice: &Notice) -> String {
    let of = subjects(&notice.alerts).count();
    let live = subjects(&notice.alerts).filter(|alert| is_live(alert)).count();
    let worst = worst(&notice.alerts);
    match notice.reason {
        NoticeReason::First => state(notice),
        NoticeReason::Escalated => titled(&format!("ESCALATED to {worst}: "), notice, ""),
        NoticeReason::NewAlerts => {
            let open = notice.alerts.iter().filter(|alert| is_live(alert)).count();
            titled(&format!("{worst}, {open} alerts now: "), notice, "")
        }
        NoticeReason::Reminder if live > 0 => {
            titled(&format!("STILL {worst}: "), notice, &format!(", for {}", age(notice)))
        }
        NoticeReason::Resolved if live > 0 => {
            let ended = of - live;
            titled(&format!("{ended} of {of} ENDED, still {worst}: "), notice, "")
        }
        NoticeReason::Reminder | NoticeReason::Resolved => state(notice),
    }
}

/// The batch as it stands now.
fn state(notice: &Notice) -> String {
    let Some(first) = notice.alerts.first() else {
        return "postwatch: nothing to report".to_owned();
    };
    let tail = match first.status {
        AlertStatus::Firing => String::new(),
        AlertStatus::Quiet => ": no failures any more, not proven cured".to_owned(),
        AlertStatus::Resolved { resolved_at } => {
            format!(", after {}", span(resolved_at.since(first.began_at)))
        }
        AlertStatus::Expired { .. } => ": no traffic, not proven cured".to_owned(),
        AlertStatus::Removed { .. } => ": no longer watched".to_owned(),
    };
    let prefix = match first.status {
        AlertStatus::Firing => worst(&notice.alerts),
        AlertStatus::Quiet
        | AlertStatus::Resolved { .. }
        | AlertStatus::Expired { .. }
        | AlertStatus::Removed { .. } => badge(first),
    };
    titled(&format!("{prefix}: "), notice, &tail)
}

/// `prefix`, the first alert's summary clipped so that `tail` stays readable,
/// and how many more there are, those apart that the message is not about.
fn titled(prefix: &str, notice: &Notice, tail: &str) -> String {
    let summary = notice.alerts.first().map_or("", |alert| alert.summary.as_str());
    let others = notice.alerts.iter().skip(1);
    let held_back = others.clone().filter(|alert| alert.is_held_back()).count();
    let others = match (others.count() - held_back, held_back) {
        (0, 0) => String::new(),
        (more, 0) => format!(" (+{more} more)"),
        (0, held_back) => format!(" (+{held_back} held back)"),
        (more, held_back) => format!(" (+{more} more, {held_back} held back)"),
    };
    let fixed = prefix.chars().count() + tail.chars().count() + others.chars().count();
    format!("{prefix}{}{tail}{others}", clean(summary, HEADLINE.saturating_sub(fixed).max(20)))
}

fn entry(notice: &Notice, alert: &AlertFacts, zone: &Zone) -> Entry {
    let cause = alert.cause.as_ref();
    let is_cured = tone(alert) == Tone::Cured;
    let word = if is_live(alert) { "Likely cause" } else { "Likely cause was" };
    let examples = alert.samples.iter().take(if is_cured { 0 } else { EXAMPLES });
    Entry {
        row: row(notice, alert, zone),
        readings: alert.readings.iter().take(6).map(reading).collect(),
        cause: cause.map(|cause| (word, likely_cause(cause))),
        advice: cause
            .filter(|_| !is_cured)
            .map(|cause| clean(&cause.advice, 400))
            .filter(|advice| !advice.is_empty()),
        notes: in_a_row(notice, alert, zone)
            .into_iter()
            .chain(alert.notes.iter().take(5).map(|note| clean(note, 300)))
            .collect(),
        examples: examples.map(|sample| sample::example(sample, zone)).collect(),
        labels: labels(alert),
        rule: clean(&alert.rule, 80),
        runbook: alert.runbook.as_deref().map(|runbook| clean(runbook, 500)),
    }
}

fn row(notice: &Notice, alert: &AlertFacts, zone: &Zone) -> Row {
    Row {
        tone: tone(alert),
        badge: badge(alert),
        title: clean(&alert.summary, 200),
        status: status(notice, alert, zone),
    }
}

/// The row of an alert that is not told in full: with what it must not lack.
fn short_row(notice: &Notice, alert: &AlertFacts, zone: &Zone) -> Row {
    let mut row = row(notice, alert, zone);
    if let Some(in_a_row) = &alert.in_a_row {
        row.status = format!("{}; {}", row.status, in_a_row.short());
    }
    if let Some(why) = &alert.held_back {
        row.status = format!("{}. {}", row.status, clean(why, 300));
    }
    row
}

/// The failures in a row, in both countings.
fn in_a_row(notice: &Notice, alert: &AlertFacts, zone: &Zone) -> Option<String> {
    let in_a_row = alert.in_a_row.as_ref()?;
    Some(match is_live(alert) {
        true => in_a_row.sentence(notice.created_at, |at| zone.clock(at)),
        false => in_a_row.sentence_at_end(),
    })
}

/// Since when and for how long, or how it ended and what that proves.
fn status(notice: &Notice, alert: &AlertFacts, zone: &Zone) -> String {
    let since = zone.minute(alert.began_at);
    let lasted = |until: Timestamp| span(until.since(alert.began_at));
    match alert.status {
        AlertStatus::Firing => format!("since {since}, for {}", lasted(notice.created_at)),
        AlertStatus::Quiet => {
            format!("since {since}; no failures any more, but no success proves a cure")
        }
        AlertStatus::Resolved { resolved_at } if alert.rule == POSTBACK_DEACTIVATED => format!(
            "active again since {}, after {} (switched off at {since})",
            zone.minute(resolved_at),
            lasted(resolved_at)
        ),
        AlertStatus::Resolved { resolved_at } => format!(
            "resolved at {}, after {} (since {since})",
            zone.minute(resolved_at),
            lasted(resolved_at)
        ),
        AlertStatus::Expired { resolved_at } => format!(
            "ended at {} without traffic: not proven cured (since {since})",
            zone.minute(resolved_at)
        ),
        AlertStatus::Removed { resolved_at } => format!(
            "ended at {}: its rule or source was taken out of the configuration, nothing was cured (since {since})",
            zone.minute(resolved_at)
        ),
    }
}

fn reading(reading: &Reading) -> (String, String, String) {
    let measure = clean(&reading.measure, 60).replace('_', " ");
    (measure, clean(&reading.value, 60), clean(&reading.threshold, 60))
}

fn labels(alert: &AlertFacts) -> String {
    let shown: Vec<String> = alert
        .labels
        .iter()
        .filter(|(name, _)| name != "rule" && name != "severity")
        .take(12)
        .map(|(name, value)| format!("{} {}", clean(name, 40), clean(value, 80)))
        .collect();
    shown.join(" · ")
}

/// Enough to find the message again and to know who got it.
fn footer(notice: &Notice, zone: &Zone) -> String {
    let at = zone.minute(notice.created_at);
    format!("postwatch · {at} · to {} · {}", clean(&notice.receiver, 80), clean(&notice.id, 80))
}

/// How long the oldest open alert has been going on.
fn age(notice: &Notice) -> String {
    let open = subjects(&notice.alerts).filter(|alert| is_live(alert));
    let open = open.map(|alert| alert.began_at);
    span(notice.created_at.since(open.min().unwrap_or(notice.created_at)))
}

fn is_live(alert: &AlertFacts) -> bool {
    match alert.status {
        AlertStatus::Firing | AlertStatus::Quiet => true,
        AlertStatus::Resolved { .. }
        | AlertStatus::Expired { .. }
        | AlertStatus::Removed { .. } => false,
    }
}

/// The highest severity among those that the message is about and that fire; of all that it
/// is about where none does.
fn worst(alerts: &[AlertFacts]) -> &'static str {
    let firing = subjects(alerts).filter(|alert| alert.status == AlertStatus::Firing);
    let highest = firing.map(|alert| alert.severity).max();
    let highest = highest.or_else(|| subjects(alerts).map(|alert| alert.severity).max());
    severity_word(highest.unwrap_or(Severity::Info))
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "INFO",
        Severity::Warning => "WARNING",
        Severity::Critical => "CRITICAL",
    }
}

fn badge(alert: &AlertFacts) -> &'static str {
    if alert.is_held_back() {
        return "HELD BACK";
    }
    match alert.status {
        AlertStatus::Firing => severity_word(alert.severity),
        AlertStatus::Quiet => "QUIET",
        AlertStatus::Resolved { .. } => "RESOLVED",
        AlertStatus::Expired { .. } => "EXPIRED",
        AlertStatus::Removed { .. } => "REMOVED",
    }
}

fn tone(alert: &AlertFacts) -> Tone {
    if alert.is_held_back() {
        return Tone::Unproven;
    }
    match (alert.status, alert.severity) {
        (AlertStatus::Firing, Severity::Critical) => Tone::Critical,
        (AlertStatus::Firing, Severity::Warning) => Tone::Warning,
        (AlertStatus::Firing, Severity::Info) => Tone::Info,
        (AlertStatus::Resolved { .. }, _) => Tone::Cured,
        (AlertStatus::Quiet | AlertStatus::Expired { .. } | AlertStatus::Removed { .. }, _) => {
            Tone::Unproven
        }
    }
}

/// The worst alert's tone; cured only where every single one is.
fn tone_of_all(alerts: &[AlertFacts]) -> Tone {
    let urgency = |tone: &Tone| match tone {
        Tone::Critical => 4,
        Tone::Warning => 3,
        Tone::Info => 2,
        Tone::Unproven => 1,
        Tone::Cured => 0,
    };
    alerts.iter().map(tone).max_by_key(urgency).unwrap_or(Tone::Info)
}
