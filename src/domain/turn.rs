//! One turn: news in, changes out. The whole service is this function.
//!
//! The state is changed in place, under the eyes of nobody: whoever calls must
//! make the changes durable before anybody else sees the state, and must build
//! it anew from the store where that fails.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::alert::{Alert, AlertKey};
use super::delivery::{Delivery, Row};
use super::facts::{Entry, PostbackState};
use super::notify::gate::explains_still;
use super::notify::plan::{self, BatchKey};
use super::outgoing::{Outcome, Outgoing, THREADS_LINGER};
use super::policy::{Policy, SourcePolicy};
use super::silence::{Refused, SilenceId, Wish};
use super::state::{Changes, Record, State};
use super::time::Timestamp;

mod adoption;
mod counting;
pub(super) mod evaluation;
mod page;
mod reads;
mod sends;
mod sight;
mod silences;

/// What a turn is about.
pub enum News<'a> {
    /// The process begins: sources are made, alerts of removed rules end.
    Started,
    /// The rules file changed: the policy of this turn is to be in force, `before` was.
    Reloaded { before: &'a Policy },
    /// A read of one scope begins; its pages carry the number. `at` is the
    /// network's time; `counts` says whether it reads all the clean successes of its
    /// span, to be counted.
    Began { source: &'a str, read: u32, at: Timestamp, counts: bool },
    /// A page of a read.
    Rows { source: &'a str, read: u32, rows: &'a mut dyn Iterator<Item = Row<'a>> },
    /// A read came to its proper end: some of its clean successes are counted.
    /// To be repeated until the tally says that none are left.
    Count { source: &'a str, scope: u64, read: u32, span: WholeSpan },
    /// A read came to its proper end, and everything in it was taken in.
    Whole { source: &'a str, scope: u64, read: u32, span: WholeSpan, stopwatch: Stopwatch<'a> },
    /// A poll of a source failed; `trouble` says of what.
    Failed { source: &'a str, trouble: String },
    /// The status of every postback: `(id, is active)`; `None` where the list
    /// could not be read.
    Postbacks { source: &'a str, statuses: Option<&'a [(u64, bool)]> },
    /// The parameters of postbacks that hold a click id, as their templates have them.
    ClickParameters { source: &'a str, of: &'a [(u64, Vec<String>)] },
    /// A notice is about to be handed to its channel.
    Sending { number: u64 },
    /// Dead letters are to be sent again; numbers that are none change nothing.
    Resend { numbers: &'a [u64] },
    /// The outbox tried a notice.
    Settled { number: u64, outcome: Outcome },
    /// Somebody wants a silence, or wants it no more; the tally has the answer.
    Silence { wish: &'a Wish },
    /// Time passed. `uptime` is counted by a clock that nobody sets.
    Tick { uptime: Duration },
}

impl News<'_> {
    /// Whether it may begin or end an alert, or make a message due. What comes page by
    /// page does not: it is judged when its read is whole. Nor does a message's way: what
    /// follows from it waits for a moment that a tick finds.
    fn may_be_told(&self) -> bool {
        match self {
            News::Began { .. }
            | News::Rows { .. }
            | News::Count { .. }
            | News::Sending { .. }
            | News::Settled { .. } => false,
            News::Started
            | News::Reloaded { .. }
            | News::Whole { .. }
            | News::Failed { .. }
            | News::Postbacks { .. }
            | News::ClickParameters { .. }
            | News::Resend { .. }
            | News::Silence { .. }
            | News::Tick { .. } => true,
        }
    }
}

/// Tells how much time has passed since some moment: the domain has no clock.
pub type Stopwatch<'a> = &'a dyn Fn() -> Duration;

/// What a whole read covered; both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum WholeSpan {
    /// The first look-back: failures only. Successes are read from `since` on,
    /// by the poll that follows.
    Lookback { to: Timestamp, successes_since: Timestamp },
    /// Failures of `failures_from..=to`, then the successes of `successes_from..=to`
    /// unless they are off.
    Recent { failures_from: Timestamp, successes_from: Timestamp, to: Timestamp },
    /// Failures of `from..=to`, then the successes of whatever it no longer showed.
    Older { from: Timestamp, to: Timestamp },
    /// The successes of one postback from `from` to where they were known before.
    Back { postback: u64, from: Timestamp },
}

/// What a turn counted for the metrics: how the rows of a page compared with what
/// was known, and how the rules were judged.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Tally {
    pub new: u64,
    pub changed: u64,
    pub repeated: u64,
    /// Clean successes of a whole read that are still to be counted.
    pub uncounted: u64,
    /// Messages that are sent again because the answer to an earlier try was lost.
    pub repeats: u64,
    /// Messages that became part of another one that waited for the same receiver.
    pub merged: BTreeMap<String, u64>,
    /// Dead letters that made room for newer ones, by receiver.
    pub dropped: BTreeMap<String, u64>,
    /// By the rules' places in the policy, where moments were judged.
    pub rules: Vec<RuleTally>,
    /// Alerts whose status changed, when, and each as it stood then, in order.
    pub alerts: Vec<(Timestamp, Alert)>,
    /// What became of a wish for a silence.
    pub silence: Option<Result<SilenceId, Refused>>,
    /// Silences that have matched nothing for a day, each told once.
    pub unused_silences: Vec<SilenceId>,
}

/// What judging a rule came to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RuleTally {
    /// Groups that were judged.
    pub judged: u64,
    /// Those whose answer was unknown.
    pub unknown: u64,
    /// Alerts that began with a headline whose template failed.
    pub failed_templates: u64,
    /// How long it took, by the stopwatch that came in with the news.
    pub took: Duration,
}

/// The turn under way.
pub(crate) struct Turn<'a> {
    /// The wall clock.
    now: Timestamp,
    /// The network's time, as the read under way told it: the machine's clock may be wrong.
    seen_at: Timestamp,
    policy: &'a Policy,
    state: &'a mut State,
    changes: Changes,
    tally: Tally,
    alerts: BTreeSet<AlertKey>,
    batches: BTreeSet<BatchKey>,
    /// Numbers in the outbox.
    outgoing: BTreeSet<u64>,
}

/// Takes the news in, judges every moment that the data newly covers, and
/// writes what has to be told. Reading a page again changes nothing.
pub fn turn(
    now: Timestamp,
    policy: &Policy,
    state: &mut State,
    news: News<'_>,
) -> (Changes, Tally) {
    state.share_series(policy);
    let commit = state.commit + 1;
    let mut turn = Turn {
        now,
        seen_at: now,
        policy,
        state,
        changes: Changes { commit, ..Changes::default() },
        tally: Tally::default(),
        alerts: BTreeSet::new(),
        batches: BTreeSet::new(),
        outgoing: BTreeSet::new(),
    };
    let may_be_told = news.may_be_told();
    turn.take_in(news);
    if may_be_told {
        turn.tell();
    }
    turn.finish()
}

impl Turn<'_> {
    fn take_in(&mut self, news: News<'_>) {
        match news {
            News::Started => self.start(),
            News::Reloaded { before } => self.reload(before),
            News::Began { source, read, at, counts } => self.begin_read(source, read, at, counts),
            News::Rows { source, read, rows } => self.read_rows(source, read, rows),
            News::Count { source, scope, read, span } => {
                self.count_some(source, scope, read, span);
            }
            News::Whole { source, scope, read, span, stopwatch } => {
                self.end_read(source, scope, read, span, stopwatch);
            }
            News::Failed { source, trouble } => {
                if let Some(source) = self.state.sources.get_mut(source) {
                    source.sight.trouble = Some(trouble);
                }
            }
            News::Postbacks { source, statuses } => {
                if let Some(source) = self.state.sources.get_mut(source) {
                    source.is_list_unread = statuses.is_none();
                }
                let (now, listed) = (self.now, statuses.unwrap_or_default());
                let statuses = listed.iter().map(|&(id, is_active)| (id, now, is_active));
                self.compare_postbacks(source, &statuses.collect::<Vec<_>>());
            }
            News::ClickParameters { source, of } => self.learn_click_parameters(source, of),
            News::Sending { number } => self.begin_try(number),
            News::Resend { numbers } => self.send_again(numbers),
            News::Settled { number, outcome } => self.settle(number, outcome),
            News::Silence { wish } => self.silence(wish),
            News::Tick { uptime } => {
                self.look_at_silences();
                self.note_step(uptime);
                self.judge_sights();
            }
        }
    }

    /// Compares the postbacks' configurations with what they were: one that went
    /// from active to inactive is the worst case, and looks like health. Each
    /// status says when it was so: an older row changes nothing.
    fn compare_postbacks(&mut self, source_name: &str, statuses: &[(u64, Timestamp, bool)]) {
        let policy = self.policy;
        let Some(source_policy) = policy.source(source_name) else { return };
        for &(id, told_at, is_active) in statuses {
            let Some(source) = self.state.sources.get_mut(source_name) else { return };
            let before = source.facts.postbacks.get(&id).copied();
            // A change that lies ahead was noted before the clock was set back.
            let is_older = |b: PostbackState| told_at < b.changed_at.min(self.now);
            if before.is_some_and(|b| b.is_active == is_active || is_older(b)) {
                continue;
            }
            // What was off when first seen was not switched off under our eyes.
            let changed_at = if before.is_some() { told_at } else { Timestamp(0) };
            let state = PostbackState { is_active, changed_at };
            source.facts.postbacks.insert(id, state);
            if let Some(windows) = &mut source.windows {
                windows.note_status(&source.facts, id);
            }
            let source_name = source_name.to_owned();
            self.changes.records.push(Record::Postback { source: source_name.clone(), id, state });
            if !is_active {
                self.abandon(source_policy, id);
            }
            if before.is_some() {
                self.judge_postback(source_policy, id, is_active);
            }
        }
    }

    /// Rows that come from now on are compared with these.
    fn learn_click_parameters(&mut self, source_name: &str, of: &[(u64, Vec<String>)]) {
        let Some(source) = self.state.sources.get_mut(source_name) else { return };
        for (id, names) in of {
            let known = source.facts.click_parameters.get(id);
            if known == Some(names) || known.is_none() && names.is_empty() {
                continue;
            }
            source.facts.click_parameters.insert(*id, names.clone());
            let (source, id, names) = (source_name.to_owned(), *id, names.clone());
            self.changes.records.push(Record::ClickParameters { source, id, names });
        }
    }

    /// Writes the notices that are due, in the same changes as the transitions
    /// that caused them.
    fn tell(&mut self) {
        let state = &mut *self.state;
        state.note_gaps(self.now);
        let catching_up = state.catching_up(self.now, self.policy);
        let notices = plan::plan(
            self.now,
            self.policy,
            &catching_up,
            &state.alerts,
            &state.silences,
            &mut state.batches,
            &mut self.batches,
        );
        for (notice, fallback) in notices {
            self.post(Outgoing::new(notice, fallback));
        }
        self.leave_dead_channels();
        self.merge_waiting();
        self.forget_ended_alerts();
        self.forget_finished_threads();
    }

    /// An ended alert stays until everybody who has to hear of it was written to.
    fn forget_ended_alerts(&mut self) {
        let state = &mut *self.state;
        let (alerts, now, policy) = (&mut self.alerts, self.now, self.policy);
        state.alerts.retain(|key, alert| {
            let is_waited_for = || {
                let told = |batch: &plan::Batch| batch.members.get(key).copied();
                state.batches.values().filter_map(told).any(|told| told != plan::Told::Ended)
            };
            let stays = !alert.is_over() || is_waited_for() || explains_still(now, policy, alert);
            if !stays {
                alerts.insert(key.clone());
            }
            stays
        });
    }

    /// A thread is needed as long as its batch or one of its notices is, and a little
    /// longer.
    fn forget_finished_threads(&mut self) {
        let (state, now) = (&mut *self.state, self.now);
        let batches = state.batches.values().map(|batch| batch.id.as_str());
        // A dead letter may lie there for ever.
        let waiting = state.outbox.values().filter(|outgoing| outgoing.given_up.is_none());
        let waiting = waiting.flat_map(|outgoing| outgoing.told_batches());
        let open: BTreeSet<&str> = batches.chain(waiting).collect();
        let records = &mut self.changes.records;
        state.threads.retain(|(receiver, batch), thread| {
            let is_open = open.contains(batch.as_str())
                || thread.batches.iter().any(|told| open.contains(told.as_str()));
            let finished_at = match thread.finished_at {
                _ if is_open => None,
                // From a moment to come the clock has been set back since.
                Some(at) if at <= now => Some(at),
                Some(_) | None => Some(now),
            };
            let stays = finished_at.is_none_or(|at| now.since(at) < THREADS_LINGER);
            if thread.finished_at != finished_at || !stays {
                thread.finished_at = finished_at;
                records.push(Record::Thread {
                    receiver: receiver.clone(),
                    batch: batch.clone(),
                    thread: stays.then(|| thread.clone()),
                });
            }
            stays
        });
    }

    fn finish(mut self) -> (Changes, Tally) {
        for key in std::mem::take(&mut self.alerts) {
            let alert = self.state.alerts.get(&key).cloned().map(Box::new);
            self.changes.records.push(Record::Alert { key, alert });
        }
        for key in std::mem::take(&mut self.batches) {
            let batch = self.state.batches.get(&key).cloned();
            self.changes.records.push(Record::Batch { key, batch });
        }
        for number in std::mem::take(&mut self.outgoing) {
            let outgoing = self.state.outbox.get(&number).cloned();
            self.changes.records.push(Record::Outgoing { number, outgoing });
        }
        if !self.changes.is_empty() {
            self.state.commit = self.changes.commit;
        }
        self.changes.seen_at = self.seen_at;
        (self.changes, self.tally)
    }

    /// Applies an entry to facts and windows, and keeps it for the journal.
    fn record(&mut self, source_name: &str, entry: Entry) {
        let Some(source) = self.state.sources.get_mut(source_name) else { return };
        source.apply(&entry);
        self.changes.record(source_name, entry);
    }

    fn record_deliveries(&mut self, source: &SourcePolicy, deliveries: Vec<Delivery>) {
        for delivery in deliveries {
            self.record(&source.name, Entry::Delivery(delivery));
        }
    }
}
