//! Everything that postwatch knows, and how it is built from what the store kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::alert::builtin::Sight;
use super::alert::{Alert, AlertKey};
use super::counters::{Counters, MOST_SERIES};
use super::coverage::Coverage;
use super::delivery::DeliveryText;
use super::dims::{DimsId, DimsRecord};
use super::facts::{Entry, Facts, PostbackState};
use super::notify::plan::{Batch, BatchKey};
use super::outgoing::told_instead::{Instead, ToldInstead};
use super::outgoing::{KeptThread, Outgoing};
use super::policy::Policy;
use super::silence::{Silence, SilenceId, Silences};
use super::time::Timestamp;
use super::window::Windows;
use super::window::group::Group;

/// How long the messages about a source may wait for its past to be read.
const LONGEST_SILENCE: Duration = Duration::from_secs(30 * 60);

/// What one turn changed: everything that must be on disk before anybody sees it.
#[derive(Debug, Default, PartialEq)]
pub struct Changes {
    /// Rises by one with each commit; texts are found by it.
    pub commit: u64,
    /// The network's time, as far as it is known.
    pub seen_at: Timestamp,
    /// In the order in which they happened; neighbours of one source together.
    pub journal: Vec<(String, Vec<Entry>)>,
    pub texts: Vec<DeliveryText>,
    pub records: Vec<Record>,
}

impl Changes {
    pub(super) fn record(&mut self, source: &str, entry: Entry) {
        match self.journal.last_mut() {
            Some((last, entries)) if last == source => entries.push(entry),
            Some(_) | None => self.journal.push((source.to_owned(), vec![entry])),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.journal.is_empty() && self.texts.is_empty() && self.records.is_empty()
    }
}

/// Something small that the store keeps under a key of its own; `None` removes it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Record {
    Source {
        source: String,
        first_read_at: Option<Timestamp>,
    },
    Dims {
        source: String,
        id: DimsId,
        dims: DimsRecord,
    },
    OfferName {
        source: String,
        id: u64,
        name: String,
    },
    AffiliateName {
        source: String,
        id: u64,
        name: String,
    },
    Coverage {
        source: String,
        scope: u64,
        coverage: Coverage,
    },
    Postback {
        source: String,
        id: u64,
        state: PostbackState,
    },
    ClickParameters {
        source: String,
        id: u64,
        names: Vec<String>,
    },
    Alert {
        key: AlertKey,
        alert: Option<Box<Alert>>,
    },
    Batch {
        key: BatchKey,
        batch: Option<Batch>,
    },
    Outgoing {
        number: u64,
        outgoing: Option<Outgoing>,
    },
    /// What a channel needs to go on in a batch's thread.
    Thread {
        receiver: String,
        batch: String,
        thread: Option<KeptThread>,
    },
    Silence {
        id: SilenceId,
        silence: Option<Box<Silence>>,
    },
    /// An alert that was told to a fallback as firing, and when it fired.
    ToldInstead {
        told: Instead,
        fired_at: Option<Timestamp>,
    },
}

/// What the store gives back at a start, in this order: records, then the
/// journal with each checkpoint at the place where it was written.
#[derive(Debug)]
pub enum Stored {
    Record(Record),
    Entries { source: String, entries: Vec<Entry> },
    Checkpoint { source: String, checkpoint: Checkpoint },
}

/// What the journal adds up to at one place: read from there on, it need not
/// reach back to the beginning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    pub counters: Counters,
    pub watermark: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub struct State {
    pub sources: BTreeMap<String, SourceState>,
    pub alerts: BTreeMap<AlertKey, Alert>,
    pub batches: BTreeMap<BatchKey, Batch>,
    pub outbox: BTreeMap<u64, Outgoing>,
    /// By (receiver, batch).
    pub threads: BTreeMap<(String, String), KeptThread>,
    pub told_instead: ToldInstead,
    pub silences: Silences,
    /// The number of the last commit.
    pub commit: u64,
    /// The wall clock at the last tick, and the time that had passed by then since
    /// the process began.
    pub ticked_at: Option<(Timestamp, Duration)>,
    /// Each source's part of the metrics' series; the default where nobody shared them.
    most_series: Option<usize>,
}

/// One source: its facts, and what is counted from them.
#[derive(Debug, Default)]
pub struct SourceState {
    pub facts: Facts,
    /// `None` until the first look-back is whole.
    pub windows: Option<Windows>,
    /// Reads under way, by number.
    pub reads: HashMap<u32, OpenRead>,
    pub sight: SightState,
    /// Since when there has been a gap, by the wall clock.
    pub gap_since: Option<Timestamp>,
    /// Whether the network refused the list of postbacks: then their rows tell
    /// whether they are active. Not known before the first answer.
    pub is_list_unread: bool,
    /// Whether the network was seen to show a row for each attempt: then a failure
    /// that is still shown may have succeeded since.
    pub shows_attempts: bool,
    /// By postback: the newest row's word on whether it is active.
    pub row_status: HashMap<u64, (Timestamp, bool)>,
    /// For each rule, the groups whose alerts are not inactive.
    pub active: Vec<BTreeSet<Group>>,
}

impl SourceState {
    /// Takes an entry up in the facts and in what is counted from them.
    pub(super) fn apply(&mut self, entry: &Entry) {
        let effect = self.facts.apply(entry);
        if let Some(windows) = &mut self.windows {
            windows.apply(&self.facts, &effect);
        }
    }
}

/// A read whose pages arrive; its clean successes count only when it is whole.
#[derive(Debug, Default)]
pub struct OpenRead {
    /// When it began, by the network's time: what its rows are seen at.
    pub at: Timestamp,
    /// Whether it reads every clean success of its span.
    pub counts: bool,
    /// With a part of each identity: a page may be read twice within one read.
    pub clean: Vec<(Timestamp, DimsId, u32)>,
    /// Where it does not: the last clean success of each labels.
    pub last_success: HashMap<DimsId, Timestamp>,
    /// Set once it is whole and `clean` is sorted, latest first: from where on it
    /// is still to be counted.
    pub counting_from: Option<Timestamp>,
}

/// What `source-blind` looks at, beyond the coverage.
#[derive(Debug, Default, Clone)]
pub struct SightState {
    pub started_at: Timestamp,
    /// When the wall clock was last set, or the machine last slept: nobody can tell
    /// for how long before that nothing was read.
    pub stepped_at: Timestamp,
    pub arriving_at: Option<Timestamp>,
    /// What the last poll failed of.
    pub trouble: Option<String>,
}

impl State {
    /// Takes up one thing that the store kept.
    pub fn restore(&mut self, stored: Stored) {
        match stored {
            Stored::Record(record) => self.restore_record(record),
            Stored::Entries { source, entries } => {
                let facts = self.facts(&source);
                for entry in &entries {
                    facts.apply(entry);
                }
            }
            Stored::Checkpoint { source, checkpoint } => {
                let facts = self.facts(&source);
                let most_series = facts.counters.most_series;
                facts.counters = checkpoint.counters;
                facts.counters.most_series = most_series;
                facts.watermark = checkpoint.watermark;
            }
        }
    }

    /// Gives each source, and each that is yet to come, its part of the metrics' series.
    /// Before anything is restored: a series of its own is given as it was given live.
    pub fn share_series(&mut self, policy: &Policy) {
        let most = policy.max_series.unwrap_or(MOST_SERIES) / policy.sources.len().max(1);
        self.most_series = Some(most);
        for source in self.sources.values_mut() {
            source.facts.counters.most_series = most;
        }
    }

    /// What the journal adds up to now, by source.
    pub fn checkpoints(&self) -> Vec<(String, Checkpoint)> {
        let sources = self.sources.iter();
        sources
            .map(|(name, source)| {
                let counters = source.facts.counters.clone();
                (name.clone(), Checkpoint { counters, watermark: source.facts.watermark })
            })
            .collect()
    }

    fn restore_record(&mut self, record: Record) {
        match record {
            Record::Source { source, first_read_at } => {
                self.facts(&source).first_read_at = first_read_at;
            }
            Record::Dims { source, dims, .. } => self.facts(&source).dims.restore(&dims),
            Record::OfferName { source, id, name } => {
                self.facts(&source).offer_names.set(id, name);
            }
            Record::AffiliateName { source, id, name } => {
                self.facts(&source).affiliate_names.set(id, name);
            }
            Record::Coverage { source, scope, coverage } => {
                self.facts(&source).coverage.insert(scope, coverage);
            }
            Record::Postback { source, id, state } => {
                self.facts(&source).postbacks.insert(id, state);
            }
            Record::ClickParameters { source, id, names } => {
                self.facts(&source).click_parameters.insert(id, names);
            }
            Record::Alert { key, alert } => {
                set(&mut self.alerts, key, alert.map(|alert| *alert));
            }
            Record::Batch { key, batch } => set(&mut self.batches, key, batch),
            Record::Outgoing { number, outgoing } => set(&mut self.outbox, number, outgoing),
            Record::Thread { receiver, batch, thread } => {
                set(&mut self.threads, (receiver, batch), thread);
            }
            Record::ToldInstead { told, fired_at } => set(&mut self.told_instead, told, fired_at),
            Record::Silence { id, silence } => {
                set(&mut self.silences, id, silence.map(|silence| *silence));
            }
        }
    }

    fn facts(&mut self, name: &str) -> &mut Facts {
        let most_series = self.most_series.unwrap_or(MOST_SERIES);
        let source = self.sources.entry(name.to_owned()).or_insert_with(|| {
            let mut source = SourceState::default();
            source.facts.counters.most_series = most_series;
            source
        });
        &mut source.facts
    }

    /// Notes which sources have a gap, and since when.
    pub fn note_gaps(&mut self, now: Timestamp) {
        for source in self.sources.values_mut() {
            let has_gap = !source.facts.gap().is_zero();
            // A moment to come was told by a clock that has been set back since.
            let since = source.gap_since.filter(|&since| since <= now).unwrap_or(now);
            source.gap_since = has_gap.then_some(since);
        }
    }

    /// The sources whose past is being read after an outage, for as long as messages
    /// may wait for it. One of which a scope gets no further has nothing to wait for.
    pub fn catching_up(&self, now: Timestamp, policy: &Policy) -> BTreeSet<String> {
        let sources = policy.sources.iter().filter(|source| {
            self.sources.get(&source.name).is_some_and(|known| {
                let is_recent = known.gap_since.is_some_and(|at| now.since(at) <= LONGEST_SILENCE);
                let moved_at = known.sight(policy, &source.name).whole_at;
                is_recent && moved_at.is_some_and(|at| now.since(at) <= source.poll_every * 3)
            })
        });
        sources.map(|source| source.name.clone()).collect()
    }

    /// The number of the next notice: greater than every one that waits.
    pub fn next_outgoing(&self) -> u64 {
        self.outbox.last_key_value().map_or(1, |(number, _)| number + 1)
    }
}

impl SourceState {
    /// What `source-blind` judges.
    pub fn sight(&self, policy: &Policy, source: &str) -> Sight {
        let scopes = policy.source(source).map_or(0, |source| source.scopes.len());
        let read = self.facts.coverage.values().filter(|coverage| coverage.front.is_some());
        let is_whole = read.clone().count() >= scopes && scopes > 0;
        let behind =
            read.clone().filter_map(|coverage| Some(coverage.edge()?.since(coverage.front?)));
        let moved_at = read.clone().map(|coverage| coverage.moved_at).min();
        Sight {
            whole_at: if is_whole { moved_at } else { None },
            behind: behind.max().unwrap_or_default(),
            started_at: self.sight.started_at.max(self.sight.stepped_at),
            arriving_at: self.sight.arriving_at,
        }
    }
}

fn set<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => {
            map.insert(key, value);
        }
        None => {
            map.remove(&key);
        }
    }
}
