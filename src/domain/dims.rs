//! The labels of deliveries, interned: a delivery carries one small number for
//! all of them, and rules compare numbers instead of texts.

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::delivery::Row;
use super::rules::Label;
use super::{suspect, url};

/// A text of the [`Symbols`] table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Symbol(pub u32);

/// Texts that occur again and again: hosts, methods, levels, types.
#[derive(Debug, Default)]
pub struct Symbols {
    by_text: HashMap<Box<str>, Symbol>,
    texts: Vec<Box<str>>,
}

impl Symbols {
    pub fn intern(&mut self, text: &str) -> Symbol {
        if let Some(&symbol) = self.by_text.get(text) {
            return symbol;
        }
        let symbol = Symbol(u32::try_from(self.texts.len()).expect("fewer than 4 billion texts"));
        self.by_text.insert(text.into(), symbol);
        self.texts.push(text.into());
        symbol
    }

    pub fn find(&self, text: &str) -> Option<Symbol> {
        self.by_text.get(text).copied()
    }

    pub fn text(&self, symbol: Symbol) -> &str {
        self.texts.get(symbol.0 as usize).map_or("", |text| text)
    }
}

/// A row of the [`DimsTable`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DimsId(pub u32);

/// Every label of a delivery but its source (a table lies within one source)
/// and its reason (which changes, and which successes lack).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Dims {
    pub offer: u64,
    pub affiliate: u64,
    pub postback: u64,
    pub event: u64,
    pub host: Symbol,
    pub delivery_method: Symbol,
    pub postback_level: Symbol,
    pub postback_type: Symbol,
    /// Its payload cannot have worked, whatever the answer.
    pub is_suspect: bool,
}

/// [`Dims`] with its texts written out, as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DimsRecord {
    pub offer: u64,
    pub affiliate: u64,
    pub postback: u64,
    pub event: u64,
    pub host: String,
    pub delivery_method: String,
    pub postback_level: String,
    pub postback_type: String,
    pub is_suspect: bool,
}

/// All combinations of labels that one source has shown; ids count from 0 in
/// the order of appearance and never change.
#[derive(Debug, Default)]
pub struct DimsTable {
    pub symbols: Symbols,
    ids: HashMap<Dims, DimsId>,
    rows: Vec<Dims>,
    by_postback: HashMap<u64, Vec<DimsId>>,
}

impl DimsTable {
    /// The labels of `row`, and whether they are new here. `click_parameters` are those of
    /// its postback.
    pub fn of_row(&mut self, row: &Row<'_>, click_parameters: &[String]) -> (DimsId, bool) {
        let host = url::host(&row.payload, &row.delivery_method).unwrap_or_default();
        let dims = Dims {
            offer: row.offer,
            affiliate: row.affiliate,
            postback: row.postback,
            event: row.event,
            host: self.symbols.intern(&host),
            delivery_method: self.symbols.intern(&row.delivery_method),
            postback_level: self.symbols.intern(&row.postback_level),
            postback_type: self.symbols.intern(&row.postback_type),
            is_suspect: !host.is_empty() && suspect::is_suspect(&row.payload, click_parameters),
        };
        self.intern(dims)
    }

    /// Adds a stored row; records must come in the order of their ids.
    pub fn restore(&mut self, record: &DimsRecord) {
        let dims = Dims {
            offer: record.offer,
            affiliate: record.affiliate,
            postback: record.postback,
            event: record.event,
            host: self.symbols.intern(&record.host),
            delivery_method: self.symbols.intern(&record.delivery_method),
            postback_level: self.symbols.intern(&record.postback_level),
            postback_type: self.symbols.intern(&record.postback_type),
            is_suspect: record.is_suspect,
        };
        self.intern(dims);
    }

    pub fn record(&self, id: DimsId) -> DimsRecord {
        let dims = self.get(id);
        let text = |symbol| self.symbols.text(symbol).to_owned();
        DimsRecord {
            offer: dims.offer,
            affiliate: dims.affiliate,
            postback: dims.postback,
            event: dims.event,
            host: text(dims.host),
            delivery_method: text(dims.delivery_method),
            postback_level: text(dims.postback_level),
            postback_type: text(dims.postback_type),
            is_suspect: dims.is_suspect,
        }
    }

    pub fn get(&self, id: DimsId) -> Dims {
        self.rows[id.0 as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = &Dims> + '_ {
        self.rows.iter()
    }

    /// Every combination that this postback has shown.
    pub fn of_postback(&self, postback: u64) -> impl Iterator<Item = Dims> + '_ {
        self.by_postback.get(&postback).into_iter().flatten().map(|&id| self.get(id))
    }

    pub fn ids_of_postback(&self, postback: u64) -> impl Iterator<Item = DimsId> + '_ {
        self.by_postback.get(&postback).into_iter().flatten().copied()
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The value of `label` as text; empty for `source` and `reason`, which are
    /// not in the table.
    pub fn text(&self, id: DimsId, label: Label) -> String {
        self.value_text(label, self.get(id).value(label))
    }

    /// A value that [`Dims::value`] gave, as text.
    pub fn value_text(&self, label: Label, value: u64) -> String {
        match label {
            Label::Offer | Label::Affiliate | Label::Postback | Label::Event => value.to_string(),
            Label::Host | Label::DeliveryMethod | Label::PostbackLevel | Label::PostbackType => {
                self.symbols.text(Symbol(value as u32)).to_owned()
            }
            Label::Source | Label::Reason => String::new(),
        }
    }

    /// The reverse of [`DimsTable::value_text`].
    pub fn value_of_text(&self, label: Label, text: &str) -> Option<u64> {
        match label {
            Label::Offer | Label::Affiliate | Label::Postback | Label::Event => text.parse().ok(),
            Label::Host | Label::DeliveryMethod | Label::PostbackLevel | Label::PostbackType => {
                self.symbols.find(text).map(|symbol| u64::from(symbol.0))
            }
            Label::Source | Label::Reason => None,
        }
    }

    fn intern(&mut self, dims: Dims) -> (DimsId, bool) {
        if let Some(&id) = self.ids.get(&dims) {
            return (id, false);
        }
        let id = DimsId(u32::try_from(self.rows.len()).expect("fewer than 4 billion rows"));
        self.ids.insert(dims, id);
        self.rows.push(dims);
        self.by_postback.entry(dims.postback).or_default().push(id);
        (id, true)
    }
}

impl Dims {
    /// The value of `label` as a number: an id, or a symbol's.
    pub fn value(&self, label: Label) -> u64 {
        match label {
            Label::Offer => self.offer,
            Label::Affiliate => self.affiliate,
            Label::Postback => self.postback,
            Label::Event => self.event,
            Label::Host => u64::from(self.host.0),
            Label::DeliveryMethod => u64::from(self.delivery_method.0),
            Label::PostbackLevel => u64::from(self.postback_level.0),
            Label::PostbackType => u64::from(self.postback_type.0),
            Label::Source | Label::Reason => 0,
        }
    }
}
