//! One rule's groups: what enters and leaves their windows, and which of them are
//! to be judged. Whatever it costs follows the groups that something happens to.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;

use super::counts::{Counts, Part, Totals};
use super::group::{Group, Grouping, Labels};
use crate::domain::deliveries::{Slot, SlotAt};
use crate::domain::delivery::{Delivery, Ended, Life};
use crate::domain::dims::DimsId;
use crate::domain::facts::Facts;
use crate::domain::rules::{Measure, Rule};
use crate::domain::time::Timestamp;

/// Where a group stands in its window; valid until the next pruning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    totals: u32,
    group: u32,
}

/// Where the totals of one combination of labels stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Not asked yet.
    New,
    /// The rule does not match it.
    Outside,
    In(u32),
}

/// What is counted of one group; `None` where nothing ever was.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counted<'a> {
    pub totals: Option<&'a Totals>,
    pub counts: Option<&'a Counts>,
}

/// One rule's groups.
#[derive(Debug)]
pub struct RuleWindow {
    pub grouping: Grouping,
    over: Duration,
    has_previous: bool,
    /// See [`Rule::least_failures`].
    least_failures: f64,
    totals: Vec<Totals>,
    /// Places in `totals` that stand empty.
    free: Vec<u32>,
    by_labels: HashMap<Labels, u32>,
    /// By [`DimsId`]: labels are looked up once.
    places: Vec<Place>,
    /// Groups whose counts changed since they were last judged.
    touched: Vec<GroupId>,
    /// Rises with each judging: so none has to go over all that were touched.
    round: u32,
    /// Groups that cross a threshold by waiting, by when.
    due: BTreeSet<(Timestamp, GroupId)>,
}

impl RuleWindow {
    pub fn new(rule: &Rule) -> RuleWindow {
        RuleWindow {
            grouping: Grouping::new(rule),
            over: rule.over,
            has_previous: rule.compares_previous(),
            least_failures: rule.least_failures(),
            totals: Vec::new(),
            free: Vec::new(),
            by_labels: HashMap::new(),
            places: Vec::new(),
            touched: Vec::new(),
            round: 1,
            due: BTreeSet::new(),
        }
    }

    /// What is counted of a group.
    pub fn of(&self, group: &Group) -> Counted<'_> {
        let totals = self.totals(&group.labels);
        let counts = totals.and_then(|totals| Some(&totals.groups[totals.find(group.reason)?]));
        Counted { totals, counts }
    }

    pub fn at(&self, id: GroupId) -> Counted<'_> {
        let totals = &self.totals[id.totals as usize];
        Counted { totals: Some(totals), counts: Some(&totals.groups[id.group as usize]) }
    }

    pub fn totals(&self, labels: &Labels) -> Option<&Totals> {
        self.by_labels.get(labels).map(|&place| &self.totals[place as usize])
    }

    pub fn find(&self, group: &Group) -> Option<GroupId> {
        let totals = *self.by_labels.get(&group.labels)?;
        let group = self.totals[totals as usize].find(group.reason)? as u32;
        Some(GroupId { totals, group })
    }

    pub fn group(&self, id: GroupId) -> Group {
        let totals = &self.totals[id.totals as usize];
        Group { labels: totals.labels.clone(), reason: totals.groups[id.group as usize].reason }
    }

    /// Every group that anything is known of.
    pub fn known_groups(&self) -> BTreeSet<Group> {
        let totals = self.by_labels.values().map(|&place| &self.totals[place as usize]);
        let of = |totals: &Totals| {
            let group = |counts: &Counts| (totals.labels.clone(), counts.reason);
            totals.groups.iter().map(group).collect::<Vec<_>>()
        };
        totals.flat_map(of).map(|(labels, reason)| Group { labels, reason }).collect()
    }

    /// The postbacks whose streaks the group compares.
    pub fn postbacks(&self, group: &Group) -> impl Iterator<Item = u64> + '_ {
        let counts = self.of(group).counts;
        counts.into_iter().flat_map(|counts| counts.postbacks.iter().copied())
    }

    /// Has the group judged at the next moment.
    pub fn touch(&mut self, id: GroupId) {
        touch(&mut self.totals[id.totals as usize], &mut self.touched, self.round, id);
    }

    /// Has the group judged at `at`, unless it is before that anyway.
    pub fn queue(&mut self, id: GroupId, at: Timestamp) {
        let counts = &mut self.totals[id.totals as usize].groups[id.group as usize];
        let is_queued = counts.due_at != Timestamp::default();
        if is_queued && counts.due_at <= at {
            return;
        }
        if is_queued {
            self.due.remove(&(counts.due_at, id));
        }
        counts.due_at = at;
        self.due.insert((at, id));
    }

    /// The groups that are to be judged at `at`: those whose counts changed since
    /// the last call, and those whose moment has come.
    pub fn take_touched(&mut self, at: Timestamp) -> Vec<GroupId> {
        while let Some(&(due_at, id)) = self.due.first().filter(|(due_at, _)| *due_at <= at) {
            self.due.remove(&(due_at, id));
            self.totals[id.totals as usize].groups[id.group as usize].due_at = Timestamp::default();
            self.touch(id);
        }
        self.round += 1;
        std::mem::take(&mut self.touched)
    }

    /// Has every group judged: nothing is known of how they stood.
    pub fn touch_everything(&mut self) {
        for place in 0..self.totals.len() {
            self.touch_all(place);
        }
    }

    /// Has every group judged that compares the streak of `postback`.
    pub fn touch_streak(&mut self, postback: u64) {
        if !self.grouping.by_streak {
            return;
        }
        for place in 0..self.totals.len() {
            if self.totals[place].groups.iter().any(|of| of.postbacks.contains(&postback)) {
                self.touch_all(place);
            }
        }
    }

    /// Takes up labels that came since the last call.
    pub fn learn(&mut self, facts: &Facts) {
        let new = self.grouping.learn(facts);
        if !self.grouping.by_inactive {
            return;
        }
        for dims in new.map(|place| DimsId(place as u32)) {
            if !facts.is_active(facts.dims.get(dims).postback) {
                self.note_status(facts, dims);
            }
        }
    }

    /// Notes whether the postback of these labels is switched off.
    pub fn note_status(&mut self, facts: &Facts, dims: DimsId) {
        let Some(place) = self.place(facts, dims).filter(|_| self.grouping.by_inactive) else {
            return;
        };
        let (postback, off) = (facts.dims.get(dims).postback, &mut self.totals[place].switched_off);
        match facts.is_active(postback) {
            true => off.remove(&postback),
            false => off.insert(postback),
        };
        self.touch_all(place);
    }

    /// The window at `at` in which a delivery of this moment counts.
    pub fn part(&self, at: Timestamp, timestamp: Timestamp) -> Option<Part> {
        if timestamp > at - self.over {
            Some(Part::Current)
        } else if self.has_previous && timestamp > at - self.over * 2 {
            Some(Part::Previous)
        } else {
            None
        }
    }

    /// Lets go what falls out of the windows between two moments.
    pub fn leave(&mut self, facts: &Facts, from: Timestamp, to: Timestamp) {
        let over = self.over;
        self.count_span(facts, (from - over, to - over), Part::Current, -1);
        if self.has_previous {
            self.count_span(facts, (from - over, to - over), Part::Previous, 1);
            self.count_span(facts, (from - over * 2, to - over * 2), Part::Previous, -1);
        }
    }

    fn count_span(&mut self, facts: &Facts, span: (Timestamp, Timestamp), part: Part, by: i64) {
        for slot in facts.deliveries.within(span.0, span.1) {
            self.count(facts, &facts.deliveries.get(slot), part, by);
        }
        for (_, dims, count) in facts.successes_within(span.0, span.1) {
            self.count_successes(facts, dims, part, by * i64::from(count));
        }
    }

    pub fn count(&mut self, facts: &Facts, delivery: &Delivery, part: Part, by: i64) {
        let Some(place) = self.place(facts, delivery.dims) else { return };
        let totals = &mut self.totals[place];
        let has_recovered = matches!(delivery.life, Life::Ended { how: Ended::Recovered, .. });
        totals.count(part, by, has_recovered && facts.dims.get(delivery.dims).is_suspect);
        totals.last_delivery = totals.last_delivery.max(delivery.timestamp);
        if self.grouping.selects(delivery.reason) {
            let group = totals.find_or_add(self.grouping.by_reason.then_some(delivery.reason));
            let dims = facts.dims.get(delivery.dims);
            totals.groups[group].count(&self.grouping, &dims, delivery, part, by);
        }
        self.touch_all(place);
    }

    pub fn count_successes(&mut self, facts: &Facts, dims: DimsId, part: Part, by: i64) {
        let Some(place) = self.place(facts, dims) else { return };
        self.totals[place].count(part, by, facts.dims.get(dims).is_suspect);
        self.touch_failing(place);
    }

    /// Successes of one second enter: they are the last of their labels, whether or not a
    /// window still counts them.
    pub fn enter_successes(
        &mut self,
        facts: &Facts,
        (second, dims, count): (Timestamp, DimsId, u32),
        part: Option<Part>,
    ) {
        let Some(place) = self.place(facts, dims) else { return };
        let totals = &mut self.totals[place];
        totals.note_success(second);
        if let Some(part) = part {
            totals.count(part, i64::from(count), facts.dims.get(dims).is_suspect);
            self.touch_failing(place);
        }
    }

    /// Holds the delivery among what is known over the whole look-back, or lets it
    /// go: the failing ones, whose streak a group compares, the time since.
    pub fn hold(&mut self, facts: &Facts, slot: Slot, delivery: &Delivery, holds: bool) {
        let Some(place) = self.place(facts, delivery.dims) else { return };
        let totals = &mut self.totals[place];
        if holds {
            totals.last_delivery = totals.last_delivery.max(delivery.timestamp);
        }
        let mut touches = self.grouping.by_time_since;
        if self.grouping.by_time_since {
            totals.hold_failure(slot, delivery.timestamp, holds);
        }
        let by_streak = self.grouping.by_streak && holds;
        if (by_streak || delivery.is_open()) && self.grouping.selects(delivery.reason) {
            let group = totals.find_or_add(self.grouping.by_reason.then_some(delivery.reason));
            let counts = &mut totals.groups[group];
            if by_streak {
                counts.postbacks.insert(facts.dims.get(delivery.dims).postback);
            }
            if delivery.is_open() {
                counts.hold_open(&self.grouping, SlotAt::new(delivery.timestamp, slot), holds);
            }
            touches = true;
        }
        if touches {
            self.touch_all(place);
        }
    }

    pub fn note_success(&mut self, facts: &Facts, dims: DimsId, at: Timestamp) {
        if let Some(place) = self.place(facts, dims) {
            self.totals[place].note_success(at);
        }
    }

    /// Forgets groups without anything in them since `until`.
    pub fn prune(&mut self, until: Timestamp) {
        for place in 0..self.totals.len() {
            let totals = &mut self.totals[place];
            totals.forget_failures(until);
            if !totals.is_vacant && totals.is_past(until, self.round) {
                self.vacate(place as u32);
            }
        }
        for place in &mut self.places {
            if let Place::In(at) = *place
                && self.totals[at as usize].is_vacant
            {
                *place = Place::New;
            }
        }
    }

    fn vacate(&mut self, place: u32) {
        let totals = &mut self.totals[place as usize];
        self.by_labels.remove(&totals.labels);
        totals.is_vacant = true;
        for (group, counts) in totals.groups.drain(..).enumerate() {
            let id = GroupId { totals: place, group: group as u32 };
            self.due.remove(&(counts.due_at, id));
        }
        self.free.push(place);
    }

    /// Where the totals stand that these labels count in; `None` where the rule
    /// does not match them.
    fn place(&mut self, facts: &Facts, dims: DimsId) -> Option<usize> {
        let number = dims.0 as usize;
        if self.places.len() <= number {
            self.places.resize(number + 1, Place::New);
        }
        if self.places[number] == Place::New {
            self.places[number] = match self.grouping.labels(facts, dims) {
                Some(labels) => Place::In(self.find_or_add(labels)),
                None => Place::Outside,
            };
        }
        match self.places[number] {
            Place::In(place) => Some(place as usize),
            Place::New | Place::Outside => None,
        }
    }

    fn find_or_add(&mut self, labels: Labels) -> u32 {
        if let Some(&place) = self.by_labels.get(&labels) {
            return place;
        }
        let totals = Totals::new(labels.clone(), &self.grouping);
        let place = match self.free.pop() {
            Some(place) => {
                self.totals[place as usize] = totals;
                place
            }
            None => {
                self.totals.push(totals);
                u32::try_from(self.totals.len() - 1).expect("fewer than 4 billion groups")
            }
        };
        self.by_labels.insert(labels, place);
        place
    }

    /// Successes came or went: of these labels the groups whose answer may change by that.
    /// Those that have an alert are judged at each moment anyway.
    fn touch_failing(&mut self, place: usize) {
        let totals = &mut self.totals[place];
        for group in 0..totals.groups.len() {
            let counts = &totals.groups[group];
            let failures = counts.of(&self.grouping, Measure::Failures, Part::Current);
            if failures >= self.least_failures {
                let id = GroupId { totals: place as u32, group: group as u32 };
                touch(totals, &mut self.touched, self.round, id);
            }
        }
    }

    /// Every group of these labels compares their totals.
    fn touch_all(&mut self, place: usize) {
        let totals = &mut self.totals[place];
        for group in 0..totals.groups.len() as u32 {
            touch(totals, &mut self.touched, self.round, GroupId { totals: place as u32, group });
        }
    }
}

fn touch(totals: &mut Totals, touched: &mut Vec<GroupId>, round: u32, id: GroupId) {
    let counts = &mut totals.groups[id.group as usize];
    if std::mem::replace(&mut counts.touched_in, round) != round {
        touched.push(id);
    }
}
