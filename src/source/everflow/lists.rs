//! Answers other than rows: the network itself, time zones, configurations.
//! Read as tolerantly as rows; `None` where an answer is something else.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::lenient::{Number, Part, Text};
use super::wire::is_object;
use crate::domain::suspect::click_parameters;
use crate::source::{Network, PostbackConfig};

/// One page of the configurations.
pub(super) struct ConfigPage {
    pub(super) postbacks: Vec<PostbackConfig>,
    /// Entries on this page, those without an id included.
    pub(super) entries: u64,
    pub(super) total_count: Option<u64>,
    pub(super) page_size: Option<u64>,
}

pub(super) fn network(body: &[u8]) -> Option<Network> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Body<'a> {
        network_id: Number,
        #[serde(borrow)]
        name: Text<'a>,
    }
    let body: Body<'_> = object(body)?;
    Some(Network { id: body.network_id.unsigned()?, name: body.name.0.into_owned() })
}

/// The id of UTC in the list of time zones; the inner `None` where it is not listed.
pub(super) fn utc(body: &[u8]) -> Option<Option<u32>> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Zone<'a> {
        timezone_id: Number,
        #[serde(borrow)]
        timezone: Text<'a>,
    }
    let zones: Vec<Part<Zone<'_>>> = list(body, "timezones")?;
    let utc = zones.iter().find(|zone| zone.0.timezone.0 == "UTC");
    Some(utc.and_then(|zone| u32::try_from(zone.0.timezone_id.unsigned()?).ok()))
}

pub(super) fn configs(body: &[u8]) -> Option<ConfigPage> {
    let entries: Vec<Part<Config<'_>>> = list(body, "pixels")?;
    let paging = object::<Paged>(body)?.paging.0;
    Some(ConfigPage {
        entries: entries.len() as u64,
        postbacks: entries.into_iter().filter_map(|entry| config(entry.0)).collect(),
        total_count: paging.total_count.unsigned(),
        page_size: paging.page_size.unsigned(),
    })
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Config<'a> {
    network_pixel_id: Number,
    network_affiliate_id: Number,
    network_offer_id: Number,
    #[serde(borrow)]
    delivery_method: Text<'a>,
    #[serde(borrow)]
    pixel_level: Text<'a>,
    #[serde(borrow)]
    pixel_status: Text<'a>,
    #[serde(borrow)]
    postback_url: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Paged {
    paging: Part<Paging>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Paging {
    total_count: Number,
    page_size: Number,
}

fn config(config: Config<'_>) -> Option<PostbackConfig> {
    let status = config.pixel_status.0;
    let is_url = config.delivery_method.0.eq_ignore_ascii_case("postback");
    let template = if is_url { &*config.postback_url.0 } else { "" };
    Some(PostbackConfig {
        id: config.network_pixel_id.unsigned()?,
        affiliate: config.network_affiliate_id.unsigned().unwrap_or(0),
        offer: config.network_offer_id.unsigned().unwrap_or(0),
        click_parameters: click_parameters(template),
        delivery_method: config.delivery_method.0.into_owned(),
        level: config.pixel_level.0.into_owned(),
        // Without a status nothing says that it is off.
        is_active: status.is_empty() || status.eq_ignore_ascii_case("active"),
    })
}

/// The list under `key`, or the only list that there is.
fn list<'a, T: Deserialize<'a>>(body: &'a [u8], key: &str) -> Option<Vec<T>> {
    let members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
    let mut lists = members.values().filter(|value| value.get().starts_with('['));
    let found = match members.get(key) {
        Some(value) => value,
        None => lists.next().filter(|_| lists.next().is_none())?,
    };
    serde_json::from_str::<Option<Vec<T>>>(found.get()).ok().map(Option::unwrap_or_default)
}

fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    if is_object(body) { serde_json::from_slice(body).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_read() {
        let check = |body: &str, expected: Option<(u64, &str)>| {
            let got = network(body.as_bytes());
            assert_eq!(got, expected.map(|(id, name)| Network { id, name: name.into() }), "{body}");
        };
        check(r#"{"network_id":1,"name":"My Network","status":"active"}"#, Some((1, "My Network")));
        check(r#"{"network_id":"1"}"#, Some((1, "")));
        check(r#"{"name":"x"}"#, None);
        check("[]", None);
        check("", None);
    }

    #[test]
    fn utc_is_found_by_its_name() {
        let check = |body: &str, expected: Option<Option<u32>>| {
            assert_eq!(utc(body.as_bytes()), expected, "{body}");
        };
        check(
            r#"{"timezones":[{"timezone_id":90,"timezone_name":"UTC","timezone":"America/Los_Angeles"},{"timezone_id":12,"timezone":"UTC"}]}"#,
            Some(Some(12)),
        );
        check(r#"{"timezones":[null,{"timezone_id":12}]}"#, Some(None));
        check(r#"{"timezones":null}"#, Some(None));
        check(r#"{"error":"x"}"#, None);
    }

    #[test]
    fn configurations_are_read_under_any_name() {
        let check = |body: &str, expected: Option<(usize, u64, Option<u64>)>| {
            let got = configs(body.as_bytes());
            let got = got.map(|page| (page.postbacks.len(), page.entries, page.total_count));
            assert_eq!(got, expected, "{body}");
        };
        check(
            r#"{"pixels":[{"network_pixel_id":1},{}],"paging":{"total_count":2}}"#,
            Some((1, 2, Some(2))),
        );
        check(r#"{"network_pixels":[{"network_pixel_id":"1"}],"paging":null}"#, Some((1, 1, None)));
        check(r#"{"a":[],"b":[]}"#, None);
        check(r#"{"pixels":null}"#, Some((0, 0, None)));
        check("[]", None);
    }

    #[test]
    fn only_a_status_says_that_a_postback_is_off() {
        let check = |status: &str, expected: bool| {
            let body =
                format!(r#"{{"pixels":[{{"network_pixel_id":1,"pixel_status":{status}}}]}}"#);
            let page = configs(body.as_bytes()).expect("a page");
            assert_eq!(page.postbacks[0].is_active, expected, "{status}");
        };
        check(r#""active""#, true);
        check(r#""inactive""#, false);
        check(r#""deleted""#, false);
        check("null", true);
    }
}
