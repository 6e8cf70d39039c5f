//! The texts of a delivery, rendered when they are asked for: ids, the payload
//! and the debug information. The same delivery always gives the same texts.

use std::fmt::Write;

use fastrand::Rng;

use super::cast::Postback;
use super::chance::{Purpose, draw};
use super::network::{Delivery, Network};
use super::reason::{Defect, Reason};

/// Empty for clicks, as the network does it.
pub(super) fn conversion_id(network: &Network, delivery: &Delivery) -> String {
    let postback = postback(network, delivery);
    match postback.pixel_type {
        "cpc" => String::new(),
        _ => hex_id(network.seed, Purpose::Conversion, delivery),
    }
}

pub(super) fn transaction_id(network: &Network, delivery: &Delivery) -> String {
    hex_id(network.seed, Purpose::Transaction, delivery)
}

/// The network's id of an event; 0 for the base conversion.
pub(super) fn event_id(network: &Network, delivery: &Delivery) -> u64 {
    match delivery.event {
        0 => 0,
        event => network.cast.offers[usize::from(delivery.offer)].id * 10 + u64::from(event),
    }
}

fn postback<'a>(network: &'a Network, delivery: &Delivery) -> &'a Postback {
    &network.cast.postbacks[delivery.postback as usize]
}

fn hex_id(seed: u64, purpose: Purpose, delivery: &Delivery) -> String {
    format!("{:032x}", draw(seed, purpose, delivery.conversion.into()).u128(..))
}

/// The postback's template with its macros replaced, as far as the delivery's
/// defect lets them.
pub(super) fn payload(network: &Network, delivery: &Delivery) -> String {
    let mut rng = draw(network.seed, Purpose::Texts, delivery.conversion.into());
    let mut text = String::with_capacity(200);
    let mut rest = postback(network, delivery).template.as_str();
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        match after.split_once('}') {
            Some((name, after)) if is_macro(name) => {
                replace(&mut text, name, network, delivery, &mut rng);
                rest = after;
            }
            _ => {
                text.push('{');
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

fn is_macro(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'_')
}

fn replace(out: &mut String, name: &str, network: &Network, delivery: &Delivery, rng: &mut Rng) {
    let chance = rng.u64(..);
    match (name, delivery.defect) {
        ("sub5", Defect::Macro) => out.push_str("{sub5}"),
        ("sub5", Defect::EncodedMacro) => out.push_str("%7Bsub5%7D"),
        ("sub1", Defect::EmptyClickId) => {}
        ("sub5", _) => write_all(out, format_args!("src{}", chance % 40)),
        ("sub1", _) => write_all(out, format_args!("w{chance:016x}")),
        ("transaction_id", _) => out.push_str(&transaction_id(network, delivery)),
        ("payout_amount", _) => {
            write_all(out, format_args!("{}.{:02}", 2 + chance % 90, chance / 90 % 100));
        }
        ("email", _) => write_all(out, format_args!("jane.doe{}%40mail.example", chance % 10_000)),
        ("offer_id", _) => {
            let id = network.cast.offers[usize::from(delivery.offer)].id;
            write_all(out, format_args!("{id}"));
        }
        ("affiliate_id", _) => {
            let id = network.cast.affiliates[usize::from(delivery.affiliate)].id;
            write_all(out, format_args!("{id}"));
        }
        ("event_id", _) => write_all(out, format_args!("{}", event_id(network, delivery))),
        (_, _) => {}
    }
}

fn write_all(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a string cannot fail");
}

/// `Key: value` lines about the last try.
pub(super) fn debug_information(network: &Network, delivery: &Delivery, payload: &str) -> String {
    let postback = postback(network, delivery);
    let graph;
    let url = match postback.method {
        "postback" => payload,
        method => {
            graph = format!("https://graph.{method}.example/v19.0/{}/events", postback.id);
            &graph
        }
    };
    let server = ["nginx", "nginx/1.24.0", "Apache", "gunicorn/19.9.0"][postback.id as usize % 4];
    match delivery.reason {
        None => answered(url, 200, &format!("Server: [{server}]")),
        Some(Reason::Challenge) => answered(
            url,
            403,
            "Server: [cloudflare]\ncf-mitigated: [challenge]\nCf-Ray: [8c1f2a3b4d5e6f70-IAD]\nContent-Type: [text/html; charset=UTF-8]",
        ),
        Some(Reason::Http(status)) => {
            answered(url, status, &format!("Server: [{server}]\nContent-Type: [text/html]"))
        }
        Some(reason) => {
            let error = no_answer(reason, &postback.host, network.last_attempt(delivery));
            format!("PostbackUrl: {url}\nError: Get \"{url}\": {error}")
        }
    }
}

fn answered(url: &str, status: u16, headers: &str) -> String {
    format!(
        "PostbackUrl: {url}\nStatus: {status}\nScheme: \nPath: \nAuthority: \nHeaders: {headers}"
    )
}

/// The words of Go's net/http where no response came.
fn no_answer(reason: Reason, host: &str, at: crate::domain::time::Timestamp) -> String {
    match reason {
        Reason::Dns => format!("dial tcp: lookup {host} on 10.0.0.2:53: no such host"),
        Reason::Tls => format!(
            "tls: failed to verify certificate: x509: certificate has expired or is not yet valid: current time {at} is after 2024-01-31T23:59:59Z"
        ),
        Reason::Refused => "dial tcp 203.0.113.7:443: connect: connection refused".to_owned(),
        Reason::Timeout => {
            "context deadline exceeded (Client.Timeout exceeded while awaiting headers)".to_owned()
        }
        Reason::Reset if at.0 % 2 == 0 => "EOF".to_owned(),
        Reason::Reset | Reason::Challenge | Reason::Http(_) => {
            "read tcp 10.0.3.17:41872->203.0.113.7:443: read: connection reset by peer".to_owned()
        }
    }
}
