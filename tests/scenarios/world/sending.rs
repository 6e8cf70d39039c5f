//! The channels of the world, and the outbox before them.

use std::collections::BTreeSet;

use postwatch::domain::outgoing::{Outcome, Outgoing};
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::News;

use super::World;

impl World {
    /// Hands every notice whose time has come to its channel, one receiver's in order.
    pub fn send(&mut self) {
        let mut held = BTreeSet::new();
        for number in self.state.outbox.keys().copied().collect::<Vec<_>>() {
            let Some(outgoing) = self.state.outbox.get(&number).filter(|_| !self.is_dead()) else {
                continue;
            };
            let receiver = outgoing.notice.receiver.clone();
            let is_due = outgoing.is_due(Timestamp(self.clock()));
            if outgoing.given_up.is_some() || !is_due || held.contains(&receiver) {
                held.extend(outgoing.given_up.is_none().then_some(receiver));
                continue;
            }
            let outcome = self.answer(&outgoing.clone());
            if matches!(outcome, Outcome::Failed { .. }) {
                held.insert(receiver);
            }
            // The answer is kept, however long the disk takes.
            while !self.turn(News::Settled { number, outcome: outcome.clone() }) && !self.is_dead()
            {
            }
        }
    }

    fn answer(&mut self, outgoing: &Outgoing) -> Outcome {
        let receiver = &outgoing.notice.receiver;
        let failed = |message: &str, is_answer_lost| Outcome::Failed {
            retry_after: None,
            message: message.to_owned(),
            chance: 0.5,
            is_answer_lost,
        };
        if self.refusing.contains(receiver) {
            return Outcome::Refused { message: "channel_not_found".into() };
        }
        if self.failing.contains(receiver) {
            return failed("503", false);
        }
        self.delivered.push(outgoing.notice.clone());
        match self.mute.contains(receiver) {
            true => failed("the connection broke", true),
            false => Outcome::Sent { thread: Some("\"1\"".into()) },
        }
    }

    /// What waits for a receiver.
    pub fn waiting(&self, receiver: &str) -> Vec<&Outgoing> {
        let waiting = self.state.outbox.values().filter(|one| one.given_up.is_none());
        waiting.filter(|one| one.notice.receiver == receiver).collect()
    }
}
