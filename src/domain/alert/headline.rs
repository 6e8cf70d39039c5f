//! The headline of an alert: the rule's template, or the built-in text.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::shown::shown_duration;
use super::{Alert, Status, Story};
use crate::domain::rules::{Label, Measure, Rule};
use crate::domain::summary::{self, Moments};

/// The headline as the rule's template writes it, for a reader in `zone`; the built-in
/// text where there is none, or, with the reason, where it fails.
pub fn written(
    rule: Option<&Rule>,
    alert: &Alert,
    story: &Story,
    zone: &TimeZone,
) -> (String, Option<String>) {
    let built_in = || story.summary.clone();
    let Some(template) = rule.and_then(|rule| rule.summary.as_deref()) else {
        return (built_in(), None);
    };
    let (began_at, fired_at) = match alert.status {
        Status::Pending => return (built_in(), None),
        Status::Firing { began_at, fired_at, .. }
        | Status::Quiet { began_at, fired_at, .. }
        | Status::Ended { began_at, fired_at, .. } => (began_at, fired_at),
    };
    let mut vars = story.vars.clone();
    vars.texts.insert("rule".to_owned(), alert.key.rule.clone());
    if let Some(severity) = alert.severity() {
        vars.texts.insert("severity".to_owned(), severity.to_string());
    }
    match summary::render(template, &vars, &Moments { began_at, fired_at, zone }) {
        Ok(text) => (text, None),
        Err(why) => (built_in(), Some(why)),
    }
}

/// Says who, where and how much, from whatever the group has.
pub fn built_in(rule: &Rule, texts: &BTreeMap<String, String>) -> String {
    let var = |name: &str| texts.get(name).map(String::as_str);
    let mut text = String::new();
    if let Some(affiliate) = var("affiliate") {
        text.push_str(affiliate);
        text.push_str(": ");
    }
    match (var("postback"), var("host")) {
        (Some(postback), _) if rule.per.contains(&Label::Postback) => {
            text.push_str(&format!("postback {postback}"));
        }
        (_, Some(host)) => text.push_str(host),
        (_, None) => text.push_str(var("source").unwrap_or("postbacks")),
    }
    text.push_str(&what(rule, |measure| var(measure.as_str()).unwrap_or("?").to_owned()));
    if let Some(reason) = var("reason").filter(|_| rule.needs_proof()) {
        text.push_str(&format!(" ({reason})"));
    }
    text
}

/// What the rule is about: the first of these that it compares.
fn what(rule: &Rule, value: impl Fn(Measure) -> String) -> String {
    let uses = |measure| rule.uses(measure);
    let over = shown_duration(rule.over);
    let ended = [
        (Measure::Exhausted, "given up by the network"),
        (Measure::Abandoned, "left behind by a postback that was switched off"),
        (Measure::Recovered, "cured by a retry"),
    ];
    if uses(Measure::Streak) {
        format!(" has failed {} times in a row", value(Measure::Streak))
    } else if uses(Measure::FailureRate) {
        format!(" fails {} of postbacks", value(Measure::FailureRate))
    } else if uses(Measure::OldestOpen) || uses(Measure::Open) {
        let (open, oldest) = (value(Measure::Open), value(Measure::OldestOpen));
        format!(": {open} postbacks wait, the oldest for {oldest}")
    } else if uses(Measure::SinceDelivery) {
        format!(": nothing was delivered for {}", value(Measure::SinceDelivery))
    } else if uses(Measure::SinceSuccess) {
        format!(": no postback arrived for {}", value(Measure::SinceSuccess))
    } else if uses(Measure::Suspect) {
        format!(
            ": {} postbacks in {over} were accepted without a click id",
            value(Measure::Suspect)
        )
    } else if uses(Measure::Inactive) {
        format!(": {} postbacks are switched off", value(Measure::Inactive))
    } else if let Some((measure, how)) = ended.into_iter().find(|(measure, _)| uses(*measure)) {
        format!(": {} failures in {over} were {how}", value(measure))
    } else if !rule.needs_proof() {
        format!(": {} deliveries in {over}", value(Measure::Deliveries))
    } else {
        format!(": {} failures in {over}", value(Measure::Failures))
    }
}
