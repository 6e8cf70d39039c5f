//! Judging: every moment that the watermark passes, every rule, every group
//! that may have changed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashSet;
use jiff::tz::TimeZone;

use super::{RuleTally, Stopwatch, Turn};
use crate::domain::alert::builtin::{self, POSTBACK_DEACTIVATED};
use crate::domain::alert::{
    Alert, AlertEnd, AlertKey, Proof, Status, Story, Transition, headline, story,
};

use crate::domain::notify::plan;
use crate::domain::policy::SourcePolicy;
use crate::domain::rules::Rule;
use crate::domain::rules::evaluate::{
    Evaluation, Moment, Verdict, Verdicts, in_a_row, is_read_whole,
};
use crate::domain::state::SourceState;
use crate::domain::time::Timestamp;
use crate::domain::window::group::Group;
use crate::domain::window::rule::{Counted, GroupId};
use crate::domain::window::{RuleWindow, Windows};

mod proof;

pub(in crate::domain) use proof::{has_switched_off_postback, proof};

/// How often groups that have nothing left are dropped.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

impl Turn<'_> {
    /// Judges every multiple of `evaluate_every` up to the watermark, in order.
    pub(super) fn judge_passed_moments(&mut self, policy: &SourcePolicy, stopwatch: Stopwatch<'_>) {
        let every = self.policy.evaluate_every;
        let Some(source) = self.state.sources.get_mut(&policy.name) else { return };
        let Some(watermark) = source.facts.watermark else { return };
        let until = watermark.floor_to(every);
        if source.windows.is_none() {
            source.windows = Some(Windows::count(&self.policy.rules, &source.facts, until));
            self.find_active(&policy.name);
            self.judge_moment(policy, stopwatch);
            return;
        }
        while let Some(source) = self.state.sources.get_mut(&policy.name)
            && let Some(windows) = &mut source.windows
            && windows.at < until
        {
            let next = windows.at + every;
            windows.advance(&source.facts, next);
            self.judge_moment(policy, stopwatch);
        }
        self.drop_what_is_past(policy, until);
    }

    /// Windows are counted anew from the facts: at a start, or when rules change.
    pub(super) fn recount_windows(&mut self) {
        let every = self.policy.evaluate_every;
        self.end_alerts_of_removed_rules();
        for source in &self.policy.sources {
            let Some(state) = self.state.sources.get_mut(&source.name) else { continue };
            if let Some(watermark) = state.facts.watermark {
                let at = watermark.floor_to(every);
                state.windows = Some(Windows::count(&self.policy.rules, &state.facts, at));
                self.find_active(&source.name);
            }
        }
    }

    /// Finds the groups of this source's alerts in the rules' windows; an alert
    /// whose rule groups otherwise by now ends.
    fn find_active(&mut self, source_name: &str) {
        let policy = self.policy;
        let mut gone = Vec::new();
        let Some(source) = self.state.sources.get_mut(source_name) else { return };
        source.active = vec![BTreeSet::new(); policy.rules.len()];
        let Some(windows) = &source.windows else { return };
        let of_source = self.state.alerts.values().filter(|alert| alert.key.source == source_name);
        for alert in of_source.filter(|alert| !alert.is_over()) {
            let Some(place) = policy.rules.iter().position(|rule| rule.name == alert.key.rule)
            else {
                continue;
            };
            let severities = policy.rules[place].levels.iter().map(|level| level.severity);
            let same_levels = alert.levels.iter().map(|(severity, _)| *severity).eq(severities);
            match windows.rules[place].grouping.find(&source.facts, &alert.key.group) {
                Some(group) if same_levels => {
                    source.active[place].insert(group);
                }
                Some(_) | None => gone.push(alert.key.clone()),
            }
        }
        for key in gone {
            self.end_alert(&key, AlertEnd::Removed);
        }
    }

    fn end_alerts_of_removed_rules(&mut self) {
        let is_known = |key: &AlertKey| {
            self.policy.source(&key.source).is_some()
                && (builtin::rule(&key.rule).is_some()
                    || self.policy.rules.iter().any(|rule| rule.name == key.rule))
        };
        let removed: Vec<AlertKey> =
            self.state.alerts.keys().filter(|key| !is_known(key)).cloned().collect();
        for key in removed {
            self.end_alert(&key, AlertEnd::Removed);
        }
    }

    fn end_alert(&mut self, key: &AlertKey, how: AlertEnd) {
        let Some(alert) = self.state.alerts.get_mut(key) else { return };
        match alert.status {
            Status::Pending => {
                self.state.alerts.remove(key);
            }
            // One that had ended may have begun anew: that is over too.
            Status::Firing { .. } | Status::Quiet { .. } | Status::Ended { .. } => {
                if alert.is_over() {
                    return;
                }
                alert.end(how, self.now);
                self.tally.alerts.push((self.now, alert.clone()));
            }
        }
        self.alerts.insert(key.clone());
    }

    fn judge_moment(&mut self, policy: &SourcePolicy, stopwatch: Stopwatch<'_>) {
        for place in 0..self.policy.rules.len() {
            let began = stopwatch();
            self.judge_rule(policy, place, self.policy.evaluate_every);
            self.tally.rules[place].took += stopwatch().saturating_sub(began);
        }
    }

    /// Judges the groups of one rule that may have changed; their clocks move by `step`.
    pub(super) fn judge_rule(&mut self, policy: &SourcePolicy, place: usize, step: Duration) {
        self.tally.rules.resize_with(self.policy.rules.len(), RuleTally::default);
        for (group, verdicts) in self.verdicts(policy, place) {
            self.advance_alert(policy, place, &group, &verdicts, step);
        }
    }

    /// The answers of a rule for every group that has an alert, or that needs one.
    fn verdicts(&mut self, policy: &SourcePolicy, place: usize) -> Vec<(Group, Verdicts)> {
        let rule = &self.policy.rules[place];
        let Some(source) = self.state.sources.get_mut(&policy.name) else { return Vec::new() };
        let Some(windows) = &mut source.windows else { return Vec::new() };
        let (at, tally) = (windows.at, &mut self.tally.rules[place]);
        let (known, lost): (Vec<_>, Vec<_>) = source.active[place]
            .iter()
            .map(|group| (windows.rules[place].find(group), group))
            .partition(|(id, _)| id.is_some());
        let active: HashSet<GroupId> = known.into_iter().filter_map(|(id, _)| id).collect();
        active.iter().for_each(|&id| windows.rules[place].touch(id));
        let touched = windows.rules[place].take_touched(at);

        let moment = Moment { at, policy, facts: &source.facts, windows };
        let evaluation = Evaluation::new(&moment, rule, &windows.rules[place]);
        let (mut told, mut again) = (Vec::new(), Vec::new());
        let may_become_known = policy.successes && !evaluation.is_covered();
        for &id in &touched {
            let of = windows.rules[place].at(id);
            let verdicts = evaluation.verdicts(of);
            if verdicts.contains(&Verdict::Unknown) {
                tally.unknown += 1;
                // A streak becomes known as older successes are read.
                let has_streak = of
                    .counts
                    .is_some_and(|counts| !counts.is_empty() && !counts.postbacks.is_empty());
                if may_become_known || policy.successes && has_streak {
                    again.push((id, at));
                }
            }
            again.extend(evaluation.next_crossing(of).map(|crossing| (id, crossing)));
            if verdicts.contains(&Verdict::True) || active.contains(&id) {
                told.push((windows.rules[place].group(id), verdicts));
            }
        }
        tally.judged += (touched.len() + lost.len()) as u64;
        told.extend(
            lost.into_iter()
                .map(|(_, group)| (group.clone(), evaluation.verdicts(Counted::default()))),
        );
        for (id, crossing) in again {
            windows.rules[place].queue(id, crossing);
        }
        told
    }

    fn advance_alert(
        &mut self,
        policy: &SourcePolicy,
        place: usize,
        group: &Group,
        verdicts: &[Verdict],
        step: Duration,
    ) {
        let rule = &self.policy.rules[place];
        let Some(source) = self.state.sources.get_mut(&policy.name) else { return };
        let Some(windows) = &source.windows else { return };
        let window = &windows.rules[place];
        let moment = Moment { at: windows.at, policy, facts: &source.facts, windows };
        let key = AlertKey {
            source: policy.name.clone(),
            rule: rule.name.clone(),
            group: window.grouping.texts(&source.facts, group),
        };
        let alert = self.state.alerts.entry(key.clone());
        let alert = alert.or_insert_with_key(|key| Alert::new(key.clone(), rule));
        alert.take_levels_of(rule);
        let counts = window.of(group).counts;
        let newest = counts.map_or(Timestamp(0), |counts| counts.newest_failure);
        let is_newer = newest > alert.newest_failure;
        alert.newest_failure = alert.newest_failure.max(newest);
        // What a changed rule finds at once was not kept back by an outage.
        let is_late = !step.is_zero() && self.seen_at.since(moment.at) > late_after(policy, step);
        let transition = alert.advance(moment.at, step, rule, verdicts, is_late, |alert| {
            proof(&moment, rule, place, group, alert)
        });
        if let (Transition::Fired | Transition::Escalated, Some(severity)) =
            (transition, alert.severity())
        {
            let story = story::tell(&moment, rule, window, group, severity);
            let (_, failed) = headline::written(Some(rule), alert, &story, &TimeZone::UTC);
            self.tally.rules[place].failed_templates += u64::from(failed.is_some());
            alert.story = Some(Arc::new(story));
        }
        let has_grown = follow_row(&moment, rule, window, group, alert);
        match transition {
            Transition::Ended | Transition::Forgotten => {
                source.active[place].remove(group);
            }
            _ => {
                source.active[place].insert(group.clone());
            }
        }
        let at = moment.at;
        // Kept at once: after a restart the window may no longer tell it.
        self.note(
            at,
            &key,
            if is_newer || has_grown { transition.or_waiting() } else { transition },
        );
    }

    /// Keeps what changed of an alert, and tells the batches of its routes.
    fn note(&mut self, at: Timestamp, key: &AlertKey, transition: Transition) {
        if !matches!(
            transition,
            Transition::Unchanged | Transition::Waiting | Transition::Forgotten
        ) {
            let alert = self.state.alerts.get(key);
            self.tally.alerts.extend(alert.map(|alert| (at, alert.clone())));
        }
        match transition {
            Transition::Unchanged => return,
            Transition::Forgotten => {
                // Its end may still have to be told, though it was pending anew.
                let is_pending = |alert: &Alert| !alert.has_ended();
                if self.state.alerts.get(key).is_some_and(is_pending) {
                    self.state.alerts.remove(key);
                }
            }
            Transition::Fired | Transition::Escalated => {
                if let Some(alert) = self.state.alerts.get(key) {
                    let (commit, batches) = (self.changes.commit, &mut self.state.batches);
                    plan::enroll(self.now, commit, self.policy, alert, batches);
                    let batches = self.state.batches.iter();
                    let of_alert = batches.filter(|(_, batch)| batch.members.contains_key(key));
                    self.batches.extend(of_alert.map(|(batch, _)| batch.clone()));
                }
            }
            Transition::Waiting
            | Transition::Deescalated
            | Transition::Quieted
            | Transition::Resumed
            | Transition::Ended => {}
        }
        self.alerts.insert(key.clone());
    }

    /// `postback-deactivated`, when a postback's status changed.
    pub(super) fn judge_postback(&mut self, policy: &SourcePolicy, id: u64, is_active: bool) {
        let Some(rule) = builtin::rule(POSTBACK_DEACTIVATED) else { return };
        let key = builtin::key(POSTBACK_DEACTIVATED, &policy.name, Some(id));
        let verdict = if is_active { Verdict::False } else { Verdict::True };
        self.advance_builtin(&rule, key.clone(), &[verdict], |source| {
            let facts = &source.facts;
            let windows = source.windows.as_ref().filter(|_| is_read_whole(facts, policy, id));
            let in_a_row = windows.map(|w| w.streaks.in_a_row_by_now(facts, policy, id, w.at));
            builtin::tell_deactivated(facts, policy, id, in_a_row)
        });
        let Some(source) = self.state.sources.get(&policy.name) else { return };
        if let Some(alert) = self.state.alerts.get_mut(&key).filter(|alert| alert.has_ended()) {
            let story = alert.story.take().map(Arc::unwrap_or_clone);
            let story = story.map(|story| builtin::tell_reactivated(&source.facts, id, story));
            alert.story = story.map(Arc::new);
        }
    }

    pub(super) fn advance_builtin(
        &mut self,
        rule: &Rule,
        key: AlertKey,
        verdicts: &[Verdict],
        tell: impl FnOnce(&SourceState) -> Story,
    ) {
        let is_known = self.state.alerts.contains_key(&key);
        if !is_known && !verdicts.contains(&Verdict::True) {
            return;
        }
        let Some(source) = self.state.sources.get(&key.source) else { return };
        let alert = self.state.alerts.entry(key.clone());
        let alert = alert.or_insert_with(|| Alert::new(key.clone(), rule));
        let step = Duration::ZERO;
        let transition = alert.advance(self.now, step, rule, verdicts, false, |_| Proof::Cured);
        if matches!(transition, Transition::Fired | Transition::Escalated) {
            alert.story = Some(Arc::new(tell(source)));
        }
        self.note(self.now, &key, transition);
    }

    fn drop_what_is_past(&mut self, policy: &SourcePolicy, at: Timestamp) {
        let Some(source) = self.state.sources.get_mut(&policy.name) else { return };
        source.facts.evict(at - self.policy.longest_window().max(policy.lookback));
        let Some(windows) = &mut source.windows else { return };
        if windows.pruned_at.floor_to(PRUNE_EVERY) < at.floor_to(PRUNE_EVERY) {
            windows.prune(at, policy.lookback);
        }
    }
}

/// Keeps up to date how many failures in a row the alert tells of; whether they
/// changed.
fn follow_row(
    moment: &Moment<'_>,
    rule: &Rule,
    window: &RuleWindow,
    group: &Group,
    alert: &mut Alert,
) -> bool {
    let is_followed = story::has_streak(rule) && !alert.has_ended();
    let Some(story) = alert.story.as_mut().filter(|_| is_followed) else { return false };
    let now = in_a_row(moment, window, group);
    let followed = match (&story.in_a_row, now) {
        (Some(before), Some(now)) => Some(before.followed_by(now)),
        (None, now) => now,
        (Some(_), None) => return false,
    };
    let has_changed = followed != story.in_a_row;
    if has_changed {
        Arc::make_mut(story).in_a_row = followed;
    }
    has_changed
}

/// How far behind the wall clock a moment is that nobody could have judged in time.
fn late_after(policy: &SourcePolicy, every: Duration) -> Duration {
    policy.settle + policy.poll_every * 3 + every + Duration::from_secs(60)
}
