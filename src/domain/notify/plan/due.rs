//! Whether a message of a batch is due now, and why. Writes none.

use std::collections::BTreeSet;

use super::{Batch, Told, is_ended};
use crate::domain::alert::{Alert, AlertKey, Status};
use crate::domain::delivery::Identity;
use crate::domain::notify::NoticeReason;
use crate::domain::notify::gate::{Gate, Gates};
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;

/// An alert of a batch that may be told now.
pub(super) struct Member<'a> {
    pub alert: &'a Alert,
    pub told: Told,
}

impl Member<'_> {
    /// Whether a gate is closed: of an alert that was told before only its end is news.
    /// To be asked last: every other answer is had for less.
    fn is_hushed(&self, gates: &Gates<'_>) -> bool {
        gates.closed_to(self.alert).is_some()
    }

    /// As what it was told, and the gate that is closed to it since, while it lasts: a
    /// message that goes out for others only lists it. Not before its reader knows of it.
    pub fn held_back(
        &self,
        gates: &Gates<'_>,
        arrived: &BTreeSet<Identity>,
    ) -> Option<(Severity, Gate)> {
        let known = match self.told {
            Told::Firing(known) if !is_ended(self.alert) => known,
            Told::Firing(_) | Told::Nothing | Told::Inhibited | Told::Ended => return None,
        };
        let has_arrived = arrived.contains(&self.alert.key.identity());
        has_arrived.then(|| gates.closed_to(self.alert)).flatten().map(|gate| (known, gate))
    }
}

/// `find` gives the alerts that may be told as far as the data goes. One that was
/// inhibited is told only while it holds: it may be ending with its explanation. One whose
/// end was told is no member until it is enrolled anew: it may fire again by a route that
/// leads elsewhere.
pub(super) fn members_told_now<'a>(
    gates: &Gates<'_>,
    batch: &Batch,
    find: impl Fn(&AlertKey) -> Option<&'a Alert>,
) -> Vec<Member<'a>> {
    let member = |(key, &told): (&AlertKey, &Told)| {
        let alert = find(key)?;
        let member = Member { alert, told };
        let waits = match told {
            Told::Nothing => member.is_hushed(gates),
            Told::Inhibited => !alert.holds() || member.is_hushed(gates),
            Told::Firing(_) | Told::Ended => false,
        };
        (!waits).then_some(member)
    };
    batch.members.iter().filter(|(_, told)| **told != Told::Ended).filter_map(member).collect()
}

pub(super) fn reason_to_notify(
    now: Timestamp,
    gates: &Gates<'_>,
    batch: &Batch,
    members: &[Member<'_>],
) -> Option<NoticeReason> {
    let has_untold = members.iter().any(|member| member.told.is_nothing());
    let Some(planned_at) = batch.planned_at else {
        let is_due = has_untold && has_passed(now, batch.opened_at, batch.timing.batch_wait);
        return is_due.then_some(NoticeReason::First);
    };
    let has_escalated = members.iter().any(|member| match member.told {
        Told::Firing(known) => {
            let is_higher = member.alert.severity() > Some(known) && !is_ended(member.alert);
            is_higher && !member.is_hushed(gates)
        }
        Told::Nothing | Told::Inhibited | Told::Ended => false,
    });
    if has_escalated {
        return Some(NoticeReason::Escalated);
    }
    if has_passed(now, planned_at, batch.timing.min_gap) {
        if has_untold {
            return Some(NoticeReason::NewAlerts);
        }
        if has_end_to_tell(now, batch, members) {
            return Some(NoticeReason::Resolved);
        }
    }
    // Counted from when the last one arrived, and never while one still waits.
    // So far ahead, it was told by a clock that has been set back since.
    let passed = now.0.abs_diff(batch.settled_at?.0);
    let is_due = passed >= batch.timing.remind_every.as_secs();
    let is_firing = |member: &Member<'_>| {
        matches!(member.alert.status, Status::Firing { .. }) && !member.is_hushed(gates)
    };
    (is_due && members.iter().any(is_firing)).then_some(NoticeReason::Reminder)
}

/// Ends are gathered as beginnings are: one of several is told when the others have
/// ended too, or after `min_gap`.
fn has_end_to_tell(now: Timestamp, batch: &Batch, members: &[Member<'_>]) -> bool {
    let known = || members.iter().filter(|member| matches!(member.told, Told::Firing(_)));
    let ended_at = known().filter_map(|member| match member.alert.status {
        Status::Ended { ended_at, .. } => Some(ended_at),
        Status::Pending | Status::Firing { .. } | Status::Quiet { .. } => None,
    });
    let are_all_over = known().all(|member| is_ended(member.alert));
    let is_due = |at: Timestamp| are_all_over || has_passed(now, at, batch.timing.min_gap);
    ended_at.min().is_some_and(is_due)
}

/// Whether `wait` is over. Where the wall clock went back behind `since`, nobody
/// knows how long it has been: better a message too early than one held for days.
fn has_passed(now: Timestamp, since: Timestamp, wait: std::time::Duration) -> bool {
    now < since || now >= since + wait
}
