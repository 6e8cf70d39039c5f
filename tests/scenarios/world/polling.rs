//! What `poll` does, without a network in between: the same questions by the same
//! plan, and their pages.

use std::time::Duration;

use postwatch::domain::coverage::{Coverage, plan};
use postwatch::domain::delivery::Row;
use postwatch::domain::policy::Scope;
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::{News, WholeSpan};

use super::{SOURCE, World};

impl World {
    /// Polls every scope and the list of postbacks, as `poll` does.
    pub fn poll(&mut self) {
        if self.is_network_down {
            self.turn(News::Failed { source: SOURCE, trouble: "503".into() });
            return;
        }
        let Some(source) = self.policy.source(SOURCE) else { return };
        let scopes = source.scopes.clone();
        let is_whole = scopes.iter().all(|scope| self.poll_scope(scope));
        let list: Option<Vec<(u64, bool)>> =
            self.list.as_ref().map(|list| list.iter().map(|(&id, &is)| (id, is)).collect());
        self.turn(News::Postbacks { source: SOURCE, statuses: list.as_deref() });
        // The long overlap comes round again until it was read whole.
        self.polls += u64::from(is_whole);
    }

    fn poll_scope(&mut self, scope: &Scope) -> bool {
        if self.coverage(scope).front.is_none() && !self.look_back(scope) {
            return false;
        }
        let is_long = self.polls.is_multiple_of(5);
        let (now, long_to) = (Timestamp(self.now), self.long_to.map(Timestamp));
        let source = &self.policy.sources[0];
        let present = plan::present(now, source, &self.coverage(scope), long_to, is_long);
        let Some((span, reaches_back)) = present else { return false };
        if !self.read_span(scope, span) {
            return false;
        }
        if reaches_back {
            self.long_to = Some(self.now);
        }
        for _ in 0..self.parts {
            let gap = plan::oldest_gap(&self.policy.sources[0], &self.coverage(scope));
            let Some(span) = gap else { break };
            if !self.read_span(scope, span) {
                return false;
            }
        }
        !(self.polls + 1).is_multiple_of(5) || self.sweep(scope)
    }

    fn coverage(&self, scope: &Scope) -> Coverage {
        self.facts().coverage.get(&scope.key()).cloned().unwrap_or_default()
    }

    /// Reads what the report holds of a span.
    fn read_span(&mut self, scope: &Scope, span: WholeSpan) -> bool {
        let WholeSpan::Recent { failures_from, successes_from, to } = span else { return false };
        let mut rows = self.asked_until(scope, false, failures_from.0, to.0);
        if self.policy.sources[0].successes && successes_from <= to {
            rows.extend(self.asked_until(scope, true, successes_from.0, to.0));
        }
        self.read(scope, rows, span)
    }

    fn look_back(&mut self, scope: &Scope) -> bool {
        let lookback = self.policy.sources[0].lookback;
        let watermark = self.facts().watermark;
        let to = plan::lookback_end(Timestamp(self.now), watermark);
        let rows = self.asked_until(scope, false, (to - lookback).0, to.0);
        let since = match watermark {
            Some(at) => at,
            None => to - self.policy.longest_window().min(lookback),
        };
        self.read(scope, rows, WholeSpan::Lookback { to, successes_since: since })
    }

    /// Reads the whole look-back's failures again, and the successes of its failing.
    pub fn sweep(&mut self, scope: &Scope) -> bool {
        let from = self.now - self.policy.sources[0].lookback.as_secs() as i64;
        let mut rows = self.asked(scope, false, from);
        rows.extend(self.asked(scope, true, from));
        let (from, to) = (Timestamp(from), Timestamp(self.now));
        self.read(scope, rows, WholeSpan::Older { from, to })
    }

    /// The rows that the report answers with.
    pub fn asked(&self, scope: &Scope, is_success: bool, from: i64) -> Vec<Row<'static>> {
        self.asked_until(scope, is_success, from, self.now)
    }

    fn asked_until(
        &self,
        scope: &Scope,
        is_success: bool,
        from: i64,
        to: i64,
    ) -> Vec<Row<'static>> {
        let span = Timestamp(from)..=Timestamp(to);
        let is_asked = |row: &&Row<'static>| {
            row.is_success == is_success
                && span.contains(&row.timestamp)
                && scope.contains(row.offer, row.affiliate)
        };
        self.rows.values().filter(is_asked).cloned().collect()
    }

    /// One read in pages; `false` where one of them could not be stored.
    pub fn read(&mut self, scope: &Scope, mut rows: Vec<Row<'static>>, span: WholeSpan) -> bool {
        if let Some(chance) = &mut self.chance {
            let again = rows.iter().filter(|_| chance.u8(..8) == 0).cloned().collect::<Vec<_>>();
            rows.extend(again);
            chance.shuffle(&mut rows);
        }
        let read = self.begin_read();
        for page in rows.chunks(self.page) {
            self.page(read, page.to_vec());
        }
        self.end_read(scope, read, span)
    }

    pub fn begin_read(&mut self) -> u32 {
        self.last_read += 1;
        let at = Timestamp(self.now);
        self.turn(News::Began { source: SOURCE, read: self.last_read, at, counts: true });
        self.last_read
    }

    pub fn page(&mut self, read: u32, rows: Vec<Row<'static>>) -> bool {
        self.turn(News::Rows { source: SOURCE, read, rows: &mut rows.into_iter() })
    }

    pub fn end_read(&mut self, scope: &Scope, read: u32, span: WholeSpan) -> bool {
        let is_open = |world: &World| world.source().reads.contains_key(&read);
        let scope = scope.key();
        let is_counted = matches!(span, WholeSpan::Recent { .. });
        while is_counted && self.turn(News::Count { source: SOURCE, scope, read, span }) {
            if self.source().reads.get(&read).is_none_or(|open| open.clean.is_empty()) {
                break;
            }
        }
        // It is told even where a page could not be stored: that proves nothing then.
        let is_whole = is_open(self);
        self.turn(News::Whole { source: SOURCE, scope, read, span, stopwatch: &|| Duration::ZERO })
            && is_whole
    }
}
