//! Rows of the postback report as Everflow writes them. Field names and their
//! oddities are seen here and nowhere else; nothing in here does I/O.

use std::borrow::Cow;
use std::ops::Range;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Flag, Number, Part, Text};
use crate::domain::delivery::Row;
use crate::domain::time::Timestamp;
use crate::source::{Page, RowError};

/// The longest row that is read, bytes. A usual one has 1,400.
pub const MAX_ROW: usize = 1 << 20;

/// Reads one JSON object of the report.
///
/// # Errors
/// Names the field that is missing or unreadable, never its content.
pub fn row(json: &[u8]) -> Result<Row<'_>, RowError> {
    // An empty place stands for a line that was too long to keep.
    if json.is_empty() || json.len() > MAX_ROW {
        return Err(RowError("the row is longer than 1 MiB".into()));
    }
    if !is_object(json) {
        return Err(RowError("the row is no object".into()));
    }
    // All at once is much faster than text by text. Where some text is no UTF-8 it may
    // be one that nobody reads.
    let raw: Result<RawRow<'_>, _> = match std::str::from_utf8(json) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(json),
    };
    let raw = raw.map_err(unreadable)?;
    let is_success = match raw.is_success {
        Flag::Is(yes) => yes,
        Flag::Missing => return Err(missing("is_success")),
        Flag::Unreadable => return Err(RowError("is_success is neither true nor false".into())),
    };
    if raw.conversion_id.0.is_empty() && raw.transaction_id.0.is_empty() {
        return Err(RowError("conversion_id and transaction_id are both missing".into()));
    }
    let timestamp = raw.timestamp.signed().ok_or_else(|| no_number("timestamp", raw.timestamp))?;
    Ok(Row {
        offer: id("network_offer_id", raw.network_offer_id)?,
        offer_name: raw.relationship.0.offer.0.name.0,
        affiliate: id("affiliate_id", raw.affiliate_id)?,
        affiliate_name: raw.relationship.0.affiliate.0.name.0,
        postback: id("pixel_id", raw.pixel_id)?,
        event: raw.network_offer_payout_revenue_id.unsigned().unwrap_or(0),
        conversion_id: raw.conversion_id.0,
        transaction_id: raw.transaction_id.0,
        timestamp: Timestamp::of_row(timestamp),
        last_attempt: Timestamp::of_row(raw.last_attempt.signed().unwrap_or(0)),
        failed_attempts: count(raw.failed_attempts),
        is_success,
        delivery_method: raw.delivery_method.0,
        postback_level: raw.pixel_level.0,
        postback_type: raw.pixel_type.0,
        postback_status: raw.pixel_status.0,
        payload: raw.payload.0,
        debug_information: raw.debug_information.0,
    })
}

/// Finds the rows of a report's body, `{"pixels": [ … ]}` or `{"pixels": null}`.
/// `None` where the body has another shape.
pub(super) fn report(body: Bytes) -> Option<Page> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        pixels: Option<Option<Vec<&'a RawValue>>>,
    }
    if !is_object(&body) {
        return None;
    }
    let parsed: Body<'_> = serde_json::from_slice(&body).ok()?;
    let rows = parsed.pixels.or_else(|| names_pixels(&body).then_some(None))?.unwrap_or_default();
    let places = rows.iter().map(|row| place(&body, row)).collect();
    Some(Page::new(body, places))
}

/// serde would also take an array for a struct, by position.
pub(super) fn is_object(json: &[u8]) -> bool {
    json.trim_ascii_start().first() == Some(&b'{')
}

/// Whether the object has a member `pixels`: serde reads null and absence alike.
fn names_pixels(body: &[u8]) -> bool {
    type Members<'a> = std::collections::BTreeMap<Cow<'a, str>, serde::de::IgnoredAny>;
    serde_json::from_slice::<Members<'_>>(body).is_ok_and(|members| members.contains_key("pixels"))
}

fn place(body: &[u8], row: &RawValue) -> Range<usize> {
    let start = row.get().as_ptr() as usize - body.as_ptr() as usize;
    start..start + row.get().len()
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct RawRow<'a> {
    network_offer_id: Number,
    network_offer_payout_revenue_id: Number,
    affiliate_id: Number,
    pixel_id: Number,
    #[serde(borrow)]
    conversion_id: Text<'a>,
    #[serde(borrow)]
    transaction_id: Text<'a>,
    timestamp: Number,
    #[serde(borrow)]
    delivery_method: Text<'a>,
    #[serde(borrow)]
    pixel_level: Text<'a>,
    #[serde(borrow)]
    pixel_status: Text<'a>,
    #[serde(borrow)]
    pixel_type: Text<'a>,
    #[serde(borrow)]
    payload: Text<'a>,
    is_success: Flag,
    #[serde(borrow)]
    debug_information: Text<'a>,
    last_attempt: Number,
    failed_attempts: Number,
    #[serde(borrow)]
    relationship: Part<Relationship<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Relationship<'a> {
    #[serde(borrow)]
    offer: Part<Named<'a>>,
    #[serde(borrow)]
    affiliate: Part<Named<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Named<'a> {
    #[serde(borrow)]
    name: Text<'a>,
}

fn id(field: &str, number: Number) -> Result<u64, RowError> {
    number.unsigned().ok_or_else(|| no_number(field, number))
}

fn count(number: Number) -> u32 {
    u32::try_from(number.unsigned().unwrap_or(0)).unwrap_or(u32::MAX)
}

fn no_number(field: &str, number: Number) -> RowError {
    match number {
        Number::Missing => missing(field),
        Number::Is(_) | Number::Negative(_) | Number::Unreadable => {
            RowError(format!("{field} is no whole number"))
        }
    }
}

fn missing(field: &str) -> RowError {
    RowError(format!("{field} is missing"))
}

/// serde's own words may quote the content, so only the kind of mistake is told.
fn unreadable(error: serde_json::Error) -> RowError {
    use serde_json::error::Category;
    RowError(match error.classify() {
        Category::Eof => "the row ends early".into(),
        Category::Io | Category::Syntax => "the row is no valid JSON".into(),
        Category::Data => "the row names a field twice".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DOCUMENTED: &str = r#"{"network_id": 1, "network_offer_id": 11, "network_offer_payout_revenue_id": 0, "affiliate_id": 7, "pixel_id": 132,
 "conversion_id": "a3371dd7b36849cbbfdd9c300b06fdb5", "transaction_id": "d5c6feef0d8f489fb91aa5cfb4d64f4e",
 "timestamp": 1707425899, "delivery_method": "postback", "pixel_level": "global", "pixel_status": "active",
 "pixel_type": "conversion", "payload": "https://httpbin.org/get?tid=d5c6feef0d8f489fb91aa5cfb4d64f4e", "is_success": true,
 "debug_information": "PostbackUrl: https://httpbin.org/get?tid=x\nStatus: 200\nScheme: ",
 "last_attempt": 0, "failed_attempts": 0,
 "relationship": {"offer": {"network_offer_id": 11, "name": "Example Offer"},
  "affiliate": {"network_affiliate_id": 7, "name": "John Doe Inc."}}}"#;

    #[test]
    fn the_documented_row_is_read_and_borrowed() {
        let row = row(DOCUMENTED.as_bytes()).expect("documented");
        assert_eq!((row.offer, row.affiliate, row.postback, row.event), (11, 7, 132, 0));
        assert_eq!((&*row.offer_name, &*row.affiliate_name), ("Example Offer", "John Doe Inc."));
        assert_eq!(row.timestamp, Timestamp(1_707_425_899));
        assert!(row.is_success && row.debug_information.contains("\nStatus: 200\n"));
        for text in [&row.payload, &row.conversion_id, &row.offer_name, &row.postback_type] {
            assert!(matches!(text, Cow::Borrowed(_)));
        }
    }

    /// The smallest row, with `change` in place of (or beside) its own members.
    fn with(change: &str) -> String {
        let base = r#""pixel_id":1,"network_offer_id":2,"affiliate_id":3,"timestamp":4,"is_success":false,"conversion_id":"c""#;
        let name = change.split(':').next().unwrap_or_default();
        let kept: Vec<&str> = base.split(',').filter(|m| !m.starts_with(name)).collect();
        let members: Vec<&str> = kept.into_iter().chain([change]).collect();
        format!("{{{}}}", members.join(","))
    }

    #[test]
    fn odd_values_of_a_row_are_tolerated() {
        let check = |change: &str| {
            let json = with(change);
            assert!(row(json.as_bytes()).is_ok(), "{json}: {:?}", row(json.as_bytes()));
        };
        check(r#""pixel_id":"17""#);
        check(r#""timestamp":"1707425899""#);
        check(r#""timestamp":1.0"#);
        check(r#""is_success":1"#);
        check(r#""is_success":"false""#);
        check(r#""relationship":null"#);
        check(r#""relationship":"none""#);
        check(r#""relationship":{"offer":null,"affiliate":{"name":7}}"#);
        check(r#""payload":null"#);
        check(r#""payload":{"a":[1]}"#);
        check(r#""failed_attempts":null"#);
        check(r#""failed_attempts":[]"#);
        check(r#""last_attempt":"never""#);
        check(r#""pixel_type":"post_conversion""#);
        check(r#""something_new":{"deep":[[[]]]}"#);
        check(r#""conversion_id":123"#);
        check(r#""network_offer_payout_revenue_id":null"#);
    }

    #[test]
    fn a_row_without_its_keys_says_which_and_never_what() {
        let check = |json: &str, expected: &str| {
            assert_eq!(row(json.as_bytes()).map_err(|e| e.0), Err(expected.into()), "{json}");
        };
        check(&with(r#""pixel_id":null"#), "pixel_id is missing");
        check(&with(r#""pixel_id":"secret""#), "pixel_id is no whole number");
        check(&with(r#""pixel_id":-1"#), "pixel_id is no whole number");
        check(&with(r#""timestamp":"yesterday""#), "timestamp is no whole number");
        check(&with(r#""affiliate_id":1.5"#), "affiliate_id is no whole number");
        check(&with(r#""network_offer_id":{}"#), "network_offer_id is no whole number");
        check(&with(r#""is_success":"maybe""#), "is_success is neither true nor false");
        check(&with(r#""conversion_id":"""#), "conversion_id and transaction_id are both missing");
        check("{}", "is_success is missing");
        check("[]", "the row is no object");
        check("\"secret\"", "the row is no object");
        check(
            &format!("{{\"pixel_id\":1,{}", &with("\"pixel_id\":2")[1..]),
            "the row names a field twice",
        );
        check("{\"pixel_id\":", "the row ends early");
        check("{pixel}", "the row is no valid JSON");
        check("", "the row is longer than 1 MiB");
    }

    #[test]
    fn hostile_rows_are_refused_without_harm() {
        let mut odd = with(r#""unknown":"?""#).into_bytes();
        odd.iter_mut().filter(|byte| **byte == b'?').for_each(|byte| *byte = 0xff);
        assert!(row(&odd).is_ok(), "what is no UTF-8 is read by nobody");
        let deep = with(&format!("\"payload\":{}{}", "[".repeat(100_000), "]".repeat(100_000)));
        assert!(row(deep.as_bytes()).is_ok(), "skipped without recursion");
        let deep = with(&format!("\"unknown\":{}{}", "[".repeat(100_000), "]".repeat(100_000)));
        assert!(row(deep.as_bytes()).is_ok(), "skipped without recursion");
        assert!(row(&vec![b'{'; MAX_ROW + 1]).is_err());
        assert!(row(b"{\"pixel_id\":\"\xff\"}").is_err());
    }

    #[test]
    fn a_report_is_split_into_its_rows() {
        let check = |body: &str, rows: Option<usize>| {
            let page = report(Bytes::copy_from_slice(body.as_bytes()));
            assert_eq!(page.map(|page| page.len()), rows, "{body}");
        };
        check(r#"{"pixels":[{},{"a":[1]}]}"#, Some(2));
        check(r#"{"pixels":[]}"#, Some(0));
        check(r#"{"pixels":null}"#, Some(0));
        check(r#"{"paging":{},"pixels":[1]}"#, Some(1));
        check(r#"{"pixel":[]}"#, None);
        check(r#"{"pixels":{}}"#, None);
        check(r#"{"pixels":[{}"#, None);
        check("", None);
        check("null", None);
        check("[[{}]]", None);
        check("<html>", None);
        let body = format!("{{\"pixels\": [ {DOCUMENTED} , 7 ]}}");
        let page = report(Bytes::from(body)).expect("a report");
        let read: Vec<bool> = page.rows().map(|row| row.is_ok()).collect();
        assert_eq!(read, [true, false]);
    }

    proptest! {
        #[test]
        fn no_input_makes_a_row_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
            let _ = row(&bytes);
            let _ = row(with(&format!("\"payload\":{text}")).as_bytes());
            let _ = report(Bytes::from(bytes));
        }
    }
}
