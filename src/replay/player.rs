//! Plays a history to a [`Replay`]: rows that tell how deliveries ended, as polls
//! would have shown them one after the other. Decides nothing.
//!
//! Every moment is judged knowing what had happened by then and nothing later, so
//! that alerts do not depend on when the polls fell. Messages follow the polls, as
//! they do live.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use super::arrivals::{self, Arrival, Arrivals};
use super::backtest::ceil;
use super::{Replay, Told};
use crate::domain::delivery::{Identity, Row};
use crate::domain::policy::{Policy, Scope, SourcePolicy};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::domain::turn::WholeSpan;

/// The data of a moment is read to the second after it: a read counts its last
/// second anew, and nothing has happened in that one yet.
const SETTLE: Duration = Duration::from_secs(1);

/// A service that watches a history.
pub struct Player {
    replay: Replay,
    tracks: HashMap<String, Track>,
}

/// How far a source's history was read.
struct Track {
    /// How late its rows may come.
    settle: Duration,
    scopes: Vec<Scope>,
    /// Judged up to here.
    at: Timestamp,
    /// The last poll failed.
    is_missed: bool,
    arrivals: Arrivals,
}

impl Player {
    /// Begins at `start`: nothing happened before.
    pub fn begin(mut policy: Policy, start: Timestamp) -> Player {
        let at = start.floor_to(policy.evaluate_every);
        let mut tracks = HashMap::new();
        for source in &mut policy.sources {
            let settle = std::mem::replace(&mut source.settle, SETTLE);
            let (scopes, arrivals) = (source.scopes.clone(), Arrivals::default());
            let track = Track { settle, scopes, at, is_missed: false, arrivals };
            tracks.insert(source.name.clone(), track);
        }
        let mut replay = Replay::begin(policy, at);
        for source in tracks.keys() {
            replay.trust_history(source);
            let to = at + SETTLE;
            replay.read(source, WholeSpan::Lookback { to, successes_since: at }, []);
            let span = WholeSpan::Recent { failures_from: to, successes_from: at, to };
            replay.read(source, span, []);
        }
        Player { replay, tracks }
    }

    /// The history ends with a row of this timestamp.
    pub fn end_history(&mut self, source: &str, until: Timestamp) {
        self.replay.trust_until(source, until);
    }

    /// One whole poll of `source`: the rows that became visible or changed since the
    /// one before. What comes later than its moment counts as it does live. A row
    /// that failed shows its first try from its `timestamp` on, its last one from
    /// `last_attempt` on; what lies within `settle` of `now` waits for the next poll.
    pub fn poll<'r>(
        &mut self,
        source: &str,
        now: Timestamp,
        rows: impl IntoIterator<Item = Row<'r>>,
    ) {
        let until = self.complete_by(source, now);
        self.poll_until(source, now, until, rows);
    }

    /// The last moment that a poll at `now` judges.
    pub fn complete_by(&self, source: &str, now: Timestamp) -> Timestamp {
        let settle = self.tracks.get(source).map_or(Duration::ZERO, |track| track.settle);
        (now - settle).floor_to(self.replay.policy().evaluate_every)
    }

    /// A poll that shows what has happened by `until`, a multiple of `evaluate_every`.
    pub fn poll_until<'r>(
        &mut self,
        source: &str,
        now: Timestamp,
        until: Timestamp,
        rows: impl IntoIterator<Item = Row<'r>>,
    ) {
        self.pass(now);
        let Some(source) = self.replay.source(source).cloned() else { return };
        let Some(track) = self.tracks.get_mut(&source.name) else { return };
        let scopes = &track.scopes;
        let in_scopes =
            |row: &Row<'_>| scopes.iter().any(|of| of.contains(row.offer, row.affiliate));
        let rows = rows.into_iter().filter(in_scopes);
        let from = track.at;
        if until <= from {
            // Nothing is judged: what came waits for a poll that judges.
            track.arrivals.take(&source, Timestamp(i64::MIN), rows);
            return;
        }
        track.at = until;
        let seen_at = std::mem::take(&mut track.is_missed).then_some(now);
        let due = track.arrivals.take(&source, until, rows);
        self.read_moments(&source, from, until, seen_at, due);
        self.replay.send();
    }

    /// A poll that failed, of `trouble`.
    pub fn miss(&mut self, source: &str, now: Timestamp, trouble: &str) {
        self.pass(now);
        if let Some(track) = self.tracks.get_mut(source) {
            track.is_missed = true;
        }
        self.replay.miss(source, trouble);
    }

    /// What the network's list of postbacks shows now: `(id, is active)`.
    pub fn postbacks(&mut self, source: &str, statuses: &[(u64, bool)]) {
        self.replay.postbacks(source, statuses);
    }

    /// Lets time pass: messages are planned when they are due, and taken at once.
    pub fn pass(&mut self, to: Timestamp) {
        self.replay.pass(to);
    }

    /// The history is over: what was decided is still told until `to`, and nothing else.
    pub fn wind_up(&mut self, to: Timestamp) {
        self.replay.wind_up(to);
    }

    /// What is known by now.
    pub fn state(&self) -> &State {
        self.replay.state()
    }

    pub fn finish(self) -> Told {
        self.replay.finish()
    }

    /// The present is read ahead of what is to be judged: as live, messages wait
    /// until all of that was.
    fn read_ahead(&mut self, source: &SourcePolicy, from: Timestamp, until: Timestamp) {
        let to = until + SETTLE;
        let span = WholeSpan::Recent { failures_from: to, successes_from: to, to };
        self.replay.read_at(from, &source.name, span, []);
    }

    fn read_moments(
        &mut self,
        source: &SourcePolicy,
        from: Timestamp,
        until: Timestamp,
        seen_at: Option<Timestamp>,
        due: Vec<Arrival<'_>>,
    ) {
        let mut due = VecDeque::from(due);
        let every = self.replay.policy().evaluate_every;
        let mut at = from;
        while at < until {
            // Of most rows it makes no difference when they are seen: they count from
            // their timestamp on. Others change what is known, from their moment on.
            let change = due.iter().find(|arrival| arrival.changes()).map(|first| first.at);
            let change = [change, self.gives_up_at(source)].into_iter().flatten().min();
            let before = change.map_or(until, |change| ceil(change, every) - every);
            let to = before.clamp(at, until);
            let to = if to == at { at + every } else { to };
            if at == from && to < until {
                self.read_ahead(source, from, until);
            }
            let now = due.drain(..due.partition_point(|arrival| arrival.at <= to)).collect();
            self.read_moment(source, (at, to), seen_at.unwrap_or(at), now);
            at = to;
        }
    }

    /// Reads what happened in `(from, to]`, as seen at `seen_at`, and judges it.
    fn read_moment(
        &mut self,
        source: &SourcePolicy,
        (from, to): (Timestamp, Timestamp),
        seen_at: Timestamp,
        mut arrivals: Vec<Arrival<'_>>,
    ) {
        let name = source.name.as_str();
        let front = from + SETTLE;
        if self.gives_up_at(source).is_some_and(|at| at <= to) {
            // Else it would be known only after the moment was judged.
            let span = WholeSpan::Recent { failures_from: front, successes_from: front, to: front };
            self.replay.read_at(to.max(seen_at), name, span, []);
        }
        self.mend_first_tries(source, &mut arrivals);
        let late = arrivals::earliest_late_success(&arrivals, from, source);
        if let Some(late) = late {
            arrivals.extend(self.counted_again(source, late, from));
        }
        let successes_from = late.unwrap_or(front);
        let span = WholeSpan::Recent { failures_from: front, successes_from, to: to + SETTLE };
        let rows = arrivals.into_iter().map(|arrival| arrival.row);
        self.replay.read_at(seen_at, name, span, rows);
    }

    /// When the network gives up the next delivery, for lack of a new try.
    fn gives_up_at(&self, source: &SourcePolicy) -> Option<Timestamp> {
        let known = self.state().sources.get(&source.name);
        let oldest = known.and_then(|known| known.facts.deliveries.open().next());
        oldest.map(|(tried_at, _)| tried_at + source.give_up_after)
    }

    /// A delivery that is known already was not tried for the first time now.
    fn mend_first_tries(&self, source: &SourcePolicy, arrivals: &mut [Arrival<'_>]) {
        let Some(known) = self.state().sources.get(&source.name) else { return };
        for arrival in arrivals.iter_mut().filter(|arrival| arrival.first_of > 0) {
            let identity = Identity::of(&source.name, &arrival.row);
            if known.facts.deliveries.find(identity).is_some() {
                arrival.row.failed_attempts = arrival.first_of;
            }
        }
    }

    /// The clean successes of `from..=to` as rows again: a read replaces what it covers.
    fn counted_again(
        &self,
        source: &SourcePolicy,
        from: Timestamp,
        to: Timestamp,
    ) -> Vec<Arrival<'static>> {
        let Some(known) = self.state().sources.get(&source.name) else { return Vec::new() };
        let facts = &known.facts;
        let counted = facts.successes_within(from - Duration::from_secs(1), to);
        let mut again = Vec::new();
        for (at, dims, count) in counted {
            let labels = facts.dims.record(dims);
            again.extend((0..count).map(|number| Arrival::counted(at, &labels, dims, number)));
        }
        again
    }
}
