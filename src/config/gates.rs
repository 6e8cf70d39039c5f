//! `inhibit:` and `mute:` → what holds messages back. One that means a rule which is not
//! in the file holds nothing back: that is a warning.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;

use crate::domain::policy::{DaySpan, Inhibition, Mute};

use super::decode::{Decoder, Entry, Fields, Shape};
use super::labels::Unfit;
use super::routes::{Around, alert_labels, matches, timezone};
use super::warnings;

pub const INHIBITION: Shape =
    Shape { what: "an inhibition", known: &["if", "mute", "equal"], later: &[] };

pub const MUTE: Shape =
    Shape { what: "a mute", known: &["name", "days", "times", "timezone", "match"], later: &[] };

pub const DAYS: [(&str, Weekday); 7] = [
    ("mon", Weekday::Monday),
    ("tue", Weekday::Tuesday),
    ("wed", Weekday::Wednesday),
    ("thu", Weekday::Thursday),
    ("fri", Weekday::Friday),
    ("sat", Weekday::Saturday),
    ("sun", Weekday::Sunday),
];

/// Every inhibition of the file.
pub fn inhibitions(d: &mut Decoder<'_>, root: &Fields<'_>, around: &Around<'_>) -> Vec<Inhibition> {
    let Some(entry) = root.get("inhibit") else { return Vec::new() };
    let mut found = Vec::new();
    for (index, item) in d.items(entry).into_iter().enumerate() {
        d.enter(&format!("inhibition {}", index + 1));
        if let Some(fields) = d.map(item, &INHIBITION) {
            let when = d.required(&fields, "if", "if: { rule: network-wide }");
            let mute = d.required(&fields, "mute", "mute: { severity: warning }");
            let inhibition = Inhibition {
                when: when.map(|entry| matches(d, entry, around, Unfit::Idle)).unwrap_or_default(),
                mute: mute.map(|entry| matches(d, entry, around, Unfit::Idle)).unwrap_or_default(),
                equal: fields
                    .get("equal")
                    .map(|entry| alert_labels(d, entry, around))
                    .unwrap_or_default(),
            };
            if when.is_some() && mute.is_some() {
                warnings::of_inhibition(d, fields.at, &inhibition);
            }
            found.push(inhibition);
        }
        d.enter("");
    }
    found
}

/// Every mute of the file. Without a `timezone` its times are UTC.
pub fn mutes(d: &mut Decoder<'_>, root: &Fields<'_>, around: &Around<'_>) -> Vec<Mute> {
    let Some(entry) = root.get("mute") else { return Vec::new() };
    let mut found: Vec<Mute> = Vec::new();
    for item in d.items(entry) {
        d.enter_item("mute", item);
        if let Some(fields) = d.map(item, &MUTE) {
            let mute = mute(d, &fields, around);
            if found.iter().any(|other| other.name == mute.name && !mute.name.is_empty()) {
                let at = fields.get("name").map_or(fields.at, |entry| entry.at);
                d.wrong(at, "another mute has this name", "give it another name");
            }
            found.push(mute);
        }
        d.enter("");
    }
    found
}

fn mute(d: &mut Decoder<'_>, fields: &Fields<'_>, around: &Around<'_>) -> Mute {
    let name = d.required(fields, "name", "name: weekend").and_then(|entry| d.word(entry));
    if fields.get("days").is_none() && fields.get("times").is_none() {
        let hint = "write `days: [sat, sun]` or `times: \"22:00-06:00\"`";
        d.wrong(fields.at, "the mute would last for ever", hint);
    }
    let zone = fields.get("timezone").and_then(|entry| timezone(d, entry));
    Mute {
        name: name.unwrap_or_default(),
        days: fields.get("days").map(|entry| days(d, entry)).unwrap_or_default(),
        times: fields.get("times").map(|entry| times(d, entry)).unwrap_or_default(),
        timezone: zone.and_then(|name| TimeZone::get(&name).ok()).unwrap_or(TimeZone::UTC),
        matches: fields
            .get("match")
            .map(|entry| matches(d, entry, around, Unfit::Idle))
            .unwrap_or_default(),
    }
}

fn days(d: &mut Decoder<'_>, entry: Entry<'_>) -> Vec<Weekday> {
    let items = d.some_items(entry);
    items.into_iter().filter_map(|item| d.choice(item, &DAYS)).collect()
}

fn times(d: &mut Decoder<'_>, entry: Entry<'_>) -> Vec<DaySpan> {
    let mut found = Vec::new();
    for item in d.some_items(entry) {
        let Some(text) = d.word(item) else { continue };
        match day_span(&text) {
            Some(span) => found.push(span),
            None => {
                let message = format!("`times: {}` is no span of a day", d.show(item));
                d.wrong(item.at, message, "write \"22:00-06:00\", from 00:00 to 24:00");
            }
        }
    }
    found
}

/// `22:00-06:00`; a span of no length is none.
fn day_span(text: &str) -> Option<DaySpan> {
    let (from, to) = text.split_once('-')?;
    let span = DaySpan { from: minute(from)?, to: minute(to)? };
    (span.from != span.to && span.from < 24 * 60).then_some(span)
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':')?;
    let is_number = |text: &str| text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(hour) || !is_number(minute) {
        return None;
    }
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    let all = hour * 60 + minute;
    (minute < 60 && all <= 24 * 60).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_of_a_day_is_read_strictly() {
        let check = |text: &str, expected: Option<(u16, u16)>| {
            assert_eq!(day_span(text).map(|span| (span.from, span.to)), expected, "{text}");
        };
        check("00:00-24:00", Some((0, 1440)));
        check("22:00-06:30", Some((1320, 390)));
        check("09:00 - 17:00", Some((540, 1020)));
        for wrong in ["9:00-17:00", "09:00", "24:00-24:00", "24:00-06:00", "12:60-13:00", "a-b", ""]
        {
            check(wrong, None);
        }
    }
}
