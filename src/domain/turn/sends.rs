//! Notices on their way: begun, taken by their channel, tried again, merged while
//! they wait, given up, sent again.

use std::collections::{BTreeMap, BTreeSet};

use super::Turn;
use crate::domain::delivery::Identity;
use crate::domain::notify::subjects;
use crate::domain::outgoing::{
    GivenUp, KeptThread, MOST_TRIES_BEFORE_FALLBACK, Outcome, Outgoing, merge, told_instead,
};
use crate::domain::state::Record;

/// Each was logged and went to its fallback; the newest are kept to be looked at.
pub const MOST_DEAD_LETTERS: usize = 500;

impl Turn<'_> {
    /// Kept before the message goes out, so that a crash after it is known to have
    /// lost an answer.
    pub(super) fn begin_try(&mut self, number: u64) {
        let Some(outgoing) = self.state.outbox.get_mut(&number) else { return };
        self.tally.repeats += u64::from(outgoing.is_in_doubt);
        outgoing.may_have_arrived |= outgoing.is_in_doubt;
        outgoing.is_in_doubt = true;
        self.outgoing.insert(number);
    }

    /// Looks at this message and its receiver alone, not at all that may be due: many
    /// messages may be on their way.
    pub(super) fn settle(&mut self, number: u64, outcome: Outcome) {
        self.take_outcome(number, outcome);
        self.merge_waiting();
    }

    fn take_outcome(&mut self, number: u64, outcome: Outcome) {
        let now = self.now;
        let Some(outgoing) = self.state.outbox.get_mut(&number) else { return };
        self.outgoing.insert(number);
        match outcome {
            Outcome::Sent { thread } => {
                if let Some(sent) = self.state.outbox.remove(&number) {
                    self.note_arrived(&sent);
                    self.note_settled(&sent);
                    self.tell_ends(&sent, true);
                    self.keep_thread(&sent, thread);
                }
            }
            // Nobody was told anything, and the channel was not asked.
            Outcome::Overtaken => {
                self.state.outbox.remove(&number);
            }
            Outcome::Failed { retry_after, message, chance, is_answer_lost } => {
                outgoing.is_in_doubt = is_answer_lost || outgoing.may_have_arrived;
                outgoing.fail(now, retry_after, message, chance);
                self.hand_over_if_given_up(number);
            }
            Outcome::Refused { message } => {
                outgoing.is_in_doubt = false;
                outgoing.give_up(now, message);
                self.hand_over_if_given_up(number);
            }
        }
    }

    /// Hands a given-up notice to its fallback. Where many tries say that the
    /// channel is dead, whatever else waits for it goes the same way at once.
    fn hand_over_if_given_up(&mut self, number: u64) {
        let Some(dead) = self.state.outbox.get(&number).cloned() else { return };
        let Some(GivenUp { message, .. }) = dead.given_up.clone() else { return };
        self.hand_over(&dead);
        if dead.tries > 1 {
            self.hand_over_waiting(&dead.notice.receiver, &message);
        }
        self.drop_oldest_dead_letters();
    }

    /// A message without a fallback is tried for a day. What has one, and waits behind
    /// it, does not wait with it.
    pub(super) fn leave_dead_channels(&mut self) {
        let waiting = self.state.outbox.values().filter(|outgoing| outgoing.given_up.is_none());
        let dead = waiting.filter(|outgoing| outgoing.tries >= MOST_TRIES_BEFORE_FALLBACK);
        let dead: BTreeMap<String, String> = dead
            .map(|dead| (dead.notice.receiver.clone(), dead.trouble.clone().unwrap_or_default()))
            .collect();
        for (receiver, message) in dead {
            self.hand_over_waiting(&receiver, &message);
        }
        self.drop_oldest_dead_letters();
    }

    fn hand_over_waiting(&mut self, receiver: &str, message: &str) {
        let mut given_up = Vec::new();
        for (&number, waiting) in &mut self.state.outbox {
            let waits_too = waiting.notice.receiver == receiver
                && waiting.given_up.is_none()
                && !waiting.fallback.is_empty();
            if waits_too {
                waiting.give_up(self.now, message.to_owned());
                self.outgoing.insert(number);
                given_up.push(waiting.clone());
            }
        }
        given_up.iter().for_each(|outgoing| self.hand_over(outgoing));
    }

    fn hand_over(&mut self, given_up: &Outgoing) {
        self.note_settled(given_up);
        for fallback in given_up.for_fallback(self.now) {
            self.post_instead(fallback);
        }
        // Who was its fallback before the rules changed.
        self.tell_ends(given_up, false);
    }

    /// Tells the ends in it to those who were told the beginning in its receiver's place.
    fn tell_ends(&mut self, outgoing: &Outgoing, is_back: bool) {
        let ends = told_instead::ends(&self.state.told_instead, self.now, outgoing, is_back);
        ends.into_iter().for_each(|end| self.post_instead(end));
    }

    fn post_instead(&mut self, outgoing: Outgoing) {
        for told in told_instead::take_up(&mut self.state.told_instead, &outgoing.notice) {
            let fired_at = self.state.told_instead.get(&told).copied();
            self.changes.records.push(Record::ToldInstead { told, fired_at });
        }
        self.post(outgoing);
    }

    fn drop_oldest_dead_letters(&mut self) {
        let dead = self.state.outbox.iter().filter(|(_, outgoing)| outgoing.given_up.is_some());
        let dead: Vec<u64> = dead.map(|(&number, _)| number).collect();
        for &number in &dead[..dead.len().saturating_sub(MOST_DEAD_LETTERS)] {
            if let Some(dropped) = self.state.outbox.remove(&number) {
                *self.tally.dropped.entry(dropped.notice.receiver).or_default() += 1;
            }
            self.outgoing.insert(number);
        }
    }

    pub(super) fn send_again(&mut self, numbers: &[u64]) {
        for &number in numbers {
            let dead = self.state.outbox.get_mut(&number);
            if let Some(dead) = dead.filter(|outgoing| outgoing.given_up.is_some()) {
                dead.send_again(self.now);
                self.outgoing.insert(number);
            }
        }
    }

    /// The batch's next message goes on where this one stands. One that was sent
    /// again is older than what the thread holds by now.
    fn keep_thread(&mut self, sent: &Outgoing, text: Option<String>) {
        let key = (sent.notice.receiver.clone(), sent.notice.batch.clone());
        let is_outdated = sent.is_resent && self.state.threads.contains_key(&key);
        let Some(text) = text.filter(|_| !is_outdated) else { return };
        let batches = sent.told_batches().map(str::to_owned).collect();
        let thread = KeptThread { text, finished_at: None, batches };
        self.changes.records.push(Record::Thread {
            receiver: key.0.clone(),
            batch: key.1.clone(),
            thread: Some(thread.clone()),
        });
        self.state.threads.insert(key, thread);
    }

    /// Its receiver knows of what fires in it.
    fn note_arrived(&mut self, sent: &Outgoing) {
        let told: BTreeSet<&str> = sent.told_batches().collect();
        let fire = subjects(&sent.notice.alerts).filter(|alert| !alert.status.is_over());
        let fire: Vec<Identity> = fire.map(|alert| alert.id).collect();
        for (key, batch) in &mut self.state.batches {
            if key.receiver == sent.notice.receiver && told.contains(batch.id.as_str()) {
                batch.arrived.extend(&fire);
                self.batches.insert(key.clone());
            }
        }
    }

    fn note_settled(&mut self, outgoing: &Outgoing) {
        if outgoing.notice.is_back {
            // The batch's own receiver had this before, and may be waiting for more.
            return;
        }
        let told: BTreeSet<&str> = outgoing.told_batches().collect();
        for (key, batch) in &mut self.state.batches {
            if told.contains(batch.id.as_str()) {
                batch.settled_at = Some(self.now);
                self.batches.insert(key.clone());
            }
        }
    }

    pub(super) fn post(&mut self, outgoing: Outgoing) {
        let number = self.state.next_outgoing();
        self.state.outbox.insert(number, outgoing);
        self.outgoing.insert(number);
    }

    /// Merges what waits for the receivers of this turn's messages.
    pub(super) fn merge_waiting(&mut self) {
        let touched = self.outgoing.iter().filter_map(|number| self.state.outbox.get(number));
        let receivers: BTreeSet<String> =
            touched.map(|outgoing| outgoing.notice.receiver.clone()).collect();
        for receiver in receivers {
            let before = self.state.outbox.len();
            self.outgoing.extend(merge::gather(&mut self.state.outbox, &receiver));
            let merged = before - self.state.outbox.len();
            if merged > 0 {
                *self.tally.merged.entry(receiver).or_default() += merged as u64;
            }
        }
    }
}
