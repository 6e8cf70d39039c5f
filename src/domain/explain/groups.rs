//! The groups of a rule that a question means, and where each stands.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::messages::Desk;
use super::sees;
use super::{
    Answer, At, Explanation, GroupExplained, LevelExplained, Question, Sees, Stand, Unknown,
};
use crate::domain::alert::builtin::{self, SOURCE_BLIND};
use crate::domain::alert::shown::shown_duration;
use crate::domain::alert::story::tell;
use crate::domain::alert::{Alert, AlertKey, EXPIRES_AFTER, Phase, Proof, Status};
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::rules::evaluate::{Evaluation, Moment, Verdict};
use crate::domain::rules::{Glob, Label, Level, Rule, Severity};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::domain::turn::evaluation::{has_switched_off_postback, proof};
use crate::domain::window::group::Group;

/// A group where the windows know it, and its labels as rules write them.
type Named = (Option<Group>, Vec<(Label, String)>);

/// Groups told in full.
const MOST_SHOWN: usize = 10;
/// Groups named where none matches.
const MOST_NAMED: usize = 50;

/// A group before it is told: all of them are compared, few are shown.
struct Found<'a> {
    key: AlertKey,
    alert: Option<&'a Alert>,
    /// `None` for the built-in rules.
    group: Option<Group>,
    source: &'a SourcePolicy,
}

/// Everything that the explanation of a rule looks at.
struct Looks<'a> {
    now: Timestamp,
    policy: &'a Policy,
    state: &'a State,
    rule: &'a Rule,
    /// In the policy; `None` for the built-in rules.
    place: Option<usize>,
}

/// Explains the groups of a rule.
///
/// # Errors
/// The rule, a label or every group is unknown.
pub fn explain_rule(
    now: Timestamp,
    policy: &Policy,
    state: &State,
    question: &Question,
) -> Result<Explanation, Unknown> {
    let place = policy.rules.iter().position(|rule| rule.name == question.rule);
    let built_in = builtin::rule(&question.rule);
    let Some(rule) = place.map(|place| &policy.rules[place]).or(built_in.as_ref()) else {
        let own = policy.rules.iter().map(|rule| rule.name.clone());
        let known = own.chain(builtin::NAMES.map(str::to_owned)).collect();
        return Err(Unknown::Rule { name: question.rule.clone(), known });
    };
    let looks = Looks { now, policy, state, rule, place };
    let (mut found, all) = looks.find(question)?;
    if found.is_empty() {
        let asked = question.labels.iter().map(|(label, value)| format!("{label}={value}"));
        let asked = asked.collect::<Vec<_>>().join(" ");
        return Err(Unknown::Group { asked, known: all.into_iter().take(MOST_NAMED).collect() });
    }
    found.sort_by_cached_key(|found| looks.rank(found));
    let more = found.len().saturating_sub(MOST_SHOWN);
    let desk = Desk::new(now, policy, state);
    let groups = found.iter().take(MOST_SHOWN).map(|found| looks.explain(&desk, found)).collect();
    Ok(Explanation { now: At(now), rule: rule.name.clone(), groups, more })
}

impl<'a> Looks<'a> {
    /// The groups that are meant, and the names of all.
    fn find(&self, question: &Question) -> Result<(Vec<Found<'a>>, BTreeSet<String>), Unknown> {
        let labels = self.labels_of_groups();
        let unknown = question.labels.iter().find(|(name, _)| !labels.contains(name));
        if let Some((name, _)) = unknown {
            return Err(Unknown::Label { name: name.clone(), known: labels });
        }
        let (mut found, mut names) = (Vec::new(), BTreeSet::new());
        for source in &self.policy.sources {
            for (group, texts) in self.groups(source) {
                let key = AlertKey {
                    source: source.name.clone(),
                    rule: self.rule.name.clone(),
                    group: texts,
                };
                if names.len() < MOST_NAMED {
                    names.insert(name(&key));
                }
                if question.labels.iter().all(|(label, value)| has(&key, label, value)) {
                    let alert = self.state.alerts.get(&key);
                    found.push(Found { alert, key, group, source });
                }
            }
        }
        Ok((found, names))
    }

    fn labels_of_groups(&self) -> Vec<String> {
        let own = self.rule.per.iter().map(|label| label.as_str().to_owned());
        let postback = (self.rule.name == builtin::POSTBACK_DEACTIVATED).then(|| "postback".into());
        let mut labels: Vec<String> = own.chain(postback).collect();
        if !labels.iter().any(|label| label == "source") {
            labels.push("source".to_owned());
        }
        labels
    }

    fn groups(&self, source: &SourcePolicy) -> Vec<Named> {
        let Some(known) = self.state.sources.get(&source.name) else { return Vec::new() };
        let Some(place) = self.place else {
            let keys = self.state.alerts.keys();
            let of = keys.filter(|key| key.rule == self.rule.name && key.source == source.name);
            let mut groups: BTreeSet<_> = of.map(|key| key.group.clone()).collect();
            if self.rule.name == SOURCE_BLIND {
                groups.insert(Vec::new());
            } else {
                let listed = known.facts.postbacks.keys().copied();
                let seen = known.facts.dims.iter().map(|dims| dims.postback);
                let of = |id: u64| vec![(Label::Postback, id.to_string())];
                groups.extend(listed.chain(seen).map(of));
            }
            return groups.into_iter().map(|group| (None, group)).collect();
        };
        let window = known.windows.as_ref().and_then(|windows| windows.rules.get(place));
        let mut groups = window.map(|window| window.known_groups()).unwrap_or_default();
        groups.extend(known.active.get(place).into_iter().flatten().cloned());
        if self.rule.per.iter().all(|label| *label == Label::Source) {
            groups.insert(Group { labels: Default::default(), reason: None });
        }
        let texts = |group: &Group| match window {
            Some(window) => window.grouping.texts(&known.facts, group),
            None => Vec::new(),
        };
        groups.into_iter().map(|group| (Some(group.clone()), texts(&group))).collect()
    }

    /// The worst first: by state, severity, and how near it is to firing.
    fn rank(&self, found: &Found<'_>) -> (Stand, Reverse<Option<Severity>>, Reverse<u64>) {
        let severity = found.alert.and_then(Alert::severity);
        let near = self.moment(found, |moment, group, place| {
            sees::nearness(moment, self.rule, &moment.windows.rules[place], group)
        });
        let near = (near.unwrap_or_default() * 1e6) as u64;
        (stand(found.alert), Reverse(severity), Reverse(near))
    }

    /// Asks something of the source's windows; `None` before there are any, and for the
    /// built-in rules.
    fn moment<T>(
        &self,
        found: &Found<'_>,
        ask: impl FnOnce(&Moment<'_>, &Group, usize) -> T,
    ) -> Option<T> {
        let (place, group) = (self.place?, found.group.as_ref()?);
        let source = self.state.sources.get(&found.key.source)?;
        let windows = source.windows.as_ref()?;
        let policy = found.source;
        let moment = Moment { at: windows.at, policy, facts: &source.facts, windows };
        (place < windows.rules.len()).then(|| ask(&moment, group, place))
    }

    fn explain(&self, desk: &Desk<'_>, found: &Found<'_>) -> GroupExplained {
        let Found { key, alert, source, .. } = found;
        let mut sees = self.moment(found, |moment, group, place| {
            sees::look(moment, self.rule, &moment.windows.rules[place], group)
        });
        if let Some(sees) = &mut sees {
            sees.age = sees.at.map_or(0, |at| self.now.since(at.0).as_secs());
        }
        let mut sees = sees.unwrap_or_else(|| self.sees_without_window(found));
        sees.troubles = sees::troubles(self.now, self.policy, self.state, source);
        let story = alert.and_then(|alert| alert.story.as_ref());
        let would_be = self.would_be(found);
        let (began_at, fired_at, ended_at) = times(*alert);
        let stands = alert.filter(|alert| !alert.has_ended() && alert.severity().is_some());
        let told = alert.filter(|alert| alert.severity().is_some()).or(would_be.as_ref());
        let messages = told.map(|told| desk.messages(told, *alert)).unwrap_or_default();
        let nobody = "no route matches it: nobody would be told".to_owned();
        GroupExplained {
            source: key.source.clone(),
            labels: key.group.iter().map(|(l, v)| (l.as_str().to_owned(), v.clone())).collect(),
            state: stand(*alert),
            severity: alert.and_then(Alert::severity),
            summary: story.map(|story| story.summary.clone()),
            began_at: began_at.map(At),
            fired_at: fired_at.map(At),
            ended_at: ended_at.map(At),
            sees,
            levels: self.levels(found),
            ends_when: stands.map(|alert| self.ends_when(found, alert)).unwrap_or_default(),
            nobody_is_told: messages.is_empty().then_some(nobody),
            messages,
        }
    }

    fn sees_without_window(&self, found: &Found<'_>) -> Sees {
        let known = self.state.sources.get(&found.key.source);
        let at = known.and_then(|known| known.facts.watermark);
        let age = at.map_or(0, |at| self.now.since(at).as_secs());
        Sees { at: at.map(At), age, ..Sees::default() }
    }

    fn levels(&self, found: &Found<'_>) -> Vec<LevelExplained> {
        let phase = |place: usize| {
            let levels = found.alert.map(|alert| &alert.levels);
            levels.and_then(|levels| levels.get(place)).map_or(Phase::Inactive, |level| level.1)
        };
        let level = |(number, level): (usize, &Level)| {
            let conditions = self.moment(found, |moment, group, place| {
                sees::conditions(moment, self.rule, &moment.windows.rules[place], level, group)
            });
            let verdict = self.moment(found, |moment, group, place| {
                let window = &moment.windows.rules[place];
                let evaluation = Evaluation::new(moment, self.rule, window);
                evaluation.verdicts(window.of(group)).get(number).copied()
            });
            let verdict = match (verdict.flatten(), self.place) {
                (Some(verdict), _) => Answer::from(verdict),
                (None, Some(_)) => Answer::Unknown,
                (None, None) => self.built_in_verdict(found, number),
            };
            LevelExplained {
                severity: level.severity,
                verdict,
                conditions: conditions
                    .unwrap_or_else(|| self.built_in_condition(found, number, verdict)),
                clock: clock(self.rule, phase(number)),
            }
        };
        self.rule.levels.iter().enumerate().map(level).collect()
    }

    fn built_in_verdict(&self, found: &Found<'_>, level: usize) -> Answer {
        let Some(source) = self.state.sources.get(&found.key.source) else {
            return Answer::Unknown;
        };
        if self.rule.name == SOURCE_BLIND {
            let sight = source.sight(self.policy, &found.key.source);
            let verdicts = builtin::judge_sight(self.now, found.source, &sight);
            return verdicts.get(level).map_or(Answer::Unknown, |verdict| Answer::from(*verdict));
        }
        let id = found.key.group.first().and_then(|(_, id)| id.parse().ok());
        match id.is_some_and(|id| source.facts.is_active(id)) {
            true => Answer::False,
            false => Answer::True,
        }
    }

    fn built_in_condition(
        &self,
        found: &Found<'_>,
        level: usize,
        verdict: Answer,
    ) -> Vec<super::ConditionExplained> {
        let known = self.state.sources.get(&found.key.source);
        let (measure, value, threshold) = if self.rule.name == SOURCE_BLIND {
            let sight = known.map(|known| known.sight(self.policy, &found.key.source));
            let waited = sight.and_then(|sight| Some(self.now.since(sight.whole_at?)));
            let value = waited.map_or("never".to_owned(), shown_duration);
            let limit = builtin::blind_limits(found.source).get(level).copied();
            let limit = shown_duration(limit.unwrap_or_default());
            ("without a whole read", value, format!("> {limit}"))
        } else if self.place.is_none() {
            let value = if verdict == Answer::True { "inactive" } else { "active" };
            ("the postback's status", value.to_owned(), "inactive".to_owned())
        } else {
            return Vec::new();
        };
        vec![super::ConditionExplained {
            measure: measure.to_owned(),
            value,
            threshold,
            verdict,
            misses_by: None,
            unknown_because: None,
        }]
    }

    /// The alert that this group would have if it fired now at its highest level.
    fn would_be(&self, found: &Found<'_>) -> Option<Alert> {
        let severity = self.rule.levels.last()?.severity;
        let mut alert = Alert::new(found.key.clone(), self.rule);
        let (began_at, fired_at) = (self.now, self.now);
        alert.status = Status::Firing { severity, began_at, fired_at, is_late: false };
        alert.story = self.moment(found, |moment, group, place| {
            let window = &moment.windows.rules[place];
            Arc::new(tell(moment, self.rule, window, group, severity))
        });
        Some(alert)
    }

    fn ends_when(&self, found: &Found<'_>, alert: &Alert) -> Vec<String> {
        self.moment(found, |moment, group, place| {
            let mut waits = vec![format!(
                "its condition is false for {}",
                shown_duration(self.rule.keep_firing_for)
            )];
            if has_switched_off_postback(moment, self.rule, place, group, alert) {
                waits.push("the postback that is switched off is active again".to_owned());
            } else if proof(moment, self.rule, place, group, alert) == Proof::None {
                let newest = alert.newest_failure;
                waits.push(format!(
                    "a success later than the newest failure ({newest}) is seen: none was so \
                     far; without any delivery for {} it ends as expired",
                    shown_duration(EXPIRES_AFTER)
                ));
            }
            waits
        })
        .unwrap_or_else(|| match self.rule.name == SOURCE_BLIND {
            true => vec!["the source is read whole again, and its past is judged".to_owned()],
            false => vec!["the postback is active again".to_owned()],
        })
    }
}

impl From<Verdict> for Answer {
    fn from(verdict: Verdict) -> Answer {
        match verdict {
            Verdict::True => Answer::True,
            Verdict::False => Answer::False,
            Verdict::Unknown => Answer::Unknown,
        }
    }
}

/// Where the alert of a group stands.
pub fn stand(alert: Option<&Alert>) -> Stand {
    let Some(alert) = alert else { return Stand::Inactive };
    match alert.status {
        Status::Pending => Stand::Pending,
        Status::Firing { .. } => Stand::Firing,
        Status::Quiet { .. } => Stand::Quiet,
        Status::Ended { .. } => Stand::Ended,
    }
}

fn times(alert: Option<&Alert>) -> (Option<Timestamp>, Option<Timestamp>, Option<Timestamp>) {
    match alert.map(|alert| alert.status) {
        None | Some(Status::Pending) => (None, None, None),
        Some(
            Status::Firing { began_at, fired_at, .. } | Status::Quiet { began_at, fired_at, .. },
        ) => (Some(began_at), Some(fired_at), None),
        Some(Status::Ended { began_at, fired_at, ended_at, .. }) => {
            (Some(began_at), Some(fired_at), Some(ended_at))
        }
    }
}

fn clock(rule: &Rule, phase: Phase) -> String {
    let of = |seconds: i64, whole| {
        let seconds = std::time::Duration::from_secs(seconds.max(0) as u64);
        format!("{} of {}", shown_duration(seconds), shown_duration(whole))
    };
    match phase {
        Phase::Inactive => "not begun".to_owned(),
        Phase::Pending { active_at, held } => {
            format!("since {active_at}, holds for {}", of(held, rule.hold_for))
        }
        Phase::Firing { active_at } => format!("fires since {active_at}"),
        Phase::Clearing { active_at, clear } => {
            format!("fired since {active_at}, clear for {}", of(clear, rule.keep_firing_for))
        }
    }
}

fn has(key: &AlertKey, label: &str, value: &str) -> bool {
    let glob = Glob(value.to_owned());
    match label {
        "source" => glob.matches(&key.source),
        _ => key.group.iter().any(|(l, text)| l.as_str() == label && glob.matches(text)),
    }
}

fn name(key: &AlertKey) -> String {
    let source = [("source", key.source.as_str())];
    let group = key.group.iter().map(|(label, value)| (label.as_str(), value.as_str()));
    let all = source.into_iter().chain(group).map(|(label, value)| format!("{label}={value}"));
    all.collect::<Vec<_>>().join(" ")
}

/// The alerts of these groups, for whoever asks about a delivery.
pub fn labels_of(key: &AlertKey) -> BTreeMap<String, String> {
    key.group.iter().map(|(label, value)| (label.as_str().to_owned(), value.clone())).collect()
}
