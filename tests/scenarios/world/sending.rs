//! The channels of the world, and the outbox before them.

use std::collections::BTreeSet;

use postwatch::channel::Thread;
use postwatch::channel::alertmanager::told;
use postwatch::channel::render::labelled::Labelled;
use postwatch::domain::notify::Notice;
use postwatch::domain::outgoing::{Outcome, Outgoing};
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::News;
use postwatch::outbox::handing::handed;
use postwatch::outbox::restating::standing;

use super::World;

/// An Alertmanager takes what it hears no more of for over after this.
const BELIEVED_FOR: i64 = 300;

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
            // What cannot be noted does not go out: its answer would be lost.
            if !self.turn(News::Sending { number }) {
                held.insert(receiver);
                continue;
            }
            let Some(outgoing) = self.state.outbox.get(&number).cloned() else { continue };
            let outcome = self.answer(&outgoing);
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
        let is_alertmanager = self.alertmanagers.contains(receiver);
        let Some((notice, thread)) = handed(&self.state, outgoing, is_alertmanager) else {
            return Outcome::Overtaken;
        };
        let thread = match is_alertmanager {
            true => self.tell_alertmanager(&notice, thread.as_ref()),
            // In a form that is no channel's.
            false => "\"1\"".to_owned(),
        };
        self.delivered.push(notice);
        match self.mute.contains(&outgoing.notice.receiver) {
            true => failed("the connection broke", true),
            false => Outcome::Sent { thread: Some(thread) },
        }
    }

    /// What the channel returns of it, and what the Alertmanager then believes.
    fn tell_alertmanager(&mut self, notice: &Notice, thread: Option<&Thread>) -> String {
        let told = told::after(told::before(thread), notice);
        let alerts: Vec<Labelled> = told.iter().map(|told| told.alert.clone()).collect();
        self.believe(&notice.receiver, &alerts);
        let thread = Thread::Alertmanager { told };
        serde_json::to_string(&thread).expect("a thread can be kept")
    }

    /// Each Alertmanager hears again what stands, as it does every minute.
    pub fn restate(&mut self) {
        for receiver in self.alertmanagers.clone() {
            let standing = standing(&self.state, &receiver);
            self.believe(&receiver, &told::still(Timestamp(self.clock()), &standing));
        }
    }

    fn believe(&mut self, receiver: &str, alerts: &[Labelled]) {
        let now = self.clock();
        let believed = self.believed.entry(receiver.to_owned()).or_default();
        for alert in alerts {
            let ends_at = alert.ends_at.map_or(now + BELIEVED_FOR, |at| at.0);
            let of = ["alertname", "affiliate", "severity"];
            let labels = of.map(|name| alert.labels.get(name).map_or("", String::as_str));
            believed.insert(labels.join(" ").trim().to_owned(), ends_at);
        }
    }

    /// What an Alertmanager takes for firing now.
    pub fn fires_at(&self, receiver: &str) -> Vec<&str> {
        let believed = self.believed.get(receiver).into_iter().flatten();
        let firing = believed.filter(|&(_, &ends_at)| ends_at > self.clock());
        firing.map(|(labels, _)| labels.as_str()).collect()
    }

    /// What their channels took, in the form of [`World::told`].
    pub fn arrived(&self) -> Vec<String> {
        self.delivered.iter().map(super::told).collect()
    }

    /// What waits for a receiver.
    pub fn waiting(&self, receiver: &str) -> Vec<&Outgoing> {
        let waiting = self.state.outbox.values().filter(|one| one.given_up.is_none());
        waiting.filter(|one| one.notice.receiver == receiver).collect()
    }
}
