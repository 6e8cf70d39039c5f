//! The answer to "is anything wrong?". It never says that all is well while a
//! source is blind, or not read yet: what nobody looked at is not known.

use maud::{Markup, html};

use super::Look;
use super::words::{age, count, moment};
use crate::domain::alert::Status;
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::rules::Severity;
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::metrics::state::is_blind;
use crate::pipeline::StoreHealth;

/// How much the reader should worry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    Well,
    Unknown,
    Warning,
    Critical,
}

/// The first line, and what it must not hide.
#[derive(Debug, PartialEq)]
pub struct Headline {
    pub tone: Tone,
    pub text: String,
    pub lead: Vec<String>,
}

/// How the alerts stand.
#[derive(Debug, Default)]
struct Tally {
    firing: u64,
    critical: u64,
    quiet: u64,
    pending: u64,
}

/// Sums up alerts, sight, store and outbox.
pub fn headline(now: Timestamp, policy: &Policy, state: &State, store: &StoreHealth) -> Headline {
    let alerts = Tally::of(state);
    let unseen: Vec<String> =
        policy.sources.iter().filter_map(|source| unseen(now, policy, state, source)).collect();
    let mut lead = unseen.clone();
    let undelivered =
        state.outbox.values().filter(|outgoing| outgoing.given_up.is_some()).count() as u64;
    if undelivered > 0 {
        let messages = count(undelivered, "message", "messages");
        lead.push(format!("{messages} could not be delivered: see the outbox."));
    }
    let is_rebuilt = !store.condition.set_aside.is_empty();
    lead.extend(set_aside(&store.condition.set_aside));
    if let Some(trouble) = &store.trouble {
        lead.insert(0, format!("What the store says: {trouble}"));
        let text = "The store does not work: nothing is read or sent until it does".to_owned();
        return Headline { tone: Tone::Critical, text, lead };
    }
    let is_seen = unseen.is_empty() && !policy.sources.is_empty();
    let text = match (alerts.told(), policy.sources.is_empty()) {
        (Some(told), _) => {
            lead.extend(is_seen.then(|| format!("{}.", read_whole(now, policy, state))));
            told
        }
        (None, true) => "Nothing is watched: no source is configured".to_owned(),
        (None, false) if !is_seen => "No alert, but not everything is in sight".to_owned(),
        (None, false) if is_rebuilt => "No alert, but the store was damaged and rebuilt".to_owned(),
        (None, false) => {
            lead.extend(below_the_rules(state, &alerts));
            format!("All quiet: {}", read_whole(now, policy, state))
        }
    };
    let tone = if alerts.critical > 0 {
        Tone::Critical
    } else if is_rebuilt || alerts.firing + alerts.quiet + undelivered > 0 {
        Tone::Warning
    } else if !is_seen {
        Tone::Unknown
    } else {
        Tone::Well
    };
    Headline { tone, text, lead }
}

/// Stays until somebody has looked at what was found damaged.
fn set_aside(folders: &[String]) -> Option<String> {
    let newest = folders.last()?;
    Some(format!(
        "The store was found damaged and was rebuilt. What it held lies in {newest} in the data \
         folder: see the log of that time, then remove that folder, and this line goes."
    ))
}

impl Tally {
    fn of(state: &State) -> Tally {
        let mut tally = Tally::default();
        for alert in state.alerts.values() {
            match alert.status {
                Status::Pending => tally.pending += 1,
                Status::Firing { severity, .. } => {
                    tally.firing += 1;
                    tally.critical += u64::from(severity == Severity::Critical);
                }
                Status::Quiet { .. } => tally.quiet += 1,
                Status::Ended { .. } => {}
            }
        }
        tally
    }

    /// `None` where nothing fires and nothing is quiet.
    fn told(&self) -> Option<String> {
        let firing = count(self.firing, "alert firing", "alerts firing");
        let critical = match self.critical {
            0 => String::new(),
            all if all == self.firing => ", critical".to_owned(),
            n => format!(", {n} of them critical"),
        };
        match (self.firing, self.quiet) {
            (0, 0) => None,
            (0, quiet) => Some(format!(
                "{} not proven cured",
                count(quiet, "alert is quiet,", "alerts are quiet,")
            )),
            (_, 0) => Some(format!("{firing}{critical}")),
            (_, quiet) => Some(format!("{firing}{critical}, {quiet} quiet")),
        }
    }
}

/// What is not in sight, for pages that would else pass for the whole truth.
pub fn unseen_lines(look: &Look<'_>) -> Vec<String> {
    let Look { now, policy, state, .. } = *look;
    policy.sources.iter().filter_map(|source| unseen(now, policy, state, source)).collect()
}

/// Why nobody can tell how the source is; `None` where it is in sight.
fn unseen(now: Timestamp, policy: &Policy, state: &State, source: &SourcePolicy) -> Option<String> {
    let name = &source.name;
    let Some(known) = state.sources.get(name) else {
        return Some(format!("{name} was not read yet."));
    };
    let whole_at = known.sight(policy, name).whole_at;
    let since = whole_at.map(|at| now.since(at));
    let waited = since.map_or("not read whole yet".to_owned(), |since| {
        format!("not read whole for {}", age(since))
    });
    let is_late = since.is_none_or(|since| since > source.poll_every * 3 + source.settle);
    match (&known.sight.trouble, is_blind(state, name)) {
        (None, _) if !known.facts.gap().is_zero() => Some(format!(
            "{name}: the last {} are still being read after an outage; alerts about now come after that.",
            age(now.since(known.facts.watermark.unwrap_or(now)))
        )),
        (_, true) => Some(format!("{name} is blind, {waited}: failures there show nowhere.")),
        (Some(trouble), false) => Some(format!("{name}: {waited}. The last poll said: {trouble}")),
        (None, false) if is_late => Some(format!("{name}: {waited}.")),
        (None, false) => None,
    }
}

/// What goes on without any alert; `None` where nothing does.
fn below_the_rules(state: &State, alerts: &Tally) -> Option<String> {
    if alerts.pending > 0 {
        return Some(format!("{} pending.", count(alerts.pending, "alert is", "alerts are")));
    }
    let sources = state.sources.values();
    let open: u64 = sources.map(|source| source.facts.deliveries.open().count() as u64).sum();
    let failing = count(open, "delivery is failing", "deliveries are failing");
    (open > 0).then(|| format!("{failing}, which no rule finds too much."))
}

fn read_whole(now: Timestamp, policy: &Policy, state: &State) -> String {
    let whole = policy.sources.iter().filter_map(|source| {
        state.sources.get(&source.name).and_then(|known| known.sight(policy, &source.name).whole_at)
    });
    let oldest = whole.min().map(|at| age(now.since(at))).unwrap_or_default();
    match policy.sources.len() {
        1 => format!("{} was read whole {oldest} ago", policy.sources[0].name),
        _ => format!("every source was read whole within the last {oldest}"),
    }
}

impl Headline {
    /// What is worth a word to somebody who does not see the page when it changes: not how
    /// many seconds ago something was read.
    fn said(&self) -> &str {
        match self.tone {
            Tone::Well => "All quiet",
            Tone::Unknown | Tone::Warning | Tone::Critical => &self.text,
        }
    }

    /// The top of the page.
    pub fn markup(&self, now: Timestamp) -> Markup {
        html! {
            header #top class=(self.tone.class()) data-said=(self.said()) {
                p.brand { span { "postwatch" } span.moment { (moment(now)) } }
                h1 { (self.text) }
                @for line in &self.lead { p { bdi { (line) } } }
            }
        }
    }
}

impl Tone {
    fn class(self) -> &'static str {
        match self {
            Tone::Well => "well",
            Tone::Unknown => "unknown",
            Tone::Warning => "warning",
            Tone::Critical => "critical",
        }
    }
}
