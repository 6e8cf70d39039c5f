//! Counts of one source by rule and group, as of one moment: what rules compare.
//!
//! Everything in here can be counted anew from the facts. It is kept because an
//! evaluation must cost what the touched groups cost, not what all of them do.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::deliveries::Slot;
use super::delivery::{Delivery, Ended, Life};
use super::dims::DimsId;
use super::facts::{Effect, Facts};
use super::rules::Rule;
use super::time::Timestamp;

pub mod group;
pub mod in_a_row;
pub mod streak;

use group::{Counts, Group, Grouping, Labels, Totals};
use streak::Streaks;

/// The windows of every rule over one source, as of [`Windows::at`].
#[derive(Debug)]
pub struct Windows {
    /// Deliveries up to here have entered.
    pub at: Timestamp,
    pub rules: Vec<RuleWindow>,
    pub streaks: Streaks,
    /// When groups that have nothing left were last dropped.
    pub pruned_at: Timestamp,
}

/// One rule's groups.
#[derive(Debug)]
pub struct RuleWindow {
    pub grouping: Grouping,
    over: Duration,
    /// Deliveries of every reason, by the labels without the reason.
    totals: HashMap<Labels, Totals>,
    groups: HashMap<Group, Counts>,
    /// Where the rule compares streaks: the postbacks with failures in each group.
    streaks_of: HashMap<Group, BTreeSet<u64>>,
    /// Groups whose counts changed since they were last evaluated.
    touched: HashSet<Group>,
}

impl Windows {
    /// Counts everything that the facts hold up to `at`.
    pub fn count(rules: &[Rule], facts: &Facts, at: Timestamp) -> Windows {
        let rules = rules.iter().map(RuleWindow::new).collect();
        let mut windows =
            Windows { at: Timestamp(i64::MIN), rules, streaks: Streaks::default(), pruned_at: at };
        windows.enter_until(facts, at);
        // Those after `at` have not been judged yet: live, they enter as it comes.
        for (dims, last) in facts.last_successes().filter(|(_, last)| *last <= at) {
            windows.note_success(facts, dims, last);
        }
        windows
    }

    /// Takes up what an entry changed.
    pub fn apply(&mut self, facts: &Facts, effect: &Effect) {
        self.learn(facts);
        match effect {
            Effect::Delivery { slot, before } => self.change_delivery(facts, *slot, *before),
            Effect::Successes(changes) => {
                for &(second, dims, by) in changes {
                    if second <= self.at {
                        self.count_successes(facts, second, dims, by);
                    }
                }
            }
            Effect::Back { postback, last } => {
                if let Some((dims, at)) = *last {
                    self.note_success(facts, dims, at);
                }
                self.rules.iter_mut().for_each(|rule| rule.touch_streak(*postback));
            }
            Effect::Nothing => {}
        }
    }

    /// Moves on to `to`: what lies in `(at, to]` enters, what fell out leaves.
    pub fn advance(&mut self, facts: &Facts, to: Timestamp) {
        let from = self.at;
        self.enter_until(facts, to);
        for rule in &mut self.rules {
            let (after, until) = (from - rule.over, to - rule.over);
            for slot in facts.deliveries.within(after, until) {
                rule.count(facts, facts.deliveries.get(slot), -1);
            }
            for (_, dims, count) in facts.successes_within(after, until) {
                rule.count_successes(facts, dims, -i64::from(count));
            }
        }
    }

    /// Drops what has been empty for the whole look-back.
    pub fn prune(&mut self, at: Timestamp, lookback: Duration) {
        self.streaks.prune(at);
        for rule in &mut self.rules {
            rule.prune(at - lookback);
        }
        self.pruned_at = at;
    }

    fn learn(&mut self, facts: &Facts) {
        for rule in &mut self.rules {
            rule.grouping.learn(facts);
        }
    }

    fn enter_until(&mut self, facts: &Facts, to: Timestamp) {
        self.learn(facts);
        let from = self.at;
        // Entering a delivery asks whether it lies within `(at − over, at]`: for
        // the moment that is left, so that `advance` can take the leavers out.
        for slot in facts.deliveries.within(from, to) {
            let delivery = facts.deliveries.get(slot);
            for rule in &mut self.rules {
                if is_first_count(from) && delivery.timestamp <= to - rule.over {
                    rule.hold(facts, slot, delivery, true);
                    continue;
                }
                rule.count(facts, delivery, 1);
                rule.hold(facts, slot, delivery, true);
            }
            self.streaks.failed(facts, slot, delivery);
            self.note_recovery(facts, delivery);
        }
        for (second, dims, count) in facts.successes_within(from, to) {
            for rule in &mut self.rules {
                if !(is_first_count(from) && second <= to - rule.over) {
                    rule.count_successes(facts, dims, i64::from(count));
                }
            }
            self.note_success(facts, dims, second);
        }
        self.at = to;
    }

    fn change_delivery(&mut self, facts: &Facts, slot: Slot, before: Option<Delivery>) {
        let delivery = facts.deliveries.get(slot);
        if let Some(before) = before.filter(|before| before.timestamp <= self.at) {
            self.streaks.forget(facts, slot, &before);
            for rule in &mut self.rules {
                rule.hold(facts, slot, &before, false);
                if before.timestamp > self.at - rule.over {
                    rule.count(facts, &before, -1);
                }
            }
        }
        if delivery.timestamp <= self.at {
            for rule in &mut self.rules {
                if delivery.timestamp > self.at - rule.over {
                    rule.count(facts, delivery, 1);
                }
                rule.hold(facts, slot, delivery, true);
            }
            self.streaks.failed(facts, slot, delivery);
            self.note_recovery(facts, delivery);
        }
    }

    fn count_successes(&mut self, facts: &Facts, second: Timestamp, dims: DimsId, by: i64) {
        for rule in &mut self.rules {
            if second > self.at - rule.over {
                rule.count_successes(facts, dims, by);
            }
        }
        if by > 0 {
            self.note_success(facts, dims, second);
        }
    }

    fn note_success(&mut self, facts: &Facts, dims: DimsId, at: Timestamp) {
        self.streaks.succeeded(facts.dims.get(dims).postback, at);
        for rule in &mut self.rules {
            rule.note_success(facts, dims, at);
        }
    }

    fn note_recovery(&mut self, facts: &Facts, delivery: &Delivery) {
        if let Life::Ended { how: Ended::Recovered, at: seen_at } = delivery.life {
            self.streaks.succeeded(facts.dims.get(delivery.dims).postback, seen_at);
            for rule in &mut self.rules {
                rule.note_success(facts, delivery.dims, delivery.succeeded_at());
            }
        }
    }
}

fn is_first_count(from: Timestamp) -> bool {
    from == Timestamp(i64::MIN)
}

impl RuleWindow {
    fn new(rule: &Rule) -> RuleWindow {
        RuleWindow {
            grouping: Grouping::new(rule),
            over: rule.over,
            totals: HashMap::new(),
            groups: HashMap::new(),
            streaks_of: HashMap::new(),
            touched: HashSet::new(),
        }
    }

    pub fn counts(&self, group: &Group) -> Option<&Counts> {
        self.groups.get(group)
    }

    /// Every group that anything is known of, and every one without failures that had
    /// deliveries, where the rule is not per reason.
    pub fn known_groups(&self) -> std::collections::BTreeSet<Group> {
        let of_labels = |labels: &Labels| Group { labels: labels.clone(), reason: None };
        let calm = self.totals.keys().filter(|_| !self.grouping.by_reason).map(of_labels);
        calm.chain(self.groups.keys().cloned()).collect()
    }

    pub fn totals(&self, labels: &Labels) -> Option<&Totals> {
        self.totals.get(labels)
    }

    /// The postbacks whose streaks the group compares.
    pub fn postbacks(&self, group: &Group) -> impl Iterator<Item = u64> + '_ {
        self.streaks_of.get(group).into_iter().flatten().copied()
    }

    /// The groups whose counts changed since the last call, and every group with
    /// failing deliveries where `ages_matter`: they cross a threshold by waiting.
    pub fn take_touched(&mut self, ages_matter: bool) -> HashSet<Group> {
        let mut touched = std::mem::take(&mut self.touched);
        if ages_matter {
            let waiting = self.groups.iter().filter(|(_, counts)| !counts.open.is_empty());
            touched.extend(waiting.map(|(group, _)| group.clone()));
        }
        touched
    }

    /// Has the group judged at the next moment.
    pub fn touch(&mut self, group: &Group) {
        self.touched.insert(group.clone());
    }

    /// Has every group judged that compares the streak of `postback`.
    fn touch_streak(&mut self, postback: u64) {
        let groups = self.streaks_of.iter().filter(|(_, of)| of.contains(&postback));
        self.touched.extend(groups.map(|(group, _)| group.clone()));
    }

    /// Forgets groups without anything in them since `until`.
    fn prune(&mut self, until: Timestamp) {
        self.totals.retain(|_, totals| totals.deliveries > 0 || totals.last_delivery > until);
        let totals = &self.totals;
        self.streaks_of.retain(|group, _| totals.contains_key(&group.labels));
    }

    fn count(&mut self, facts: &Facts, delivery: &Delivery, by: i64) {
        let Some(group) = self.grouping.group(facts, delivery) else { return };
        let totals = self.totals.entry(group.labels.clone()).or_default();
        totals.deliveries += by;
        totals.last_delivery = totals.last_delivery.max(delivery.timestamp);
        if let Some(reason) = group.reason
            && !totals.reasons.contains(&reason)
        {
            totals.reasons.push(reason);
        }
        self.touch_all(&group.labels);
        if !self.grouping.selects(delivery.reason) {
            return;
        }
        let counts = self.groups.entry(group.clone()).or_default();
        counts.count(&self.grouping, &facts.dims.get(delivery.dims), delivery, by);
        if counts.is_empty() {
            self.groups.remove(&group);
        }
        self.touched.insert(group);
    }

    /// Counts the delivery among what is known over the whole look-back: the
    /// failing ones, and whose streak a group compares.
    fn hold(&mut self, facts: &Facts, slot: Slot, delivery: &Delivery, holds: bool) {
        if !self.grouping.selects(delivery.reason) {
            return;
        }
        let Some(group) = self.grouping.group(facts, delivery) else { return };
        if self.grouping.by_streak && holds {
            let postback = facts.dims.get(delivery.dims).postback;
            self.streaks_of.entry(group.clone()).or_default().insert(postback);
            // Or the next pruning would forget a group that was silent since the start.
            let totals = self.totals.entry(group.labels.clone()).or_default();
            totals.last_delivery = totals.last_delivery.max(delivery.timestamp);
            self.touched.insert(group.clone());
        }
        if !delivery.is_open() {
            return;
        }
        let counts = self.groups.entry(group.clone()).or_default();
        match holds {
            true => {
                counts.open.insert((delivery.timestamp, slot));
                counts.newest_failure = counts.newest_failure.max(delivery.timestamp);
            }
            false => {
                counts.open.remove(&(delivery.timestamp, slot));
            }
        }
        if counts.is_empty() {
            self.groups.remove(&group);
        }
        self.touched.insert(group);
    }

    fn count_successes(&mut self, facts: &Facts, dims: DimsId, by: i64) {
        let Some(labels) = self.grouping.labels(facts, dims) else { return };
        self.totals.entry(labels.clone()).or_default().deliveries += by;
        self.touch_all(&labels);
    }

    fn note_success(&mut self, facts: &Facts, dims: DimsId, at: Timestamp) {
        let Some(labels) = self.grouping.labels(facts, dims) else { return };
        let totals = self.totals.entry(labels).or_default();
        totals.last_success = totals.last_success.max(at);
        totals.last_delivery = totals.last_delivery.max(at);
    }

    /// Every group of these labels compares their total.
    fn touch_all(&mut self, labels: &Labels) {
        if !self.grouping.by_reason {
            self.touched.insert(Group { labels: labels.clone(), reason: None });
            return;
        }
        let reasons = self.totals.get(labels).map(|totals| totals.reasons.clone());
        for reason in reasons.into_iter().flatten() {
            self.touched.insert(Group { labels: labels.clone(), reason: Some(reason) });
        }
    }
}
