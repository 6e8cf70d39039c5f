//! What really happened to each delivery: the answer key for whoever watches.

use serde::Serialize;

use crate::domain::time::Timestamp;

use super::network::{Delivery, Network};
use super::text;

/// One delivery as the network itself knows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TruthRow {
    pub conversion_id: String,
    pub transaction_id: String,
    pub pixel_id: u64,
    pub offer: u64,
    pub affiliate: u64,
    pub event: u64,
    pub timestamp: Timestamp,
    pub is_success: bool,
    pub failed_attempts: u32,
    /// 0 where no try failed.
    pub last_attempt: Timestamp,
    /// Of the first failed try.
    pub first_reason: Option<String>,
    /// Of the last try; `None` where it succeeded.
    pub reason: Option<String>,
    /// Empty for methods whose payload is no URL.
    pub host: String,
    pub payload: String,
    pub postback_active: bool,
    /// Whether a report would hold it by now.
    pub visible: bool,
}

/// Which deliveries the truth is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// Those that show and have failed at least once.
    Failed,
    /// All that were ever tried, those that do not show yet too.
    All,
}

/// The truth about the delivery at `place`, if it is asked about.
pub(super) fn tell(network: &Network, place: usize, telling: Telling) -> Option<TruthRow> {
    let delivery = &network.deliveries()[place];
    let wanted = match telling {
        Telling::Failed => delivery.failed_attempts > 0 && network.is_visible(delivery),
        Telling::All => network.was_tried(delivery),
    };
    wanted.then(|| row(network, delivery))
}

fn row(network: &Network, delivery: &Delivery) -> TruthRow {
    let postback = &network.cast.postbacks[delivery.postback as usize];
    TruthRow {
        conversion_id: text::conversion_id(network, delivery),
        transaction_id: text::transaction_id(network, delivery),
        pixel_id: postback.id,
        offer: network.cast.offers[usize::from(delivery.offer)].id,
        affiliate: network.cast.affiliates[usize::from(delivery.affiliate)].id,
        event: text::event_id(network, delivery),
        timestamp: network.timestamp(delivery),
        is_success: delivery.reason.is_none(),
        failed_attempts: delivery.failed_attempts.into(),
        last_attempt: network.last_attempt(delivery),
        first_reason: delivery.first_reason.map(|it| it.to_string()),
        reason: delivery.reason.map(|it| it.to_string()),
        host: if postback.is_url() { postback.host.clone() } else { String::new() },
        payload: text::payload(network, delivery),
        postback_active: network.is_active(delivery.postback as usize),
        visible: network.is_visible(delivery),
    }
}
