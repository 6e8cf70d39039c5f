//! The keeper's part of the outbox: what begins to be sent, what is sent again, and
//! what is counted of both.

use super::Keeper;
use crate::domain::outgoing::Outgoing;
use crate::domain::turn::{News, Tally};
use crate::store::Store;

/// Which dead letters are sent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeadLetters {
    One(u64),
    All,
}

impl<S: Store + 'static> Keeper<S> {
    pub(super) fn begin_send(&mut self, number: u64, receiver: &str) -> Result<(), String> {
        let still_waits = |outgoing: &Outgoing| {
            outgoing.given_up.is_none() && outgoing.notice.receiver == receiver
        };
        if !self.view.state().outbox.get(&number).is_some_and(still_waits) {
            return Err("it is part of another message by now".to_owned());
        }
        let tally = self.turn(News::Sending { number })?;
        if tally.repeats > 0 {
            let state = self.view.state();
            let Some(outgoing) = state.outbox.get(&number) else { return Ok(()) };
            self.metrics.notifications_repeated.with_label_values(&[receiver]).inc();
            tracing::warn!(
                receiver,
                notice = outgoing.notice.id,
                "the answer to a message was lost: it is sent again, with the same id"
            );
        }
        Ok(())
    }

    /// The numbers of those that are sent again, by which they were listed.
    pub(super) fn send_again(&mut self, which: DeadLetters) -> Result<Vec<u64>, String> {
        let numbers: Vec<u64> = {
            let state = self.view.state();
            let dead = state.outbox.iter().filter(|(_, outgoing)| outgoing.given_up.is_some());
            dead.map(|(&number, _)| number)
                .filter(|&number| which == DeadLetters::All || which == DeadLetters::One(number))
                .collect()
        };
        self.turn(News::Resend { numbers: &numbers })?;
        let state = self.view.state();
        for outgoing in numbers.iter().filter_map(|number| state.outbox.get(number)) {
            let receiver = outgoing.notice.receiver.as_str();
            self.metrics.notifications_resent.with_label_values(&[receiver]).inc();
        }
        drop(state);
        Ok(numbers)
    }

    /// What became of messages without a channel's doing.
    pub(super) fn count_messages(&self, tally: &Tally) {
        for (receiver, &merged) in &tally.merged {
            self.metrics.notifications_merged.with_label_values(&[receiver]).inc_by(merged);
        }
        for (receiver, &dropped) in &tally.dropped {
            self.metrics.outbox_dropped.with_label_values(&[receiver]).inc_by(dropped);
            tracing::error!(
                receiver,
                dropped,
                "the oldest dead letters made room for newer ones: nobody can send them again"
            );
        }
    }
}
