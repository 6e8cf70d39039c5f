//! CSV as a person downloads it: columns are found by their header, whatever its
//! spelling; times are unix seconds, RFC 3339 or `YYYY-MM-DD HH:MM:SS` in UTC.

use std::borrow::Cow;
use std::io::BufRead;

use super::records::{Record, Records};
use super::{ExportError, Reading, in_these_years};
use crate::domain::delivery::Row;
use crate::domain::time::Timestamp;
use crate::replay::history::History;
use crate::source::RowError;

/// A column that is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Conversion,
    Transaction,
    Offer,
    OfferName,
    Affiliate,
    AffiliateName,
    Postback,
    Event,
    Timestamp,
    IsSuccess,
    FailedAttempts,
    LastAttempt,
    Method,
    Level,
    Type,
    Status,
    Payload,
    Debug,
}

/// Headers of each, in lower case and with `_` for anything else; the API's own first.
const HEADERS: &[(Column, &[&str])] = &[
    (Column::Conversion, &["conversion_id", "conversion"]),
    (Column::Transaction, &["transaction_id", "transaction"]),
    (Column::Offer, &["network_offer_id", "offer_id", "offer"]),
    (Column::OfferName, &["offer_name"]),
    (
        Column::Affiliate,
        &["affiliate_id", "network_affiliate_id", "partner_id", "affiliate", "partner"],
    ),
    (Column::AffiliateName, &["affiliate_name", "partner_name"]),
    (Column::Postback, &["pixel_id", "network_pixel_id", "postback_id", "pixel", "postback"]),
    (Column::Event, &["network_offer_payout_revenue_id", "event_id"]),
    (
        Column::Timestamp,
        &["timestamp", "unix_timestamp", "date_time", "datetime", "date", "time", "created_at"],
    ),
    (Column::IsSuccess, &["is_success", "success", "delivery_status", "status", "result"]),
    (Column::FailedAttempts, &["failed_attempts", "failed_attempt", "attempts_failed"]),
    (Column::LastAttempt, &["last_attempt", "last_attempt_at", "last_attempt_time"]),
    (Column::Method, &["delivery_method", "method"]),
    (Column::Level, &["pixel_level", "postback_level", "level"]),
    (Column::Type, &["pixel_type", "postback_type", "type"]),
    (Column::Status, &["pixel_status", "postback_status"]),
    (Column::Payload, &["payload", "url", "postback_url", "pixel_url"]),
    (Column::Debug, &["debug_information", "debug_info", "debug", "response"]),
];

/// Without these a row is none.
const NEEDED: [Column; 5] =
    [Column::Postback, Column::Offer, Column::Affiliate, Column::Timestamp, Column::IsSuccess];

/// The place of each column in a record.
struct Columns {
    places: Vec<(Column, usize)>,
    /// How many the header has, with those that nobody looks for.
    count: usize,
}

pub fn read(
    file: impl BufRead,
    history: &mut History,
    progress: &mut dyn FnMut(u64),
) -> Result<Reading, ExportError> {
    let mut file = file;
    let delimiter = delimiter(file.fill_buf()?);
    let mut records = Records::new(file, delimiter);
    let Some(columns) = header(&mut records)? else { return Ok(Reading::default()) };
    let mut reading = Reading::default();
    while let Some(record) = records.next(Some(columns.count))? {
        match record {
            Record::Wrong(line, why) => reading.reject(line, || why),
            Record::Cut => reading.is_cut = true,
            Record::Fields(line, fields) => {
                let no_text = || RowError("the row is not in UTF-8".into());
                let texts = fields.texts().ok_or_else(no_text);
                let row = texts.as_deref().map_err(Clone::clone);
                match row.and_then(|texts| columns.row(texts)).and_then(in_these_years) {
                    Ok(row) => reading.take(line, &row, history),
                    Err(_) if fields.is_cut => reading.is_cut = true,
                    Err(error) => reading.reject(line, || error.to_string()),
                }
            }
        }
        if (reading.rows + reading.rejected).is_multiple_of(4_096) {
            progress(records.bytes());
        }
    }
    Ok(reading)
}

/// Where each column is; `None` where the file is empty.
fn header(records: &mut Records<impl BufRead>) -> Result<Option<Columns>, ExportError> {
    let wrong = |why: &str| ExportError::Unusable(format!("its first line is no header: {why}"));
    match records.next(None)? {
        None => Ok(None),
        Some(Record::Fields(_, fields)) => match fields.texts() {
            Some(names) => Columns::find(&names).map(Some),
            None => Err(wrong("it is not in UTF-8")),
        },
        Some(Record::Wrong(_, why)) => Err(wrong(&why)),
        Some(Record::Cut) => Err(wrong("it ends in the middle")),
    }
}

/// What the header separates its names by.
fn delimiter(begin: &[u8]) -> u8 {
    let header = begin.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|&&byte| byte == wanted).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|&wanted| count(wanted)).unwrap_or(b',')
}

impl Columns {
    fn find(headers: &[&str]) -> Result<Columns, ExportError> {
        let headers: Vec<String> = headers.iter().map(|header| plain(header)).collect();
        let place = |names: &[&str]| {
            names.iter().find_map(|name| headers.iter().position(|header| header == name))
        };
        let found = HEADERS.iter().filter_map(|(column, names)| Some((*column, place(names)?)));
        let columns = Columns { places: found.collect(), count: headers.len() };
        let mut missing: Vec<&str> = NEEDED
            .into_iter()
            .filter(|column| columns.place(*column).is_none())
            .map(|column| name(column))
            .collect();
        let is_there = |column| columns.place(column).is_some();
        if !is_there(Column::Conversion) && !is_there(Column::Transaction) {
            missing.push("conversion_id");
        }
        if missing.is_empty() {
            return Ok(columns);
        }
        let missing = listed(missing.into_iter());
        // A row of data in place of a header holds what nobody should see.
        let is_name = |name: &&str| name.len() <= 40 && !name.bytes().any(|b| b.is_ascii_digit());
        let named: Vec<&str> = headers.iter().map(String::as_str).filter(is_name).collect();
        Err(ExportError::Unusable(match columns.places.is_empty() {
            true => format!("its first line is no header: it has no column {missing}"),
            false => {
                let named = listed(named.into_iter());
                format!("it has no column {missing}; its first line names {named}")
            }
        }))
    }

    fn place(&self, column: Column) -> Option<usize> {
        self.places.iter().find(|(known, _)| *known == column).map(|(_, place)| *place)
    }

    fn get<'r>(&self, record: &[&'r str], column: Column) -> &'r str {
        self.place(column).and_then(|place| record.get(place)).copied().unwrap_or_default().trim()
    }

    fn row<'r>(&self, record: &[&'r str]) -> Result<Row<'r>, RowError> {
        let text = |column| self.get(record, column);
        let or = |column, absent: &'static str| match text(column) {
            "" => Cow::Borrowed(absent),
            text => Cow::Borrowed(text),
        };
        let (offer, offer_name) = party(text(Column::Offer), text(Column::OfferName))
            .ok_or_else(|| no_number(Column::Offer))?;
        let (affiliate, affiliate_name) =
            party(text(Column::Affiliate), text(Column::AffiliateName))
                .ok_or_else(|| no_number(Column::Affiliate))?;
        let (postback, _) =
            party(text(Column::Postback), "").ok_or_else(|| no_number(Column::Postback))?;
        if text(Column::Conversion).is_empty() && text(Column::Transaction).is_empty() {
            return Err(RowError("conversion_id and transaction_id are both missing".into()));
        }
        let is_success = success(text(Column::IsSuccess))
            .ok_or_else(|| wrong(Column::IsSuccess, "success or failure"))?;
        Ok(Row {
            offer,
            offer_name: Cow::Borrowed(offer_name),
            affiliate,
            affiliate_name: Cow::Borrowed(affiliate_name),
            postback,
            event: number(text(Column::Event)).ok_or_else(|| no_number(Column::Event))?,
            conversion_id: Cow::Borrowed(text(Column::Conversion)),
            transaction_id: Cow::Borrowed(text(Column::Transaction)),
            timestamp: moment(text(Column::Timestamp))
                .ok_or_else(|| wrong(Column::Timestamp, "time"))?,
            last_attempt: match text(Column::LastAttempt) {
                "" => Timestamp::default(),
                text => moment(text).ok_or_else(|| wrong(Column::LastAttempt, "time"))?,
            },
            failed_attempts: number(text(Column::FailedAttempts))
                .ok_or_else(|| no_number(Column::FailedAttempts))?,
            is_success,
            delivery_method: or(Column::Method, "postback"),
            postback_level: or(Column::Level, ""),
            postback_type: or(Column::Type, ""),
            postback_status: or(Column::Status, ""),
            payload: Cow::Borrowed(text(Column::Payload)),
            debug_information: Cow::Borrowed(text(Column::Debug)),
        })
    }
}

/// `Conversion ID` → `conversion_id`.
fn plain(header: &str) -> String {
    let header = header.trim_start_matches('\u{feff}').trim().to_lowercase();
    let words = header.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("_")
}

/// The API's own name.
fn name(column: Column) -> &'static str {
    let names = HEADERS.iter().find(|(known, _)| *known == column);
    names.and_then(|(_, names)| names.first()).copied().unwrap_or_default()
}

fn wrong(column: Column, expected: &str) -> RowError {
    RowError(format!("{} is no {expected}", name(column)))
}

fn no_number(column: Column) -> RowError {
    wrong(column, "whole number")
}

/// A number that may be left out.
fn number<N: std::str::FromStr + Default>(text: &str) -> Option<N> {
    if text.is_empty() { Some(N::default()) } else { text.parse().ok() }
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// An id and its name, written `7` or `Acme Media (7)`.
fn party<'r>(text: &'r str, name: &'r str) -> Option<(u64, &'r str)> {
    if let Ok(id) = text.parse() {
        return Some((id, name));
    }
    let (named, id) = text.strip_suffix(')')?.rsplit_once('(')?;
    let name = if name.is_empty() { named.trim() } else { name };
    Some((id.trim().parse().ok()?, name))
}

fn success(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "success" | "successful" | "ok" => Some(true),
        "false" | "0" | "no" | "failure" | "failed" | "fail" => Some(false),
        _ => None,
    }
}

fn moment(text: &str) -> Option<Timestamp> {
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(Timestamp(number as i64));
    }
    if let Ok(moment) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(moment.as_second()));
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let moment = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp(moment.as_second()))
}

#[cfg(test)]
mod tests {
    use super::super::{Format, read};
    use super::*;

    fn rows(text: &str) -> Result<(Vec<Row<'static>>, Reading), String> {
        let mut history = History::default();
        let reading = read(Format::Csv, text.as_bytes(), &mut history, &mut |_| {});
        let reading = reading.map_err(|error| error.to_string())?;
        let own = |row: Row<'_>| Row {
            affiliate_name: row.affiliate_name.into_owned().into(),
            payload: row.payload.into_owned().into(),
            offer_name: "".into(),
            conversion_id: "".into(),
            transaction_id: "".into(),
            delivery_method: row.delivery_method.into_owned().into(),
            postback_level: "".into(),
            postback_type: "".into(),
            postback_status: "".into(),
            debug_information: "".into(),
            ..row
        };
        Ok((history.rows(0..history.len()).map(own).collect(), reading))
    }

    #[test]
    fn columns_are_found_however_they_are_spelled() {
        for text in [
            "conversion_id,network_offer_id,affiliate_id,affiliate_name,pixel_id,timestamp,is_success,payload\n\
             c,11,7,Acme,132,1700000000,false,https://a.example/p\n",
            "\u{feff}Payload;Pixel ID;Offer;Affiliate;Conversion ID;Date;Status\r\n\
             https://a.example/p;132;Offer (11);Acme (7);c;2023-11-14 22:13:20;Failed\r\n",
            "Transaction ID\tPostback ID\tOffer ID\tPartner\tTimestamp\tSuccess\tURL\n\
             t\t132\t11\tAcme (7)\t2023-11-15T00:13:20+02:00\t0\thttps://a.example/p\n",
        ] {
            let (rows, _) = rows(text).unwrap_or_else(|error| panic!("{error} of {text}"));
            let row = &rows[0];
            assert_eq!((row.offer, row.affiliate, row.postback), (11, 7, 132), "{text}");
            assert_eq!((row.timestamp.0, row.is_success), (1_700_000_000, false), "{text}");
            assert_eq!((&*row.affiliate_name, &*row.payload), ("Acme", "https://a.example/p"));
            assert_eq!(row.delivery_method, "postback");
        }
    }

    #[test]
    fn a_missing_column_is_named_with_those_that_are_there() {
        let error = rows("Conversion ID,Offer,Pixel,Time\n").err();
        let expected = "it has no column `affiliate_id`, `is_success`; its first line names \
                        `conversion_id`, `offer`, `pixel`, `time`";
        assert_eq!(error.as_deref(), Some(expected));
    }

    #[test]
    fn a_row_that_cannot_be_read_is_told_by_its_line() {
        let header = "conversion_id,offer,affiliate,pixel,timestamp,is_success\n";
        let (rows, reading) =
            rows(&format!("{header}a,1,2,3,1700000000,1\nb,x,2,3,1700000000,1\nc,1,2,3\n"))
                .expect("its header is whole");
        assert_eq!((rows.len(), reading.rejected), (1, 2));
        let why = "network_offer_id is no whole number".to_owned();
        assert_eq!(reading.first_rejected, Some((3, why)));
    }

    #[test]
    fn a_number_that_cannot_be_read_is_no_zero() {
        let header = "conversion_id,offer,affiliate,pixel,timestamp,is_success,event_id,\
                      failed_attempts,last_attempt\n";
        for (cells, why) in [
            (",,", None),
            ("5,0,0", None),
            ("5,2,2023-11-14 22:13:20", None),
            ("x,0,", Some("network_offer_payout_revenue_id is no whole number")),
            (",two,", Some("failed_attempts is no whole number")),
            (",-1,", Some("failed_attempts is no whole number")),
            (",1,soon", Some("last_attempt is no time")),
            (",1,NaN", Some("last_attempt is no time")),
        ] {
            let text = format!("{header}a,1,2,3,1700000000,0,{cells}\n");
            let (rows, reading) = rows(&text).expect("its header is whole");
            let why = why.map(|why| (2, why.to_owned()));
            assert_eq!(
                (rows.len(), reading.rejected),
                (1 - reading.rejected, usize::from(why.is_some()))
            );
            assert_eq!(reading.first_rejected, why, "{cells}");
        }
    }

    #[test]
    fn an_unclosed_quote_is_told_and_swallows_no_row() {
        let header = "conversion_id,offer,affiliate,pixel,timestamp,is_success,payload\n";
        let row = |id: &str, payload: &str| format!("{id},1,2,3,1700000000,1,{payload}\n");
        let text =
            [header, &row("a", ""), &row("b", "\"https://a"), &row("c", ""), &row("d", "\"x\ny\"")];
        let (rows, reading) = rows(&text.concat()).expect("its header is whole");
        assert_eq!((rows.len(), reading.rejected, reading.is_cut), (3, 1, false));
        let why = "the quote that opens on line 3 is not closed".to_owned();
        assert_eq!(reading.first_rejected, Some((3, why)));
    }
}
