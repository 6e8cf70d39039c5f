//! What the API shows of a delivery and of a postback, in its documented shape,
//! with some fields more, as real APIs grow them.

use serde::Serialize;
use serde_json::{Value, json};

use super::cast::{Party, Postback};
use super::network::{Delivery, Network};
use super::text;

const NETWORK_ID: u32 = 1;

#[derive(Serialize)]
struct Row<'a> {
    network_id: u32,
    network_offer_id: u64,
    network_offer_payout_revenue_id: u64,
    affiliate_id: u64,
    pixel_id: u64,
    conversion_id: &'a str,
    transaction_id: &'a str,
    timestamp: i64,
    delivery_method: &'a str,
    pixel_level: &'a str,
    pixel_status: &'a str,
    pixel_type: &'a str,
    payload: &'a str,
    is_success: bool,
    debug_information: &'a str,
    last_attempt: i64,
    failed_attempts: u8,
    is_test: bool,
    postback_region: &'a str,
    relationship: Relationship<'a>,
}

#[derive(Serialize)]
struct Relationship<'a> {
    offer: Offer<'a>,
    affiliate: Affiliate<'a>,
}

#[derive(Serialize)]
struct Offer<'a> {
    network_offer_id: u64,
    network_id: u32,
    network_advertiser_id: u64,
    network_offer_group_id: u64,
    name: &'a str,
    offer_status: &'a str,
    network_tracking_domain_id: u64,
    visibility: &'a str,
    currency_id: &'a str,
}

#[derive(Serialize)]
struct Affiliate<'a> {
    network_affiliate_id: u64,
    network_id: u32,
    name: &'a str,
    account_status: &'a str,
    network_traffic_source_id: u64,
}

/// Appends the delivery's row as one JSON object.
pub(super) fn write_json(out: &mut Vec<u8>, network: &Network, delivery: &Delivery) {
    let texts = Texts::of(network, delivery);
    let row = texts.row(network, delivery);
    serde_json::to_writer(out, &row).expect("a vector takes all bytes and the keys are strings");
}

/// A row that lacks what identifies it.
pub(super) const MALFORMED: &[u8] =
    br#"{"network_id":1,"is_success":false,"debug_information":"Status: 500","relationship":null}"#;

/// The columns of the CSV export. The network does not document its own names.
pub(super) const CSV_COLUMNS: [&str; 12] = [
    "conversion_id",
    "transaction_id",
    "offer_id",
    "affiliate_id",
    "pixel_id",
    "timestamp",
    "delivery_method",
    "is_success",
    "failed_attempts",
    "last_attempt",
    "payload",
    "debug_information",
];

/// The delivery's line of the CSV export, in the order of [`CSV_COLUMNS`].
pub(super) fn csv_record(network: &Network, delivery: &Delivery) -> [String; 12] {
    let texts = Texts::of(network, delivery);
    let row = texts.row(network, delivery);
    [
        row.conversion_id.to_owned(),
        row.transaction_id.to_owned(),
        row.network_offer_id.to_string(),
        row.affiliate_id.to_string(),
        row.pixel_id.to_string(),
        row.timestamp.to_string(),
        row.delivery_method.to_owned(),
        row.is_success.to_string(),
        row.failed_attempts.to_string(),
        row.last_attempt.to_string(),
        row.payload.to_owned(),
        row.debug_information.to_owned(),
    ]
}

/// The rendered texts of one delivery, which its row borrows.
struct Texts {
    conversion_id: String,
    transaction_id: String,
    payload: String,
    debug_information: String,
}

impl Texts {
    fn of(network: &Network, delivery: &Delivery) -> Texts {
        let payload = text::payload(network, delivery);
        Texts {
            conversion_id: text::conversion_id(network, delivery),
            transaction_id: text::transaction_id(network, delivery),
            debug_information: text::debug_information(network, delivery, &payload),
            payload,
        }
    }

    fn row<'a>(&'a self, network: &'a Network, delivery: &Delivery) -> Row<'a> {
        let place = delivery.postback as usize;
        let postback = &network.cast.postbacks[place];
        let offer = &network.cast.offers[usize::from(delivery.offer)];
        let affiliate = &network.cast.affiliates[usize::from(delivery.affiliate)];
        Row {
            network_id: NETWORK_ID,
            network_offer_id: offer.id,
            network_offer_payout_revenue_id: text::event_id(network, delivery),
            affiliate_id: affiliate.id,
            pixel_id: postback.id,
            conversion_id: &self.conversion_id,
            transaction_id: &self.transaction_id,
            timestamp: network.timestamp(delivery).0,
            delivery_method: postback.method,
            pixel_level: postback.level(),
            pixel_status: status(network, place),
            pixel_type: postback.pixel_type,
            payload: &self.payload,
            is_success: delivery.reason.is_none(),
            debug_information: &self.debug_information,
            last_attempt: network.last_attempt(delivery).0,
            failed_attempts: delivery.failed_attempts,
            is_test: false,
            postback_region: "us-east",
            relationship: Relationship {
                offer: offer_json(offer),
                affiliate: affiliate_json(affiliate),
            },
        }
    }
}

fn offer_json(offer: &Party) -> Offer<'_> {
    Offer {
        network_offer_id: offer.id,
        network_id: NETWORK_ID,
        network_advertiser_id: offer.id + 2,
        network_offer_group_id: 0,
        name: &offer.name,
        offer_status: "active",
        network_tracking_domain_id: 134,
        visibility: "public",
        currency_id: "USD",
    }
}

fn affiliate_json(affiliate: &Party) -> Affiliate<'_> {
    Affiliate {
        network_affiliate_id: affiliate.id,
        network_id: NETWORK_ID,
        name: &affiliate.name,
        account_status: "active",
        network_traffic_source_id: 0,
    }
}

fn status(network: &Network, place: usize) -> &'static str {
    if network.is_active(place) { "active" } else { "inactive" }
}

/// A postback's configuration.
pub(super) fn configuration(network: &Network, place: usize) -> Value {
    let cast = &network.cast;
    let postback: &Postback = &cast.postbacks[place];
    let offer = postback.offer.map(|it| &cast.offers[usize::from(it)]);
    let affiliate = postback.affiliate.map(|it| &cast.affiliates[usize::from(it)]);
    json!({
        "network_pixel_id": postback.id,
        "network_id": NETWORK_ID,
        "network_affiliate_id": affiliate.map_or(0, |it| it.id),
        "network_offer_id": offer.map_or(0, |it| it.id),
        "delivery_method": postback.method,
        "pixel_level": postback.level(),
        "pixel_status": status(network, place),
        "pixel_type": postback.pixel_type,
        "postback_url": postback.template,
        "description": "",
        "delay_ms": postback.delay_seconds * 1000,
        "time_created": 1_690_000_000,
        "time_saved": 1_700_000_000,
        "relationship": {
            "offer": offer.map(offer_json),
            "affiliate": affiliate.map(affiliate_json),
        },
    })
}
