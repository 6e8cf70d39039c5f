//! Rows → what happened to each delivery. Reading a row again changes nothing,
//! and the order in which rows come makes no difference.

use super::delivery::{Delivery, Ended, Fold, Identity, Life, Row, id_number};
use super::dims::DimsId;
use super::facts::Facts;
use super::policy::SourcePolicy;
use super::reason::Reason;
use super::time::Timestamp;

/// What a row tells that was not known.
#[derive(Debug, Clone, PartialEq)]
pub enum Sighting {
    /// Nothing: it was seen before, or is older than what is known.
    Repeat,
    /// A success that never failed, as far as is our business; counted by its span.
    CleanSuccess,
    /// A delivery that failed, seen for the first time or anew.
    New(Delivery),
    /// A known delivery that went on.
    Changed(Delivery),
}

/// The moment and the rules by which rows are read.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The network's time, as far as it is known.
    pub now: Timestamp,
    pub policy: &'a SourcePolicy,
    /// The number of the commit that this page goes into: where a text is kept.
    pub commit: u64,
}

/// Compares `row` with what is known of its delivery.
pub fn reconcile(
    reading: Reading<'_>,
    facts: &Facts,
    identity: Identity,
    dims: DimsId,
    row: &Row<'_>,
) -> Sighting {
    let known = facts.deliveries.find(identity).map(|slot| facts.deliveries.get(slot));
    match known {
        None => first_sight(reading, facts, identity, dims, row),
        Some(known) => again(reading, facts, known, dims, row),
    }
}

fn first_sight(
    reading: Reading<'_>,
    facts: &Facts,
    identity: Identity,
    dims: DimsId,
    row: &Row<'_>,
) -> Sighting {
    let newest = Fold::of(row);
    // A success after failed tries failed and recovered between two polls, unless
    // all of that was over when postwatch first started; what ended in that very second
    // was, since the first look-back does not read it.
    let is_ours = facts.first_read_at.is_none_or(|first| newest.tried_at() > first);
    let is_unseen = row.failed_attempts > 0 && is_ours;
    if row.is_success && !is_unseen {
        return Sighting::CleanSuccess;
    }
    let reason = match row.is_success {
        true => Reason::Unseen,
        false => Reason::classify(&row.debug_information, &row.payload),
    };
    Sighting::New(Delivery {
        identity,
        dims,
        conversion: id_number(&row.conversion_id),
        transaction: id_number(&row.transaction_id),
        timestamp: row.timestamp,
        newest,
        reason,
        life: life(reading, facts, &newest, row.postback),
        text: reading.commit,
    })
}

fn again(
    reading: Reading<'_>,
    facts: &Facts,
    known: Delivery,
    dims: DimsId,
    row: &Row<'_>,
) -> Sighting {
    let newest = Fold::of(row);
    if newest.opens_episode_after(&known.newest) {
        return first_sight(reading, facts, known.identity, dims, row);
    }
    let timestamp = known.timestamp.min(row.timestamp);
    if newest > known.newest {
        let life = same_end(known.life, life(reading, facts, &newest, row.postback));
        return Sighting::Changed(Delivery { newest, timestamp, life, ..known });
    }
    // It was missed in two reads and is there after all.
    if newest == known.newest && known.has_vanished() {
        let life = life(reading, facts, &newest, row.postback);
        return Sighting::Changed(Delivery { life, ..known });
    }
    // An earlier row of the same episode; one with a higher counter is of the last.
    let is_same_episode = row.failed_attempts <= known.newest.failed_attempts;
    if timestamp < known.timestamp && !row.is_success && is_same_episode {
        return Sighting::Changed(Delivery { timestamp, ..known });
    }
    Sighting::Repeat
}

/// A delivery that ended the same way again ended when it first did.
fn same_end(before: Life, after: Life) -> Life {
    match (before, after) {
        (Life::Ended { how: first, .. }, Life::Ended { how: again, .. }) if first == again => {
            before
        }
        (_, after) => after,
    }
}

fn life(reading: Reading<'_>, facts: &Facts, newest: &Fold, postback: u64) -> Life {
    // A long read may show what happened after it began.
    let ended = |how| Life::Ended { how, at: reading.now.max(newest.tried_at()) };
    if newest.is_success {
        ended(Ended::Recovered)
    } else if was_given_up(reading, newest) {
        ended(Ended::Exhausted)
    } else if !facts.is_active(postback) {
        ended(Ended::Abandoned)
    } else {
        Life::Failing
    }
}

fn was_given_up(reading: Reading<'_>, newest: &Fold) -> bool {
    newest.failed_attempts >= reading.policy.max_attempts
        || reading.now.since(newest.tried_at()) >= reading.policy.give_up_after
}

/// Failing deliveries whose time is up: no new try for `give_up_after`.
pub fn exhausted(reading: Reading<'_>, facts: &Facts) -> Vec<Delivery> {
    let open = facts.deliveries.open();
    open.take_while(|(tried_at, _)| reading.now.since(*tried_at) >= reading.policy.give_up_after)
        .map(|(_, slot)| facts.deliveries.get(slot).ended(Ended::Exhausted, reading.now))
        .collect()
}

/// Failing deliveries of a postback that was switched off.
pub fn abandoned(reading: Reading<'_>, facts: &Facts, postback: u64) -> Vec<Delivery> {
    open_deliveries(facts)
        .filter(|delivery| facts.dims.get(delivery.dims).postback == postback)
        .map(|delivery| delivery.ended(Ended::Abandoned, reading.now))
        .collect()
}

fn open_deliveries(facts: &Facts) -> impl Iterator<Item = Delivery> + '_ {
    facts.deliveries.open().map(|(_, slot)| facts.deliveries.get(slot))
}
