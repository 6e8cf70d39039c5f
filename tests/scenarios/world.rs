//! A small network and the service that watches it. Polls as `poll` does, keeps
//! as the pipeline does: decide, commit, and build anew after a failed commit.

use std::collections::BTreeMap;
use std::time::Duration;

use postwatch::domain::alert::{Alert, AlertKey, Status};
use postwatch::domain::counters::Counters;
use postwatch::domain::coverage::{Coverage, plan};
use postwatch::domain::delivery::{Delivery, Ended, Identity, Life, Row};
use postwatch::domain::facts::Facts;
use postwatch::domain::notify::{AlertStatus, Notice};
use postwatch::domain::outgoing::Outcome;
use postwatch::domain::policy::{Policy, Route, Scope, SourcePolicy, Timing};
use postwatch::domain::rules::{Condition, Level, Measure, Op, Rule, Severity};
use postwatch::domain::state::{Changes, Record, SourceState, State};
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::{News, WholeSpan, turn};
use postwatch::store::Store;
use postwatch::store::memory::MemoryStore;

pub const SOURCE: &str = "acme";
/// Noon of some day; a multiple of every interval used here.
pub const NOON: i64 = 1_772_366_400;
pub const HOUR: i64 = 3_600;
pub const DAY: i64 = 24 * HOUR;
const PAGE: usize = 7;

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
    Evidence(Evidence),
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
    /// Every notice that was ever written, in order.
    pub notices: Vec<Notice>,
    /// How many of the next commits the disk refuses.
    pub failing_commits: u32,
    /// Receivers whose channel refuses everything.
    pub refusing: Vec<String>,
    pub is_network_down: bool,
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
    /// Mixes the rows of each answer.
    pub chance: Option<fastrand::Rng>,
    polls: u64,
    /// The end of the last poll with the long overlap.
    long_to: Option<i64>,
    last_read: u32,
}

pub fn seconds(s: i64) -> Duration {
    Duration::from_secs(s as u64)
}

/// `measure >= threshold`.
pub fn at_least(measure: Measure, threshold: f64) -> Condition {
    Condition { measure, op: Op::Ge, threshold }
}

/// A critical rule without delays.
pub fn rule(name: &str, over: i64, conditions: Vec<Condition>) -> Rule {
    Rule {
        name: name.into(),
        summary: None,
        matches: BTreeMap::new(),
        per: Vec::new(),
        over: seconds(over),
        levels: vec![Level { severity: Severity::Critical, conditions }],
        hold_for: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        labels: BTreeMap::new(),
        runbook: None,
    }
}

pub fn route(to: &[&str]) -> Route {
    Route {
        matches: BTreeMap::new(),
        to: to.iter().map(|&name| name.to_owned()).collect(),
        fallback: Vec::new(),
        continue_: false,
        timing: Timing::default(),
    }
}

pub fn policy(rules: Vec<Rule>) -> Policy {
    let sources = vec![SourcePolicy::named(SOURCE)];
    Policy { sources, evaluate_every: seconds(10), rules, routes: vec![route(&["ops"])] }
}

/// A row of postback 1 whose conversion is `id`.
pub fn row(
    id: &str,
    at: i64,
    failed_attempts: u32,
    last_attempt: i64,
    is_success: bool,
) -> Row<'static> {
    let answer = if is_success { "Status: 200" } else { "Status: 500" };
    Row {
        offer: 11,
        offer_name: "Offer".into(),
        affiliate: 7,
        affiliate_name: "Acme Media".into(),
        postback: 1,
        event: 0,
        conversion_id: id.to_owned().into(),
        transaction_id: format!("t-{id}").into(),
        timestamp: Timestamp(at),
        last_attempt: Timestamp(last_attempt),
        failed_attempts,
        is_success,
        delivery_method: "postback".into(),
        postback_level: "specific".into(),
        postback_type: "conversion".into(),
        postback_status: "active".into(),
        payload: "https://a.example/p?cid=1".into(),
        debug_information: answer.into(),
    }
}

impl World {
    /// A world whose service has just begun.
    pub fn new(policy: Policy) -> World {
        let mut world = World {
            unknown: 0,
            policy,
            now: NOON,
            uptime: Duration::ZERO,
            state: State::default(),
            store: MemoryStore::default(),
            rows: BTreeMap::new(),
            list: Some(BTreeMap::new()),
            notices: Vec::new(),
            failing_commits: 0,
            refusing: Vec::new(),
            is_network_down: false,
            parts: usize::MAX,
            skew: 0,
            crash: None,
            dead: None,
            was_ahead: false,
            delivered: Vec::new(),
            events: Vec::new(),
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
        self.unknown += tally.rules.iter().map(|rule| rule.unknown).sum::<u64>();
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
        for record in &changes.records {
            if let Record::Alert { key, alert } = record {
                if alert.as_ref().is_none_or(|alert| alert.has_ended()) {
                    self.events.push((self.now, Event::Evidence(self.evidence())));
                }
                let alert = alert.clone();
                self.events.push((self.now, Event::Alert(key.clone(), alert)));
            }
        }
        for record in &changes.records {
            if let Record::Outgoing { outgoing: Some(outgoing), .. } = record
                && outgoing.tries == 0
                && outgoing.given_up.is_none()
            {
                self.notices.push(outgoing.notice.clone());
                self.events.push((self.now, Event::Notice(outgoing.notice.clone())));
            }
        }
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

    pub fn checkpoint(&mut self) {
        let (commit, checkpoints) = (self.state.commit, self.state.checkpoints());
        self.store.checkpoint(commit, &checkpoints).expect("memory takes it");
    }

    /// Polls every scope and the list of postbacks, as `poll` does.
    pub fn poll(&mut self) {
        if self.is_network_down {
            self.turn(News::Failed { source: SOURCE, trouble: "503".into() });
            return;
        }
        let scopes = self.policy.sources[0].scopes.clone();
        let is_whole = scopes.iter().all(|scope| self.poll_scope(scope));
        let list: Option<Vec<(u64, bool)>> =
            self.list.as_ref().map(|list| list.iter().map(|(&id, &is)| (id, is)).collect());
        self.turn(News::Postbacks { source: SOURCE, statuses: list.as_deref() });
        // The long overlap comes round again until it was read whole.
        self.polls += u64::from(is_whole);
    }

    fn poll_scope(&mut self, scope: &Scope) -> bool {
        if self.coverage(scope).front.is_none() && !self.look_back(scope) {
            return false;
        }
        let is_long = self.polls.is_multiple_of(5);
        let (now, long_to) = (Timestamp(self.now), self.long_to.map(Timestamp));
        let source = &self.policy.sources[0];
        let present = plan::present(now, source, &self.coverage(scope), long_to, is_long);
        let Some((span, reaches_back)) = present else { return false };
        if !self.read_span(scope, span) {
            return false;
        }
        if reaches_back {
            self.long_to = Some(self.now);
        }
        for _ in 0..self.parts {
            let gap = plan::oldest_gap(&self.policy.sources[0], &self.coverage(scope));
            let Some(span) = gap else { break };
            if !self.read_span(scope, span) {
                return false;
            }
        }
        !(self.polls + 1).is_multiple_of(5) || self.sweep(scope)
    }

    fn coverage(&self, scope: &Scope) -> Coverage {
        self.facts().coverage.get(&scope.key()).cloned().unwrap_or_default()
    }

    /// Reads what the report holds of a span.
    fn read_span(&mut self, scope: &Scope, span: WholeSpan) -> bool {
        let WholeSpan::Recent { failures_from, successes_from, to } = span else { return false };
        let mut rows = self.asked_until(scope, false, failures_from.0, to.0);
        if self.policy.sources[0].successes && successes_from <= to {
            rows.extend(self.asked_until(scope, true, successes_from.0, to.0));
        }
        self.read(scope, rows, span)
    }

    fn look_back(&mut self, scope: &Scope) -> bool {
        let lookback = self.policy.sources[0].lookback;
        let watermark = self.facts().watermark;
        let to = plan::lookback_end(Timestamp(self.now), watermark);
        let rows = self.asked_until(scope, false, (to - lookback).0, to.0);
        let since = match watermark {
            Some(at) => at,
            None => to - self.policy.longest_window().min(lookback),
        };
        self.read(scope, rows, WholeSpan::Lookback { to, successes_since: since })
    }

    /// Reads the whole look-back's failures again, and the successes of its failing.
    pub fn sweep(&mut self, scope: &Scope) -> bool {
        let from = self.now - self.policy.sources[0].lookback.as_secs() as i64;
        let mut rows = self.asked(scope, false, from);
        rows.extend(self.asked(scope, true, from));
        let (from, to) = (Timestamp(from), Timestamp(self.now));
        self.read(scope, rows, WholeSpan::Older { from, to })
    }

    /// The rows that the report answers with.
    pub fn asked(&self, scope: &Scope, is_success: bool, from: i64) -> Vec<Row<'static>> {
        self.asked_until(scope, is_success, from, self.now)
    }

    fn asked_until(
        &self,
        scope: &Scope,
        is_success: bool,
        from: i64,
        to: i64,
    ) -> Vec<Row<'static>> {
        let span = Timestamp(from)..=Timestamp(to);
        let is_asked = |row: &&Row<'static>| {
            row.is_success == is_success
                && span.contains(&row.timestamp)
                && scope.contains(row.offer, row.affiliate)
        };
        self.rows.values().filter(is_asked).cloned().collect()
    }

    /// One read in pages; `false` where one of them could not be stored.
    pub fn read(&mut self, scope: &Scope, mut rows: Vec<Row<'static>>, span: WholeSpan) -> bool {
        if let Some(chance) = &mut self.chance {
            let again = rows.iter().filter(|_| chance.u8(..8) == 0).cloned().collect::<Vec<_>>();
            rows.extend(again);
            chance.shuffle(&mut rows);
        }
        let read = self.begin_read();
        for page in rows.chunks(PAGE) {
            self.page(read, page.to_vec());
        }
        self.end_read(scope, read, span)
    }

    pub fn begin_read(&mut self) -> u32 {
        self.last_read += 1;
        let at = Timestamp(self.now);
        self.turn(News::Began { source: SOURCE, read: self.last_read, at, counts: true });
        self.last_read
    }

    pub fn page(&mut self, read: u32, rows: Vec<Row<'static>>) -> bool {
        self.turn(News::Rows { source: SOURCE, read, rows: &mut rows.into_iter() })
    }

    pub fn end_read(&mut self, scope: &Scope, read: u32, span: WholeSpan) -> bool {
        let is_open = |world: &World| world.source().reads.contains_key(&read);
        let scope = scope.key();
        let is_counted = matches!(span, WholeSpan::Recent { .. });
        while is_counted && self.turn(News::Count { source: SOURCE, scope, read, span }) {
            if self.source().reads.get(&read).is_none_or(|open| open.clean.is_empty()) {
                break;
            }
        }
        // It is told even where a page could not be stored: that proves nothing then.
        let is_whole = is_open(self);
        self.turn(News::Whole { source: SOURCE, scope, read, span, stopwatch: &|| Duration::ZERO })
            && is_whole
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
            }
        }
    }

    pub fn tick(&mut self) {
        self.turn(News::Tick { uptime: self.uptime });
    }

    /// Every notice that waits is taken by its channel, or refused.
    pub fn send(&mut self) {
        let waiting = self.state.outbox.iter().filter(|(_, waiting)| waiting.given_up.is_none());
        let waiting: Vec<(u64, String)> =
            waiting.map(|(&number, one)| (number, one.notice.receiver.clone())).collect();
        for (number, receiver) in waiting {
            let Some(outgoing) = self.state.outbox.get(&number).filter(|_| !self.is_dead()) else {
                continue;
            };
            let notice = outgoing.notice.clone();
            let outcome = match self.refusing.contains(&receiver) {
                true => Outcome::Refused { message: "channel_not_found".into() },
                false => Outcome::Sent { thread: Some("\"1\"".into()) },
            };
            if !self.refusing.contains(&receiver) {
                self.delivered.push(notice);
            }
            // The answer is kept, however long the disk takes.
            while !self.turn(News::Settled { number, outcome: outcome.clone() }) && !self.is_dead()
            {
            }
        }
    }

    // --- what can be asked

    pub fn source(&self) -> &SourceState {
        &self.state.sources[SOURCE]
    }

    pub fn facts(&self) -> &Facts {
        &self.source().facts
    }

    pub fn counters(&self) -> &Counters {
        &self.facts().counters
    }

    pub fn deliveries_total(&self) -> u64 {
        self.counters().deliveries.values().sum()
    }

    pub fn failures_total(&self) -> u64 {
        self.counters().failures.values().sum()
    }

    pub fn ended(&self, how: Ended) -> u64 {
        self.counters().ended.get(&how).copied().unwrap_or(0)
    }

    pub fn delivery(&self, id: &str) -> Option<&Delivery> {
        let identity = Identity::of(SOURCE, self.rows.get(id)?);
        let slot = self.facts().deliveries.find(identity)?;
        Some(self.facts().deliveries.get(slot))
    }

    /// `failing`, `recovered`, …, `unknown`.
    pub fn life(&self, id: &str) -> &'static str {
        match self.delivery(id).map(|delivery| delivery.life) {
            None => "unknown",
            Some(Life::Failing) => "failing",
            Some(Life::Ended { how, .. }) => how.as_str(),
        }
    }

    pub fn alert(&self, rule: &str) -> Option<&Alert> {
        self.state.alerts.values().find(|alert| alert.key.rule == rule)
    }

    /// One word for an alert: `inactive`, `pending`, `critical`, `quiet`, `ended`.
    pub fn shows(&self, rule: &str) -> &'static str {
        self.alert(rule).map_or("inactive", |alert| match alert.status {
            Status::Pending => "pending",
            Status::Firing { severity, .. } => severity.as_str(),
            Status::Quiet { .. } => "quiet",
            Status::Ended { .. } => "ended",
        })
    }

    /// Notices of everybody as `receiver: reason [rule status severity]`.
    pub fn told(&self) -> Vec<String> {
        self.notices.iter().map(told).collect()
    }

    pub fn keys(&self) -> Vec<AlertKey> {
        self.state.alerts.keys().cloned().collect()
    }
}

pub fn told(notice: &Notice) -> String {
    let alerts: Vec<String> = notice
        .alerts
        .iter()
        .map(|alert| format!("{} {}", alert.rule, status_word(alert.status, alert.severity)))
        .collect();
    format!("{}: {} [{}]", notice.receiver, notice.reason.as_str(), alerts.join(", "))
}

fn status_word(status: AlertStatus, severity: Severity) -> &'static str {
    match status {
        AlertStatus::Firing => severity.as_str(),
        AlertStatus::Quiet => "quiet",
        AlertStatus::Resolved { .. } => "resolved",
        AlertStatus::Expired { .. } => "expired",
        AlertStatus::Removed { .. } => "removed",
    }
}

/// Everything that must survive a restart, a line each.
pub fn known(state: &State) -> Vec<String> {
    let mut lines = known_facts(state);
    lines.extend(sorted(state.alerts.values().filter(|alert| alert.has_ended())));
    lines.extend(sorted(state.batches.iter()));
    lines.extend(sorted(state.outbox.iter()));
    lines.extend(sorted(state.threads.iter()));
    lines
}

/// The same but for messages: one may have become due meanwhile.
pub fn known_facts(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, source) in &state.sources {
        let facts = &source.facts;
        lines.push(format!("{name} began {:?}", facts.first_read_at));
        lines.push(format!("{name} watermark {:?}", facts.watermark));
        lines.extend(sorted(facts.counters.deliveries.iter()));
        lines.extend(sorted(facts.counters.failures.iter()));
        lines.extend(sorted(facts.counters.hosts.iter()));
        lines.extend(sorted(facts.counters.ended.iter()));
        lines.push(format!("{:?}", facts.counters.recovery));
        lines.extend(sorted(facts.deliveries.iter()));
        lines.extend(sorted(facts.coverage.iter()));
        lines.extend(sorted(facts.postbacks.iter()));
        lines.extend(sorted(facts.offer_names.iter()));
        lines.extend(sorted(facts.affiliate_names.iter()));
        let (first, last) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        lines.extend(sorted(facts.successes_within(first, last)));
        lines.push(format!("windows at {:?}", source.windows.as_ref().map(|windows| windows.at)));
        lines.extend(sorted(source.active.iter().flatten()));
    }
    lines.extend(sorted(state.alerts.values().filter(|alert| !alert.has_ended())));
    lines
}

/// Holds two of [`known`] against each other, and shows where they differ.
pub fn assert_same(before: &[String], after: &[String], what: &str) {
    let only = |one: &[String], other: &[String]| -> Vec<String> {
        one.iter().filter(|line| !other.contains(line)).cloned().collect()
    };
    if before != after {
        let (lost, new) = (only(before, after), only(after, before));
        panic!("changed by {what}\nlost: {}\nnew: {}", lost.join("\n      "), new.join("\n     "));
    }
}

fn sorted<T: std::fmt::Debug>(things: impl Iterator<Item = T>) -> Vec<String> {
    let mut lines: Vec<String> = things.map(|thing| format!("{thing:?}")).collect();
    lines.sort();
    lines
}

impl World {
    /// The life of a delivery whose row the report no longer shows.
    pub fn life_of(&self, row: &Row<'static>) -> &'static str {
        let slot = self.facts().deliveries.find(Identity::of(SOURCE, row));
        match slot.map(|slot| self.facts().deliveries.get(slot).life) {
            None => "unknown",
            Some(Life::Failing) => "failing",
            Some(Life::Ended { how, .. }) => how.as_str(),
        }
    }
}
