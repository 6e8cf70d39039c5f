//! `rules:` → checked rules: names, groups, levels and what they compare.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::tz::TimeZone;
use url::Url;

use crate::domain::policy::SourcePolicy;
use crate::domain::rules::{Condition, Glob, Label, Level, Measure, Rule, Severity};
use crate::domain::summary::{self, Moments, RESERVED, Vars};
use crate::domain::time::Timestamp;

use super::comparison;
use super::decode::{Decoder, Entry, Fields, Shape};
use super::duration::write_duration;
use super::labels::{self, Unfit};
use super::names;
use super::sources::{is_http, name};
use super::yaml::shorten;

pub const RULE: Shape = Shape {
    what: "a rule",
    known: &[
        "name",
        "summary",
        "match",
        "per",
        "over",
        "levels",
        "when",
        "severity",
        "for",
        "keep_firing_for",
        "labels",
        "runbook",
    ],
    later: &[],
};

/// Rules that postwatch brings itself.
pub const BUILT_IN: [&str; 2] = ["source-blind", "postback-deactivated"];

const MAX_LABELS: usize = 32;
const MINUTE: u64 = 60;
/// Without a measure over a window it hardly matters, so it need not be written.
const DEFAULT_OVER: Duration = Duration::from_secs(15 * MINUTE);
const DEFAULT_KEEP: Duration = Duration::from_secs(10 * MINUTE);

/// What the rules are checked against.
pub struct Around<'s> {
    pub sources: &'s [SourcePolicy],
    pub evaluate_every: Duration,
}

/// Every rule of the file.
pub fn rules(d: &mut Decoder<'_>, root: &Fields<'_>, around: &Around<'_>) -> Vec<Rule> {
    let Some(entry) = root.get("rules") else {
        d.warn(root.at, "there are no `rules`", "only the built-in ones are watched");
        return Vec::new();
    };
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for item in d.items(entry) {
        d.enter_item("rule", item);
        if let Some(fields) = d.map(item, &RULE) {
            found.push(rule(d, &fields, &mut names, around));
        }
        d.enter("");
    }
    found
}

fn rule(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    names: &mut BTreeSet<String>,
    around: &Around<'_>,
) -> Rule {
    let before = d.mistakes.len();
    let name = name(d, fields, "rule", names);
    if let Some(entry) = fields.get("name").filter(|_| BUILT_IN.contains(&name.as_str())) {
        d.wrong(entry.at, "this is the name of a built-in rule", "give it another name");
    }
    let levels = levels(d, fields);
    let rule = Rule {
        name,
        summary: fields.get("summary").and_then(|entry| d.text(entry)),
        matches: matches(d, fields, around),
        per: per(d, fields),
        over: over(d, fields, &levels, around),
        levels,
        hold_for: duration(d, fields, "for", Duration::ZERO),
        keep_firing_for: duration(d, fields, "keep_firing_for", DEFAULT_KEEP),
        labels: own_labels(d, fields),
        runbook: fields.get("runbook").and_then(|entry| web_address(d, entry)),
    };
    try_summary(d, fields, &rule);
    if d.mistakes.len() == before {
        super::warnings::of_rule(d, fields, &rule, around);
    }
    rule
}

fn duration(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str, default: Duration) -> Duration {
    let entry = fields.get(name);
    entry.and_then(|entry| d.duration(entry, Duration::ZERO)).unwrap_or(default)
}

/// `levels`, or `when` and `severity`. Lowest first.
fn levels(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Level> {
    let (levels, when) = (fields.get("levels"), fields.get("when"));
    let severity = fields.get("severity");
    match (levels, when, severity) {
        (Some(_), Some(other), _) | (Some(_), None, Some(other)) => {
            let message = format!("both `levels` and `{}` are here", other.name);
            d.wrong(other.at, message, "`levels` stands alone; `when` goes with `severity`");
            Vec::new()
        }
        (Some(levels), None, None) => many_levels(d, levels),
        (None, Some(when), severity) => {
            if severity.is_none() {
                d.wrong(when.at, "`severity` is missing", "write `severity: warning`");
            }
            let severity = severity.and_then(|entry| d.choice(entry, &severities()));
            let severity = severity.unwrap_or(Severity::Warning);
            vec![Level { severity, conditions: conditions(d, when) }]
        }
        (None, None, _) => {
            let hint =
                "write `when: { failures: \">= 5\" }` and `severity: warning`, or `levels: …`";
            d.wrong(fields.at, "the rule has no condition", hint);
            Vec::new()
        }
    }
}

/// The severities by their names.
pub fn severities() -> [(&'static str, Severity); 3] {
    Severity::ALL.map(|severity| (severity.as_str(), severity))
}

fn many_levels(d: &mut Decoder<'_>, entry: Entry<'_>) -> Vec<Level> {
    let Some(fields) = d.any_map(entry, "`levels`") else { return Vec::new() };
    let known: Vec<&str> = Severity::ALL.iter().map(|severity| severity.as_str()).collect();
    if fields.entries.is_empty() {
        d.wrong(entry.at, "`levels` is empty", "write `warning: { failures: \">= 5\" }`");
    }
    let mut levels = Vec::new();
    for ((key, _), level) in fields.entries.iter().zip(fields.iter()) {
        match severities().into_iter().find(|(name, _)| *name == key.name) {
            Some((_, severity)) => {
                levels.push(Level { severity, conditions: conditions(d, level) });
            }
            None => {
                let message = format!("`{}` is no severity", shorten(&key.name));
                d.wrong(key.at, message, names::suggest(&key.name, &known));
            }
        }
    }
    levels.sort_by_key(|level| level.severity);
    levels
}

fn conditions(d: &mut Decoder<'_>, entry: Entry<'_>) -> Vec<Condition> {
    let Some(fields) = d.any_map(entry, &format!("`{}`", entry.name)) else { return Vec::new() };
    if fields.entries.is_empty() {
        let message = format!("`{}` compares nothing", entry.name);
        d.wrong(entry.at, message, "write `failures: \">= 5\"`, say");
    }
    let mut found = Vec::new();
    for ((key, _), value) in fields.entries.iter().zip(fields.iter()) {
        match comparison::measure(&key.name) {
            Some(measure) => found.extend(condition(d, measure, value)),
            None => {
                let message = format!("`{}` is no measure", shorten(&key.name));
                d.wrong(key.at, message, comparison::suggest_measure(&key.name));
            }
        }
    }
    found
}

fn condition(d: &mut Decoder<'_>, measure: Measure, entry: Entry<'_>) -> Option<Condition> {
    let text = d.word(entry)?;
    match comparison::parse(measure, &text) {
        Ok(condition) => Some(condition),
        Err((why, hint)) => {
            let message = format!("`{}: {}` {why}", entry.name, d.show(entry));
            d.wrong(entry.at, message, hint);
            None
        }
    }
}

/// Required where a measure counts over it, and a multiple of `evaluate_every`:
/// a row leaves a window at a moment at which the rule is evaluated.
fn over(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    levels: &[Level],
    around: &Around<'_>,
) -> Duration {
    let Some(entry) = fields.get("over") else {
        let mut conditions = levels.iter().flat_map(|level| &level.conditions);
        if let Some(condition) = conditions.find(|condition| condition.measure.is_windowed()) {
            let message = format!(
                "`over` is missing, and `{}` counts over a window",
                condition.measure.as_str()
            );
            d.wrong(fields.at, message, "write `over: 15m`");
        }
        return default_over(around);
    };
    let Some(over) = d.duration(entry, Duration::from_secs(1)) else { return DEFAULT_OVER };
    let step = around.evaluate_every.as_secs().max(1);
    if !over.as_secs().is_multiple_of(step) {
        let message = format!(
            "`over: {}` is no multiple of `evaluate_every: {}`",
            d.show(entry),
            write_duration(around.evaluate_every)
        );
        let next = over.as_secs().div_ceil(step) * step;
        let hint = format!("write `over: {}`", write_duration(Duration::from_secs(next)));
        d.wrong(entry.at, message, hint);
    }
    within_lookback(d, entry, (over, step), levels, around);
    over
}

/// The windows that it compares, that before included, are read at the start.
fn within_lookback(
    d: &mut Decoder<'_>,
    entry: Entry<'_>,
    (over, step): (Duration, u64),
    levels: &[Level],
    around: &Around<'_>,
) {
    let mut conditions = levels.iter().flat_map(|level| &level.conditions);
    let windows = if conditions.any(|one| one.threshold.number().is_none()) { 2 } else { 1 };
    let lookback = around.sources.iter().map(|source| source.lookback).min();
    if let Some(lookback) = lookback.filter(|lookback| over * windows > *lookback) {
        let what = if windows == 2 { "reaches, with the window before it," } else { "reaches" };
        let message = format!("`over: {}` {what} beyond the look-back", d.show(entry));
        let most = Duration::from_secs(lookback.as_secs() / u64::from(windows) / step * step);
        let hint = format!("write `over: {}` at most", write_duration(most));
        d.wrong(entry.at, message, hint);
    }
}

/// [`DEFAULT_OVER`], as a multiple of `evaluate_every` like any other window.
fn default_over(around: &Around<'_>) -> Duration {
    let step = around.evaluate_every.as_secs().max(1);
    Duration::from_secs((DEFAULT_OVER.as_secs() / step).max(1) * step)
}

fn per(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Label> {
    let Some(entry) = fields.get("per") else { return Vec::new() };
    let mut found: Vec<Label> = Vec::new();
    for item in d.items(entry) {
        let Some(word) = d.word(item) else { continue };
        match labels::of_delivery(&word) {
            None => {
                let message = format!("`per`: `{}` is no label", d.show(item));
                d.wrong(item.at, message, labels::suggest_of_delivery(&word));
            }
            Some(label) if found.contains(&label) => {
                let message = format!("`per` names `{}` twice", d.show(item));
                d.wrong(item.at, message, "remove one of them");
            }
            Some(label) => found.push(label),
        }
    }
    // Every group lies within one source anyway.
    found.retain(|label| *label != Label::Source);
    found
}

fn matches(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    around: &Around<'_>,
) -> BTreeMap<Label, Vec<Glob>> {
    let Some(entry) = fields.get("match") else { return BTreeMap::new() };
    let Some(fields) = d.any_map(entry, "`match`") else { return BTreeMap::new() };
    let mut found = BTreeMap::new();
    for ((key, _), value) in fields.entries.iter().zip(fields.iter()) {
        let Some(label) = labels::of_delivery(&key.name) else {
            let message = format!("`match`: `{}` is no label", shorten(&key.name));
            d.wrong(key.at, message, labels::suggest_of_delivery(&key.name));
            continue;
        };
        let values: Vec<String> = match label {
            Label::Source => around.sources.iter().map(|source| source.name.clone()).collect(),
            Label::Reason => labels::reasons(),
            Label::Offer
            | Label::Affiliate
            | Label::Postback
            | Label::Host
            | Label::Event
            | Label::DeliveryMethod
            | Label::PostbackLevel
            | Label::PostbackType => Vec::new(),
        };
        found.insert(label, labels::globs(d, value, &values, Unfit::Wrong));
    }
    found
}

fn own_labels(d: &mut Decoder<'_>, fields: &Fields<'_>) -> BTreeMap<String, String> {
    let Some(entry) = fields.get("labels") else { return BTreeMap::new() };
    let Some(fields) = d.any_map(entry, "`labels`") else { return BTreeMap::new() };
    if fields.entries.len() > MAX_LABELS {
        d.wrong(entry.at, format!("more than {MAX_LABELS} labels"), "remove some");
        return BTreeMap::new();
    }
    let mut found = BTreeMap::new();
    for ((key, _), value) in fields.entries.iter().zip(fields.iter()) {
        if !names::is_variable(&key.name) || key.name.len() > 64 {
            let message = format!("`{}` is no name for a label", shorten(&key.name));
            d.wrong(key.at, message, "write letters, digits and `_`, as in `team`");
        } else if labels::is_built_in(&key.name)
            || comparison::measure(&key.name).is_some()
            || RESERVED.contains(&key.name.as_str())
        {
            let message = format!("`{}` has a meaning already", key.name);
            d.wrong(key.at, message, "choose another name for the label");
        } else if let Some(value) = d.word(value) {
            found.insert(key.name.clone(), value);
        }
    }
    found
}

fn web_address(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<String> {
    let text = d.word(entry)?;
    if !Url::parse(&text).is_ok_and(|url| is_http(&url)) {
        let message = format!("`{}: {}` is no web address", entry.name, d.show(entry));
        d.wrong(entry.at, message, "write `https://…`");
        return None;
    }
    Some(text)
}

/// Renders the headline once with every name that it may use.
fn try_summary(d: &mut Decoder<'_>, fields: &Fields<'_>, rule: &Rule) {
    let (Some(entry), Some(template)) = (fields.get("summary"), &rule.summary) else { return };
    let moment = Timestamp::default();
    let moments = Moments { began_at: moment, fired_at: moment, zone: &TimeZone::UTC };
    if let Err(why) = summary::render(template, &Vars::sample(rule), &moments) {
        let names = summary::names(rule);
        let known: Vec<&str> = names.iter().map(String::as_str).chain(["values"]).collect();
        let hint = format!("it may use {}", names::listed(&known));
        d.wrong(entry.at, format!("`summary` cannot be rendered: {why}"), hint);
    }
}
