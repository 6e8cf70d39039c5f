//! A history in memory: rows in 40 bytes each, whatever texts they had. Rows that
//! differ in nothing that a rule can tell share one text.

use std::borrow::Cow;

use hashbrown::{HashMap, HashTable};

use crate::domain::delivery::{Fold, Row, id_number};
use crate::domain::policy::Scope;
use crate::domain::reason::Reason;
use crate::domain::rules::Label;
use crate::domain::time::Timestamp;
use crate::domain::url;

mod shape;

use shape::Shape;

/// Rows of one source, by `timestamp` once [`History::sort`] was called.
#[derive(Default)]
pub struct History {
    rows: Vec<Compact>,
    shapes: Vec<Shape>,
    by_labels: HashTable<u32>,
}

/// A row without its texts.
#[derive(Clone, Copy)]
struct Compact {
    timestamp: Timestamp,
    last_attempt: Timestamp,
    /// Stands for the conversion id, or for the transaction's where that is empty.
    id: u64,
    failed_attempts: u32,
    shape: u32,
    has_conversion: bool,
    is_success: bool,
    is_active: bool,
}

impl Compact {
    fn fold(&self) -> Fold {
        Fold {
            last_attempt: self.last_attempt,
            timestamp: self.timestamp,
            failed_attempts: self.failed_attempts,
            is_success: self.is_success,
        }
    }

    fn has_failed(&self) -> bool {
        !self.is_success || self.failed_attempts > 0
    }
}

/// What the rows of a history add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Deliveries {
    pub all: usize,
    /// Those that failed at least once, and those that still do.
    pub failed: usize,
    pub failing: usize,
    /// Rows that no scope of the source takes in.
    pub rows_outside: usize,
}

/// A moment from which on a postback was on or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Switch {
    pub at: Timestamp,
    pub postback: u64,
    pub is_active: bool,
}

impl History {
    pub fn add(&mut self, row: &Row<'_>) {
        let shape = self.shape(row);
        let has_conversion = !row.conversion_id.is_empty();
        let id = if has_conversion { &row.conversion_id } else { &row.transaction_id };
        self.rows.push(Compact {
            timestamp: row.timestamp,
            last_attempt: row.last_attempt,
            id: id_number(id),
            failed_attempts: row.failed_attempts,
            shape,
            has_conversion,
            is_success: row.is_success,
            is_active: row.postback_status.is_empty()
                || row.postback_status.eq_ignore_ascii_case("active"),
        });
    }

    /// Takes in the rows of `other`.
    pub fn absorb(&mut self, other: History) {
        let place = |shape: &Shape| {
            let Shape { row, host, reason, is_suspect } = shape;
            self.place(row, host, *reason, *is_suspect)
        };
        let places: Vec<u32> = other.shapes.iter().map(place).collect();
        let rows = other.rows.into_iter();
        self.rows.extend(rows.map(|row| Compact { shape: places[row.shape as usize], ..row }));
    }

    /// Puts the rows in an order that does not depend on how they came.
    pub fn sort(&mut self) {
        let ranks = self.ranks();
        self.rows.sort_unstable_by_key(|row| {
            (row.timestamp, row.fold(), row.id, ranks[row.shape as usize], row.is_active)
        });
    }

    /// By the place of a shape: its place among all by its labels.
    fn ranks(&self) -> Vec<u32> {
        let labels = |&place: &u32| {
            let Shape { row, host, reason, is_suspect } = &self.shapes[place as usize];
            let ids = (row.affiliate, row.offer, row.postback, row.event);
            let kind = (&row.delivery_method, &row.postback_level, &row.postback_type);
            (ids, host, *reason, *is_suspect, kind)
        };
        let mut places: Vec<u32> = (0u32..).take(self.shapes.len()).collect();
        places.sort_by(|one, other| labels(one).cmp(&labels(other)));
        let mut ranks = vec![0; places.len()];
        (0u32..).zip(places).for_each(|(rank, place)| ranks[place as usize] = rank);
        ranks
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The first and the last moment that a row tells of.
    pub fn span(&self) -> Option<(Timestamp, Timestamp)> {
        let first = self.rows.iter().map(|row| row.timestamp).min()?;
        let last = self.rows.iter().map(|row| row.timestamp.max(row.last_attempt)).max()?;
        Some((first, last))
    }

    /// How many deliveries its rows within `scopes` tell of: several rows of one are
    /// folded, as the service folds them.
    pub fn deliveries(&self, scopes: &[Scope]) -> Deliveries {
        let is_inside = |shape: &Shape| {
            scopes.iter().any(|scope| scope.contains(shape.row.offer, shape.row.affiliate))
        };
        let inside: Vec<bool> = self.shapes.iter().map(is_inside).collect();
        let mut known: HashMap<(u64, u64, Option<u64>), (Fold, bool)> = HashMap::new();
        let mut counted = Deliveries::default();
        for row in &self.rows {
            if !inside[row.shape as usize] {
                counted.rows_outside += 1;
                continue;
            }
            let of = &self.shapes[row.shape as usize].row;
            let event = (!row.has_conversion).then_some(of.event);
            let (newest, has_failed) =
                known.entry((of.postback, row.id, event)).or_insert((row.fold(), false));
            *newest = row.fold().max(*newest);
            *has_failed |= row.has_failed();
        }
        counted.all = known.len();
        counted.failed = known.values().filter(|(_, has_failed)| *has_failed).count();
        counted.failing = known.values().filter(|(newest, _)| !newest.is_success).count();
        counted
    }

    /// When each row that failed began to, in order.
    pub fn failed_at(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let failed = self.rows.iter().filter(|row| row.has_failed());
        failed.map(|row| row.timestamp)
    }

    /// When the first delivery with these labels, of those whose timestamp lies in
    /// `(after, until]`, failed.
    pub fn first_failure(
        &self,
        after: Timestamp,
        until: Timestamp,
        labels: &[(Label, String)],
    ) -> Option<Timestamp> {
        let fits: Vec<bool> = self.shapes.iter().map(|shape| shape.fits(labels)).collect();
        let rows = &self.rows[self.until(after)..self.until(until)];
        let mut failed = rows.iter().filter(|row| row.has_failed());
        failed.find(|row| fits[row.shape as usize]).map(|row| row.timestamp)
    }

    /// How many rows bear a timestamp up to `until`.
    pub fn until(&self, until: Timestamp) -> usize {
        self.rows.partition_point(|row| row.timestamp <= until)
    }

    /// Rows of these places, with short ids in place of their own.
    pub fn rows(&self, places: std::ops::Range<usize>) -> impl Iterator<Item = Row<'_>> {
        self.rows[places].iter().map(|row| self.row(row))
    }

    /// The postbacks that are active at first, or not, and when that changed. Where
    /// all rows of a postback say inactive, that is what it is today: it was
    /// switched off after its last row.
    pub fn switches(&self) -> (Vec<(u64, bool)>, Vec<Switch>) {
        let mut seen: HashMap<u64, Seen> = HashMap::new();
        let mut changes = Vec::new();
        for row in &self.rows {
            let postback = self.shapes[row.shape as usize].row.postback;
            let first = Seen { first: row.is_active, now: row.is_active, ..Seen::default() };
            let seen = seen.entry(postback).or_insert(first);
            seen.last_at = seen.last_at.max(row.timestamp).max(row.last_attempt);
            if seen.now != row.is_active {
                (seen.now, seen.has_changed) = (row.is_active, true);
                let (at, is_active) = (row.timestamp, row.is_active);
                changes.push(Switch { at, postback, is_active });
            }
        }
        let off = seen.iter().filter(|(_, seen)| !seen.now && !seen.has_changed);
        changes.extend(off.map(|(&postback, seen)| Switch {
            at: seen.last_at,
            postback,
            is_active: false,
        }));
        changes.sort();
        let mut begin: Vec<(u64, bool)> =
            seen.iter().map(|(&id, seen)| (id, seen.first || !seen.has_changed)).collect();
        begin.sort_unstable();
        (begin, changes)
    }

    fn row(&self, row: &Compact) -> Row<'_> {
        let shape = &self.shapes[row.shape as usize].row;
        let id = Cow::Owned(format!("{:x}", row.id));
        let (conversion_id, transaction_id) = match row.has_conversion {
            true => (id, Cow::Borrowed("")),
            false => (Cow::Borrowed(""), id),
        };
        Row {
            offer_name: borrowed(&shape.offer_name),
            affiliate_name: borrowed(&shape.affiliate_name),
            conversion_id,
            transaction_id,
            timestamp: row.timestamp,
            last_attempt: row.last_attempt,
            failed_attempts: row.failed_attempts,
            is_success: row.is_success,
            delivery_method: borrowed(&shape.delivery_method),
            postback_level: borrowed(&shape.postback_level),
            postback_type: borrowed(&shape.postback_type),
            postback_status: Cow::Borrowed(""),
            payload: borrowed(&shape.payload),
            debug_information: borrowed(&shape.debug_information),
            ..*shape
        }
    }

    /// The place of the shape that fits `row`; a new one where none does.
    fn shape(&mut self, row: &Row<'_>) -> u32 {
        let host = url::host(&row.payload, &row.delivery_method).unwrap_or_default();
        let reason =
            (!row.is_success).then(|| Reason::classify(&row.debug_information, &row.payload));
        self.place(row, &host, reason, shape::is_suspect(&row.payload))
    }

    /// The same, of what is known of the row.
    fn place(
        &mut self,
        row: &Row<'_>,
        host: &str,
        reason: Option<Reason>,
        is_suspect: bool,
    ) -> u32 {
        let hash = shape::hash(row, host, reason, is_suspect);
        let shapes = &mut self.shapes;
        let same = |&place: &u32| shapes[place as usize].is_of(row, host, reason, is_suspect);
        if let Some(&place) = self.by_labels.find(hash, same) {
            shapes[place as usize].rename(row);
            return place;
        }
        let place = u32::try_from(shapes.len()).expect("fewer than 4 billion");
        shapes.push(Shape::new(row, host.to_owned(), reason, is_suspect));
        self.by_labels.insert_unique(hash, place, |&place| shapes[place as usize].hash());
        place
    }
}

/// What the rows of one postback said so far.
#[derive(Default)]
struct Seen {
    first: bool,
    now: bool,
    has_changed: bool,
    last_at: Timestamp,
}

fn borrowed(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}
