//! A seeded simulation: random traffic, pages, repetition, late rows, refused
//! commits, crashes, wrong clocks and changed configurations. `SEEDS` sets how
//! many seeds, `SEED` runs one.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use postwatch::domain::policy::{Policy, Scope};
use postwatch::domain::rules::{Label, Level, Measure, Rule, Severity};

use super::witness::Witness;
use super::world::{
    Crash, NOON, World, assert_same, at_least, known, policy, route, row, rule, seconds,
};

const SEEDS: u64 = 10_000;

/// Seeds that once failed: they run first.
const FAILED_ONCE: &[u64] = &[266, 2836];

const STRETCHES: usize = 24;

fn failing(threshold: f64) -> Rule {
    let mut failing = rule("failing", 300, vec![at_least(Measure::Failures, threshold + 3.0)]);
    failing.per = vec![Label::Affiliate];
    let warning = vec![at_least(Measure::Failures, threshold)];
    failing.levels.insert(0, Level { severity: Severity::Warning, conditions: warning });
    failing.keep_firing_for = seconds(60);
    failing
}

fn open() -> Rule {
    rule("open", 60, vec![at_least(Measure::Open, 8.0)])
}

fn rules() -> Vec<Rule> {
    let mut rate = rule("rate", 120, vec![at_least(Measure::FailureRate, 0.6)]);
    rate.hold_for = seconds(30);
    let mut streak = rule("streak", 60, vec![at_least(Measure::Streak, 4.0)]);
    streak.per = vec![Label::Postback];
    vec![failing(3.0), rate, streak, open()]
}

fn first_policy() -> Policy {
    let mut policy = policy(rules());
    policy.routes[0].timing.min_gap = seconds(60);
    policy
}

/// The world, who watches it, and what happened so far.
struct Run<'a> {
    world: World,
    chance: fastrand::Rng,
    witness: Witness,
    log: &'a Mutex<Vec<String>>,
    /// Receivers that were taken out of the configuration.
    deaf: BTreeSet<String>,
    /// Whether the report shows each try in a row of its own.
    is_per_attempt: bool,
    /// Whether clean successes may have been missed, by a wrong clock or a change
    /// of scopes.
    may_miss_successes: bool,
    conversions: BTreeSet<String>,
    failed: BTreeSet<String>,
    open: BTreeMap<String, u32>,
}

impl Run<'_> {
    fn say(&self, what: String) {
        let at = self.world.now - NOON;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{at:>6} {what}"));
    }

    /// A try of conversion `id`, of an affiliate whose postback bears its number.
    fn attempt(&mut self, id: &str, affiliate: u64, fails: bool, late: i64) {
        let now = self.world.now;
        let before = self.open.get(id).copied();
        let tries = before.unwrap_or(0) + u32::from(fails);
        let name = match self.is_per_attempt {
            true => format!("{id}#{tries}{fails}"),
            false => id.to_owned(),
        };
        let tried_at = if tries > 0 { now } else { 0 };
        let first = self.world.rows.values().find(|row| row.conversion_id == id);
        let (timestamp, affiliate) =
            first.map_or((now - late, affiliate), |row| (row.timestamp.0, row.affiliate));
        let mut shown = row(id, timestamp, tries, tried_at, !fails);
        (shown.affiliate, shown.postback) = (affiliate, affiliate);
        self.world.rows.insert(name, shown);
        self.conversions.insert(id.to_owned());
        match fails {
            true => {
                self.failed.insert(id.to_owned());
                self.open.insert(id.to_owned(), tries);
            }
            false => {
                self.open.remove(id);
            }
        }
    }

    /// One stretch of time: traffic, then a poll or a mishap.
    fn stretch(&mut self, number: usize) {
        let is_bad = number / 6 % 2 == 1;
        for place in 0..self.chance.usize(..6) {
            let fails = self.chance.u8(..10) < if is_bad { 7 } else { 1 };
            let late = if self.chance.u8(..12) == 0 { self.chance.i64(1..240) } else { 0 };
            let affiliate = self.chance.u64(1..3);
            self.attempt(&format!("c{number}-{place}"), affiliate, fails, late);
        }
        for id in self.open.keys().cloned().collect::<Vec<_>>() {
            if self.chance.u8(..4) == 0 {
                let fails = is_bad && self.chance.u8(..3) > 0;
                self.attempt(&id, 0, fails, 0);
            }
        }
        self.mishap();
        let time = self.chance.i64(1..10) * 10;
        self.world.pass(time);
        self.witness.watch(&self.world);
        let (counted, happened) = (self.world.failures_total(), self.failed.len() as u64);
        assert!(counted <= happened, "{counted} failures counted of {happened}");
        let counted = self.world.deliveries_total();
        assert!(counted <= self.conversions.len() as u64, "{counted} deliveries counted");
    }

    fn mishap(&mut self) {
        match self.chance.u8(..18) {
            0 => {
                self.world.failing_commits = self.chance.u32(1..3);
                self.say(format!("{} commits are refused", self.world.failing_commits));
            }
            1 if !self.world.is_dead() => {
                self.say("restart".into());
                self.world.restart();
            }
            2 if !self.world.is_dead() => self.world.checkpoint(),
            3 => {
                self.world.is_network_down ^= true;
                self.say(format!("the network is down: {}", self.world.is_network_down));
            }
            4 => self.broken_read(),
            5..=7 => {
                let crash = match self.chance.bool() {
                    true => Crash::BeforeCommit,
                    false => Crash::AfterCommit,
                };
                self.world.crash = Some((self.chance.u32(..24), crash));
                self.say(format!("will crash: {:?}", self.world.crash));
            }
            8 => {
                let jump = self.chance.i64(-1800..1800);
                self.world.skew = if self.world.skew == 0 { jump } else { 0 };
                self.may_miss_successes = true;
                self.say(format!("the clock is wrong by {} s", self.world.skew));
            }
            9 => {
                let is_active = self.chance.u8(..3) > 0;
                self.world.list = Some([(1, is_active), (2, true)].into());
                self.say(format!("postback 1 is active: {is_active}"));
            }
            10 | 11 if !self.world.is_dead() => self.reload(),
            12 => self.channel_trouble(),
            _ => {}
        }
    }

    /// A channel takes nothing for a while, or takes all and does not say so.
    fn channel_trouble(&mut self) {
        let world = &mut self.world;
        let receiver = world.policy.routes[0].to[0].clone();
        let is_well = world.failing.is_empty() && world.mute.is_empty();
        (world.failing, world.mute) = match (is_well, self.chance.bool()) {
            (false, _) => (Vec::new(), Vec::new()),
            (true, false) => (vec![receiver], Vec::new()),
            (true, true) => (Vec::new(), vec![receiver]),
        };
        let (failing, mute) = (&self.world.failing, &self.world.mute);
        self.say(format!("channels that fail: {failing:?}, that lose their answers: {mute:?}"));
    }

    /// A read that breaks off, its pages in any order and twice.
    fn broken_read(&mut self) {
        let mut rows = self.world.asked(&Scope::default(), false, self.world.now - 600);
        rows.extend(rows.clone());
        self.chance.shuffle(&mut rows);
        if !self.world.is_dead() {
            let read = self.world.begin_read();
            self.world.page(read, rows);
            self.say("a read breaks off".into());
        }
    }

    /// The file was changed, and the service begins anew with it.
    fn reload(&mut self) {
        let policy = &mut self.world.policy;
        let only = |affiliate| Scope { affiliates: vec![affiliate], ..Scope::default() };
        let what = match self.chance.u8(..4) {
            0 => {
                match policy.rules.iter().position(|rule| rule.name == "open") {
                    Some(place) => drop(policy.rules.remove(place)),
                    None => policy.rules.push(open()),
                }
                "a rule comes or goes"
            }
            1 => {
                policy.rules[0] = failing(self.chance.u8(2..5).into());
                "a threshold changes"
            }
            2 => {
                policy.sources[0].scopes = match policy.sources[0].scopes.len() {
                    1 => vec![only(1), only(2)],
                    _ => vec![Scope::default()],
                };
                self.may_miss_successes = true;
                "the scopes change"
            }
            _ => {
                let before = policy.routes[0].to[0].clone();
                let after = if before == "ops" { "night" } else { "ops" };
                let timing = policy.routes[0].timing.clone();
                policy.routes = vec![route(&[after])];
                policy.routes[0].timing = timing;
                self.world.refusing = vec![before.clone()];
                self.deaf.insert(before);
                "the receiver has another name"
            }
        };
        self.say(format!("reload: {what}"));
        let counted = |world: &World| (world.failures_total(), world.deliveries_total());
        let before = counted(&self.world);
        self.world.restart_changed();
        assert_eq!(counted(&self.world), before, "after a reload");
    }

    /// Calm at last: everything is read, cured and told.
    fn calm_down(&mut self) {
        let world = &mut self.world;
        (world.failing_commits, world.crash, world.skew) = (0, None, 0);
        world.is_network_down = false;
        (world.failing, world.mute) = (Vec::new(), Vec::new());
        world.list = Some([(1, true), (2, true)].into());
        // Until a clock that had been ahead is caught up with.
        let watermark = world.facts().watermark.map_or(0, |at| at.0);
        world.pass(120 + 60 * (watermark - world.now).max(0).div_euclid(60));
        for id in self.open.keys().cloned().collect::<Vec<_>>() {
            self.attempt(&id, 0, false, 0);
        }
        self.world.pass(420);
        self.world.now += 5;
        for affiliate in 1..3 {
            self.attempt(&format!("last{affiliate}"), affiliate, false, 0);
        }
        self.world.now += 5;
        self.world.pass(600);
        self.witness.watch(&self.world);
    }

    fn check_end(&mut self) {
        assert_eq!(self.world.failures_total(), self.failed.len() as u64, "each failure once");
        if !self.may_miss_successes {
            let happened = self.conversions.len() as u64;
            assert_eq!(self.world.deliveries_total(), happened, "each delivery once");
        }
        assert!(self.world.state.alerts.is_empty(), "not cured: {:?}", self.world.state.alerts);
        self.witness.check_end(&self.world, &self.deaf);
        let before = known(&self.world.state);
        let rows: Vec<_> = self.world.rows.values().cloned().collect();
        let read = self.world.begin_read();
        self.world.page(read, rows);
        assert_same(&before, &known(&self.world.state), "reading every row again");
        self.world.restart();
    }
}

fn run(seed: u64, log: &Mutex<Vec<String>>) {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut world = World::new(first_policy());
    world.list = Some([(1, true), (2, true)].into());
    world.poll();
    world.pass(300);
    world.chance = Some(chance.fork());
    let mut run = Run {
        world,
        is_per_attempt: chance.bool(),
        chance,
        witness: Witness::default(),
        log,
        deaf: BTreeSet::new(),
        may_miss_successes: false,
        conversions: BTreeSet::new(),
        failed: BTreeSet::new(),
        open: BTreeMap::new(),
    };
    for number in 0..STRETCHES {
        run.stretch(number);
    }
    run.calm_down();
    run.check_end();
}

/// Runs one seed; what happened, where it breaks a promise.
fn outcome(seed: u64) -> Result<(), String> {
    let log = Mutex::new(Vec::new());
    catch_unwind(AssertUnwindSafe(|| run(seed, &log))).map_err(|_| {
        let log = log.into_inner().unwrap_or_else(PoisonError::into_inner);
        format!("{}\nseed {seed} failed: SEED={seed} cargo test --test scenarios", log.join("\n"))
    })
}

#[test]
fn whatever_happens_nothing_is_lost_and_nothing_told_twice() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) => vec![seed],
        None => FAILED_ONCE.iter().copied().chain(0..number("SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let (next, broken) = (AtomicU64::new(0), Mutex::new(None));
    let work = || {
        while broken.lock().is_ok_and(|broken| broken.is_none()) {
            let place = next.fetch_add(1, Ordering::Relaxed) as usize;
            let Some(&seed) = seeds.get(place) else { return };
            if let Err(told) = outcome(seed) {
                broken.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(told);
            }
        }
    };
    std::thread::scope(|threads| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            threads.spawn(work);
        }
    });
    let broken = broken.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert!(broken.is_none(), "{}", broken.unwrap_or_default());
}
