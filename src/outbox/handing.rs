//! What is handed to a channel: a message and the thread that it goes on in, as the
//! state has them at that moment. Pure.

use std::collections::HashMap;

use crate::channel::Thread;
use crate::domain::delivery::Identity;
use crate::domain::notify::Notice;
use crate::domain::outgoing::Outgoing;
use crate::domain::rules::Severity;
use crate::domain::state::State;

/// `outgoing` for its channel; `forgets` says that what the channel is told holds there
/// until it hears otherwise. `None`: all that the message says was overtaken.
pub fn handed(
    state: &State,
    outgoing: &Outgoing,
    forgets: bool,
) -> Option<(Notice, Option<Thread>)> {
    let mut notice = outgoing.notice.clone();
    if outgoing.is_resent && forgets {
        leave_what_holds(&mut notice, &standing_alerts(state));
        if notice.alerts.is_empty() {
            return None;
        }
    }
    let thread = state.threads.get(&(notice.receiver.clone(), notice.batch.clone()));
    // What is sent again is older than the thread's root, which it would overwrite.
    let thread = thread.filter(|_| !outgoing.is_resent);
    let thread = thread.and_then(|thread| serde_json::from_str(&thread.text).ok());
    Some((notice, thread))
}

/// The alerts that fire or are quiet, each with its severity.
pub(super) fn standing_alerts(state: &State) -> HashMap<Identity, Severity> {
    let standing = state.alerts.values().filter(|alert| !alert.has_ended());
    standing.filter_map(|alert| Some((alert.key.identity(), alert.severity()?))).collect()
}

/// A program that reads an old message takes it for how things are: what fires in it must
/// fire still, at the same severity, and what ended in it must not fire anew.
fn leave_what_holds(notice: &mut Notice, standing: &HashMap<Identity, Severity>) {
    notice.alerts.retain(|alert| match standing.get(&alert.id) {
        _ if alert.is_held_back() => false,
        Some(severity) => !alert.status.is_over() && *severity == alert.severity,
        None => alert.status.is_over(),
    });
}
