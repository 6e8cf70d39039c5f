//! CSV as a person downloads it: columns are found by their header, whatever its
//! spelling; times are unix seconds, RFC 3339 or `YYYY-MM-DD HH:MM:SS` in UTC.

use std::borrow::Cow;
use std::io::BufRead;

use csv::{ReaderBuilder, StringRecord};

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
struct Columns(Vec<(Column, usize)>);

pub fn read(
    file: impl BufRead,
    history: &mut History,
    progress: &mut dyn FnMut(u64),
) -> Result<Reading, ExportError> {
    let mut file = file;
    let delimiter = delimiter(file.fill_buf()?);
    let mut csv = ReaderBuilder::new().flexible(true).delimiter(delimiter).from_reader(file);
    let columns = Columns::find(csv.headers().map_err(unusable)?)?;
    let (mut reading, mut record) = (Reading::default(), StringRecord::new());
    loop {
        let line = csv.position().line() as usize;
        match csv.read_record(&mut record) {
            Ok(false) => return Ok(reading),
            Ok(true) => match columns.row(&record).and_then(in_these_years) {
                Ok(row) => {
                    history.add(&row);
                    reading.rows += 1;
                }
                Err(error) => reading.reject(line, || error.to_string()),
            },
            Err(error) if error.is_io_error() => return Err(unusable(error)),
            Err(_) => reading.reject(line, || "the row is no valid CSV in UTF-8".to_owned()),
        }
        if (reading.rows + reading.rejected).is_multiple_of(4_096) {
            progress(csv.position().byte());
        }
    }
}

fn unusable(error: csv::Error) -> ExportError {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => ExportError::Io(error),
        _ => ExportError::Unusable("its first line is no header in UTF-8".to_owned()),
    }
}

/// What the header separates its names by.
fn delimiter(begin: &[u8]) -> u8 {
    let header = begin.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| header.iter().filter(|&&byte| byte == wanted).count();
    [b',', b';', b'\t'].into_iter().rev().max_by_key(|&wanted| count(wanted)).unwrap_or(b',')
}

impl Columns {
    fn find(headers: &StringRecord) -> Result<Columns, ExportError> {
        let headers: Vec<String> = headers.iter().map(plain).collect();
        let place = |names: &[&str]| {
            names.iter().find_map(|name| headers.iter().position(|header| header == name))
        };
        let found = HEADERS.iter().filter_map(|(column, names)| Some((*column, place(names)?)));
        let columns = Columns(found.collect());
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
        Err(ExportError::Unusable(match columns.0.is_empty() {
            true => format!("its first line is no header: it has no column {missing}"),
            false => {
                let named = listed(named.into_iter());
                format!("it has no column {missing}; its first line names {named}")
            }
        }))
    }

    fn place(&self, column: Column) -> Option<usize> {
        self.0.iter().find(|(known, _)| *known == column).map(|(_, place)| *place)
    }

    fn get<'r>(&self, record: &'r StringRecord, column: Column) -> &'r str {
        self.place(column).and_then(|place| record.get(place)).unwrap_or_default().trim()
    }

    fn row<'r>(&self, record: &'r StringRecord) -> Result<Row<'r>, RowError> {
        let text = |column| self.get(record, column);
        let or = |column, absent: &'static str| match text(column) {
            "" => Cow::Borrowed(absent),
            text => Cow::Borrowed(text),
        };
        let (offer, offer_name) = party(text(Column::Offer), text(Column::OfferName))
            .ok_or_else(|| wrong(Column::Offer, "whole number"))?;
        let (affiliate, affiliate_name) =
            party(text(Column::Affiliate), text(Column::AffiliateName))
                .ok_or_else(|| wrong(Column::Affiliate, "whole number"))?;
        let (postback, _) = party(text(Column::Postback), "")
            .ok_or_else(|| wrong(Column::Postback, "whole number"))?;
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
            event: text(Column::Event).parse().unwrap_or(0),
            conversion_id: Cow::Borrowed(text(Column::Conversion)),
            transaction_id: Cow::Borrowed(text(Column::Transaction)),
            timestamp: moment(text(Column::Timestamp))
                .ok_or_else(|| wrong(Column::Timestamp, "time"))?,
            last_attempt: moment(text(Column::LastAttempt)).unwrap_or_default(),
            failed_attempts: text(Column::FailedAttempts).parse().unwrap_or(0),
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
        return Some(Timestamp(number as i64));
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
}
