//! A history in memory: rows in 40 bytes each, whatever texts they had. Rows that
//! differ in nothing that a rule can tell share one text.

use std::borrow::Cow;
use std::hash::{Hash, Hasher};

use hashbrown::{HashMap, HashTable};
use siphasher::sip::SipHasher13;

use crate::domain::delivery::{Fold, Row, id_number};
use crate::domain::policy::Scope;
use crate::domain::reason::Reason;
use crate::domain::rules::Label;
use crate::domain::time::Timestamp;
use crate::domain::{suspect, url};

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

/// What a rule can tell of a row's labels and texts, and one row that has them.
struct Shape {
    row: Row<'static>,
    host: String,
    reason: Option<Reason>,
    is_suspect: bool,
}

impl Shape {
    fn hash(&self) -> u64 {
        hash(&self.row, &self.host, self.reason, self.is_suspect)
    }

    /// Whether a rule tells nothing of a row with these labels that it does not tell of this one.
    fn is_of(&self, row: &Row<'_>, host: &str, reason: Option<Reason>, is_suspect: bool) -> bool {
        self.host == host
            && self.reason == reason
            && self.is_suspect == is_suspect
            && has_same_labels(&self.row, row)
    }

    /// Of several names the newest is kept.
    fn rename(&mut self, row: &Row<'_>) {
        fn names<'n>(row: &'n Row<'_>) -> (bool, Timestamp, &'n str, &'n str) {
            let has_names = !(row.offer_name.is_empty() && row.affiliate_name.is_empty());
            (has_names, row.timestamp, &row.offer_name, &row.affiliate_name)
        }
        if names(row) <= names(&self.row) {
            return;
        }
        self.row.timestamp = row.timestamp;
        for (known, new) in [
            (&mut self.row.offer_name, &row.offer_name),
            (&mut self.row.affiliate_name, &row.affiliate_name),
        ] {
            if known != new {
                *known = Cow::Owned(new.clone().into_owned());
            }
        }
    }

    fn fits(&self, labels: &[(Label, String)]) -> bool {
        let row = &self.row;
        labels.iter().all(|(label, value)| match label {
            Label::Offer => row.offer.to_string() == *value,
            Label::Affiliate => row.affiliate.to_string() == *value,
            Label::Postback => row.postback.to_string() == *value,
            Label::Event => row.event.to_string() == *value,
            Label::Host => self.host == *value,
            Label::DeliveryMethod => row.delivery_method == *value,
            Label::PostbackLevel => row.postback_level == *value,
            Label::PostbackType => row.postback_type == *value,
            Label::Reason => self.reason.unwrap_or(Reason::Unseen).to_string() == *value,
            Label::Source => true,
        })
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
        let places: Vec<u32> = other.shapes.into_iter().map(|shape| self.place_of(shape)).collect();
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
        let is_suspect = is_suspect(&row.payload);
        let hash = hash(row, &host, reason, is_suspect);
        match self.find(hash, |shape| shape.is_of(row, &host, reason, is_suspect)) {
            Some(place) => {
                self.shapes[place as usize].rename(row);
                place
            }
            None => {
                let host = host.into_owned();
                self.insert(hash, Shape { row: owned(row), host, reason, is_suspect })
            }
        }
    }

    /// The same of another history's shape.
    fn place_of(&mut self, shape: Shape) -> u32 {
        let hash = shape.hash();
        let Shape { row, host, reason, is_suspect } = &shape;
        match self.find(hash, |known| known.is_of(row, host, *reason, *is_suspect)) {
            Some(place) => {
                self.shapes[place as usize].rename(row);
                place
            }
            None => self.insert(hash, shape),
        }
    }

    fn find(&self, hash: u64, same: impl Fn(&Shape) -> bool) -> Option<u32> {
        self.by_labels.find(hash, |&place| same(&self.shapes[place as usize])).copied()
    }

    fn insert(&mut self, hash: u64, shape: Shape) -> u32 {
        let place = u32::try_from(self.shapes.len()).expect("fewer than 4 billion");
        self.shapes.push(shape);
        let shapes = &self.shapes;
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

/// Whether the payload holds an unreplaced macro. That of a row that is fine must not
/// stand for it.
fn is_suspect(payload: &str) -> bool {
    let may_be = payload.bytes().any(|byte| matches!(byte, b'{' | b'%'));
    may_be && suspect::is_suspect(payload, &[])
}

fn hash(row: &Row<'_>, host: &str, reason: Option<Reason>, is_suspect: bool) -> u64 {
    let mut hasher = SipHasher13::new();
    (row.offer, row.affiliate, row.postback, row.event).hash(&mut hasher);
    (host, reason, is_suspect, &*row.delivery_method).hash(&mut hasher);
    (&*row.postback_level, &*row.postback_type).hash(&mut hasher);
    hasher.finish()
}

fn has_same_labels(one: &Row<'_>, other: &Row<'_>) -> bool {
    (one.offer, one.affiliate, one.postback, one.event)
        == (other.offer, other.affiliate, other.postback, other.event)
        && one.delivery_method == other.delivery_method
        && one.postback_level == other.postback_level
        && one.postback_type == other.postback_type
}

fn owned(row: &Row<'_>) -> Row<'static> {
    let own = |text: &Cow<'_, str>| Cow::<'static, str>::Owned(text.clone().into_owned());
    Row {
        offer_name: own(&row.offer_name),
        affiliate_name: own(&row.affiliate_name),
        conversion_id: Cow::Borrowed(""),
        transaction_id: Cow::Borrowed(""),
        delivery_method: own(&row.delivery_method),
        postback_level: own(&row.postback_level),
        postback_type: own(&row.postback_type),
        postback_status: Cow::Borrowed(""),
        payload: own(&row.payload),
        debug_information: own(&row.debug_information),
        ..*row
    }
}

fn borrowed(text: &str) -> Cow<'_, str> {
    Cow::Borrowed(text)
}
