//! A small network and the service that watches it, which keeps as the pipeline
//! does: decide, commit, and build anew after a failed commit.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use postwatch::domain::alert::{Alert, AlertKey};
use postwatch::domain::delivery::Row;
use postwatch::domain::notify::Notice;
use postwatch::domain::outgoing::Outgoing;
use postwatch::domain::policy::Policy;
use postwatch::domain::state::{Changes, Record, State};
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::{News, turn};
use postwatch::store::Store;
use postwatch::store::memory::MemoryStore;

#[path = "world/asking.rs"]
mod asking;
#[path = "world/making.rs"]
mod making;
#[path = "world/polling.rs"]
mod polling;
#[path = "world/sending.rs"]
mod sending;

pub use asking::{assert_same, known, known_facts, told};
pub use making::{at_least, policy, route, row, rule, seconds};

pub const SOURCE: &str = "acme";
/// Noon of some day; a multiple of every interval used here.
pub const NOON: i64 = 1_772_366_400;
pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 24 * HOUR;

/// Where in a turn the process dies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// Decided, not committed.
    BeforeCommit,
    /// Committed; nobody was told of it.
    AfterCommit,
}

/// What a commit brought.
#[derive(Debug)]
pub enum Event {
    Alert(AlertKey, Option<Box<Alert>>),
    Notice(Notice),
    /// What could prove a cure, before an alert that ended in this commit.
    Evidence(Rc<Evidence>),
}

/// `(affiliate, when)` of what is known and of what happened.
#[derive(Debug, Default, Clone)]
pub struct Evidence {
    /// Every success since then was read.
    pub known_since: Timestamp,
    /// Whether a wrong clock ever judged moments that the network had yet to see:
    /// what failed in them then counts in no window.
    pub was_ahead: bool,
    /// Deliveries that failed and did not recover.
    pub failed: Vec<(u64, Timestamp)>,
    pub succeeded: Vec<(u64, Timestamp)>,
}

pub struct World {
    /// Evaluations whose answer was unknown.
    pub unknown: u64,
    /// Groups that were judged.
    pub judged: u64,
    pub failed_templates: u64,
    pub policy: Policy,
    pub now: i64,
    /// By a clock that nobody sets.
    pub uptime: Duration,
    pub state: State,
    pub store: MemoryStore,
    /// The network's report, by any name.
    pub rows: BTreeMap<String, Row<'static>>,
    /// The network's list of postbacks; `None` where it refuses to tell.
    pub list: Option<BTreeMap<u64, bool>>,
    /// Every notice that was ever written, in order, and what was made of those that
    /// were merged.
    pub notices: Vec<Notice>,
    /// The ids of notices that were made of several.
    pub merged: BTreeSet<String>,
    /// What is in the outbox, by number.
    ids: BTreeMap<u64, String>,
    /// How many of the next commits the disk refuses.
    pub failing_commits: u32,
    /// Receivers whose channel refuses everything.
    pub refusing: Vec<String>,
    /// Receivers whose channel takes nothing for now.
    pub failing: Vec<String>,
    /// Receivers whose channel takes everything and never says so.
    pub mute: Vec<String>,
    /// Receivers whose channel is an Alertmanager.
    pub alertmanagers: Vec<String>,
    /// By receiver: what each was told, by some of its labels, and until when it holds.
    believed: BTreeMap<String, BTreeMap<String, i64>>,
    pub is_network_down: bool,
    /// Rows of a page.
    pub page: usize,
    /// Parts of a gap that one poll has time for.
    pub parts: usize,
    /// How far the service's clock is ahead of the network's.
    pub skew: i64,
    /// The process dies in the turn after so many more.
    pub crash: Option<(u32, Crash)>,
    /// What a dead process must know when it begins anew.
    dead: Option<Vec<String>>,
    was_ahead: bool,
    /// Every message that a channel took, in order, and those it took again.
    pub delivered: Vec<Notice>,
    /// What the commits brought, in order, with the network's time.
    pub events: Vec<(i64, Event)>,
    /// Each change of an alert's status, and when.
    pub transitions: Vec<(Timestamp, Alert)>,
    /// Mixes the rows of each answer.
    pub chance: Option<fastrand::Rng>,
    polls: u64,
    /// The end of the last poll with the long overlap.
    long_to: Option<i64>,
    last_read: u32,
}

impl World {
    /// A world whose service has just begun.
    pub fn new(policy: Policy) -> World {
        let mut world = World {
            unknown: 0,
            judged: 0,
            failed_templates: 0,
            policy,
            now: NOON,
            uptime: Duration::ZERO,
            state: State::default(),
            store: MemoryStore::default(),
            rows: BTreeMap::new(),
            list: Some(BTreeMap::new()),
            notices: Vec::new(),
            merged: BTreeSet::new(),
            ids: BTreeMap::new(),
            failing_commits: 0,
            refusing: Vec::new(),
            failing: Vec::new(),
            mute: Vec::new(),
            alertmanagers: Vec::new(),
            believed: BTreeMap::new(),
            is_network_down: false,
            page: 7,
            parts: usize::MAX,
            skew: 0,
            crash: None,
            dead: None,
            was_ahead: false,
            delivered: Vec::new(),
            events: Vec::new(),
            transitions: Vec::new(),
            chance: None,
            polls: 0,
            long_to: None,
            last_read: 0,
        };
        world.turn(News::Started);
        world
    }

    /// A world that looked back over a calm hour already.
    pub fn calm(policy: Policy) -> World {
        let mut world = World::new(policy);
        world.poll();
        world.pass(HOUR);
        world
    }

    // --- what the network does

    /// A try of `id` fails now.
    pub fn fail(&mut self, id: &str) -> &mut Row<'static> {
        let now = self.now;
        let row = self.rows.entry(id.to_owned()).or_insert_with(|| row(id, now, 0, 0, false));
        row.failed_attempts += 1;
        row.last_attempt = Timestamp(now);
        row.is_success = false;
        row
    }

    /// `id` is delivered now, after failed tries or at once.
    pub fn succeed(&mut self, id: &str) -> &mut Row<'static> {
        let now = self.now;
        let row = self.rows.entry(id.to_owned()).or_insert_with(|| row(id, now, 0, 0, true));
        if row.failed_attempts > 0 {
            row.last_attempt = Timestamp(now);
        }
        row.is_success = true;
        row
    }

    pub fn fail_many(&mut self, name: &str, count: usize) {
        for number in 0..count {
            self.fail(&format!("{name}{number}"));
        }
    }

    pub fn succeed_many(&mut self, name: &str, count: usize) {
        for number in 0..count {
            self.succeed(&format!("{name}{number}"));
        }
    }

    // --- what the service does

    /// The service's clock.
    pub fn clock(&self) -> i64 {
        self.now + self.skew
    }

    /// One turn and its commit; `false` where the disk refused it, or the process
    /// died of it or before.
    pub fn turn(&mut self, news: News<'_>) -> bool {
        if self.is_dead() {
            return false;
        }
        let crash = self.crash_now();
        let before = crash.map(|_| known_facts(&self.state));
        let (changes, tally) = turn(Timestamp(self.clock()), &self.policy, &mut self.state, news);
        self.transitions.extend(tally.alerts);
        self.unknown += tally.rules.iter().map(|rule| rule.unknown).sum::<u64>();
        self.failed_templates += tally.rules.iter().map(|rule| rule.failed_templates).sum::<u64>();
        self.judged += tally.rules.iter().map(|rule| rule.judged).sum::<u64>();
        if crash == Some(Crash::BeforeCommit) {
            self.dead = before;
            return false;
        }
        if self.failing_commits > 0 && !changes.is_empty() {
            self.failing_commits -= 1;
            self.load();
            return false;
        }
        self.commit(&changes);
        if crash == Some(Crash::AfterCommit) {
            self.dead = Some(known_facts(&self.state));
        }
        crash.is_none()
    }

    fn commit(&mut self, changes: &Changes) {
        if !changes.is_empty() {
            self.store.commit(changes).expect("memory takes it");
            self.note_commit(changes);
        }
    }

    fn crash_now(&mut self) -> Option<Crash> {
        let (turns, crash) = self.crash.take()?;
        if turns == 0 {
            return Some(crash);
        }
        self.crash = Some((turns - 1, crash));
        None
    }

    pub fn is_dead(&self) -> bool {
        self.dead.is_some()
    }

    /// A dead process begins anew; it must know what was committed, and no more.
    pub fn revive(&mut self) {
        let Some(before) = self.dead.take() else { return };
        self.restart_changed();
        assert_same(&before, &known_facts(&self.state), "a crash");
    }

    fn note_commit(&mut self, changes: &Changes) {
        let watermark = self.state.sources.get(SOURCE).and_then(|source| source.facts.watermark);
        self.was_ahead |= watermark.is_some_and(|at| at.0 > self.now);
        let mut evidence: Option<Rc<Evidence>> = None;
        for record in &changes.records {
            if let Record::Alert { key, alert } = record {
                if alert.as_ref().is_none_or(|alert| alert.has_ended()) {
                    let evidence = evidence.get_or_insert_with(|| Rc::new(self.evidence()));
                    self.events.push((self.now, Event::Evidence(evidence.clone())));
                }
                let alert = alert.clone();
                self.events.push((self.now, Event::Alert(key.clone(), alert)));
            }
        }
        for record in &changes.records {
            if let Record::Outgoing { number, outgoing } = record {
                self.note_outgoing(*number, outgoing.as_ref());
            }
        }
    }

    /// A number that has another id than before was merged with what came after it.
    fn note_outgoing(&mut self, number: u64, outgoing: Option<&Outgoing>) {
        let Some(Outgoing { notice, .. }) = outgoing else {
            self.ids.remove(&number);
            return;
        };
        let before = self.ids.insert(number, notice.id.clone());
        if before.as_ref() == Some(&notice.id) {
            return;
        }
        self.merged.extend(before.map(|_| notice.id.clone()));
        self.notices.push(notice.clone());
        self.events.push((self.now, Event::Notice(notice.clone())));
    }

    fn evidence(&self) -> Evidence {
        let facts = self.facts();
        let failed = facts.deliveries.iter().filter(|delivery| !delivery.newest.is_success);
        let succeeded = self.rows.values().filter(|row| row.is_success);
        Evidence {
            known_since: facts.successes_since(),
            was_ahead: self.was_ahead,
            failed: failed.map(|d| (facts.dims.get(d.dims).affiliate, d.timestamp)).collect(),
            succeeded: succeeded
                .map(|row| (row.affiliate, row.timestamp.max(row.last_attempt)))
                .collect(),
        }
    }

    fn load(&mut self) {
        let lookback = self.policy.sources.iter().map(|source| source.lookback).max();
        let span = lookback.unwrap_or_default() + seconds(DAY);
        let mut fresh = State::default();
        fresh.commit =
            self.store.load(span, &mut |stored| fresh.restore(stored)).expect("memory reads");
        let (changes, _) = turn(Timestamp(self.clock()), &self.policy, &mut fresh, News::Started);
        self.commit(&changes);
        self.state = fresh;
    }

    /// The process dies and begins anew; it must know what it knew.
    pub fn restart(&mut self) {
        let before = known(&self.state);
        self.restart_changed();
        assert_same(&before, &known(&self.state), "a restart");
    }

    /// Begins anew, where the policy may have changed.
    pub fn restart_changed(&mut self) {
        self.load();
        self.last_read = 0;
        self.polls = 0;
        self.long_to = None;
    }

    /// The rules file changed: in force only where the disk took it.
    pub fn reload(&mut self, policy: Policy) -> bool {
        let news = News::Reloaded { before: &self.policy };
        let (changes, _) = turn(Timestamp(self.clock()), &policy, &mut self.state, news);
        if self.failing_commits > 0 && !changes.is_empty() {
            self.failing_commits -= 1;
            self.load();
            return false;
        }
        self.policy = policy;
        self.commit(&changes);
        true
    }

    pub fn checkpoint(&mut self) {
        let (commit, checkpoints) = (self.state.commit, self.state.checkpoints());
        self.store.checkpoint(commit, &checkpoints).expect("memory takes it");
    }

    /// Time goes by: a tick every ten seconds, a poll every minute.
    pub fn pass(&mut self, time: i64) {
        let until = self.now + time;
        while self.now < until {
            let step = (until - self.now).min(10);
            self.now += step;
            self.uptime += seconds(step);
            // A dead process comes back at once, or after a while.
            if self.chance.as_mut().is_none_or(|chance| chance.bool()) {
                self.revive();
            }
            self.tick();
            self.send();
            if self.now % 60 == 0 {
                self.poll();
                self.send();
                self.restate();
            }
        }
    }

    pub fn tick(&mut self) {
        self.turn(News::Tick { uptime: self.uptime });
    }
}
