//! Who heard of an alert in place of a receiver that could not be reached. Each of
//! them hears its end too, though the receiver itself may take messages again by then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Outgoing;
use crate::domain::delivery::Identity;
use crate::domain::notify::{AlertFacts, Notice, NoticeReason};
use crate::domain::time::Timestamp;

/// An alert that `receiver` was told of in place of `of`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Instead {
    pub of: String,
    pub alert: Identity,
    pub receiver: String,
}

/// What was told so as firing and not yet as over, and when it fired. It hangs on the
/// alert and not on a batch: the end may be told by another one, or by a message that
/// was made of several.
pub type ToldInstead = BTreeMap<Instead, Timestamp>;

/// Takes up what `notice`, which stands in for another receiver's, tells. Returns
/// what changed.
pub fn take_up(told: &mut ToldInstead, notice: &Notice) -> Vec<Instead> {
    let Some(of) = &notice.instead_of else { return Vec::new() };
    let mut changed = Vec::new();
    // The ends first: an alert that fired anew stands in the message with both.
    let is_over = |alert: &&AlertFacts| alert.status.is_over();
    let ended = notice.alerts.iter().filter(is_over);
    for alert in ended.chain(notice.alerts.iter().filter(|alert| !is_over(alert))) {
        let receiver = notice.receiver.clone();
        let key = Instead { of: of.clone(), alert: alert.id, receiver };
        let before = told.get(&key).copied();
        if !alert.status.is_over() {
            told.insert(key.clone(), alert.fired_at.max(before.unwrap_or(alert.fired_at)));
        } else if before.is_some_and(|fired_at| alert.fired_at >= fired_at) {
            told.remove(&key);
        }
        if told.get(&key).copied() != before {
            changed.push(key);
        }
    }
    changed
}

/// Messages with the ends that `outgoing` tells, for those who were told the beginning in
/// place of its receiver. `is_back` says that the receiver has it now.
pub fn ends(
    told: &ToldInstead,
    now: Timestamp,
    outgoing: &Outgoing,
    is_back: bool,
) -> Vec<Outgoing> {
    let mut ends: BTreeMap<&str, BTreeMap<Identity, &AlertFacts>> = BTreeMap::new();
    for alert in outgoing.notice.alerts.iter().filter(|alert| alert.status.is_over()) {
        for (key, _) in told_of(told, &outgoing.notice.receiver, alert.id)
            .filter(|&(_, &fired_at)| alert.fired_at >= fired_at)
        {
            // Of several ends the first since then is the one that they wait for.
            let end = ends.entry(&key.receiver).or_default().entry(alert.id).or_insert(alert);
            if alert.fired_at < end.fired_at {
                *end = alert;
            }
        }
    }
    let message = |(receiver, ends): (&str, BTreeMap<Identity, &AlertFacts>)| {
        let is_told = |alert: &&AlertFacts| ends.get(&alert.id).is_some_and(|end| end == alert);
        let alerts = outgoing.notice.alerts.iter().filter(is_told).cloned().collect();
        end_for(now, outgoing, receiver, alerts, is_back)
    };
    ends.into_iter().map(message).collect()
}

fn told_of<'a>(
    told: &'a ToldInstead,
    of: &str,
    alert: Identity,
) -> impl Iterator<Item = (&'a Instead, &'a Timestamp)> {
    let first = Instead { of: of.to_owned(), alert, receiver: String::new() };
    let rest = told.range(first.clone()..);
    rest.take_while(move |(key, _)| key.of == first.of && key.alert == first.alert)
}

fn end_for(
    now: Timestamp,
    outgoing: &Outgoing,
    receiver: &str,
    alerts: Vec<AlertFacts>,
    is_back: bool,
) -> Outgoing {
    let notice = Notice {
        reason: NoticeReason::Resolved,
        alerts,
        is_back,
        ..outgoing.notice.in_place_of(receiver, now)
    };
    Outgoing { batches: outgoing.batches.clone(), ..Outgoing::new(notice, Vec::new()) }
}
