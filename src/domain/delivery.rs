//! A delivery: the row that shows it, what identifies it, and its life.

use std::borrow::Cow;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::dims::DimsId;
use super::reason::Reason;
use super::time::Timestamp;

mod text;

pub use text::DeliveryText;

/// One row of the postback report, borrowed from the reply's bytes.
///
/// Ids are the network's own numbers. Every word that the network may add to
/// later (`delivery_method`, `postback_level`, …) stays an open string.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row<'a> {
    pub offer: u64,
    pub offer_name: Cow<'a, str>,
    pub affiliate: u64,
    pub affiliate_name: Cow<'a, str>,
    /// `pixel_id`: the configuration that fired.
    pub postback: u64,
    /// `network_offer_payout_revenue_id`; 0 is the base conversion.
    pub event: u64,
    /// Empty for click postbacks.
    pub conversion_id: Cow<'a, str>,
    pub transaction_id: Cow<'a, str>,
    pub timestamp: Timestamp,
    /// The last try; the network's 0 reads as `Timestamp(0)`: none that failed.
    pub last_attempt: Timestamp,
    /// Failed tries so far.
    pub failed_attempts: u32,
    pub is_success: bool,
    pub delivery_method: Cow<'a, str>,
    pub postback_level: Cow<'a, str>,
    pub postback_type: Cow<'a, str>,
    /// `active` or `inactive`, as the row says it.
    pub postback_status: Cow<'a, str>,
    /// For the method `postback` the URL that was called. Holds click ids and
    /// other personal data: never to be shown unredacted.
    pub payload: Cow<'a, str>,
    pub debug_information: Cow<'a, str>,
}

/// 128 bits that stand for (source, postback, conversion id), or for (source,
/// postback, transaction id, event) where the conversion id is empty.
///
/// One conversion fires several postbacks, so its id alone is no identity. The
/// hash's keys are fixed: identities are written to disk.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
pub struct Identity(pub u128);

impl Identity {
    /// The identity of the delivery that `row` of `source` tells of.
    pub fn of(source: &str, row: &Row<'_>) -> Identity {
        if row.conversion_id.is_empty() {
            Identity::of_transaction(source, row.postback, &row.transaction_id, row.event)
        } else {
            let postback = row.postback.to_le_bytes();
            hash_parts(&[source.as_bytes(), &postback, b"conversion", row.conversion_id.as_bytes()])
        }
    }

    /// The identity of a delivery without a conversion id.
    pub fn of_transaction(source: &str, postback: u64, transaction: &str, event: u64) -> Identity {
        let (postback, event) = (postback.to_le_bytes(), event.to_le_bytes());
        hash_parts(&[source.as_bytes(), &postback, b"transaction", transaction.as_bytes(), &event])
    }

    /// A name made of texts, for things that are no deliveries.
    pub fn of_parts(parts: &[&str]) -> Identity {
        let parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
        hash_parts(&parts)
    }
}

fn hash_parts(parts: &[&[u8]]) -> Identity {
    let mut hash = SipHasher13::new_with_keys(0x706f_7374, 0x0077_6174_6368);
    for part in parts {
        hash.write_u64(part.len() as u64);
        hash.write(part);
    }
    Identity(hash.finish128().as_u128())
}

/// What decides which of a delivery's rows is the newest: the rows of one
/// identity are folded to their greatest, so their order and repetition make no
/// difference. A success wins ties.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fold {
    pub last_attempt: Timestamp,
    pub timestamp: Timestamp,
    pub failed_attempts: u32,
    pub is_success: bool,
}

impl Fold {
    pub fn of(row: &Row<'_>) -> Fold {
        Fold {
            last_attempt: row.last_attempt,
            timestamp: row.timestamp,
            failed_attempts: row.failed_attempts,
            is_success: row.is_success,
        }
    }

    /// The moment of the last try as far as it is known.
    pub fn tried_at(&self) -> Timestamp {
        self.last_attempt.max(self.timestamp)
    }

    /// A failing row whose counter went back while time went on: the delivery
    /// was fired anew.
    pub fn opens_episode_after(&self, before: &Fold) -> bool {
        !self.is_success
            && self.failed_attempts < before.failed_attempts
            && (self.last_attempt, self.timestamp) > (before.last_attempt, before.timestamp)
    }
}

/// How far a delivery that failed has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Life {
    /// The network may still try again.
    Failing,
    Ended {
        how: Ended,
        at: Timestamp,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ended {
    /// A success row was seen.
    Recovered,
    /// The network gave up: tries used up, or none for `give_up_after`.
    Exhausted,
    /// Its postback was switched off while it failed.
    Abandoned,
    /// Absent from failures and successes in two whole reads of its span.
    Vanished,
}

impl Ended {
    pub const ALL: [Ended; 4] =
        [Ended::Recovered, Ended::Exhausted, Ended::Abandoned, Ended::Vanished];

    pub fn as_str(self) -> &'static str {
        match self {
            Ended::Recovered => "recovered",
            Ended::Exhausted => "exhausted",
            Ended::Abandoned => "abandoned",
            Ended::Vanished => "vanished",
        }
    }
}

/// A delivery that failed at least once, as it is known by now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Delivery {
    pub identity: Identity,
    pub dims: DimsId,
    /// Stands for the conversion id; 0 where it is empty.
    pub conversion: u64,
    /// The same for the transaction id.
    pub transaction: u64,
    /// The earliest timestamp that its rows showed: its place in every window.
    pub timestamp: Timestamp,
    /// Its newest row.
    pub newest: Fold,
    /// As first shown.
    pub reason: Reason,
    pub life: Life,
    /// The commit that holds its payload and raw text.
    pub text: u64,
}

impl Delivery {
    pub fn is_open(&self) -> bool {
        self.life == Life::Failing
    }

    pub fn has_vanished(&self) -> bool {
        matches!(self.life, Life::Ended { how: Ended::Vanished, .. })
    }

    pub fn was_abandoned(&self) -> bool {
        matches!(self.life, Life::Ended { how: Ended::Abandoned, .. })
    }

    /// This delivery, ended.
    pub fn ended(&self, how: Ended, at: Timestamp) -> Delivery {
        Delivery { life: Life::Ended { how, at }, ..*self }
    }

    /// When a recovered delivery's success happened: its last try where the row
    /// tells it.
    pub fn succeeded_at(&self) -> Timestamp {
        self.newest.tried_at()
    }
}

/// A number that stands for the id of a conversion or a transaction; 0 for the empty one.
pub fn id_number(id: &str) -> u64 {
    if id.is_empty() {
        return 0;
    }
    let mut hash = siphasher::sip::SipHasher13::new_with_keys(0x636f_6e76, 0);
    hash.write(id.as_bytes());
    hash.finish().max(1)
}
