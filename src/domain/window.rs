//! Counts of one source by rule and group, as of one moment: what rules compare.
//!
//! Everything in here can be counted anew from the facts. It is kept because an
//! evaluation must cost what the touched groups cost, not what all of them do.

use std::time::Duration;

use super::deliveries::Slot;
use super::delivery::{Delivery, Ended, Life};
use super::dims::DimsId;
use super::facts::{Effect, Facts};
use super::rules::Rule;
use super::time::Timestamp;

pub mod counts;
pub mod group;
pub mod in_a_row;
pub mod rule;
pub mod streak;

pub use rule::RuleWindow;

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
        windows.rules.iter_mut().for_each(RuleWindow::touch_everything);
        windows.streaks.pack();
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
            rule.leave(facts, from, to);
        }
    }

    /// Takes up whether a postback is switched off.
    pub fn note_status(&mut self, facts: &Facts, postback: u64) {
        for rule in &mut self.rules {
            for dims in facts.dims.ids_of_postback(postback) {
                rule.note_status(facts, dims);
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
            rule.learn(facts);
        }
    }

    fn enter_until(&mut self, facts: &Facts, to: Timestamp) {
        self.learn(facts);
        let from = self.at;
        // Counted anew, each enters the window at `to` that it lies in; moving on, all
        // enter the current one, so that `leave` can take the leavers out.
        let entered_at = if from == Timestamp(i64::MIN) { to } else { from };
        for slot in facts.deliveries.within(from, to) {
            let delivery = &facts.deliveries.get(slot);
            for rule in &mut self.rules {
                if let Some(part) = rule.part(entered_at, delivery.timestamp) {
                    rule.count(facts, delivery, part, 1);
                }
                rule.hold(facts, slot, delivery, true);
            }
            self.streaks.failed(facts, slot, delivery);
            self.note_recovery(facts, delivery);
        }
        for (second, dims, count) in facts.successes_within(from, to) {
            self.streaks.succeeded(facts.dims.get(dims).postback, second);
            for rule in &mut self.rules {
                let part = rule.part(entered_at, second);
                rule.enter_successes(facts, (second, dims, count), part);
            }
        }
        self.at = to;
    }

    fn change_delivery(&mut self, facts: &Facts, slot: Slot, before: Option<Delivery>) {
        let delivery = &facts.deliveries.get(slot);
        let at = self.at;
        if let Some(before) = before.filter(|before| before.timestamp <= at) {
            self.streaks.forget(facts, slot, &before);
            for rule in &mut self.rules {
                rule.hold(facts, slot, &before, false);
                if let Some(part) = rule.part(at, before.timestamp) {
                    rule.count(facts, &before, part, -1);
                }
            }
        }
        if delivery.timestamp <= at {
            for rule in &mut self.rules {
                if let Some(part) = rule.part(at, delivery.timestamp) {
                    rule.count(facts, delivery, part, 1);
                }
                rule.hold(facts, slot, delivery, true);
            }
            self.streaks.failed(facts, slot, delivery);
            self.note_recovery(facts, delivery);
        }
    }

    fn count_successes(&mut self, facts: &Facts, second: Timestamp, dims: DimsId, by: i64) {
        for rule in &mut self.rules {
            if let Some(part) = rule.part(self.at, second) {
                rule.count_successes(facts, dims, part, by);
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
