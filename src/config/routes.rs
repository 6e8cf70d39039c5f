//! `notify:` and `routes:` → which alerts go to whom, and in what rhythm.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::policy::{Matches, Route, Timing};
use crate::domain::rules::Rule;

use super::decode::{Decoder, Entry, Fields, Shape};
use super::labels::{self, Unfit};
use super::names;
use super::receivers::Placed;
use super::rules::{BUILT_IN, severities};
use super::yaml::shorten;

pub const NOTIFY: Shape = Shape {
    what: "`notify`",
    known: &["batch_by", "batch_wait", "min_gap", "remind_every", "timezone"],
    later: &[],
};

pub const ROUTE: Shape = Shape {
    what: "a route",
    known: &[
        "match",
        "to",
        "fallback",
        "continue",
        "batch_by",
        "batch_wait",
        "min_gap",
        "remind_every",
        "timezone",
    ],
    later: &[],
};

/// What routes are checked against.
pub struct Around<'s> {
    pub rules: &'s [Rule],
    pub receivers: &'s [Placed],
    pub sources: Vec<String>,
}

/// Every route, with the timing of `notify` where it has none of its own.
pub fn routes(d: &mut Decoder<'_>, root: &Fields<'_>, around: &Around<'_>) -> Vec<Route> {
    let mut shared = Timing::default();
    if let Some(fields) = root.get("notify").and_then(|entry| d.map(entry, &NOTIFY)) {
        shared = timing(d, &fields, &shared, around);
    }
    let Some(entry) = root.get("routes") else { return Vec::new() };
    let mut found = Vec::new();
    for (index, item) in d.items(entry).into_iter().enumerate() {
        d.enter(&format!("route {}", index + 1));
        if let Some(fields) = d.map(item, &ROUTE) {
            found.push(route(d, &fields, &shared, around));
        }
        d.enter("");
    }
    found
}

fn route(d: &mut Decoder<'_>, fields: &Fields<'_>, shared: &Timing, around: &Around<'_>) -> Route {
    let to = d.required(fields, "to", "to: [on-call]");
    let to = to.map(|entry| {
        let items = d.some_items(entry);
        named(d, items, around)
    });
    let fallback = fields.get("fallback").map(|entry| {
        let items = d.items(entry);
        named(d, items, around)
    });
    let to = to.unwrap_or_default();
    let fallback = fallback.unwrap_or_default();
    if let Some(same) = fallback.iter().find(|name| to.contains(name)) {
        let at = fields.get("fallback").map_or(fields.at, |entry| entry.at);
        let message = format!("`{same}` is its own fallback");
        d.wrong(at, message, "name another receiver, or remove it from `fallback`");
    }
    Route {
        matches: fields
            .get("match")
            .map(|entry| matches(d, entry, around, Unfit::Wrong))
            .unwrap_or_default(),
        to,
        fallback,
        continue_: fields.get("continue").and_then(|entry| d.switch(entry)).unwrap_or(false),
        timing: timing(d, fields, shared, around),
    }
}

/// The zones in which the routes' messages write times, by their names.
pub fn zones(routes: &[Route]) -> BTreeMap<String, TimeZone> {
    let names = routes.iter().map(|route| &route.timing.timezone);
    names.filter_map(|name| Some((name.clone(), TimeZone::get(name).ok()?))).collect()
}

fn named(d: &mut Decoder<'_>, items: Vec<Entry<'_>>, around: &Around<'_>) -> Vec<String> {
    let known: Vec<&str> = around.receivers.iter().map(|placed| placed.name.as_str()).collect();
    let mut found = BTreeSet::new();
    let mut names = Vec::new();
    for item in items {
        let Some(name) = d.word(item) else { continue };
        if !known.contains(&name.as_str()) {
            let message = format!("`{}`: there is no receiver `{}`", item.name, d.show(item));
            let hint = match known.is_empty() {
                true => "add it under `receivers:`".to_string(),
                false => names::suggest(&name, &known),
            };
            d.wrong(item.at, message, hint);
        } else if !found.insert(name.clone()) {
            let message = format!("`{}` names `{}` twice", item.name, d.show(item));
            d.wrong(item.at, message, "remove one of them");
        } else {
            names.push(name);
        }
    }
    names
}

/// Labels of alerts and the patterns that they must fit; `rule` says what a pattern is
/// that means no rule of the file.
pub fn matches(d: &mut Decoder<'_>, entry: Entry<'_>, around: &Around<'_>, rule: Unfit) -> Matches {
    let key = entry.name;
    let Some(fields) = d.any_map(entry, &format!("`{key}`")) else { return Matches::new() };
    let known = labels::of_alerts(around.rules);
    let mut found = Matches::new();
    for ((label, _), value) in fields.entries.iter().zip(fields.iter()) {
        if !known.contains(&label.name) {
            unknown_label(d, label.at, (key, &label.name), &known);
            continue;
        }
        let unfit = if label.name == "rule" { rule } else { Unfit::Wrong };
        let globs = labels::globs(d, value, &values(&label.name, around), unfit);
        found.insert(label.name.clone(), globs);
    }
    found
}

fn unknown_label(
    d: &mut Decoder<'_>,
    at: super::report::Place,
    (key, name): (&str, &str),
    known: &[String],
) {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let message = format!("`{key}`: no alert has a label `{}`", shorten(name));
    d.wrong(at, message, names::suggest(name, &known));
}

/// All values that a label can have, where they are known.
fn values(label: &str, around: &Around<'_>) -> Vec<String> {
    match label {
        "severity" => severities().iter().map(|(name, _)| name.to_string()).collect(),
        "source" => around.sources.clone(),
        "reason" => labels::reasons(),
        "rule" => {
            let own = around.rules.iter().map(|rule| rule.name.clone());
            own.chain(BUILT_IN.map(String::from)).collect()
        }
        _ => Vec::new(),
    }
}

fn timing(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    shared: &Timing,
    around: &Around<'_>,
) -> Timing {
    let time = |d: &mut Decoder<'_>, name: &str, least: u64, default: Duration| {
        let entry = fields.get(name);
        entry.and_then(|entry| d.duration(entry, Duration::from_secs(least))).unwrap_or(default)
    };
    Timing {
        batch_by: fields
            .get("batch_by")
            .map_or_else(|| shared.batch_by.clone(), |entry| alert_labels(d, entry, around)),
        batch_wait: time(d, "batch_wait", 0, shared.batch_wait),
        min_gap: time(d, "min_gap", 0, shared.min_gap),
        remind_every: time(d, "remind_every", 1, shared.remind_every),
        timezone: fields
            .get("timezone")
            .and_then(|entry| timezone(d, entry))
            .unwrap_or_else(|| shared.timezone.clone()),
    }
}

/// A list of labels that alerts have.
pub fn alert_labels(d: &mut Decoder<'_>, entry: Entry<'_>, around: &Around<'_>) -> Vec<String> {
    let known = labels::of_alerts(around.rules);
    let mut found = Vec::new();
    for item in d.items(entry) {
        let Some(name) = d.word(item) else { continue };
        if !known.contains(&name) {
            unknown_label(d, item.at, (entry.name, &d.show(item)), &known);
        } else if found.contains(&name) {
            let message = format!("`{}` names `{}` twice", entry.name, d.show(item));
            d.wrong(item.at, message, "remove one of them");
        } else {
            found.push(name);
        }
    }
    found
}

/// The IANA name of a time zone that this machine knows.
pub fn timezone(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<String> {
    let name = d.word(entry)?;
    if TimeZone::get(&name).is_err() {
        let message = format!("`timezone: {}` is no time zone", d.show(entry));
        d.wrong(entry.at, message, "write its IANA name, as in `Europe/Berlin` or `UTC`");
        return None;
    }
    Some(name)
}
