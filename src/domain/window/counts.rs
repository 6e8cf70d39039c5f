//! What is counted for each group of a rule.

use std::collections::{BTreeSet, HashMap};

use smallvec::SmallVec;

use super::group::{Grouping, Labels, distinct_value};
use crate::domain::deliveries::{Slot, SlotAt};
use crate::domain::delivery::{Delivery, Ended, Life};
use crate::domain::dims::Dims;
use crate::domain::reason::Reason;
use crate::domain::rules::Measure;
use crate::domain::time::Timestamp;

/// Which of two adjacent windows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// `(at − over, at]`.
    Current,
    /// `(at − 2·over, at − over]`; counted only for rules that compare with it.
    Previous,
}

/// Deliveries of the same labels, whatever their reason.
#[derive(Debug, Default)]
pub struct Totals {
    pub labels: Labels,
    /// Whether its group is gone and the place stands empty.
    pub is_vacant: bool,
    /// By [`Part`].
    deliveries: [i64; 2],
    /// Successes whose payload cannot have worked; by [`Part`].
    suspects: [i64; 2],
    /// `Timestamp(0)` where none is known.
    pub last_success: Timestamp,
    pub last_delivery: Timestamp,
    /// Failures since the last success, where the rule compares the time since.
    failed: BTreeSet<SlotAt>,
    /// Postbacks that are switched off, where the rule counts those.
    pub switched_off: BTreeSet<u64>,
    /// The groups of these labels: one, or one for each reason where the rule is
    /// per reason.
    pub groups: SmallVec<[Counts; 1]>,
}

impl Totals {
    /// Of labels that nothing was counted of yet.
    pub fn new(labels: Labels, grouping: &Grouping) -> Totals {
        let mut totals = Totals { labels, ..Totals::default() };
        if !grouping.by_reason {
            totals.groups.push(Counts::default());
        }
        totals
    }

    pub fn deliveries(&self, part: Part) -> i64 {
        self.deliveries[part as usize]
    }

    pub fn suspects(&self, part: Part) -> i64 {
        self.suspects[part as usize]
    }

    pub fn count(&mut self, part: Part, by: i64, is_suspect: bool) {
        self.deliveries[part as usize] += by;
        self.suspects[part as usize] += if is_suspect { by } else { 0 };
    }

    pub fn note_success(&mut self, at: Timestamp) {
        self.last_success = self.last_success.max(at);
        self.last_delivery = self.last_delivery.max(at);
        while self.failed.first().is_some_and(|place| place.at() <= at) {
            self.failed.pop_first();
        }
    }

    /// Holds a failure, or lets it go, for as long as no success is later.
    pub fn hold_failure(&mut self, slot: Slot, at: Timestamp, holds: bool) {
        match holds && at > self.last_success {
            true => self.failed.insert(SlotAt::new(at, slot)),
            false => self.failed.remove(&SlotAt::new(at, slot)),
        };
    }

    /// The first and the last failure since the last success, of those after `after`.
    pub fn failed_since(&self, after: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let last = self.failed.last().filter(|place| place.at() > after)?;
        let first = self.failed.iter().find(|place| place.at() > after)?;
        Some((first.at(), last.at()))
    }

    /// The place of the group of this reason.
    pub fn find(&self, reason: Option<Reason>) -> Option<usize> {
        self.groups.iter().position(|counts| counts.reason == reason)
    }

    /// The same, added where it is new.
    pub fn find_or_add(&mut self, reason: Option<Reason>) -> usize {
        self.find(reason).unwrap_or_else(|| {
            self.groups.push(Counts { reason, ..Counts::default() });
            self.groups.len() - 1
        })
    }

    /// Whether nothing of it is left since `until`, nor waits to be judged in `round`.
    pub fn is_past(&self, until: Timestamp, round: u32) -> bool {
        self.deliveries == [0, 0]
            && self.last_delivery <= until
            && self.switched_off.is_empty()
            && self.groups.iter().all(|counts| counts.is_empty() && counts.touched_in != round)
    }

    /// Forgets failures at or before `until`.
    pub fn forget_failures(&mut self, until: Timestamp) {
        while self.failed.first().is_some_and(|place| place.at() <= until) {
            self.failed.pop_first();
        }
    }
}

/// Failures of one group.
#[derive(Debug, Default)]
pub struct Counts {
    /// Where the rule is per reason.
    pub reason: Option<Reason>,
    /// In which round it was last touched: it is to be judged where that is the present one.
    pub touched_in: u32,
    /// When it is to be judged though nothing touches it; `Timestamp(0)` for never.
    pub due_at: Timestamp,
    /// By [`Part`].
    failures: [Failures; 2],
    /// The newest of those that are counted or open.
    pub newest_failure: Timestamp,
    /// How many are failing now, over the whole look-back.
    pub open: u64,
    /// Those, where the age of the oldest may be told.
    opened: BTreeSet<SlotAt>,
    /// Where the rule compares streaks: the postbacks with failures.
    pub postbacks: BTreeSet<u64>,
}

/// Failures within one window.
#[derive(Debug, Default)]
struct Failures {
    count: i64,
    recovered: i64,
    exhausted: i64,
    abandoned: i64,
    /// For each distinct measure of the rule: value → failures that have it.
    distinct: Vec<HashMap<u64, i64>>,
}

impl Counts {
    /// The value of a measure that counts failures over a window; 0 for any other.
    pub fn of(&self, grouping: &Grouping, measure: Measure, part: Part) -> f64 {
        let failures = &self.failures[part as usize];
        let count = match measure {
            Measure::Failures => failures.count,
            Measure::Recovered => failures.recovered,
            Measure::Exhausted => failures.exhausted,
            Measure::Abandoned => failures.abandoned,
            Measure::Conversions
            | Measure::Hosts
            | Measure::Affiliates
            | Measure::Offers
            | Measure::Postbacks => {
                let place = grouping.distinct.iter().position(|known| *known == measure);
                let values = place.and_then(|place| failures.distinct.get(place));
                values.map_or(0, |values| values.len() as i64)
            }
            Measure::Deliveries
            | Measure::Suspect
            | Measure::FailureRate
            | Measure::Open
            | Measure::OldestOpen
            | Measure::Streak
            | Measure::SinceSuccess
            | Measure::SinceDelivery
            | Measure::Inactive => 0,
        };
        count as f64
    }

    pub fn is_empty(&self) -> bool {
        self.failures.iter().all(|failures| failures.count == 0) && self.open == 0
    }

    pub fn count(
        &mut self,
        grouping: &Grouping,
        dims: &Dims,
        delivery: &Delivery,
        part: Part,
        by: i64,
    ) {
        self.failures[part as usize].count(grouping, dims, delivery, by);
        self.newest_failure = self.newest_failure.max(delivery.timestamp);
        self.forget_newest_if_empty();
    }

    /// Since when the one that has been failing longest has been; `None` where none is, or
    /// the rule has no word for it.
    pub fn oldest_open(&self) -> Option<Timestamp> {
        self.opened.first().map(|place| place.at())
    }

    /// Holds a delivery that is failing now, or lets it go.
    pub fn hold_open(&mut self, grouping: &Grouping, place: SlotAt, holds: bool) {
        match holds {
            true => {
                self.open += 1;
                self.newest_failure = self.newest_failure.max(place.at());
                if grouping.by_oldest_open {
                    self.opened.insert(place);
                }
            }
            false => {
                self.open -= 1;
                self.opened.remove(&place);
                self.forget_newest_if_empty();
            }
        }
    }

    /// Counted anew, nobody would know it any more.
    fn forget_newest_if_empty(&mut self) {
        if self.is_empty() {
            self.newest_failure = Timestamp::default();
        }
    }
}

impl Failures {
    fn count(&mut self, grouping: &Grouping, dims: &Dims, delivery: &Delivery, by: i64) {
        self.count += by;
        match delivery.life {
            Life::Ended { how: Ended::Recovered, .. } => self.recovered += by,
            Life::Ended { how: Ended::Exhausted, .. } => self.exhausted += by,
            Life::Ended { how: Ended::Abandoned, .. } => self.abandoned += by,
            Life::Ended { how: Ended::Vanished, .. } | Life::Failing => {}
        }
        if grouping.distinct.is_empty() {
            return;
        }
        self.distinct.resize_with(grouping.distinct.len(), HashMap::new);
        for (measure, values) in grouping.distinct.iter().zip(&mut self.distinct) {
            if let Some(Some(value)) = distinct_value(*measure, Some((dims, delivery))) {
                tally(values, value, by);
            }
        }
    }
}

fn tally(values: &mut HashMap<u64, i64>, value: u64, by: i64) {
    let count = values.entry(value).or_default();
    *count += by;
    if *count == 0 {
        values.remove(&value);
    }
}
