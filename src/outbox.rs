//! The sender: takes notices from the outbox when they are due, hands each to
//! its receiver's channel, and has the answer kept. One notice at a time for
//! each receiver, so that they arrive in order; a slow channel holds up no other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::channel::{Channel, Link, SendError, Thread};
use crate::clock::Clock;
use crate::domain::delivery::DeliveryText;
use crate::domain::notify::{Notice, SampleText};
use crate::domain::outgoing::Outcome;
use crate::domain::url;
use crate::failpoint::{Step, reach};
use crate::metrics::Metrics;
use crate::pipeline::{Message, View};

pub mod handing;
pub mod restating;

/// By receiver.
pub type Channels = Arc<BTreeMap<String, Channel>>;

/// What a sender needs; clones go into the sends under way.
#[derive(Clone)]
pub struct Outbox {
    pub view: View,
    pub keeper: mpsc::Sender<Message>,
    /// Those of the rules in force. Changes only while the state is locked.
    pub channels: watch::Receiver<Channels>,
    pub link: Link,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// Rings after each commit.
    pub committed: Arc<Notify>,
}

impl Outbox {
    /// Sends until `stop` says so; then waits for the sends under way, because
    /// an answer that nobody hears is a message sent twice. How long, the caller
    /// decides: dropping this ends them.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut sends: JoinSet<()> = JoinSet::new();
        // By task: whatever becomes of a send, its receiver is free again.
        let mut busy: HashMap<tokio::task::Id, String> = HashMap::new();
        let mut restated = restating::Restated::default();
        while !*stop.borrow() {
            // Before the news: a channel that is slow to take those would forget the rest.
            for (receiver, standing) in restated.due(&self, &busy) {
                let telling = sends.spawn(self.clone().restate(receiver.clone(), standing));
                busy.insert(telling.id(), receiver);
            }
            for (number, receiver) in self.due(&busy) {
                let send = sends.spawn(self.clone().send(number, receiver.clone()));
                busy.insert(send.id(), receiver);
            }
            let second = self.clock.real(Duration::from_secs(1)).max(Duration::from_millis(10));
            tokio::select! {
                Some(done) = sends.join_next_with_id() => {
                    busy.remove(&done.map_or_else(|error| error.id(), |(id, ())| id));
                }
                () = self.committed.notified() => {}
                () = tokio::time::sleep(second) => {}
                _ = stop.changed() => {}
            }
        }
        while sends.join_next().await.is_some() {}
    }

    /// The first waiting notice of each receiver that is not busy, if its time has come.
    fn due(&self, busy: &HashMap<tokio::task::Id, String>) -> Vec<(u64, String)> {
        let now = self.clock.now();
        let state = self.view.state();
        let mut passed: HashSet<&str> = busy.values().map(String::as_str).collect();
        let mut due = Vec::new();
        for (&number, outgoing) in &state.outbox {
            let receiver = outgoing.notice.receiver.as_str();
            if outgoing.given_up.is_some() || !passed.insert(receiver) {
                continue;
            }
            if outgoing.is_due(now) {
                due.push((number, receiver.to_owned()));
            }
        }
        due
    }

    async fn send(self, number: u64, receiver: String) {
        if !self.begin(number, receiver).await {
            return;
        }
        // Only now: until it was begun, newer ones were merged into it.
        let (mut notice, thread, channels) = match self.take(number) {
            Some(Taken::Due(notice, thread, channels)) => (*notice, thread, channels),
            Some(Taken::Overtaken) => {
                self.settle(number, Outcome::Overtaken).await;
                return;
            }
            None => return,
        };
        self.add_texts(&mut notice).await;
        let outcome = match channels.get(&notice.receiver) {
            Some(channel) => self.try_channel(channel, &notice, thread.as_ref()).await,
            None => Outcome::Refused {
                message: format!(
                    "receiver \"{}\" is no longer configured in rules.yaml",
                    notice.receiver
                ),
            },
        };
        self.settle(number, outcome).await;
    }

    /// Whether it is kept that the message goes out: else its answer could not be
    /// kept either, and it would go out twice.
    async fn begin(&self, number: u64, receiver: String) -> bool {
        let (done, answer) = oneshot::channel();
        let told = self.keeper.send(Message::Sending { number, receiver, done }).await;
        told.is_ok() && matches!(answer.await, Ok(Ok(())))
    }

    /// The notice with its thread and the channels, all of the same rules. `None` where
    /// it is gone.
    fn take(&self, number: u64) -> Option<Taken> {
        let state = self.view.state();
        let channels = self.channels.borrow().clone();
        let outgoing = state.outbox.get(&number)?;
        let channel = channels.get(&outgoing.notice.receiver);
        match handing::handed(&state, outgoing, channel.is_some_and(Channel::forgets)) {
            Some((notice, thread)) => Some(Taken::Due(Box::new(notice), thread, channels)),
            None => {
                self.note_overtaken(&outgoing.notice, channel.map_or("", Channel::kind));
                Some(Taken::Overtaken)
            }
        }
    }

    fn note_overtaken(&self, notice: &Notice, kind: &str) {
        tracing::warn!(
            receiver = notice.receiver,
            notice = notice.id,
            "nothing that a message which was sent again says holds any more: it is not sent"
        );
        let labels = [notice.receiver.as_str(), kind, "overtaken", notice.reason.as_str()];
        self.metrics.notifications.with_label_values(&labels).inc();
    }

    /// The texts of samples are read when they are shown, and made safe: no
    /// query value leaves the store.
    async fn add_texts(&self, notice: &mut Notice) {
        let mut samples: Vec<_> =
            notice.alerts.iter_mut().flat_map(|alert| &mut alert.samples).collect();
        let wanted = samples.iter().map(|s| (s.text_commit, s.delivery)).collect();
        let (texts, answer) = oneshot::channel();
        if self.keeper.send(Message::Read { wanted, texts }).await.is_err() {
            return;
        }
        let texts = answer.await.unwrap_or_default();
        for (sample, text) in samples.iter_mut().zip(texts) {
            sample.text = text.as_ref().map(safe_text);
        }
    }

    async fn try_channel(
        &self,
        channel: &Channel,
        notice: &Notice,
        thread: Option<&Thread>,
    ) -> Outcome {
        let labels = [notice.receiver.as_str(), channel.kind()];
        let timer = self.metrics.notification_seconds.with_label_values(&labels).start_timer();
        reach(Step::SendBegins);
        let sent = channel.send(notice, thread, &self.link).await;
        reach(Step::SendAnswered);
        timer.observe_duration();
        let is_answer_lost = sent.as_ref().is_err_and(SendError::is_answer_lost);
        let (outcome, word, reason) = match sent {
            Ok(sent) => {
                if let Some(why) = sent.unworded {
                    tracing::warn!(receiver = notice.receiver, error = %why, "a template of the receiver failed; the built-in text was sent");
                    let labels = ["", notice.receiver.as_str()];
                    self.metrics.template_failures.with_label_values(&labels).inc();
                }
                let thread = sent.thread.and_then(|thread| serde_json::to_string(&thread).ok());
                (Outcome::Sent { thread }, "sent", notice.reason.as_str())
            }
            Err(SendError::Temporary { retry_after, reason, message }) => {
                tracing::warn!(receiver = notice.receiver, notice = notice.id, error = %message, "a message was not taken; it is tried again");
                let chance = fastrand::f64();
                let failed = Outcome::Failed { retry_after, message, chance, is_answer_lost };
                (failed, "retried", reason)
            }
            Err(SendError::Permanent { reason, message }) => {
                tracing::error!(receiver = notice.receiver, notice = notice.id, error = %message, "a message was refused; it is kept, and the route's fallback gets it");
                (Outcome::Refused { message }, "failed", reason)
            }
        };
        let labels = [labels[0], labels[1], word, reason];
        self.metrics.notifications.with_label_values(&labels).inc();
        outcome
    }

    /// Has the answer kept, however long the store takes: a message that arrived
    /// must not be sent again because a disk was full.
    async fn settle(&self, number: u64, outcome: Outcome) {
        loop {
            let (done, answer) = oneshot::channel();
            let message = Message::Settled { number, outcome: outcome.clone(), done };
            if self.keeper.send(message).await.is_err() {
                return;
            }
            match answer.await {
                Ok(Err(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
                Ok(Ok(())) | Err(_) => {
                    reach(Step::SendSettled);
                    return;
                }
            }
        }
    }
}

/// A notice that goes out now.
enum Taken {
    Due(Box<Notice>, Option<Thread>, Channels),
    /// It would tell a channel that believes it what is no longer so.
    Overtaken,
}

fn safe_text(text: &DeliveryText) -> SampleText {
    SampleText {
        url: url::redact(text.payload()),
        answer: url::answer(text.debug_information()),
        conversion_id: match text.conversion_id().is_empty() {
            true => text.transaction_id().to_owned(),
            false => text.conversion_id().to_owned(),
        },
    }
}
