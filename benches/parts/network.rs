//! A network of made-up partners, and the lines that its export writes.

use std::io::Write;

use bytes::Bytes;
use postwatch::domain::time::Timestamp;
use postwatch::source::Page;

/// What comes after the URL in the text of a failing delivery, as JSON has it.
const ERRORS: [&str; 5] = [
    r#"\nStatus: 500\nScheme: \nPath: \nAuthority: \nHeaders: Server: [nginx/1.24.0]\nContent-Type: [text/html]"#,
    r#"\nError: dial tcp: lookup trk.partner.example on 10.0.0.2:53: no such host"#,
    r#"\nStatus: 404\nScheme: \nPath: \nAuthority: \nHeaders: Server: [Apache]\nContent-Type: [text/html]"#,
    r#"\nError: tls: failed to verify certificate: x509: certificate has expired or is not yet valid"#,
    r#"\nError: context deadline exceeded (Client.Timeout exceeded while awaiting headers)"#,
];
const ANSWER: &str =
    r#"\nStatus: 200\nScheme: \nPath: \nAuthority: \nHeaders: Server: [gunicorn/19.9.0]"#;

/// Which of the deliveries fail.
#[derive(Clone, Copy)]
pub enum Mix {
    Failures,
    Successes,
    /// One in fifty fails.
    Usual,
}

/// Fires deliveries, of one group after the other. A group is a postback with its offer,
/// its affiliate and its host.
pub struct Network {
    groups: u64,
    fired: u64,
}

impl Network {
    pub fn of(groups: u64) -> Network {
        Network { groups, fired: 0 }
    }

    /// The next deliveries, shown at `at`: newline-delimited JSON.
    pub fn lines(&mut self, count: u64, mix: Mix, at: Timestamp) -> Vec<u8> {
        let numbers = self.fired..self.fired + count;
        self.fired = numbers.end;
        let mut lines = Vec::new();
        for number in numbers {
            let fails = match mix {
                Mix::Failures => true,
                Mix::Successes => false,
                Mix::Usual => number.is_multiple_of(50),
            };
            write_line(&mut lines, number, number % self.groups, fails, at);
        }
        lines
    }

    /// The same as a page, which the export's stream is cut into.
    pub fn page(&mut self, count: u64, mix: Mix, at: Timestamp) -> Page {
        let lines = self.lines(count, mix, at);
        let mut begin = 0;
        let places = lines.split_inclusive(|&byte| byte == b'\n').map(|line| {
            let place = begin..begin + line.len() - 1;
            begin += line.len();
            place
        });
        let places = places.collect();
        Page::new(Bytes::from(lines), places)
    }
}

/// A row as it is documented, with texts of the usual length: about 1,390 bytes.
fn write_line(out: &mut Vec<u8>, number: u64, group: u64, fails: bool, at: Timestamp) {
    let (offer, affiliate, host) = (group % 89, group % 997, group % 4_999);
    let url = format!(
        "https://s2s.partner-{host}.example/postback/conversion?cid=w{number:032x}&aff_id={affiliate}\
         &goal=0&payout=12.50&currency=USD&sub1=newsletter-{group}&sub2=src{}&tid={number:032x}",
        number % 40,
    );
    let told = if fails { ERRORS[group as usize % ERRORS.len()] } else { ANSWER };
    let (failed_attempts, last_attempt) = if fails { (1, at.0) } else { (0, 0) };
    writeln!(
        out,
        r#"{{"network_id":1,"network_offer_id":{offer},"network_offer_payout_revenue_id":0,"affiliate_id":{affiliate},"pixel_id":{group},"conversion_id":"c{number:031x}","transaction_id":"d{number:031x}","timestamp":{timestamp},"delivery_method":"postback","pixel_level":"specific","pixel_status":"active","pixel_type":"conversion","payload":"{url}","is_success":{is_success},"debug_information":"PostbackUrl: {url}{told}","last_attempt":{last_attempt},"failed_attempts":{failed_attempts},"is_test":false,"postback_region":"us-east","relationship":{{"offer":{{"network_offer_id":{offer},"network_id":1,"network_advertiser_id":13,"network_offer_group_id":0,"name":"Offer {offer} of the season","offer_status":"active","network_tracking_domain_id":134,"visibility":"public","currency_id":"USD"}},"affiliate":{{"network_affiliate_id":{affiliate},"network_id":1,"name":"Partner {affiliate} Inc.","account_status":"active","network_traffic_source_id":0}}}}}}"#,
        timestamp = at.0 - 30,
        is_success = !fails,
    )
    .expect("a vector takes all bytes");
}
