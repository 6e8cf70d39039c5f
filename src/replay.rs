//! The service's own turns on a virtual clock: the same decisions as live, without a
//! network, a disk or a channel. Whoever replays says what was read and when; what
//! would have been told is collected.

use std::time::Duration;

use crate::domain::coverage::Coverage;
use crate::domain::delivery::Row;
use crate::domain::outgoing::Outcome;
use crate::domain::policy::{Policy, Scope, SourcePolicy};
use crate::domain::state::{Changes, Record, State};
use crate::domain::time::Timestamp;
use crate::domain::turn::{News, WholeSpan, turn};

mod arrivals;
pub mod backtest;
pub mod export;
pub mod history;
mod player;
pub mod rule_test;
pub mod suggest;
mod told;

pub use player::Player;
pub use told::{Stand, Told, ToldAlert, ToldMessage};

/// Mutes begin and end with a minute.
const MINUTE: Duration = Duration::from_secs(60);

/// A service whose time is whatever it is told.
pub struct Replay {
    policy: Policy,
    state: State,
    began_at: Timestamp,
    now: Timestamp,
    last_read: u32,
    told: told::Collector,
}

impl Replay {
    /// A service that starts at `start`. Every source is taken for read as a whole.
    pub fn begin(mut policy: Policy, start: Timestamp) -> Replay {
        for source in &mut policy.sources {
            source.scopes = vec![Scope::default()];
        }
        let mut replay = Replay {
            policy,
            state: State::default(),
            began_at: start,
            now: start,
            last_read: 0,
            told: told::Collector::default(),
        };
        replay.turn(News::Started);
        replay
    }

    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    /// The policy of a source of the rules file.
    pub fn source(&self, name: &str) -> Option<&SourcePolicy> {
        self.policy.source(name)
    }

    /// What was read of a source so far.
    pub fn coverage(&self, source: &str) -> Coverage {
        let scope = Scope::default().key();
        let known = self.state.sources.get(source);
        known.and_then(|known| known.facts.coverage.get(&scope)).cloned().unwrap_or_default()
    }

    /// A read of `span` that comes to its proper end now, with all that the report
    /// holds of it.
    pub fn read<'r>(
        &mut self,
        source: &str,
        span: WholeSpan,
        rows: impl IntoIterator<Item = Row<'r>>,
    ) {
        self.read_at(self.now, source, span, rows);
        self.send();
    }

    /// The same as of `at` by the network's time; messages wait for the next look.
    fn read_at<'r>(
        &mut self,
        at: Timestamp,
        source: &str,
        span: WholeSpan,
        rows: impl IntoIterator<Item = Row<'r>>,
    ) {
        self.last_read += 1;
        let read = self.last_read;
        let counts = matches!(span, WholeSpan::Recent { .. });
        self.turn(News::Began { source, read, at, counts });
        #[expect(clippy::map_identity, reason = "rows may borrow for longer than this turn")]
        let mut rows = rows.into_iter().map(|row| -> Row<'_> { row });
        self.turn(News::Rows { source, read, rows: &mut rows });
        let scope = Scope::default().key();
        while counts && self.turn(News::Count { source, scope, read, span }) > 0 {}
        let stopwatch = &|| Duration::ZERO;
        self.turn(News::Whole { source, scope, read, span, stopwatch });
    }

    /// The history of `source` is given whole: before it nothing happened.
    fn trust_history(&mut self, source: &str) {
        if let Some(source) = self.state.sources.get_mut(source) {
            source.facts.is_all_given = true;
        }
    }

    /// Of what came after `until` the history says nothing.
    fn trust_until(&mut self, source: &str, until: Timestamp) {
        if let Some(source) = self.state.sources.get_mut(source) {
            source.facts.given_until = Some(until);
        }
    }

    /// A poll that failed.
    pub fn miss(&mut self, source: &str, trouble: &str) {
        self.turn(News::Failed { source, trouble: trouble.to_owned() });
        self.send();
    }

    /// What the list of postbacks says now: `(id, is active)`.
    pub fn postbacks(&mut self, source: &str, statuses: &[(u64, bool)]) {
        self.turn(News::Postbacks { source, statuses: Some(statuses) });
        self.send();
    }

    /// Lets time pass: what becomes due is told, and taken by its channel at once.
    pub fn pass(&mut self, to: Timestamp) {
        while self.now < to {
            self.now = self.next_due().min(to);
            let uptime = self.now.since(self.began_at);
            self.turn(News::Tick { uptime });
            self.send();
        }
    }

    /// Messages that wait are told as they become due, until `to`. Nobody looks any more:
    /// so nobody is blind, and of what fires nobody knows whether it still does.
    fn wind_up(&mut self, to: Timestamp) {
        self.policy.sources.clear();
        for batch in self.state.batches.values_mut() {
            batch.timing.remind_every = Duration::MAX;
        }
        self.pass(to);
    }

    /// What was told so far.
    pub fn finish(self) -> Told {
        self.told.finish()
    }

    /// The next moment at which a message may become due.
    fn next_due(&self) -> Timestamp {
        let batches = self.state.batches.values();
        let mut due: Vec<Timestamp> = batches.flat_map(|batch| batch.may_be_due()).collect();
        if !self.policy.mutes.is_empty() {
            due.push(self.now.floor_to(MINUTE) + MINUTE);
        }
        due.into_iter().filter(|at| *at > self.now).min().unwrap_or(Timestamp(i64::MAX))
    }

    /// Every message is taken by its channel.
    fn send(&mut self) {
        while let Some(number) = self.state.outbox.keys().next().copied() {
            self.turn(News::Sending { number });
            self.turn(News::Settled { number, outcome: Outcome::Sent { thread: None } });
            if self.state.outbox.contains_key(&number) {
                return;
            }
        }
    }

    /// Decides, and keeps what came of it; tells how many clean successes are left to count.
    fn turn(&mut self, news: News<'_>) -> u64 {
        let (changes, tally) = turn(self.now, &self.policy, &mut self.state, news);
        tally.alerts.iter().for_each(|(at, alert)| self.told.alert(*at, alert));
        self.collect(&changes);
        tally.uncounted
    }

    fn collect(&mut self, changes: &Changes) {
        for record in &changes.records {
            if let Record::Outgoing { outgoing: Some(outgoing), .. } = record {
                self.told.message(&outgoing.notice);
            }
        }
    }
}
