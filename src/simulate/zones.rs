//! The network's list of time zones and what a local time means in one.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::domain::time::Timestamp;

/// By id, from 1. Documented are 67, 80, 85 and 87; 90 is a strong guess.
pub(super) const ZONES: [&str; 99] = [
    "Africa/Abidjan",
    "Africa/Accra",
    "Africa/Algiers",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Africa/Johannesburg",
    "Africa/Lagos",
    "Africa/Nairobi",
    "Africa/Tunis",
    "Asia/Almaty",
    "Asia/Amman",
    "Asia/Baghdad",
    "Asia/Bahrain",
    "Asia/Baku",
    "Asia/Bangkok",
    "Asia/Beirut",
    "Asia/Colombo",
    "Asia/Damascus",
    "Asia/Dhaka",
    "Asia/Dubai",
    "Asia/Ho_Chi_Minh",
    "Asia/Hong_Kong",
    "Asia/Irkutsk",
    "Asia/Jakarta",
    "Asia/Jerusalem",
    "Asia/Kabul",
    "Asia/Karachi",
    "Asia/Kathmandu",
    "Asia/Kolkata",
    "Asia/Kuala_Lumpur",
    "Asia/Kuwait",
    "Asia/Manila",
    "Asia/Novosibirsk",
    "Asia/Riyadh",
    "Asia/Seoul",
    "Asia/Shanghai",
    "Asia/Singapore",
    "Asia/Taipei",
    "Asia/Tashkent",
    "Asia/Tbilisi",
    "Asia/Tehran",
    "Asia/Tokyo",
    "Asia/Vladivostok",
    "Asia/Yangon",
    "Asia/Yekaterinburg",
    "Asia/Yerevan",
    "Atlantic/Azores",
    "Atlantic/Reykjavik",
    "Australia/Adelaide",
    "Australia/Brisbane",
    "Australia/Darwin",
    "Australia/Hobart",
    "Australia/Perth",
    "Australia/Sydney",
    "Europe/Amsterdam",
    "Europe/Athens",
    "Europe/Belgrade",
    "Europe/Berlin",
    "Europe/Brussels",
    "Europe/Bucharest",
    "Europe/Budapest",
    "Europe/Copenhagen",
    "Europe/Dublin",
    "Europe/Helsinki",
    "Europe/Istanbul",
    "Europe/Kyiv",
    "UTC",
    "Europe/Lisbon",
    "Europe/London",
    "Europe/Madrid",
    "Europe/Moscow",
    "Europe/Oslo",
    "Europe/Paris",
    "Europe/Prague",
    "Europe/Rome",
    "Europe/Stockholm",
    "Europe/Vienna",
    "Europe/Warsaw",
    "Europe/Zurich",
    "America/New_York",
    "America/Argentina/Buenos_Aires",
    "America/Bogota",
    "America/Caracas",
    "America/Halifax",
    "America/Chicago",
    "America/Mexico_City",
    "America/Denver",
    "America/Phoenix",
    "America/Lima",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Santiago",
    "America/Sao_Paulo",
    "America/St_Johns",
    "America/Toronto",
    "America/Vancouver",
    "Pacific/Auckland",
    "Pacific/Fiji",
    "Pacific/Honolulu",
];

/// The zone that the network knows by this number.
pub(super) fn zone(id: u64) -> Option<TimeZone> {
    let place = usize::try_from(id.checked_sub(1)?).ok()?;
    TimeZone::get(ZONES.get(place)?).ok()
}

/// A moment as a request writes it. A date alone is its first second, or its
/// last where the day is the end of a span.
pub(super) fn moment(text: &str, zone: &TimeZone, ends: bool) -> Option<Timestamp> {
    let local = match DateTime::strptime("%Y-%m-%d %H:%M:%S", text) {
        Ok(local) => local,
        Err(_) => {
            let last = Time::constant(23, 59, 59, 0);
            let time = if ends { last } else { Time::midnight() };
            Date::strptime("%Y-%m-%d", text).ok()?.to_datetime(time)
        }
    };
    let zoned = local.to_zoned(zone.clone()).ok()?;
    Some(Timestamp(zoned.timestamp().as_second()))
}

/// `GET /meta/timezones`; offsets in hours, as of `now`.
pub(super) fn list(now: Timestamp) -> Value {
    let offset = |name: &str| {
        let zone = TimeZone::get(name).ok()?;
        let moment = jiff::Timestamp::from_second(now.0).ok()?;
        Some(f64::from(zone.to_offset(moment).seconds()) / 3600.0)
    };
    let entry = |(place, name): (usize, &&str)| {
        json!({
            "timezone_id": place + 1,
            "timezone_name": name.replace('_', " "),
            "timezone": name,
            "utc_offset": offset(name),
        })
    };
    json!({ "timezones": ZONES.iter().enumerate().map(entry).collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_is_known_and_the_documented_ids_are_theirs() {
        assert!((1..=99).all(|id| zone(id).is_some()));
        assert!(zone(0).is_none() && zone(100).is_none());
        for (id, name) in [
            (67, "UTC"),
            (80, "America/New_York"),
            (85, "America/Chicago"),
            (87, "America/Denver"),
            (90, "America/Los_Angeles"),
        ] {
            assert_eq!(ZONES[id - 1], name);
        }
    }

    #[test]
    fn local_times_are_read_in_their_zone() {
        for (id, text, ends, expected) in [
            (67, "2024-02-07 00:00:01", false, Some(1_707_264_001)),
            (67, "2024-02-07", false, Some(1_707_264_000)),
            (67, "2024-02-07", true, Some(1_707_350_399)),
            (80, "2024-02-07 00:00:00", false, Some(1_707_282_000)),
            (67, "2024-02-07T00:00:00Z", false, None),
            (67, "yesterday", false, None),
        ] {
            let zone = zone(id).expect("listed");
            assert_eq!(moment(text, &zone, ends).map(|it| it.0), expected, "{text}");
        }
    }
}
