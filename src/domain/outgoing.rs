//! A notice on its way: what the outbox keeps until the channel took it, and
//! how often it tries.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::notify::Notice;
use super::time::Timestamp;

pub mod merge;
pub mod told_instead;

/// Tries of one notice before it is given up: with the back-off below about a day.
/// While it waits, newer ones are merged into it, so that waiting costs nothing.
pub const MOST_TRIES: u32 = 190;

/// Where a fallback waits, it gets the notice within about two minutes.
pub const MOST_TRIES_BEFORE_FALLBACK: u32 = 5;

const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// A channel that asks for more is tried again after this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(30 * 60);

/// A thread stays for as long after its batch: what ended is told again for a while
/// to those who might have missed it.
pub const THREADS_LINGER: Duration = Duration::from_secs(15 * 60);

/// What a channel needs to go on in a batch's thread.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptThread {
    /// In the channel's own form.
    pub text: String,
    /// Set once its batch is over and nothing of it waits.
    pub finished_at: Option<Timestamp>,
    /// The batches that are told in it: its own, or those of a merged message.
    pub batches: Vec<String>,
}

/// A notice in the outbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outgoing {
    pub notice: Notice,
    /// The batches that it tells of, where it was made of the messages of several.
    pub batches: Vec<String>,
    /// Receivers that get it where its own cannot be reached.
    pub fallback: Vec<String>,
    pub tries: u32,
    /// When it was last tried, or put in.
    pub tried_at: Timestamp,
    pub next_try_at: Timestamp,
    /// From before a try until its answer is kept. Where another try finds it set,
    /// that answer was lost: the receiver may get the same message twice.
    pub is_in_doubt: bool,
    /// Stays set once an answer was lost: whatever later tries said, the receiver may
    /// know it by its id.
    pub may_have_arrived: bool,
    /// What the last try that failed said.
    pub trouble: Option<String>,
    /// Set once it was given up: it stays as a dead letter.
    pub given_up: Option<GivenUp>,
    /// It was given up once, and somebody asked for it again: it goes out as it was.
    pub is_resent: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GivenUp {
    pub at: Timestamp,
    /// What the channel said, and what to do.
    pub message: String,
}

/// What a try came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// The channel took it; `thread` is what it needs for the batch's next message.
    Sent { thread: Option<String> },
    /// Worth another try, not before `retry_after`. `chance` in 0..1 spreads retries.
    /// Where the answer was lost, the channel may have taken it all the same.
    Failed { retry_after: Option<Duration>, message: String, chance: f64, is_answer_lost: bool },
    /// No try will change it.
    Refused { message: String },
    /// Nothing that it says holds any more: it was not sent.
    Overtaken,
}

impl Outgoing {
    pub fn new(notice: Notice, fallback: Vec<String>) -> Outgoing {
        let next_try_at = notice.created_at;
        Outgoing {
            notice,
            batches: Vec::new(),
            fallback,
            tries: 0,
            tried_at: next_try_at,
            next_try_at,
            is_in_doubt: false,
            may_have_arrived: false,
            trouble: None,
            given_up: None,
            is_resent: false,
        }
    }

    /// The ids of the batches that it tells of.
    pub fn told_batches(&self) -> impl Iterator<Item = &str> {
        let own = self.batches.is_empty().then_some(&self.notice.batch);
        own.into_iter().chain(&self.batches).map(String::as_str)
    }

    /// Whether it may become part of another message, or another part of it. Not
    /// while it is under way, nor where its answer was lost: it may have arrived.
    fn may_be_merged(&self) -> bool {
        self.given_up.is_none() && !self.is_in_doubt && !self.is_resent
    }

    /// Notes a failed try: it waits for the next, or is given up.
    pub fn fail(
        &mut self,
        now: Timestamp,
        retry_after: Option<Duration>,
        message: String,
        chance: f64,
    ) {
        self.tries += 1;
        self.tried_at = now;
        self.trouble = Some(message.clone());
        let most = match self.fallback.is_empty() {
            true => MOST_TRIES,
            false => MOST_TRIES_BEFORE_FALLBACK,
        };
        if self.tries >= most {
            self.give_up(now, message);
            return;
        }
        let wait = (FIRST_WAIT * 2u32.saturating_pow(self.tries - 1)).min(LONGEST_WAIT);
        // From half to the whole of it, so that channels do not retry in step.
        let wait = wait.mul_f64(0.5 + 0.5 * chance.clamp(0.0, 1.0));
        let asked = retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER);
        self.next_try_at = now + wait.max(asked).max(Duration::from_secs(1));
    }

    /// Whether its next try has come. Where the last one lies ahead, the clock has been
    /// set back since, and nobody knows how long ago it was.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.next_try_at <= now || self.tried_at > now
    }

    /// Puts a dead letter back, to be sent as it was and with its id. Its fallback had
    /// it when it was given up.
    pub fn send_again(&mut self, now: Timestamp) {
        let notice = &mut self.notice;
        notice.late_since.get_or_insert(notice.created_at);
        (self.given_up, self.is_resent) = (None, true);
        (self.tries, self.tried_at, self.next_try_at) = (0, now, now);
        self.fallback.clear();
    }

    pub fn give_up(&mut self, at: Timestamp, message: String) {
        self.given_up = Some(GivenUp { at, message });
    }

    /// The same notice for each fallback receiver, saying whom it stands in for.
    pub fn for_fallback(&self, now: Timestamp) -> Vec<Outgoing> {
        let receivers = self.fallback.iter().filter(|to| **to != self.notice.receiver);
        receivers
            .map(|receiver| {
                let notice = self.notice.in_place_of(receiver, now);
                Outgoing { batches: self.batches.clone(), ..Outgoing::new(notice, Vec::new()) }
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::notify::NoticeReason;

    #[test]
    fn a_message_is_tried_again_when_its_wait_is_over_whatever_becomes_of_the_clock() {
        let minutes = |m: u64| Duration::from_secs(m * 60);
        let failed_at = Timestamp(100_000);
        let check = |retry_after: Option<Duration>, passed: i64, expected: bool| {
            let notice = Notice {
                id: "1".into(),
                receiver: "ops".into(),
                batch: "1".into(),
                group: Vec::new(),
                reason: NoticeReason::First,
                created_at: failed_at,
                timezone: "UTC".into(),
                instead_of: None,
                is_back: false,
                late_since: None,
                alerts: Vec::new(),
            };
            let mut outgoing = Outgoing::new(notice, Vec::new());
            assert!(outgoing.is_due(failed_at), "not tried yet");
            outgoing.fail(failed_at, retry_after, "no answer".into(), 1.0);
            let is_due = outgoing.is_due(Timestamp(failed_at.0 + passed));
            assert_eq!(is_due, expected, "{retry_after:?}, {passed} s later");
        };
        check(None, 4, false);
        check(None, 5, true);
        check(Some(minutes(20)), 19 * 60, false);
        check(Some(minutes(20)), 20 * 60, true);
        // No channel holds a message up for a day.
        check(Some(minutes(24 * 60)), 30 * 60, true);
        // The clock was set back.
        check(None, -60, true);
        check(Some(minutes(24 * 60)), -3_600, true);
    }
}
