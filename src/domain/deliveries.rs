//! The index of every delivery that failed within the look-back: found by
//! identity, walked by time, small enough for a million of them.

use std::collections::{BTreeMap, BTreeSet};

use hashbrown::HashTable;
use smallvec::SmallVec;

use super::delivery::{Delivery, Identity};
use super::time::Timestamp;

/// Where a delivery stands in the index; valid until it is evicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u32);

#[derive(Debug)]
struct Held {
    delivery: Delivery,
    /// The number of the read that last showed it.
    seen: u32,
    /// Whole reads of its span in a row that did not show it.
    missed: u8,
}

#[derive(Debug, Default)]
pub struct Deliveries {
    held: Vec<Held>,
    free: Vec<Slot>,
    // Only slots, the identity stays with the delivery: five bytes a bucket,
    // where a map from identity to delivery would double its whole size to grow.
    by_identity: HashTable<Slot>,
    by_time: BTreeMap<Timestamp, SmallVec<[Slot; 2]>>,
    /// By the moment of the last try, so that the ones given up come first.
    open: BTreeSet<(Timestamp, Slot)>,
}

impl Deliveries {
    pub fn find(&self, identity: Identity) -> Option<Slot> {
        let same = |slot: &Slot| self.held[slot.0 as usize].delivery.identity == identity;
        self.by_identity.find(hash(identity), same).copied()
    }

    pub fn get(&self, slot: Slot) -> &Delivery {
        &self.held[slot.0 as usize].delivery
    }

    /// Adds the delivery, or replaces the one of its identity; tells what stood there.
    pub fn put(&mut self, delivery: Delivery) -> (Slot, Option<Delivery>) {
        let (slot, before) = match self.find(delivery.identity) {
            Some(slot) => {
                let before = *self.get(slot);
                self.unlist(slot, &before);
                self.held[slot.0 as usize].delivery = delivery;
                (slot, Some(before))
            }
            None => (self.hold(delivery), None),
        };
        self.by_time.entry(delivery.timestamp).or_default().push(slot);
        if delivery.is_open() {
            self.open.insert((delivery.newest.tried_at(), slot));
        }
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
        let span = (after < until).then(|| {
            self.by_time.range((std::ops::Bound::Excluded(after), std::ops::Bound::Included(until)))
        });
        span.into_iter().flatten().flat_map(|(_, slots)| slots.iter().copied())
    }

    /// Those failing now, the one longest without a new try first.
    pub fn open(&self) -> impl Iterator<Item = (Timestamp, Slot)> + '_ {
        self.open.iter().copied()
    }

    /// The latest first, from `until` back; of one second by identity, the greatest first.
    pub fn backwards(&self, until: Timestamp) -> impl Iterator<Item = &Delivery> + '_ {
        self.by_time.range(..=until).rev().flat_map(|(_, slots)| {
            let mut of_second: Vec<&Delivery> = slots.iter().map(|&slot| self.get(slot)).collect();
            of_second.sort_by_key(|delivery| std::cmp::Reverse(delivery.identity));
            of_second
        })
    }

    pub fn iter(&self) -> impl Iterator<Item = &Delivery> + '_ {
        self.by_time.values().flatten().map(|&slot| self.get(slot))
    }

    /// Forgets what lies at or before `until`, but for what still fails, and for
    /// what a later row may still show: forgotten, it would count anew.
    pub fn evict(&mut self, until: Timestamp) {
        let is_past =
            |delivery: &Delivery| !delivery.is_open() && delivery.newest.timestamp <= until;
        let past: Vec<Slot> = self
            .by_time
            .range(..=until)
            .flat_map(|(_, slots)| slots.iter().copied())
            .filter(|&slot| is_past(self.get(slot)))
            .collect();
        for slot in past {
            let delivery = *self.get(slot);
            self.unlist(slot, &delivery);
            if let Ok(entry) =
                self.by_identity.find_entry(hash(delivery.identity), |held| *held == slot)
            {
                entry.remove();
            }
            self.free.push(slot);
        }
    }

    pub fn len(&self) -> usize {
        self.by_identity.len()
    }

    pub fn is_empty(&self) -> bool {
        self.by_identity.is_empty()
    }

    fn hold(&mut self, delivery: Delivery) -> Slot {
        let held = Held { delivery, seen: 0, missed: 0 };
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
            hash(held[slot.0 as usize].delivery.identity)
        });
        slot
    }

    fn unlist(&mut self, slot: Slot, delivery: &Delivery) {
        self.open.remove(&(delivery.newest.tried_at(), slot));
        if let Some(slots) = self.by_time.get_mut(&delivery.timestamp) {
            slots.retain(|held| *held != slot);
            if slots.is_empty() {
                self.by_time.remove(&delivery.timestamp);
            }
        }
    }
}

/// An identity is a hash already.
fn hash(identity: Identity) -> u64 {
    identity.0 as u64
}
