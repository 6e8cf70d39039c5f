//! One row of the postback report and what identifies the delivery behind it.

use std::borrow::Cow;
use std::hash::Hasher;

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::time::Timestamp;

/// One row of the postback report, borrowed from the reply's bytes.
///
/// Ids are the network's own numbers. Every word that the network may add to
/// later (`delivery_method`, `postback_level`, …) stays an open string.
#[derive(Debug, Clone, PartialEq)]
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
        let mut hash = SipHasher13::new_with_keys(0x706f_7374, 0x7761_7463_68);
        let mut part = |bytes: &[u8]| {
            hash.write_usize(bytes.len());
            hash.write(bytes);
        };
        part(source.as_bytes());
        part(&row.postback.to_le_bytes());
        if row.conversion_id.is_empty() {
            part(b"transaction");
            part(row.transaction_id.as_bytes());
            part(&row.event.to_le_bytes());
        } else {
            part(b"conversion");
            part(row.conversion_id.as_bytes());
        }
        Identity(hash.finish128().as_u128())
    }
}
