//! Messages that wait for one channel become fewer and lose nothing by it: those
//! of one batch become its newest state, and where many batches wait, the later
//! ones become one message that lists them all.
//!
//! A message whose answer was lost is never merged: it goes out once more as it
//! was, with its id. Whatever is merged bears the id of its newest part, so that
//! a receiver which knows the id of an earlier try does not take news for a repeat.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use super::Outgoing;
use crate::domain::delivery::Identity;
use crate::domain::notify::{AlertFacts, Notice, NoticeReason, in_reading_order, subjects};
use crate::domain::time::Timestamp;

/// Batches that wait for a channel in trouble, each with a message of its own.
/// What is more becomes one: nobody reads a hundred messages after an outage.
pub const MOST_APART: usize = 10;

/// The same for a channel that takes what it gets, but more slowly than it comes.
pub const MOST_APART_WHEN_WELL: usize = 100;

/// How often one alert may stand in a message: as it is, and how it ended before.
const MOST_OF_ONE: usize = 2;

/// What waited for less is not called late.
const LATE_AFTER: Duration = Duration::from_secs(60);

const CAME_AND_WENT: &str =
    "It came and went more often than is listed here while this could not be delivered.";

/// Merges what waits for `receiver`. Returns the numbers that changed or are gone.
pub fn gather(outbox: &mut BTreeMap<u64, Outgoing>, receiver: &str) -> BTreeSet<u64> {
    let waiting: Vec<(u64, &Outgoing)> = outbox
        .iter()
        .filter(|(_, one)| one.notice.receiver == receiver && one.given_up.is_none())
        .map(|(&number, one)| (number, one))
        .collect();
    let most = match waiting.iter().any(|(_, one)| one.tries > 0) {
        true => MOST_APART,
        false => MOST_APART_WHEN_WELL,
    };
    let groups = groups(waiting, most);
    let mut changed = BTreeSet::new();
    for numbers in groups.into_iter().filter(|numbers| numbers.len() > 1) {
        let parts = numbers.iter().filter_map(|number| outbox.remove(number)).collect();
        outbox.extend(merged(parts).map(|one| (numbers[0], one)));
        changed.extend(numbers);
    }
    changed
}

/// Which of them become one, each group in the order of its messages.
fn groups(waiting: Vec<(u64, &Outgoing)>, most: usize) -> Vec<Vec<u64>> {
    let mut groups: Vec<(Vec<u64>, BTreeSet<&str>)> = Vec::new();
    for (number, outgoing) in waiting.into_iter().filter(|(_, one)| one.may_be_merged()) {
        let mut numbers = vec![number];
        let mut batches: BTreeSet<&str> = outgoing.told_batches().collect();
        // The older ones that tell of the same: what is newer must not overtake them.
        let same = groups.extract_if(.., |(_, known)| !known.is_disjoint(&batches));
        let mut place = Vec::new();
        let mut known = BTreeSet::new();
        for (before, of) in same.collect::<Vec<_>>() {
            place.extend(before);
            known.extend(of);
        }
        place.append(&mut numbers);
        batches.append(&mut known);
        groups.push((place, batches));
        groups.sort_by_key(|(numbers, _)| numbers[0]);
    }
    let surplus = groups.split_off(groups.len().min(most));
    let mut groups: Vec<Vec<u64>> = groups.into_iter().map(|(numbers, _)| numbers).collect();
    let mut rest: Vec<u64> = surplus.into_iter().flat_map(|(numbers, _)| numbers).collect();
    rest.sort_unstable();
    groups.extend((!rest.is_empty()).then_some(rest));
    groups
}

/// One message in place of several, oldest first. It keeps the place and the tries
/// of the oldest; all else is the newest's.
fn merged(mut parts: Vec<Outgoing>) -> Option<Outgoing> {
    let late_since = late_since(&parts);
    let batches: BTreeSet<&str> = parts.iter().flat_map(Outgoing::told_batches).collect();
    let batches: Vec<String> = batches.into_iter().map(str::to_owned).collect();
    let fallback = fallback(&parts);
    let strongest = parts.iter().map(|part| part.notice.reason).max_by_key(|one| strength(*one))?;
    let digest = parts.iter().find(|part| !part.batches.is_empty());
    let digest = digest.map(|part| part.notice.batch.clone());
    let instead_of = parts.iter().rev().find_map(|part| part.notice.instead_of.clone());
    let group = common_group(&parts);
    // Who has yet to hear of the beginning gets this because nobody else could be told.
    let is_back = parts.iter().all(|part| part.notice.is_back);
    let alerts = parts.iter_mut().rev().map(|part| std::mem::take(&mut part.notice.alerts));
    let alerts = merged_alerts(alerts.collect());
    // What is over is told as over, though nobody heard of its beginning.
    let is_over = subjects(&alerts).all(|alert| alert.status.is_over());
    let reason = if is_over { NoticeReason::Resolved } else { strongest };
    let newest = parts.pop()?.notice;
    let oldest = parts.into_iter().next()?;
    let is_of_one_batch = batches.len() == 1;
    let batch = match is_of_one_batch {
        true => newest.batch.clone(),
        // A thread of its own: the next message of each batch must not edit this one.
        false => digest.unwrap_or_else(|| format!("gathered-{}", newest.id)),
    };
    let notice = Notice { batch, group, reason, late_since, instead_of, is_back, alerts, ..newest };
    let batches = if is_of_one_batch { Vec::new() } else { batches };
    Some(Outgoing { notice, batches, fallback, ..oldest })
}

/// What the alerts of all of them were gathered by.
fn common_group(parts: &[Outgoing]) -> Vec<(String, String)> {
    let mut group = parts.last().map(|part| part.notice.group.clone()).unwrap_or_default();
    group.retain(|pair| parts.iter().all(|part| part.notice.group.contains(pair)));
    group
}

fn late_since(parts: &[Outgoing]) -> Option<Timestamp> {
    let (oldest, newest) = (&parts.first()?.notice, &parts.last()?.notice);
    let is_late = newest.created_at >= oldest.created_at + LATE_AFTER;
    oldest.late_since.or(is_late.then_some(oldest.created_at))
}

fn fallback(parts: &[Outgoing]) -> Vec<String> {
    let mut fallback: Vec<String> = Vec::new();
    for receiver in parts.iter().rev().flat_map(|part| &part.fallback) {
        if !fallback.contains(receiver) {
            fallback.push(receiver.clone());
        }
    }
    fallback
}

/// The alerts of several messages, newest first: each as the newest has it, and the
/// end of an earlier incident of the same alert, which is news too.
fn merged_alerts(parts: Vec<Vec<AlertFacts>>) -> Vec<AlertFacts> {
    // What waits tells of these: the message that it becomes holds none of them back.
    let waiting = parts.iter().flat_map(|alerts| subjects(alerts));
    let untold: HashSet<Identity> =
        waiting.filter(|alert| !alert.status.is_over()).map(|alert| alert.id).collect();
    let mut told: HashMap<Identity, Vec<Timestamp>> = HashMap::new();
    let mut often: BTreeSet<u128> = BTreeSet::new();
    let mut alerts: Vec<AlertFacts> = Vec::new();
    for alert in parts.into_iter().flatten() {
        let known = told.entry(alert.id).or_default();
        let is_earlier = alert.status.is_over() && !known.contains(&alert.fired_at);
        if known.is_empty() || is_earlier && known.len() < MOST_OF_ONE {
            known.push(alert.fired_at);
            alerts.push(alert);
        } else if is_earlier {
            often.insert(alert.id.0);
        }
    }
    for alert in alerts.iter_mut().filter(|alert| often.contains(&alert.id.0)) {
        if !alert.notes.iter().any(|note| note == CAME_AND_WENT) {
            alert.notes.push(CAME_AND_WENT.to_owned());
        }
    }
    for alert in alerts.iter_mut().filter(|alert| untold.contains(&alert.id)) {
        alert.held_back = None;
    }
    in_reading_order(&mut alerts);
    alerts
}

/// Of several reasons the strongest is told.
fn strength(reason: NoticeReason) -> u8 {
    match reason {
        NoticeReason::First => 4,
        NoticeReason::Escalated => 3,
        NoticeReason::NewAlerts => 2,
        NoticeReason::Resolved => 1,
        NoticeReason::Reminder => 0,
    }
}
