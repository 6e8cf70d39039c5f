//! One page of a read, row by row. Nearly all rows are repeats: they are recognised
//! before anything is made of them.

use super::Tally;
use crate::domain::deliveries::Slot;
use crate::domain::delivery::{DeliveryText, Fold, Identity, Row};
use crate::domain::dims::DimsId;
use crate::domain::facts::Entry;
use crate::domain::ingest::{self, Reading, Sighting};
use crate::domain::state::{Changes, Record, SourceState};

/// Takes in a page of one source.
pub(super) struct PageReader<'a> {
    pub reading: Reading<'a>,
    /// The number of the read that the page is of.
    pub read: u32,
    pub source: &'a mut SourceState,
    pub changes: &'a mut Changes,
    pub tally: &'a mut Tally,
}

impl PageReader<'_> {
    pub(super) fn take_in<'r>(&mut self, rows: &mut dyn Iterator<Item = Row<'r>>) {
        let source = self.reading.policy.name.as_str();
        let mut others: Vec<(Identity, Row<'r>)> = Vec::new();
        for row in rows {
            let identity = Identity::of(source, &row);
            match self.is_repeat(identity, &row) {
                true => self.tally.repeated += 1,
                false => others.push((identity, row)),
            }
        }
        // In the order in which they happened: what is first shown together tells
        // the first reason, and an earlier episode before a later one. Their places are
        // sorted: rows are large.
        let mut order: Vec<(Fold, usize)> =
            others.iter().enumerate().map(|(place, (_, row))| (Fold::of(row), place)).collect();
        order.sort_unstable();
        for (_, place) in order {
            let (identity, row) = &others[place];
            self.take_in_row(*identity, row);
        }
    }

    /// Whether the row shows its delivery just as it is known; notes that it did.
    fn is_repeat(&mut self, identity: Identity, row: &Row<'_>) -> bool {
        let facts = &mut self.source.facts;
        let Some(slot) = facts.deliveries.find(identity) else { return false };
        let known = facts.deliveries.get(slot);
        let is_as_known = known.newest == Fold::of(row) && !known.has_vanished();
        if !is_as_known
            || !facts.offer_names.knows(row.offer, &row.offer_name)
            || !facts.affiliate_names.knows(row.affiliate, &row.affiliate_name)
        {
            return false;
        }
        facts.deliveries.saw(slot, self.read);
        self.note_status(row);
        true
    }

    fn take_in_row(&mut self, identity: Identity, row: &Row<'_>) {
        let known = self.source.facts.deliveries.find(identity);
        if known.is_none() && self.is_old(row) {
            self.tally.repeated += 1;
            return;
        }
        let dims = self.learn_labels(row);
        self.learn_names(row);
        self.note_status(row);
        self.source.shows_attempts |= known.is_some_and(|known| self.is_earlier(known, row));
        match ingest::reconcile(self.reading, &self.source.facts, identity, dims, row) {
            Sighting::Repeat => self.tally.repeated += 1,
            Sighting::CleanSuccess => {
                self.tally.repeated += 1;
                if let Some(open) = self.source.reads.get_mut(&self.read) {
                    open.note_success(row, identity, dims);
                }
            }
            Sighting::New(delivery) => {
                self.tally.new += 1;
                self.changes.texts.push(DeliveryText::of(identity, row));
                self.record(Entry::Delivery(delivery));
            }
            Sighting::Changed(delivery) => {
                self.tally.changed += 1;
                self.record(Entry::Delivery(delivery));
            }
        }
        if let Some(slot) = self.source.facts.deliveries.find(identity) {
            self.source.facts.deliveries.saw(slot, self.read);
        }
    }

    /// Older than what is followed: not found in the index, it would count anew.
    fn is_old(&self, row: &Row<'_>) -> bool {
        let watermark = self.source.facts.watermark;
        watermark.is_some_and(|at| row.timestamp <= at - self.reading.policy.lookback)
    }

    fn learn_labels(&mut self, row: &Row<'_>) -> DimsId {
        let facts = &mut self.source.facts;
        let parameters = facts.click_parameters.get(&row.postback);
        let (id, is_new) = facts.dims.of_row(row, parameters.map_or(&[][..], Vec::as_slice));
        if is_new {
            let (source, dims) = (self.reading.policy.name.clone(), facts.dims.record(id));
            self.changes.records.push(Record::Dims { source, id, dims });
        }
        id
    }

    fn record(&mut self, entry: Entry) {
        self.source.apply(&entry);
        self.changes.record(&self.reading.policy.name, entry);
    }

    fn learn_names(&mut self, row: &Row<'_>) {
        let facts = &mut self.source.facts;
        let source = || self.reading.policy.name.clone();
        if let Some(name) = facts.offer_names.learn(row.offer, &row.offer_name) {
            let record = Record::OfferName { source: source(), id: row.offer, name };
            self.changes.records.push(record);
        }
        if let Some(name) = facts.affiliate_names.learn(row.affiliate, &row.affiliate_name) {
            let record = Record::AffiliateName { source: source(), id: row.affiliate, name };
            self.changes.records.push(record);
        }
    }

    fn note_status(&mut self, row: &Row<'_>) {
        let is_active = match row.postback_status.as_ref() {
            "" => return,
            status => status == "active",
        };
        let told_at = Fold::of(row).tried_at();
        let newest = self.source.row_status.entry(row.postback).or_insert((told_at, is_active));
        if told_at >= newest.0 {
            *newest = (told_at, is_active);
        }
    }

    /// Whether a failing row stands beside another row of its delivery: the network shows
    /// a row for each attempt. Within one read failures come before successes, and one
    /// row that changes is shown once or never goes back.
    fn is_earlier(&self, known: Slot, row: &Row<'_>) -> bool {
        let deliveries = &self.source.facts.deliveries;
        let newest = deliveries.get(known).newest;
        !row.is_success
            && Fold::of(row) < newest
            && !newest.opens_episode_after(&Fold::of(row))
            && (newest.is_success || deliveries.was_seen(known, self.read))
    }
}
