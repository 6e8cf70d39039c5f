//! Silences: alerts of which somebody wants no messages until a given time. They stop
//! messages, never alerts; see `notify::gate`.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::policy::Labelled;
use super::time::Timestamp;

pub mod matcher;

use matcher::Matcher;

/// Silences that are on or to come.
pub const MOST_STANDING: usize = 500;
/// Those that are over are kept to be looked at: this many, and this long.
pub const MOST_EXPIRED: usize = 1_000;
pub const KEPT_FOR: Duration = Duration::from_secs(5 * 24 * 3600);

const MOST_MATCHERS: usize = 50;
const LONGEST_AUTHOR: usize = 200;
const LONGEST_COMMENT: usize = 2_000;

/// A silence that hid nothing for this long is worth a word: it may be written wrong,
/// or forgotten.
pub const UNUSED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Names a silence, for as long as it is known; looks like a UUID.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct SilenceId(pub String);

impl fmt::Display for SilenceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who wants to hear nothing of which alerts, from when until when, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Draft {
    /// All of them must match.
    pub matchers: Vec<Matcher>,
    pub starts_at: Timestamp,
    /// The first moment at which it is over.
    pub ends_at: Timestamp,
    pub created_by: String,
    pub comment: String,
}

/// A silence that was taken up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    pub draft: Draft,
    pub updated_at: Timestamp,
    /// When a standing alert was last seen to match, to the hour.
    pub matched_at: Option<Timestamp>,
    /// Nothing has matched for [`UNUSED_AFTER`].
    pub is_unused: bool,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Active,
    Pending,
    Expired,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Active => "active",
            Stage::Pending => "pending",
            Stage::Expired => "expired",
        }
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wish {
    /// A new silence, named `fresh`; or a change of `of`, which keeps its name where it
    /// stays the same silence.
    Put {
        draft: Draft,
        of: Option<SilenceId>,
        fresh: SilenceId,
    },
    Expire {
        id: SilenceId,
    },
}

/// Why a wish was not granted: nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no silence {0}")]
    Unknown(SilenceId),
    /// In words.
    #[error("{0}")]
    Invalid(String),
    #[error(
        "there are {MOST_STANDING} silences that are on or to come, and no more are taken: \
         expire those that are not needed"
    )]
    Full,
}

pub type Silences = BTreeMap<SilenceId, Silence>;

impl Silence {
    pub fn stage(&self, now: Timestamp) -> Stage {
        match now {
            now if now >= self.draft.ends_at => Stage::Expired,
            now if now < self.draft.starts_at => Stage::Pending,
            _ => Stage::Active,
        }
    }

    pub fn is_active(&self, now: Timestamp) -> bool {
        self.stage(now) == Stage::Active
    }

    /// Whether an alert with these labels is meant.
    pub fn matches(&self, labelled: &impl Labelled) -> bool {
        self.draft.matches(labelled)
    }
}

impl Draft {
    /// Whether an alert with these labels is meant. Regular expressions come last: they
    /// cost most.
    pub fn matches(&self, labelled: &impl Labelled) -> bool {
        let of = |is_regex| {
            let mut all = self.matchers.iter().filter(move |m| m.op().is_regex() == is_regex);
            all.all(|matcher| matcher.matches(labelled))
        };
        of(false) && of(true)
    }

    /// What is wrong with it at `now`.
    fn check(&self, now: Timestamp) -> Result<(), String> {
        if self.matchers.iter().all(Matcher::takes_empty) {
            return Err("it would hide every alert, whatever its labels: name a label and a \
                        value, as in affiliate=7"
                .to_owned());
        }
        let lengths = [
            ("matchers", self.matchers.len(), MOST_MATCHERS),
            ("characters in its author", self.created_by.chars().count(), LONGEST_AUTHOR),
            ("characters in its comment", self.comment.chars().count(), LONGEST_COMMENT),
        ];
        if let Some((what, found, most)) = lengths.into_iter().find(|(_, found, most)| found > most)
        {
            return Err(format!("it has {found} {what}; {most} are the most"));
        }
        if self.ends_at <= now {
            return Err(format!("it would have ended by now: its end is {}", self.ends_at));
        }
        if self.ends_at <= self.starts_at {
            let (starts_at, ends_at) = (self.starts_at, self.ends_at);
            return Err(format!("it would end at {ends_at}, before it starts at {starts_at}"));
        }
        Ok(())
    }
}

/// Does what is wished: the silences that changed, that of the wish first.
///
/// # Errors
/// Why not; then none changed.
pub fn grant(
    now: Timestamp,
    silences: &mut Silences,
    wish: &Wish,
) -> Result<Vec<SilenceId>, Refused> {
    match wish {
        Wish::Put { draft, of, fresh } => put(now, silences, draft.clone(), of.as_ref(), fresh),
        Wish::Expire { id } => expire(now, silences, id).map(|()| vec![id.clone()]),
    }
}

fn put(
    now: Timestamp,
    silences: &mut Silences,
    mut draft: Draft,
    of: Option<&SilenceId>,
    fresh: &SilenceId,
) -> Result<Vec<SilenceId>, Refused> {
    draft.check(now).map_err(Refused::Invalid)?;
    let before = match of {
        Some(id) => {
            let known = silences.get(id).ok_or_else(|| Refused::Unknown(id.clone()))?;
            Some((id, known.stage(now), is_same(now, known, &draft)))
        }
        None => None,
    };
    if let Some((id, _, true)) = before {
        silences.entry(id.clone()).and_modify(|known| {
            (known.draft, known.updated_at) = (draft, now);
        });
        return Ok(vec![id.clone()]);
    }
    // Another silence from now on: what was hidden until now stays on record.
    let replaced = before.filter(|(_, stage, _)| *stage != Stage::Expired).map(|(id, ..)| id);
    let standing = silences.values().filter(|known| known.stage(now) != Stage::Expired).count();
    if standing >= MOST_STANDING + usize::from(replaced.is_some()) {
        return Err(Refused::Full);
    }
    if let Some(id) = replaced {
        expire(now, silences, id)?;
    }
    draft.starts_at = draft.starts_at.max(now);
    let silence = Silence { draft, updated_at: now, matched_at: None, is_unused: false };
    silences.insert(fresh.clone(), silence);
    Ok([fresh].into_iter().chain(replaced).cloned().collect())
}

/// Whether the draft is the same silence with another end, author or comment: what was
/// hidden until now would have been hidden by it too.
fn is_same(now: Timestamp, known: &Silence, draft: &Draft) -> bool {
    let is_start_kept = match known.stage(now) {
        Stage::Active => known.draft.starts_at == draft.starts_at,
        Stage::Pending => draft.starts_at >= now,
        Stage::Expired => false,
    };
    is_start_kept && known.draft.matchers == draft.matchers
}

fn expire(now: Timestamp, silences: &mut Silences, id: &SilenceId) -> Result<(), Refused> {
    let silence = silences.get_mut(id).ok_or_else(|| Refused::Unknown(id.clone()))?;
    match silence.stage(now) {
        Stage::Expired => {
            let ended_at = silence.draft.ends_at;
            return Err(Refused::Invalid(format!("silence {id} ended already, at {ended_at}")));
        }
        Stage::Pending => silence.draft.starts_at = now,
        Stage::Active => {}
    }
    (silence.draft.ends_at, silence.updated_at) = (now, now);
    Ok(())
}

/// Those that are over and need not be looked at any more.
pub fn outdated(now: Timestamp, silences: &Silences) -> Vec<SilenceId> {
    let over = silences.iter().filter(|(_, silence)| silence.stage(now) == Stage::Expired);
    let mut over: Vec<(Timestamp, &SilenceId)> =
        over.map(|(id, silence)| (silence.draft.ends_at, id)).collect();
    over.sort();
    let too_many = over.len().saturating_sub(MOST_EXPIRED);
    let is_old = |&(place, (ended_at, _)): &(usize, (Timestamp, &SilenceId))| {
        place < too_many || now.since(ended_at) >= KEPT_FOR
    };
    over.into_iter().enumerate().filter(is_old).map(|(_, (_, id))| id.clone()).collect()
}
