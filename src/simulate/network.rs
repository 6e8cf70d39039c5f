//! The simulated network itself: deliveries and their lives, moment by moment.
//! Its state depends on the scenario, the start and the time alone, never on
//! when it is asked. Renders nothing and knows no HTTP.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};

use crate::domain::time::Timestamp;

use super::cast::Cast;
use super::chance::{Purpose, draw};
use super::health::{Health, Turn};
use super::reason::{Defect, Reason};
use super::scenario::Scenario;
use super::traffic::{Arrival, Traffic};

/// No moment of the model: a delivery that has not been tried yet shows never.
const NEVER: u32 = u32::MAX;
/// Failures further apart than this switch nothing off.
const STREAK_SPAN_SECONDS: u32 = 72 * 3600;

/// One delivery. Small, as there are millions; texts are rendered when asked
/// for. Moments are seconds since the model's origin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delivery {
    pub at: u32,
    visible_at: u32,
    /// 0 = none that failed.
    last_attempt: u32,
    pub conversion: u32,
    pub postback: u32,
    pub first_reason: Option<Reason>,
    /// The last try's; `None` is a success.
    pub reason: Option<Reason>,
    pub offer: u16,
    pub affiliate: u16,
    pub event: u8,
    pub failed_attempts: u8,
    pub defect: Defect,
}

/// What is to happen at a moment, in the order of equal moments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    Reactivate {
        place: u32,
    },
    FirstTry {
        delivery: u32,
    },
    /// Void where the postback has been switched off since: `switched_off` tells.
    Retry {
        delivery: u32,
        switched_off: u8,
    },
}

/// How one postback is doing.
#[derive(Debug, Clone, Default)]
struct Standing {
    inactive: bool,
    /// Times it was switched off; retries of an earlier life are void.
    switched_off: u8,
    /// When the failures in a row began to be, the newest last.
    failures: VecDeque<u32>,
}

#[derive(Debug)]
pub(super) struct Network {
    pub cast: Cast,
    pub seed: u64,
    scenario: Scenario,
    origin: i64,
    now: u32,
    deliveries: Vec<Delivery>,
    /// Each failed try's moment and reason, where the reports show them all.
    tries: HashMap<u32, Vec<(u32, Reason)>>,
    standings: Vec<Standing>,
    health: Health,
    traffic: Traffic,
    steps: BinaryHeap<Reverse<(u32, Step)>>,
    conversions: u32,
    /// Deliveries that were tried since somebody asked.
    tried: Option<Vec<u32>>,
}

impl Network {
    /// The network with its history, as of `start`.
    pub(super) fn begin(scenario: Scenario, start: Timestamp) -> Network {
        let history = scenario.history.as_secs() as u32;
        // Second 0 stays free: it means "never tried" in `last_attempt`.
        let origin = start.0 - i64::from(history) - 1;
        let begins = 1 + history;
        let cast = Cast::draw(&scenario);
        let ends_at =
            scenario.ends_after.map_or(NEVER, |it| begins.saturating_add(it.as_secs() as u32));
        let traffic_begins = if scenario.fixed.is_some() { begins } else { 1 };
        let traffic = Traffic::of(&scenario, &cast, origin, traffic_begins, ends_at);
        let health = Health::of(&scenario, &cast, begins);
        let reactivations = health.reactivations();
        let mut network = Network {
            standings: vec![Standing::default(); cast.postbacks.len()],
            seed: scenario.seed,
            cast,
            origin,
            now: 0,
            deliveries: Vec::new(),
            tries: HashMap::new(),
            health,
            traffic,
            steps: BinaryHeap::new(),
            conversions: 0,
            tried: None,
            scenario,
        };
        for (at, place) in reactivations {
            network.plan(at, Step::Reactivate { place: place as u32 });
        }
        if let Some(fixed) = network.scenario.fixed {
            network.lay_out(fixed, begins);
        }
        network.advance(start);
        network
    }

    /// Lets everything happen that is due by `now`. Time never runs backwards.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let now = self.second(now).max(self.now);
        loop {
            let step = self.steps.peek().map(|Reverse((at, _))| *at);
            let arrival = self.traffic.next_at();
            match (step, arrival) {
                (Some(step), _) if step <= now && arrival.is_none_or(|it| step <= it) => {
                    self.take_step();
                }
                (_, Some(arrival)) if arrival <= now => self.take_arrival(),
                (_, _) => break,
            }
        }
        self.now = now;
    }

    /// The moment up to which everything has happened.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.origin + i64::from(self.now))
    }

    /// Deliveries whose timestamp is in `from..=to`, as places.
    pub(super) fn places(&self, from: Timestamp, to: Timestamp) -> std::ops::Range<usize> {
        let (from, to) = (from.0 - self.origin, to.0 - self.origin);
        let first = self.deliveries.partition_point(|it| i64::from(it.at) < from);
        let end = self.deliveries.partition_point(|it| i64::from(it.at) <= to);
        first..end.max(first)
    }

    pub(super) fn deliveries(&self) -> &[Delivery] {
        &self.deliveries
    }

    /// The rows that a report has of the delivery at `place`: earlier tries where it
    /// shows them, then the delivery as it is.
    pub(super) fn rows(&self, place: usize) -> impl Iterator<Item = Delivery> + '_ {
        let delivery = self.deliveries[place];
        let tries = self.tries.get(&(place as u32)).map_or(&[][..], Vec::as_slice);
        let earlier = tries.len().saturating_sub(usize::from(delivery.reason.is_some()));
        let earlier =
            (1u8..).zip(&tries[..earlier]).map(move |(failed_attempts, &(at, reason))| Delivery {
                failed_attempts,
                last_attempt: at,
                reason: Some(reason),
                ..delivery
            });
        earlier.chain(std::iter::once(delivery))
    }

    /// Whether a report would hold it by now.
    pub(super) fn is_visible(&self, delivery: &Delivery) -> bool {
        delivery.visible_at <= self.now
    }

    pub(super) fn was_tried(&self, delivery: &Delivery) -> bool {
        delivery.visible_at != NEVER
    }

    pub(super) fn timestamp(&self, delivery: &Delivery) -> Timestamp {
        self.moment(delivery.at)
    }

    /// The last try; 0 where none failed.
    pub(super) fn last_attempt(&self, delivery: &Delivery) -> Timestamp {
        match delivery.last_attempt {
            0 => Timestamp(0),
            at => self.moment(at),
        }
    }

    pub(super) fn is_active(&self, place: usize) -> bool {
        !self.standings[place].inactive
    }

    /// The deliveries that were tried since the last call and show by now, oldest first;
    /// those of the history too at the first. What does not show yet comes later.
    pub(super) fn take_tried(&mut self) -> Vec<usize> {
        let tried =
            self.tried.take().unwrap_or_else(|| (0..self.deliveries.len() as u32).collect());
        let shows = |number: &u32| self.is_visible(&self.deliveries[*number as usize]);
        let (mut shown, later): (Vec<u32>, Vec<u32>) = tried.into_iter().partition(shows);
        self.tried = Some(later);
        shown.sort_unstable();
        shown.dedup();
        shown.into_iter().map(|number| number as usize).collect()
    }

    /// Switches a postback on or off, as somebody at the network does by hand.
    pub(super) fn switch(&mut self, place: usize, active: bool) {
        match active {
            true => self.reactivate(place),
            false => self.deactivate(place),
        }
    }

    fn take_step(&mut self) {
        let Some(Reverse((at, step))) = self.steps.pop() else { return };
        match step {
            Step::Reactivate { place } => self.reactivate(place as usize),
            Step::FirstTry { delivery } => self.first_try(at, delivery),
            Step::Retry { delivery, switched_off } => {
                let place = self.deliveries[delivery as usize].postback as usize;
                let standing = &self.standings[place];
                if !standing.inactive && standing.switched_off == switched_off {
                    self.retry(at, delivery);
                }
            }
        }
    }

    fn take_arrival(&mut self) {
        let arrival = self.traffic.take(&self.cast);
        self.conversions += 1;
        let places: Vec<u32> = self.set_off(arrival).collect();
        for place in places {
            if self.health.is_silent(arrival.at, place as usize, arrival.offer.into()) {
                continue;
            }
            let postback = &self.cast.postbacks[place as usize];
            let due = arrival.at + postback.delay_seconds;
            let delivery = self.record(arrival, place);
            match due == arrival.at {
                true => self.first_try(due, delivery),
                false => self.plan(due, Step::FirstTry { delivery }),
            }
        }
    }

    /// The active postbacks that an arrival fires: of one that is switched off
    /// nothing is recorded.
    fn set_off(&self, arrival: Arrival) -> impl Iterator<Item = u32> {
        let matching =
            self.cast.matching(arrival.trigger, arrival.affiliate.into(), arrival.offer.into());
        matching.filter(|&place| self.is_active(place as usize))
    }

    fn record(&mut self, arrival: Arrival, postback: u32) -> u32 {
        let delivery = self.deliveries.len() as u32;
        let mut rng = draw(self.seed, Purpose::Defect, delivery.into());
        self.deliveries.push(Delivery {
            at: arrival.at,
            visible_at: NEVER,
            last_attempt: 0,
            conversion: self.conversions,
            postback,
            first_reason: None,
            reason: None,
            offer: arrival.offer,
            affiliate: arrival.affiliate,
            event: arrival.event,
            failed_attempts: 0,
            defect: self.health.defect(arrival.at, postback as usize, &mut rng),
        });
        delivery
    }

    fn first_try(&mut self, at: u32, delivery: u32) {
        if !self.is_active(self.deliveries[delivery as usize].postback as usize) {
            return;
        }
        let lateness = self.scenario.lateness.as_secs() as u32;
        let late = draw(self.seed, Purpose::Lateness, delivery.into()).u32(0..=lateness);
        self.deliveries[delivery as usize].visible_at = at.saturating_add(late);
        self.attempt(at, delivery, Turn::First);
    }

    fn retry(&mut self, at: u32, delivery: u32) {
        if let Some(reason) = self.deliveries[delivery as usize].reason {
            self.attempt(at, delivery, Turn::Retry(reason));
        }
    }

    fn attempt(&mut self, at: u32, number: u32, turn: Turn) {
        if let Some(tried) = &mut self.tried {
            tried.push(number);
        }
        let delivery = &mut self.deliveries[number as usize];
        let place = delivery.postback as usize;
        let tries = u64::from(number) << 8 | u64::from(delivery.failed_attempts);
        let mut rng = draw(self.seed, Purpose::Try, tries);
        let hit = (place, usize::from(delivery.offer));
        let met = self.health.meet(at, hit, &self.cast.postbacks[place], turn, &mut rng);
        match met {
            Some(reason) => self.fail(at, number, reason, turn),
            None => {
                delivery.reason = None;
                if delivery.failed_attempts > 0 {
                    delivery.last_attempt = at;
                }
                self.standings[place].failures.clear();
            }
        }
    }

    fn fail(&mut self, at: u32, number: u32, reason: Reason, turn: Turn) {
        let delivery = &mut self.deliveries[number as usize];
        delivery.first_reason.get_or_insert(reason);
        delivery.reason = Some(reason);
        delivery.last_attempt = at;
        delivery.failed_attempts += 1;
        if self.scenario.rows_per_attempt {
            self.tries.entry(number).or_default().push((at, reason));
        }
        let (place, failed) = (delivery.postback as usize, delivery.failed_attempts);
        if failed < self.scenario.max_attempts {
            let schedule = &self.scenario.retry_schedule;
            let wait = schedule.get(usize::from(failed) - 1).or(schedule.last());
            let due = at.saturating_add(wait.map_or(60, |it| it.as_secs().max(1) as u32));
            let switched_off = self.standings[place].switched_off;
            self.plan(due, Step::Retry { delivery: number, switched_off });
        }
        if turn == Turn::First {
            self.count_failure(at, place);
        }
    }

    fn count_failure(&mut self, at: u32, place: usize) {
        let Some(limit) = self.scenario.deactivates_after else { return };
        if !self.cast.postbacks[place].is_url() {
            return;
        }
        let failures = &mut self.standings[place].failures;
        failures.push_back(at);
        while failures.len() > limit {
            failures.pop_front();
        }
        let within = failures.front().is_some_and(|first| at - first <= STREAK_SPAN_SECONDS);
        if failures.len() == limit && within {
            self.deactivate(place);
        }
    }

    fn deactivate(&mut self, place: usize) {
        let standing = &mut self.standings[place];
        if !standing.inactive {
            standing.inactive = true;
            standing.switched_off = standing.switched_off.wrapping_add(1);
        }
    }

    fn reactivate(&mut self, place: usize) {
        self.standings[place].inactive = false;
        self.standings[place].failures.clear();
    }

    fn plan(&mut self, at: u32, step: Step) {
        self.steps.push(Reverse((at, step)));
    }

    fn moment(&self, second: u32) -> Timestamp {
        Timestamp(self.origin + i64::from(second))
    }

    fn second(&self, moment: Timestamp) -> u32 {
        u32::try_from(moment.0 - self.origin).unwrap_or(0)
    }
}

mod fixed;
#[cfg(test)]
mod tests;
