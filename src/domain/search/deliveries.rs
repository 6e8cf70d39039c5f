//! Deliveries that failed, the latest first, each with its whole life.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{FAILING, Found, Search, Unclear};
use crate::domain::delivery::{Delivery, DeliveryText, Identity, Life, id_number};
use crate::domain::explain::{At, DeliveryLife, life_of};
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::rules::Label;
use crate::domain::state::{SourceState, State};
use crate::domain::time::Timestamp;
use crate::domain::url;

/// One delivery that failed at least once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryFound {
    /// Names it, here and on every other postwatch.
    pub id: String,
    pub offer_id: u64,
    pub affiliate_id: u64,
    #[serde(flatten)]
    pub life: DeliveryLife,
    /// What its first row said; none where that is kept no more.
    pub said: Option<DeliveryWords>,
    /// The commit that holds its words.
    #[serde(skip)]
    pub text: u64,
    #[serde(skip)]
    pub identity: Identity,
}

/// The stored texts of a delivery, made safe to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryWords {
    /// Empty for click postbacks.
    pub conversion_id: String,
    pub transaction_id: String,
    /// With every query value hidden.
    pub url: String,
    /// What the host answered, without addresses or headers.
    pub answer: String,
}

impl DeliveryWords {
    pub fn of(text: &DeliveryText) -> DeliveryWords {
        DeliveryWords {
            url: url::redact(text.payload()),
            answer: url::answer(text.debug_information()),
            conversion_id: text.conversion_id().to_owned(),
            transaction_id: text.transaction_id().to_owned(),
        }
    }
}

/// Where a delivery stands among all: the latest is the greatest.
type Place = (Timestamp, Identity);

/// A page of the deliveries that are looked for.
///
/// # Errors
/// The cursor is none of ours.
pub fn deliveries(
    now: Timestamp,
    policy: &Policy,
    state: &State,
    search: &Search,
) -> Result<Found<DeliveryFound>, Unclear> {
    let after = search.cursor.as_deref().map(read_cursor).transpose()?;
    let mut found: Vec<(&SourcePolicy, &SourceState, Delivery)> = Vec::new();
    for source in &policy.sources {
        let Some(known) = state.sources.get(&source.name) else { continue };
        if search.takes(Label::Source, &source.name) {
            let of_source = of_source(known, search, after);
            found.extend(of_source.into_iter().map(|one| (source, known, one)));
        }
    }
    found.sort_by_key(|(_, _, delivery)| std::cmp::Reverse(place(delivery)));
    let is_more = found.len() > search.limit();
    found.truncate(search.limit());
    let last = found.last().filter(|_| is_more);
    let next = last.map(|(_, _, delivery)| write_cursor(place(delivery)));
    let items = found.iter().map(|(source, known, one)| show(policy, state, source, known, one));
    Ok(Found { now: At(now), items: items.collect(), next })
}

/// As many as a page holds and one more, in no order.
fn of_source(known: &SourceState, search: &Search, after: Option<Place>) -> Vec<Delivery> {
    let facts = &known.facts;
    let dims = search.taken_dims(facts);
    let [conversion, transaction] =
        [&search.conversion, &search.transaction].map(|id| id.as_deref().map(id_number));
    let is_meant = |one: &Delivery| {
        dims[one.dims.0 as usize]
            && after.is_none_or(|after| place(one) < after)
            && search.since.is_none_or(|since| one.timestamp >= since)
            && search.until.is_none_or(|until| one.timestamp < until)
            && conversion.is_none_or(|number| number != 0 && one.conversion == number)
            && transaction.is_none_or(|number| number != 0 && one.transaction == number)
            && search.takes_state(one.life)
            && search.takes_reason(one.reason)
    };
    let latest = after.map_or(Timestamp(i64::MAX), |(at, _)| at);
    let found = facts.deliveries.backwards(latest).filter(|one| is_meant(one));
    found.take(search.limit() + 1).collect()
}

impl Search {
    fn takes_state(&self, life: Life) -> bool {
        let word = match life {
            Life::Failing => FAILING,
            Life::Ended { how, .. } => how.as_str(),
        };
        self.states.is_empty() || self.states.iter().any(|state| state == word)
    }
}

fn show(
    policy: &Policy,
    state: &State,
    source: &SourcePolicy,
    known: &SourceState,
    one: &Delivery,
) -> DeliveryFound {
    let dims = known.facts.dims.get(one.dims);
    DeliveryFound {
        id: format!("{:032x}", one.identity.0),
        offer_id: dims.offer,
        affiliate_id: dims.affiliate,
        life: life_of(policy, state, source, known, one),
        said: None,
        text: one.text,
        identity: one.identity,
    }
}

fn place(delivery: &Delivery) -> Place {
    (delivery.timestamp, delivery.identity)
}

fn write_cursor((at, identity): Place) -> String {
    format!("{}-{:032x}", at.0, identity.0)
}

fn read_cursor(text: &str) -> Result<Place, Unclear> {
    let place = text.rsplit_once('-').and_then(|(at, identity)| {
        let identity = u128::from_str_radix(identity, 16).ok()?;
        Some((Timestamp(at.parse().ok()?), Identity(identity)))
    });
    place.ok_or_else(|| Unclear::Value {
        name: "cursor".to_owned(),
        wanted: "`next` of the page before".to_owned(),
    })
}
