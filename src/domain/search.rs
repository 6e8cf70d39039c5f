//! Looks through what is known, a page at a time: deliveries that failed, and postbacks
//! with a failure. Looks only; changes nothing.

use std::fmt;
use std::ops::RangeInclusive;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::delivery::Ended;
use super::dims::DimsId;
use super::explain::At;
use super::facts::Facts;
use super::reason::Reason;
use super::rules::{Glob, Label};
use super::time::Timestamp;

mod deliveries;
mod postbacks;

pub use deliveries::{DeliveryFound, DeliveryWords, deliveries};
pub use postbacks::{Between, PostbackFound, postbacks};

/// Found things of one page.
pub const LIMITS: RangeInclusive<usize> = 1..=500;
const USUAL_LIMIT: usize = 100;

/// Values that a question may give a key: each is held against all that is known.
pub const MOST_VALUES: usize = 20;

const FAILING: &str = "failing";

/// One page of what was found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "PageOf{T}")]
pub struct Found<T> {
    /// The wall clock.
    pub now: At,
    pub items: Vec<T>,
    /// Where the next page begins: ask for it as `cursor`. None after the last one.
    pub next: Option<String>,
}

/// What is looked for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Search {
    /// Each must match, by any of its patterns.
    labels: Vec<(Label, Vec<Glob>)>,
    /// Any of them; all where it is empty.
    states: Vec<String>,
    conversion: Option<String>,
    transaction: Option<String>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    limit: Option<usize>,
    cursor: Option<String>,
}

/// Why something cannot be looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unclear {
    /// There is no such key; these there are.
    Key {
        name: String,
        known: Vec<&'static str>,
    },
    Value {
        name: String,
        wanted: String,
    },
    /// More than [`MOST_VALUES`] of one key.
    TooMany {
        name: String,
    },
}

impl fmt::Display for Unclear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unclear::Key { name, .. } => write!(f, "there is no key `{name}`"),
            Unclear::Value { name, wanted } => write!(f, "`{name}` has to be {wanted}"),
            Unclear::TooMany { name } => write!(
                f,
                "it gives `{name}` more than {MOST_VALUES} values: ask several times, or with * \
                 and ? in them"
            ),
        }
    }
}

/// Keys that only deliveries have.
const OF_DELIVERIES: [&str; 5] = ["state", "conversion", "transaction", "since", "until"];

impl Search {
    /// What these pairs ask for, among deliveries.
    ///
    /// # Errors
    /// The first pair that means nothing, or is one too many of its key.
    pub fn for_deliveries(pairs: &[(String, String)]) -> Result<Search, Unclear> {
        Search::read(pairs, &OF_DELIVERIES)
    }

    /// The same among postbacks.
    ///
    /// # Errors
    /// The first pair that means nothing, or is one too many of its key.
    pub fn for_postbacks(pairs: &[(String, String)]) -> Result<Search, Unclear> {
        Search::read(pairs, &[])
    }

    fn read(pairs: &[(String, String)], also: &[&'static str]) -> Result<Search, Unclear> {
        let mut search = Search::default();
        for (name, value) in pairs {
            let label = Label::ALL.into_iter().find(|label| label.as_str() == name);
            let own = ["limit", "cursor"].iter().chain(also).find(|own| *own == name);
            match (label, own) {
                (Some(label), _) => search.add_label(label, value),
                (None, Some(own)) => search.add(own, value).map_err(|wanted| Unclear::Value {
                    name: name.clone(),
                    wanted: wanted.to_owned(),
                })?,
                (None, None) => {
                    let labels = Label::ALL.map(Label::as_str);
                    let known = [&labels[..], also, &["limit", "cursor"]].concat();
                    return Err(Unclear::Key { name: name.clone(), known });
                }
            }
            if search.has_too_many() {
                return Err(Unclear::TooMany { name: name.clone() });
            }
        }
        Ok(search)
    }

    fn has_too_many(&self) -> bool {
        let of_labels = self.labels.iter().map(|(_, globs)| globs.len());
        of_labels.chain([self.states.len()]).any(|values| values > MOST_VALUES)
    }

    fn add_label(&mut self, label: Label, value: &str) {
        let glob = Glob(value.to_owned());
        match self.labels.iter_mut().find(|(known, _)| *known == label) {
            Some((_, globs)) => globs.push(glob),
            None => self.labels.push((label, vec![glob])),
        }
    }

    fn add(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let moment = || -> Result<Option<Timestamp>, &'static str> {
            let moment: Option<jiff::Timestamp> = value.parse().ok();
            let moment = moment.ok_or("a moment, as in 2026-03-01T18:00:00Z")?;
            Ok(Some(Timestamp(moment.as_second())))
        };
        match name {
            "conversion" => self.conversion = Some(value.to_owned()),
            "transaction" => self.transaction = Some(value.to_owned()),
            "cursor" => self.cursor = Some(value.to_owned()),
            "since" => self.since = moment()?,
            "until" => self.until = moment()?,
            "limit" => {
                let limit = value.parse().ok().filter(|limit| LIMITS.contains(limit));
                self.limit = Some(limit.ok_or("a number from 1 to 500")?);
            }
            _ => {
                let is_known =
                    value == FAILING || Ended::ALL.iter().any(|ended| ended.as_str() == value);
                let wanted = "`failing`, `recovered`, `exhausted`, `abandoned` or `vanished`";
                self.states.push(is_known.then(|| value.to_owned()).ok_or(wanted)?);
            }
        }
        Ok(())
    }

    fn limit(&self) -> usize {
        self.limit.unwrap_or(USUAL_LIMIT)
    }

    /// Whether the label's value is looked for.
    fn takes(&self, label: Label, value: &str) -> bool {
        let mut asked = self.labels.iter().filter(|(asked, _)| *asked == label);
        asked.all(|(_, globs)| globs.iter().any(|glob| glob.matches(value)))
    }

    /// The same of a reason, which is written out only where it matters.
    fn takes_reason(&self, reason: Reason) -> bool {
        let is_asked = self.labels.iter().any(|(label, _)| *label == Label::Reason);
        !is_asked || self.takes(Label::Reason, &reason.to_string())
    }

    /// By [`DimsId`], whether all labels of a delivery but source and reason are.
    fn taken_dims(&self, facts: &Facts) -> Vec<bool> {
        let takes = |id: u32| {
            let of_dims = self.labels.iter().map(|(label, _)| *label);
            let mut of_dims = of_dims.filter(|l| !matches!(l, Label::Source | Label::Reason));
            of_dims.all(|label| self.takes(label, &facts.dims.text(DimsId(id), label)))
        };
        (0..facts.dims.len() as u32).map(takes).collect()
    }
}
