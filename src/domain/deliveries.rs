//! The index of every delivery that failed within the look-back: found by
//! identity, walked by time, small enough for a million of them.

use std::collections::BTreeSet;

use hashbrown::HashTable;

use super::delivery::{Delivery, Ended, Fold, Identity, Life};
use super::dims::DimsId;
use super::reason::Reason;
use super::time::Timestamp;

/// Where a delivery stands in the index; valid until it is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

/// A slot and a second that it is sorted by, in eight bytes: a million of them stand
/// in several indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotAt {
    second: u32,
    slot: Slot,
}

impl SlotAt {
    pub fn new(at: Timestamp, slot: Slot) -> SlotAt {
        SlotAt { second: at.to_u32(), slot }
    }

    pub fn at(self) -> Timestamp {
        Timestamp::of_u32(self.second)
    }
}

/// A delivery as it is held: the same in 80 bytes instead of 112.
#[derive(Debug)]
struct Held {
    identity: [u8; 16],
    conversion: u64,
    transaction: u64,
    text: u64,
    dims: DimsId,
    timestamp: u32,
    newest_timestamp: u32,
    last_attempt: u32,
    failed_attempts: u32,
    ended_at: u32,
    /// The number of the read that last showed it.
    seen: u32,
    reason: Reason,
    ended: Option<Ended>,
    is_success: bool,
    /// Whole reads of its span in a row that did not show it.
    missed: u8,
}

const _: () = assert!(size_of::<Held>() == 80);

impl Held {
    fn new(delivery: &Delivery) -> Held {
        let newest = delivery.newest;
        let (ended, ended_at) = match delivery.life {
            Life::Failing => (None, Timestamp::default()),
            Life::Ended { how, at } => (Some(how), at),
        };
        Held {
            identity: delivery.identity.0.to_le_bytes(),
            conversion: delivery.conversion,
            transaction: delivery.transaction,
            text: delivery.text,
            dims: delivery.dims,
            timestamp: delivery.timestamp.to_u32(),
            newest_timestamp: newest.timestamp.to_u32(),
            last_attempt: newest.last_attempt.to_u32(),
            failed_attempts: newest.failed_attempts,
            ended_at: ended_at.to_u32(),
            seen: 0,
            reason: delivery.reason,
            ended,
            is_success: newest.is_success,
            missed: 0,
        }
    }

    fn delivery(&self) -> Delivery {
        let at = Timestamp::of_u32(self.ended_at);
        Delivery {
            identity: self.identity(),
            dims: self.dims,
            conversion: self.conversion,
            transaction: self.transaction,
            timestamp: Timestamp::of_u32(self.timestamp),
            newest: Fold {
                last_attempt: Timestamp::of_u32(self.last_attempt),
                timestamp: Timestamp::of_u32(self.newest_timestamp),
                failed_attempts: self.failed_attempts,
                is_success: self.is_success,
            },
            reason: self.reason,
            life: self.ended.map_or(Life::Failing, |how| Life::Ended { how, at }),
            text: self.text,
        }
    }

    fn identity(&self) -> Identity {
        Identity(u128::from_le_bytes(self.identity))
    }
}

#[derive(Debug, Default)]
pub struct Deliveries {
    held: Vec<Held>,
    free: Vec<Slot>,
    // Only slots, the identity stays with the delivery: five bytes a bucket,
    // where a map from identity to delivery would double its whole size to grow.
    by_identity: HashTable<Slot>,
    by_time: BTreeSet<SlotAt>,
    /// By the moment of the last try, so that the ones given up come first.
    open: BTreeSet<SlotAt>,
    /// By [`DimsId`]: a scrape need not walk over all deliveries.
    by_dims: Vec<OfDims>,
}

/// How many deliveries have the same labels.
#[derive(Debug, Clone, Copy, Default)]
pub struct OfDims {
    pub known: u64,
    /// Those that are failing now.
    pub open: u64,
}

impl Deliveries {
    pub fn find(&self, identity: Identity) -> Option<Slot> {
        let same = |slot: &Slot| self.held(*slot).identity() == identity;
        self.by_identity.find(hash(identity), same).copied()
    }

    pub fn get(&self, slot: Slot) -> Delivery {
        self.held(slot).delivery()
    }

    /// Adds the delivery, or replaces the one of its identity; tells what stood there.
    pub fn put(&mut self, delivery: Delivery) -> (Slot, Option<Delivery>) {
        let (slot, before) = match self.find(delivery.identity) {
            Some(slot) => {
                let before = self.get(slot);
                self.unlist(slot, &before);
                let held = &mut self.held[slot.0 as usize];
                *held = Held { seen: held.seen, missed: held.missed, ..Held::new(&delivery) };
                (slot, Some(before))
            }
            None => (self.hold(&delivery), None),
        };
        self.list(slot, &delivery);
        (slot, before)
    }

    /// Notes that read number `read` showed the delivery.
    pub fn saw(&mut self, slot: Slot, read: u32) {
        let held = &mut self.held[slot.0 as usize];
        held.seen = read;
        held.missed = 0;
    }

    /// Whether read number `read` showed the delivery.
    pub fn was_seen(&self, slot: Slot, read: u32) -> bool {
        self.held[slot.0 as usize].seen == read
    }

    /// Notes that the whole read number `read` covered the delivery's place;
    /// tells how many such reads in a row have not shown it.
    pub fn covered(&mut self, slot: Slot, read: u32) -> u8 {
        let held = &mut self.held[slot.0 as usize];
        if held.seen < read {
            held.missed = held.missed.saturating_add(1);
        }
        held.missed
    }

    /// Those whose timestamp lies in `(after, until]`, earliest first.
    pub fn within(&self, after: Timestamp, until: Timestamp) -> impl Iterator<Item = Slot> + '_ {
        let span = (after < until).then(|| self.by_time.range(behind(after)..behind(until)));
        span.into_iter().flatten().map(|place| place.slot)
    }

    /// Those failing now, the one longest without a new try first.
    pub fn open(&self) -> impl Iterator<Item = (Timestamp, Slot)> + '_ {
        self.open.iter().map(|place| (place.at(), place.slot))
    }

    /// Of those failing now, the ones whose last try was later than `after`.
    pub fn open_since(&self, after: Timestamp) -> impl Iterator<Item = Slot> + '_ {
        self.open.range(behind(after)..).map(|place| place.slot)
    }

    /// The labels that deliveries have, in the order in which they appeared.
    pub fn by_dims(&self) -> impl Iterator<Item = (DimsId, OfDims)> + '_ {
        let of_dims = (0u32..).zip(&self.by_dims).map(|(number, of)| (DimsId(number), *of));
        of_dims.filter(|(_, of)| of.known > 0)
    }

    /// The latest first, from `until` back; of one second by identity, the greatest first.
    pub fn backwards(&self, until: Timestamp) -> impl Iterator<Item = Delivery> + '_ {
        let mut places = self.by_time.range(..behind(until)).rev().peekable();
        std::iter::from_fn(move || {
            let second = places.peek()?.second;
            let of_second = std::iter::from_fn(|| places.next_if(|place| place.second == second));
            let mut of_second: Vec<Delivery> =
                of_second.map(|place| self.get(place.slot)).collect();
            of_second.sort_by_key(|delivery| std::cmp::Reverse(delivery.identity));
            Some(of_second)
        })
        .flatten()
    }

    /// The earliest first.
    pub fn iter(&self) -> impl Iterator<Item = Delivery> + '_ {
        self.by_time.iter().map(|place| self.get(place.slot))
    }

    /// Forgets what lies at or before `until`, but for what still fails, and for
    /// what a later row may still show: forgotten, it would count anew.
    pub fn evict(&mut self, until: Timestamp) {
        let is_past =
            |delivery: &Delivery| !delivery.is_open() && delivery.newest.timestamp <= until;
        let past: Vec<Slot> = self
            .by_time
            .range(..behind(until))
            .map(|place| place.slot)
            .filter(|&slot| is_past(&self.get(slot)))
            .collect();
        for slot in past {
            let delivery = self.get(slot);
            self.unlist(slot, &delivery);
            if let Ok(entry) =
                self.by_identity.find_entry(hash(delivery.identity), |held| *held == slot)
            {
                entry.remove();
            }
            self.free.push(slot);
        }
    }

    /// Packs the indices: entries that came one by one fill half of their nodes.
    pub fn pack(&mut self) {
        for index in [&mut self.by_time, &mut self.open] {
            *index = std::mem::take(index).into_iter().collect();
        }
    }

    pub fn len(&self) -> usize {
        self.by_identity.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    fn held(&self, slot: Slot) -> &Held {
        &self.held[slot.0 as usize]
    }

    fn hold(&mut self, delivery: &Delivery) -> Slot {
        let held = Held::new(delivery);
        let slot = match self.free.pop() {
            Some(slot) => {
                self.held[slot.0 as usize] = held;
                slot
            }
            None => {
                let number = u32::try_from(self.held.len()).expect("fewer than 4 billion");
                self.held.push(held);
                Slot(number)
            }
        };
        let held = &self.held;
        self.by_identity.insert_unique(hash(delivery.identity), slot, |slot| {
            hash(held[slot.0 as usize].identity())
        });
        slot
    }

    fn list(&mut self, slot: Slot, delivery: &Delivery) {
        self.by_time.insert(SlotAt::new(delivery.timestamp, slot));
        let number = delivery.dims.0 as usize;
        if self.by_dims.len() <= number {
            self.by_dims.resize_with(number + 1, OfDims::default);
        }
        self.by_dims[number].known += 1;
        if delivery.is_open() {
            self.open.insert(SlotAt::new(delivery.newest.tried_at(), slot));
            self.by_dims[number].open += 1;
        }
    }

    fn unlist(&mut self, slot: Slot, delivery: &Delivery) {
        self.by_time.remove(&SlotAt::new(delivery.timestamp, slot));
        let of_dims = &mut self.by_dims[delivery.dims.0 as usize];
        of_dims.known -= 1;
        if delivery.is_open() {
            self.open.remove(&SlotAt::new(delivery.newest.tried_at(), slot));
            of_dims.open -= 1;
        }
    }
}

/// The first place behind all those of `at`.
fn behind(at: Timestamp) -> SlotAt {
    match u32::try_from(at.0) {
        Ok(second @ ..u32::MAX) => SlotAt { second: second + 1, slot: Slot(0) },
        Err(_) if at.0 < 0 => SlotAt { second: 0, slot: Slot(0) },
        Ok(u32::MAX) | Err(_) => SlotAt { second: u32::MAX, slot: Slot(u32::MAX) },
    }
}

/// An identity is a hash already.
fn hash(identity: Identity) -> u64 {
    identity.0 as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_that_makes_no_sense_hides_no_delivery() {
        let fold = |at| Fold {
            last_attempt: Timestamp(0),
            timestamp: at,
            failed_attempts: 1,
            is_success: false,
        };
        let times = [i64::MIN, -1, 0, 1_700_000_000, i64::from(u32::MAX), i64::MAX];
        let mut deliveries = Deliveries::default();
        for (number, at) in times.into_iter().map(Timestamp::of_row).enumerate() {
            deliveries.put(Delivery {
                identity: Identity(number as u128),
                dims: DimsId(0),
                conversion: 0,
                transaction: 0,
                timestamp: at,
                newest: fold(at),
                reason: Reason::Other,
                life: Life::Failing,
                text: 0,
            });
        }
        let (first, last) = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        assert_eq!(deliveries.within(first, last).count(), times.len());
        assert_eq!(deliveries.backwards(last).count(), times.len());
        assert_eq!(deliveries.within(Timestamp(0), Timestamp(1_700_000_000)).count(), 1);
        assert_eq!(deliveries.within(Timestamp(-1), Timestamp(0)).count(), 3);
    }
}
