//! Rows in the order in which what they tell happened. A row shows how a delivery
//! ended; what it must have shown before is made up from that.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::domain::delivery::Row;
use crate::domain::dims::{DimsId, DimsRecord};
use crate::domain::policy::SourcePolicy;
use crate::domain::reason::UNTOLD;
use crate::domain::time::Timestamp;

/// Successes that come later than this are not read again, as live.
const LATEST_SUCCESS: Duration = Duration::from_secs(10 * 60);

/// A row, and when what it tells happened.
pub struct Arrival<'a> {
    pub at: Timestamp,
    pub row: Row<'a>,
    /// Where it stands for the first of several tries: the counter of the last one.
    pub first_of: u32,
}

/// What is still to come.
#[derive(Default)]
pub struct Arrivals {
    waiting: BTreeMap<(Timestamp, u64), Arrival<'static>>,
    taken: u64,
}

impl Arrivals {
    /// Adds `rows`; gives what has happened by `until`, in order.
    pub fn take<'a>(
        &mut self,
        source: &SourcePolicy,
        until: Timestamp,
        rows: impl Iterator<Item = Row<'a>>,
    ) -> Vec<Arrival<'a>> {
        let later = self.waiting.split_off(&(until + Duration::from_secs(1), 0));
        let waited = std::mem::replace(&mut self.waiting, later);
        let mut due: Vec<Arrival<'a>> = waited.into_values().collect();
        for row in rows {
            for arrival in split(source, row) {
                if arrival.at <= until {
                    due.push(arrival);
                } else {
                    self.wait(arrival);
                }
            }
        }
        // What a row really showed comes before what is made up from a later one: the
        // first tells the reason.
        due.sort_by_key(|arrival| {
            (arrival.at, arrival.first_of, arrival.row.debug_information == UNTOLD)
        });
        due
    }

    fn wait(&mut self, arrival: Arrival<'_>) {
        self.taken += 1;
        self.waiting.insert((arrival.at, self.taken), arrival.into_owned());
    }
}

/// What the row shows over time: its first try, and then how it ended.
fn split<'a>(source: &SourcePolicy, row: Row<'a>) -> impl Iterator<Item = Arrival<'a>> {
    let has_failed = row.failed_attempts > 0;
    let tried_at = row.timestamp.max(row.last_attempt);
    // Where successes are not read, the end of a recovered delivery is never seen.
    let is_read = source.successes || !row.is_success;
    let is_retried = has_failed && (tried_at > row.timestamp || !is_read);
    let first = is_retried.then(|| Arrival {
        at: row.timestamp,
        row: first_try(&row),
        first_of: row.failed_attempts,
    });
    let at = if has_failed { tried_at } else { row.timestamp };
    let last = is_read.then_some(Arrival { at, row, first_of: 0 });
    first.into_iter().chain(last)
}

/// A failing row of the first try. Why it failed is told only where it still fails.
fn first_try<'a>(row: &Row<'a>) -> Row<'a> {
    let untold = Cow::Borrowed(UNTOLD);
    Row {
        last_attempt: row.timestamp,
        failed_attempts: 1,
        is_success: false,
        debug_information: if row.is_success { untold } else { row.debug_information.clone() },
        ..row.clone()
    }
}

/// The first clean success whose moment, up to `judged`, is past.
pub fn earliest_late_success(
    arrivals: &[Arrival<'_>],
    judged: Timestamp,
    source: &SourcePolicy,
) -> Option<Timestamp> {
    let begin = judged - LATEST_SUCCESS - source.poll_every;
    let clean = arrivals.iter().filter(|of| of.row.is_success && of.row.failed_attempts == 0);
    let late = clean.map(|of| of.row.timestamp).filter(|at| *at <= judged && *at > begin);
    late.min()
}

impl Arrival<'_> {
    /// Whether it matters when it is seen, beyond its `timestamp`.
    pub fn changes(&self) -> bool {
        self.first_of == 0 && (self.row.failed_attempts > 0 || self.at > self.row.timestamp)
    }

    /// A clean success that was counted before, as a row.
    pub fn counted(
        at: Timestamp,
        labels: &DimsRecord,
        dims: DimsId,
        number: u32,
    ) -> Arrival<'static> {
        let payload = match labels.host.is_empty() {
            true => String::new(),
            false => format!("https://{}/", labels.host),
        };
        let row = Row {
            offer: labels.offer,
            offer_name: Cow::Borrowed(""),
            affiliate: labels.affiliate,
            affiliate_name: Cow::Borrowed(""),
            postback: labels.postback,
            event: labels.event,
            conversion_id: format!("counted {at} {} {number}", dims.0).into(),
            transaction_id: Cow::Borrowed(""),
            timestamp: at,
            last_attempt: Timestamp(0),
            failed_attempts: 0,
            is_success: true,
            delivery_method: labels.delivery_method.clone().into(),
            postback_level: labels.postback_level.clone().into(),
            postback_type: labels.postback_type.clone().into(),
            postback_status: Cow::Borrowed(""),
            payload: payload.into(),
            debug_information: Cow::Borrowed(""),
        };
        Arrival { at, row, first_of: 0 }
    }

    fn into_owned(self) -> Arrival<'static> {
        let own = |text: Cow<'_, str>| Cow::<'static, str>::Owned(text.into_owned());
        let row = self.row;
        let row = Row {
            offer_name: own(row.offer_name),
            affiliate_name: own(row.affiliate_name),
            conversion_id: own(row.conversion_id),
            transaction_id: own(row.transaction_id),
            delivery_method: own(row.delivery_method),
            postback_level: own(row.postback_level),
            postback_type: own(row.postback_type),
            postback_status: own(row.postback_status),
            payload: own(row.payload),
            debug_information: own(row.debug_information),
            ..row
        };
        Arrival { at: self.at, row, first_of: self.first_of }
    }
}
