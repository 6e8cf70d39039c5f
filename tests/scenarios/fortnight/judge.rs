//! What was told of a fortnight, held against what happened in it.

use postwatch::domain::notify::NoticeReason;
use postwatch::replay::{Told, ToldAlert, ToldMessage};

use super::feed::{START, watch};
use super::script::{self, Expected, Scripted};

/// An alert whose failures began this much before its incident, by the windows, or so
/// long after it, by retries that go on to fail, is still of it.
const BEFORE: u64 = 15 * 60;
const AFTER: u64 = 32 * 3600;
const SOON_AFTER: u64 = 40 * 60;

/// What came of one incident.
#[derive(Debug)]
pub struct Outcome {
    pub kind: &'static str,
    pub needs_person: bool,
    /// Seconds from its beginning to the first message about it.
    pub delay: Option<u64>,
    /// Without reminders, which ask again what is known.
    pub messages: usize,
    pub is_cause_true: bool,
    /// What was told, and as what.
    pub causes: Vec<String>,
    /// Each message with its time, for whoever tunes the rules.
    pub log: Vec<String>,
    pub began: String,
    pub is_over: bool,
}

/// What came of a fortnight.
#[derive(Debug)]
pub struct Judged {
    pub results: Vec<Outcome>,
    /// Messages about nothing that needs a person.
    pub false_messages: Vec<String>,
}

impl Judged {
    pub fn told(&self) -> impl Iterator<Item = &Outcome> {
        self.results.iter().filter(|result| result.needs_person)
    }

    /// Every promise that was not kept.
    pub fn wrong(&self) -> Vec<String> {
        let mut wrong = self.false_messages.clone();
        for result in self.told() {
            if result.delay.is_none() {
                wrong.push(format!("{} was not told", result.kind));
            } else if !result.is_cause_true {
                wrong.push(format!("{}: told as {:?}", result.kind, result.causes));
            } else if !result.is_over {
                wrong.push(format!("{}: its end was not told", result.kind));
            }
        }
        wrong
    }
}

/// Runs the fortnight of a seed.
pub fn judge(seed: u64) -> Judged {
    let script = script::write(seed);
    let told = watch(&script);
    let of: Vec<Option<usize>> =
        told.alerts.iter().map(|alert| incident_of(&script.incidents, alert)).collect();
    let mut false_messages = Vec::new();
    for message in &told.messages {
        let is_of_none = message
            .alerts
            .iter()
            .all(|&alert| of[alert].is_none_or(|place| !needs_person(&script.incidents[place])));
        if is_of_none {
            let about: Vec<String> =
                message.alerts.iter().map(|&alert| shown(&told.alerts[alert])).collect();
            let at = message.at.0 - START.0;
            false_messages.push(format!("{} false, {}", clock(at as u64), about.join(", ")));
        }
    }
    let results = script.incidents.iter().enumerate();
    let results = results.map(|(place, incident)| outcome(&told, &of, place, incident)).collect();
    Judged { results, false_messages }
}

fn outcome(told: &Told, of: &[Option<usize>], place: usize, incident: &Scripted) -> Outcome {
    let is_of = |alert: &usize| of[*alert] == Some(place);
    let messages: Vec<_> =
        told.messages.iter().filter(|message| message.alerts.iter().any(is_of)).collect();
    let heard = |alert: &usize| messages.iter().any(|message| message.alerts.contains(alert));
    let told_alerts: Vec<usize> = (0..told.alerts.len()).filter(is_of).filter(heard).collect();
    let (whom, causes) = match &incident.expected {
        Expected::Silence => (&[][..], &[][..]),
        Expected::Told { whom, causes } => (&whom[..], &causes[..]),
    };
    let is_meant = |alert: &&usize| {
        let alert = &told.alerts[**alert];
        whom.iter().any(|(label, value)| label_of(alert, label) == Some(value.as_str()))
            || names(alert, whom)
    };
    let meant: Vec<&usize> = told_alerts.iter().filter(is_meant).collect();
    let first = messages.iter().find(|message| message.alerts.iter().any(|a| meant.contains(&a)));
    let is_reminder = |message: &&&ToldMessage| message.reason == NoticeReason::Reminder;
    let reminders = messages.iter().filter(is_reminder).count();
    let is_true = |alert: &&usize| causes.is_empty() || names(&told.alerts[**alert], causes);
    Outcome {
        kind: incident.kind,
        needs_person: needs_person(incident),
        delay: first.map(|message| (message.at.0 - START.0) as u64 - incident.starts),
        messages: messages.len() - reminders,
        began: clock(incident.starts),
        log: messages.iter().map(|message| log(told, message)).collect(),
        is_cause_true: meant.iter().any(is_true),
        causes: told_alerts.iter().map(|&alert| shown(&told.alerts[alert])).collect(),
        is_over: told_alerts.iter().all(|&alert| told.alerts[alert].resolved_at.is_some()),
    }
}

fn needs_person(incident: &Scripted) -> bool {
    matches!(incident.expected, Expected::Told { .. })
}

/// The incident that an alert is of: one whose labels it bears, else the one that was
/// under way when it began.
fn incident_of(incidents: &[Scripted], alert: &ToldAlert) -> Option<usize> {
    let began = (alert.began_at.0 - START.0) as u64;
    let covers = |incident: &Scripted, after: u64| {
        (incident.starts.saturating_sub(BEFORE)..incident.ends + after).contains(&began)
    };
    let by_label = incidents.iter().rposition(|incident| match &incident.expected {
        Expected::Silence => false,
        Expected::Told { whom, .. } => {
            covers(incident, AFTER)
                && whom.iter().all(|(label, value)| label_of(alert, label) == Some(value.as_str()))
        }
    });
    by_label.or_else(|| incidents.iter().rposition(|incident| covers(incident, SOON_AFTER)))
}

fn label_of<'a>(alert: &'a ToldAlert, label: &str) -> Option<&'a str> {
    match label {
        "rule" => Some(&alert.rule),
        label => alert.labels.get(label).map(String::as_str),
    }
}

/// Whether the alert names one of these as its cause; `*` is any value.
fn names(alert: &ToldAlert, causes: &[(&'static str, String)]) -> bool {
    let Some(cause) = &alert.cause else { return false };
    let parts = std::iter::once(&cause.part).chain(&cause.within);
    parts.into_iter().any(|part| {
        causes.iter().any(|(by, value)| part.by == *by && (value == "*" || part.value == *value))
    })
}

fn shown(alert: &ToldAlert) -> String {
    let cause = alert.cause.as_ref().map_or(String::new(), |cause| {
        let within =
            cause.within.as_ref().map_or(String::new(), |w| format!("/{} {}", w.by, w.value));
        format!(" by {} {} {:.2}{within}", cause.part.by, cause.part.value, cause.part.share)
    });
    let labels: Vec<String> = ["affiliate", "host", "offer", "postback", "reason"]
        .iter()
        .filter_map(|label| Some(format!("{label}={}", alert.labels.get(*label)?)))
        .collect();
    let began = clock((alert.began_at.0 - START.0) as u64);
    format!("{} {} {{{}}} since {began}{cause}", alert.rule, alert.severity, labels.join(" "))
}

fn log(told: &Told, message: &ToldMessage) -> String {
    let about = message.alerts.iter().map(|&alert| {
        let alert = &told.alerts[alert];
        let end = alert.resolved_at.map_or("–".into(), |at| clock((at.0 - START.0) as u64));
        format!("\n        {} to {end}", shown(alert))
    });
    let at = clock((message.at.0 - START.0) as u64);
    format!("{at} {}{}", message.reason.as_str(), about.collect::<String>())
}

/// `day 3 04:15`.
fn clock(seconds: u64) -> String {
    format!("day {} {:02}:{:02}", seconds / 86_400, seconds % 86_400 / 3600, seconds % 3600 / 60)
}
