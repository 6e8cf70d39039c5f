//! Postbacks with a failure in the look-back: how near each is to being switched off.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Found, Search, Unclear};
use crate::domain::dims::DimsId;
use crate::domain::explain::At;
use crate::domain::facts::Facts;
use crate::domain::policy::{DeactivationCounts, Policy, SourcePolicy};
use crate::domain::rules::Label;
use crate::domain::state::{SourceState, State};
use crate::domain::time::Timestamp;
use crate::domain::window::in_a_row::{Forecast, InARow};
use crate::domain::window::streak::Bounds;

/// One postback that failed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PostbackFound {
    pub source: String,
    pub postback: u64,
    /// Whether the network still fires it.
    pub is_active: bool,
    /// When it was seen to be switched off or on.
    pub changed_at: Option<At>,
    /// What all of its deliveries share.
    pub labels: BTreeMap<String, String>,
    /// `Name (7)`, where it is one.
    pub affiliate: Option<String>,
    pub offer: Option<String>,
    /// Deliveries that failed in the look-back.
    pub failures: u64,
    /// Those of them that fail now.
    pub open: u64,
    pub newest_failure: At,
    pub last_success: Option<At>,
    /// Deliveries that failed in a row; none before the first look-back is whole.
    pub deliveries_in_a_row: Option<Between>,
    pub tries_in_a_row: Option<Between>,
    /// So many in a row switch it off.
    pub limit: u32,
    /// What of both the rules count.
    pub counts: DeactivationCounts,
    /// When it will be switched off at this pace.
    pub deactivates_at: Option<At>,
}

/// A number that is known between bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Between {
    pub least: u64,
    pub most: u64,
}

/// The failures of one postback.
#[derive(Default)]
struct Failures {
    count: u64,
    open: u64,
    newest: Timestamp,
}

/// A page of the postbacks that are looked for, by source and number.
///
/// # Errors
/// The cursor is none of ours.
pub fn postbacks(
    now: Timestamp,
    policy: &Policy,
    state: &State,
    search: &Search,
) -> Result<Found<PostbackFound>, Unclear> {
    let after = search.cursor.as_deref().map(read_cursor).transpose()?;
    let mut sources: Vec<_> = policy.sources.iter().collect();
    sources.sort_by_key(|source| &source.name);
    let mut items = Vec::new();
    for source in sources.into_iter().filter(|one| search.takes(Label::Source, &one.name)) {
        let Some(known) = state.sources.get(&source.name) else { continue };
        for (postback, failures) in failures(&known.facts, search) {
            let is_after = after.as_ref().is_none_or(|(name, number)| {
                (source.name.as_str(), postback) > (name.as_str(), *number)
            });
            if is_after && items.len() <= search.limit() {
                items.push(show(now, source, known, postback, &failures));
            }
        }
    }
    let is_more = items.len() > search.limit();
    items.truncate(search.limit());
    let last = items.last().filter(|_| is_more);
    let next = last.map(|last| format!("{}.{}", last.source, last.postback));
    Ok(Found { now: At(now), items, next })
}

/// Of each postback that is looked for.
fn failures(facts: &Facts, search: &Search) -> BTreeMap<u64, Failures> {
    let taken = search.taken_dims(facts);
    // By the number of the labels inside the walk: there may be a million deliveries.
    let mut of_dims: Vec<Failures> = taken.iter().map(|_| Failures::default()).collect();
    for one in facts.deliveries.iter() {
        if taken[one.dims.0 as usize] && search.takes_reason(one.reason) {
            let failures = &mut of_dims[one.dims.0 as usize];
            failures.count += 1;
            failures.open += u64::from(one.is_open());
            failures.newest = failures.newest.max(one.timestamp);
        }
    }
    let mut found: BTreeMap<u64, Failures> = BTreeMap::new();
    for (id, of) in (0..).zip(of_dims).filter(|(_, of)| of.count > 0) {
        let sum = found.entry(facts.dims.get(DimsId(id)).postback).or_default();
        sum.count += of.count;
        sum.open += of.open;
        sum.newest = sum.newest.max(of.newest);
    }
    found
}

fn show(
    now: Timestamp,
    source: &SourcePolicy,
    known: &SourceState,
    postback: u64,
    failures: &Failures,
) -> PostbackFound {
    let facts = &known.facts;
    let row = known
        .windows
        .as_ref()
        .map(|windows| windows.streaks.in_a_row(facts, source, postback, windows.at));
    let labels = shared(facts, postback);
    let id = |label: Label| labels.get(label.as_str()).and_then(|id| id.parse().ok());
    let changed = facts.postbacks.get(&postback).map(|state| state.changed_at);
    let successes = facts.dims.ids_of_postback(postback);
    PostbackFound {
        source: source.name.clone(),
        postback,
        is_active: facts.is_active(postback),
        changed_at: changed.filter(|at| at.0 > 0).map(At),
        affiliate: id(Label::Affiliate).map(|id| facts.affiliate_text(id)),
        offer: id(Label::Offer).map(|id| facts.offer_text(id)),
        labels,
        failures: failures.count,
        open: failures.open,
        newest_failure: At(failures.newest),
        last_success: successes.filter_map(|id| facts.last_success(id)).max().map(At),
        deliveries_in_a_row: row.as_ref().map(|row| bounds(row.deliveries)),
        tries_in_a_row: row.as_ref().map(|row| bounds(row.tries)),
        limit: source.deactivates_after,
        counts: source.deactivation_counts,
        deactivates_at: row.and_then(|row| coming(&row, now)),
    }
}

fn coming(row: &InARow, now: Timestamp) -> Option<At> {
    match row.forecast(now) {
        Forecast::At(at) => Some(At(at)),
        Forecast::Unknown | Forecast::NotAtThisPace => None,
    }
}

fn bounds(bounds: Bounds) -> Between {
    Between { least: bounds.least as u64, most: bounds.most as u64 }
}

/// The labels that have one value over all deliveries of the postback.
fn shared(facts: &Facts, postback: u64) -> BTreeMap<String, String> {
    let labels = Label::ALL
        .into_iter()
        .filter(|label| !matches!(label, Label::Source | Label::Reason | Label::Postback));
    let one = labels.filter_map(|label| {
        let mut values = facts.dims.of_postback(postback).map(|dims| dims.value(label));
        let first = values.next()?;
        let text = facts.dims.value_text(label, first);
        values.all(|value| value == first).then(|| (label.as_str().to_owned(), text))
    });
    one.collect()
}

fn read_cursor(text: &str) -> Result<(String, u64), Unclear> {
    let place = text
        .rsplit_once('.')
        .and_then(|(source, number)| Some((source.to_owned(), number.parse().ok()?)));
    place.ok_or_else(|| Unclear::Value {
        name: "cursor".to_owned(),
        wanted: "`next` of the page before".to_owned(),
    })
}
