//! `sources:` → what to watch, and how to get at it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use url::{Host, Url};

use crate::domain::policy::{DeactivationCounts, Scope, SourcePolicy};

use super::SourceConfig;
use super::decode::{Decoder, Entry, Fields, Shape};
use super::duration::write_duration;
use super::report::Place;

pub const SOURCE: Shape = Shape {
    what: "a source",
    known: &[
        "name",
        "api_key",
        "api_key_file",
        "base_url",
        "timezone_id",
        "poll_every",
        "settle",
        "lookback",
        "successes",
        "max_attempts",
        "give_up_after",
        "deactivates_after",
        "deactivation_counts",
        "scopes",
    ],
    later: &[],
};

pub const SCOPE: Shape = Shape {
    what: "a scope",
    known: &["offers", "affiliates", "exclude_offers", "exclude_affiliates"],
    later: &[],
};

const BASE_URL: &str = "https://api.eflow.team/v1";
const SECOND: Duration = Duration::from_secs(1);
const HOUR: u64 = 3600;
const MAX_SCOPES: usize = 100;
const MAX_IDS: usize = 1_000;

/// Every source, and at least one.
pub fn sources(d: &mut Decoder<'_>, root: &Fields<'_>) -> Vec<(SourcePolicy, SourceConfig)> {
    let example = "sources: [{ name: acme, api_key: \"${EVERFLOW_API_KEY}\" }]";
    let Some(entry) = d.required(root, "sources", example) else { return Vec::new() };
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for item in d.some_items(entry) {
        d.enter_item("source", item);
        if let Some(fields) = d.map(item, &SOURCE) {
            found.push(source(d, &fields, &mut names));
        }
        d.enter("");
    }
    found
}

fn source(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    names: &mut BTreeSet<String>,
) -> (SourcePolicy, SourceConfig) {
    let name = name(d, fields, "source", names);
    let policy = policy(d, fields, &name);
    let base_url = fields.get("base_url").and_then(|entry| api_url(d, entry));
    let config = SourceConfig {
        api_key: d
            .secret(fields, "api_key", "${EVERFLOW_API_KEY}")
            .unwrap_or_else(|| super::Secret::new("")),
        base_url: base_url.unwrap_or_else(|| BASE_URL.into()),
        timezone_id: fields.get("timezone_id").and_then(|entry| d.count(entry)),
        name,
    };
    (policy, config)
}

/// The name of a source, rule or receiver.
pub fn name(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    what: &str,
    names: &mut BTreeSet<String>,
) -> String {
    let Some(entry) = d.required(fields, "name", "name: …") else { return String::new() };
    let Some(name) = d.text(entry) else { return String::new() };
    let shown = d.show(entry);
    if !super::names::is_plain(&name) {
        let hint = "write a-z, 0-9, `_` and `-`, up to 64 characters, as in `eu-network`";
        d.wrong(entry.at, format!("`name: {shown}` is no name for a {what}"), hint);
    } else if !names.insert(name.clone()) {
        let message = format!("there is a {what} `{shown}` already");
        d.wrong(entry.at, message, "give each its own name");
    }
    name
}

fn policy(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> SourcePolicy {
    let (poll_every, _) = time(d, fields, "poll_every", SECOND, 60);
    let (settle, settle_at) = time(d, fields, "settle", Duration::ZERO, 20);
    let (lookback, lookback_at) = time(d, fields, "lookback", SECOND, 72 * HOUR);
    let (give_up_after, give_up_at) = time(d, fields, "give_up_after", SECOND, 24 * HOUR);
    not_beyond(d, ("give_up_after", give_up_after, give_up_at), lookback, lookback_at);
    not_beyond(d, ("poll_every", poll_every, lookback_at), lookback, lookback_at);
    not_beyond(d, ("settle", settle, settle_at), lookback, lookback_at);
    let number =
        |d: &mut Decoder<'_>, name| fields.get(name).and_then(|entry| d.count(entry)).unwrap_or(10);
    SourcePolicy {
        name: name.into(),
        poll_every,
        settle,
        lookback,
        successes: successes(d, fields),
        max_attempts: number(d, "max_attempts"),
        give_up_after,
        deactivates_after: number(d, "deactivates_after"),
        deactivation_counts: deactivation_counts(d, fields),
        scopes: scopes(d, fields),
    }
}

fn time(
    d: &mut Decoder<'_>,
    fields: &Fields<'_>,
    name: &str,
    least: Duration,
    default: u64,
) -> (Duration, Place) {
    let Some(entry) = fields.get(name) else { return (Duration::from_secs(default), fields.at) };
    (d.duration(entry, least).unwrap_or(Duration::from_secs(default)), entry.at)
}

fn not_beyond(
    d: &mut Decoder<'_>,
    (name, time, at): (&str, Duration, Place),
    lookback: Duration,
    lookback_at: Place,
) {
    if time > lookback {
        let (time, shown) = (write_duration(time), write_duration(lookback));
        let message = format!("`{name}: {time}` is longer than `lookback: {shown}`");
        let hint = format!("write `lookback: {time}` or more, or a shorter `{name}`");
        d.wrong(at.max(lookback_at), message, hint);
    }
}

fn successes(d: &mut Decoder<'_>, fields: &Fields<'_>) -> bool {
    let entry = fields.get("successes");
    entry.and_then(|entry| d.choice(entry, &[("read", true), ("off", false)])).unwrap_or(true)
}

fn deactivation_counts(d: &mut Decoder<'_>, fields: &Fields<'_>) -> DeactivationCounts {
    let choices = [
        ("deliveries", DeactivationCounts::Deliveries),
        ("attempts", DeactivationCounts::Attempts),
    ];
    let entry = fields.get("deactivation_counts");
    entry.and_then(|entry| d.choice(entry, &choices)).unwrap_or(DeactivationCounts::Deliveries)
}

/// Without any the whole network is read in one query.
fn scopes(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Vec<Scope> {
    let Some(entry) = fields.get("scopes") else { return vec![Scope::default()] };
    let items = d.some_items(entry);
    if items.len() > MAX_SCOPES {
        let message = format!("more than {MAX_SCOPES} scopes");
        d.wrong(entry.at, message, "each costs its own requests: join some of them");
        return Vec::new();
    }
    let mut found: Vec<(Place, Scope)> = Vec::new();
    for item in items {
        let Some(fields) = d.map(item, &SCOPE) else { continue };
        let scope = scope(d, &fields);
        refuse_overlap(d, item.at, &scope, &found);
        found.push((item.at, scope));
    }
    found.into_iter().map(|(_, scope)| scope).collect()
}

fn scope(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Scope {
    let scope = Scope {
        offers: ids(d, fields, "offers"),
        affiliates: ids(d, fields, "affiliates"),
        exclude_offers: ids(d, fields, "exclude_offers"),
        exclude_affiliates: ids(d, fields, "exclude_affiliates"),
    };
    for (name, only, not) in [
        ("offers", &scope.offers, &scope.exclude_offers),
        ("affiliates", &scope.affiliates, &scope.exclude_affiliates),
    ] {
        if !only.is_empty() && only.iter().all(|id| not.contains(id)) {
            let message = format!("the scope excludes all of its `{name}`");
            d.wrong(fields.at, message, "remove it, or exclude fewer");
        }
    }
    scope
}

fn ids(d: &mut Decoder<'_>, fields: &Fields<'_>, name: &str) -> Vec<u64> {
    let Some(entry) = fields.get(name) else { return Vec::new() };
    let items = d.some_items(entry);
    if items.len() > MAX_IDS {
        d.wrong(entry.at, format!("more than {MAX_IDS} ids in `{name}`"), "use several scopes");
        return Vec::new();
    }
    let ids: BTreeSet<u64> =
        items.into_iter().filter_map(|item| d.whole(item, 1, u64::MAX)).collect();
    ids.into_iter().collect()
}

fn refuse_overlap(d: &mut Decoder<'_>, at: Place, scope: &Scope, before: &[(Place, Scope)]) {
    let Some((other, _)) = before.iter().find(|(_, other)| overlap(scope, other)) else { return };
    let message = format!("this scope overlaps the one on line {}", other.line);
    let hint = "a delivery in both would be counted twice: exclude from one what the other has";
    d.wrong(at, message, hint);
}

/// Whether any delivery could be in both. Offers and affiliates are independent,
/// and ids that neither mentions are all alike: one stands for them.
fn overlap(a: &Scope, b: &Scope) -> bool {
    let offers = [&a.offers, &a.exclude_offers, &b.offers, &b.exclude_offers];
    let affiliates = [&a.affiliates, &a.exclude_affiliates, &b.affiliates, &b.exclude_affiliates];
    common(offers) && common(affiliates)
}

fn common([only_a, not_a, only_b, not_b]: [&Vec<u64>; 4]) -> bool {
    // `ids` returns them sorted.
    let has = |ids: &[u64], id: &u64| ids.binary_search(id).is_ok();
    let within =
        |only: &[u64], not: &[u64], id: &u64| (only.is_empty() || has(only, id)) && !has(not, id);
    let any_other = only_a.is_empty() && only_b.is_empty();
    any_other
        || only_a
            .iter()
            .chain(only_b)
            .any(|id| within(only_a, not_a, id) && within(only_b, not_b, id))
}

/// An address whose paths are appended: http(s), and http to this machine only,
/// as a secret travels with every request.
pub fn api_url(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<String> {
    let text = d.word(entry)?;
    let name = entry.name;
    let hint = format!("write `{name}: {BASE_URL}` or the like");
    let Some(url) = Url::parse(&text).ok().filter(|url| is_http(url) && url.has_host()) else {
        d.wrong(entry.at, format!("`{name}` is no http address"), hint);
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() {
        d.wrong(entry.at, format!("`{name}` holds a user or password"), "remove them");
        return None;
    }
    if url.query().is_some() || url.fragment().is_some() {
        d.wrong(entry.at, format!("`{name}` has a `?` or `#`"), hint);
        return None;
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        let message = format!("`{name}` would send the secret unencrypted");
        d.wrong(entry.at, message, "write `https://…`; plain http is for 127.0.0.1 only");
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_string())
}

/// Whether this is an http or https address.
pub fn is_http(url: &Url) -> bool {
    matches!(url.scheme(), "http" | "https")
}

/// Whether it leads to this machine.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
        None => false,
    }
}
