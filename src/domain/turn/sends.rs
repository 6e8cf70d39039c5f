//! Notices on their way: begun, taken by their channel, tried again, given up.

use super::Turn;
use crate::domain::outgoing::{GivenUp, KeptThread, Outcome, Outgoing};
use crate::domain::state::Record;

/// Each was logged and went to its fallback; the newest are kept to be looked at.
const MOST_DEAD_LETTERS: usize = 500;

impl Turn<'_> {
    /// Kept before the message goes out, so that a crash after it is known to have
    /// lost an answer.
    pub(super) fn begin_try(&mut self, number: u64) {
        let Some(outgoing) = self.state.outbox.get_mut(&number) else { return };
        self.tally.repeats += u64::from(outgoing.is_in_doubt);
        outgoing.is_in_doubt = true;
        let outgoing = Some(outgoing.clone());
        self.changes.records.push(Record::Outgoing { number, outgoing });
    }

    pub(super) fn settle(&mut self, number: u64, outcome: Outcome) {
        let now = self.now;
        let Some(outgoing) = self.state.outbox.get_mut(&number) else { return };
        let notice = &outgoing.notice;
        let thread = (notice.receiver.clone(), notice.batch.clone());
        match outcome {
            Outcome::Sent { thread: sent } => {
                self.state.outbox.remove(&number);
                if let Some(sent) = sent {
                    self.keep_thread(thread.clone(), sent);
                }
            }
            Outcome::Failed { retry_after, message, chance, is_answer_lost } => {
                outgoing.is_in_doubt = is_answer_lost;
                outgoing.fail(now, retry_after, message, chance);
            }
            Outcome::Refused { message } => outgoing.give_up(now, message),
        }
        let outgoing = self.state.outbox.get(&number).cloned();
        self.changes.records.push(Record::Outgoing { number, outgoing: outgoing.clone() });
        match outgoing {
            None => self.note_settled(&thread.1),
            Some(outgoing) if outgoing.given_up.is_some() => self.hand_over(outgoing),
            Some(_) => {}
        }
    }

    /// Hands a given-up notice to its fallback. Where many tries say that the
    /// channel is dead, whatever else waits for it goes the same way at once.
    fn hand_over(&mut self, dead: Outgoing) {
        let is_channel_dead = dead.tries > 1;
        let mut given_up = vec![dead.clone()];
        let GivenUp { message, .. } = dead.given_up.unwrap_or_default();
        for (&number, waiting) in &mut self.state.outbox {
            let waits_too = waiting.notice.receiver == dead.notice.receiver
                && waiting.given_up.is_none()
                && !waiting.fallback.is_empty();
            if is_channel_dead && waits_too {
                waiting.give_up(self.now, message.clone());
                let outgoing = Some(waiting.clone());
                self.changes.records.push(Record::Outgoing { number, outgoing });
                given_up.push(waiting.clone());
            }
        }
        for outgoing in given_up {
            self.note_settled(&outgoing.notice.batch);
            for fallback in outgoing.for_fallback(self.now) {
                self.post(fallback);
            }
        }
        self.drop_oldest_dead_letters();
    }

    fn drop_oldest_dead_letters(&mut self) {
        let dead = self.state.outbox.iter().filter(|(_, outgoing)| outgoing.given_up.is_some());
        let dead: Vec<u64> = dead.map(|(&number, _)| number).collect();
        for &number in &dead[..dead.len().saturating_sub(MOST_DEAD_LETTERS)] {
            self.state.outbox.remove(&number);
            self.changes.records.push(Record::Outgoing { number, outgoing: None });
        }
    }

    fn keep_thread(&mut self, key: (String, String), text: String) {
        let thread = KeptThread { text, finished_at: None };
        self.changes.records.push(Record::Thread {
            receiver: key.0.clone(),
            batch: key.1.clone(),
            thread: Some(thread.clone()),
        });
        self.state.threads.insert(key, thread);
    }

    fn note_settled(&mut self, batch_id: &str) {
        for (key, batch) in &mut self.state.batches {
            if batch.id == batch_id {
                batch.settled_at = Some(self.now);
                self.batches.insert(key.clone());
            }
        }
    }

    pub(super) fn post(&mut self, outgoing: Outgoing) {
        let number = self.state.next_outgoing();
        self.changes.records.push(Record::Outgoing { number, outgoing: Some(outgoing.clone()) });
        self.state.outbox.insert(number, outgoing);
    }
}
