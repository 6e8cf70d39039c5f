//! Older failures and what may have become of them.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Extent, PollError, Poller};
use crate::domain::policy::Scope;
use crate::domain::time::Timestamp;
use crate::domain::turn::WholeSpan;
use crate::source::{Ask, ReportApi, Status};

/// More ids than this are not narrowed to.
const MOST_FILTERS: usize = 50;

impl<A: ReportApi> Poller<A> {
    /// Older failures, for their retries and for rows that came very late; then
    /// the successes of the offers and affiliates that still have some.
    pub(super) async fn read_older(&mut self, scope: &Scope) -> Result<(), PollError> {
        let to = self.now();
        let from = to - self.source.lookback;
        let read = self.begin_read(false).await?;
        let failures = Ask { status: Status::Failure, from, to, scope: scope.clone() };
        self.read_whole(read, Extent::Older, failures).await?;
        let Some((from, narrowed)) = self.still_failing(scope) else {
            self.pace(scope).older_at = Some(to);
            return Ok(());
        };
        if self.source.successes {
            let successes = Ask { status: Status::Success, from, to, scope: narrowed };
            self.read_whole(read, Extent::Older, successes).await?;
        }
        self.end_read(scope, read, WholeSpan::Older { from, to }).await?;
        self.pace(scope).older_at = Some(to);
        Ok(())
    }

    /// From when on deliveries of the scope still fail, and the scope narrowed to
    /// their offers and affiliates.
    fn still_failing(&self, scope: &Scope) -> Option<(Timestamp, Scope)> {
        let state = self.view.state();
        let facts = &state.sources.get(&self.source.name)?.facts;
        let (mut offers, mut affiliates) = (BTreeSet::new(), BTreeSet::new());
        let mut oldest: Option<Timestamp> = None;
        for (_, slot) in facts.deliveries.open() {
            let delivery = facts.deliveries.get(slot);
            let dims = facts.dims.get(delivery.dims);
            if scope.contains(dims.offer, dims.affiliate) {
                offers.insert(dims.offer);
                affiliates.insert(dims.affiliate);
                let shown_at = delivery.newest.timestamp.min(delivery.timestamp);
                oldest = Some(oldest.map_or(shown_at, |oldest| oldest.min(shown_at)));
            }
        }
        let narrow = |all: &[u64], failing: BTreeSet<u64>| match failing.len() <= MOST_FILTERS {
            true => failing.into_iter().collect(),
            false => all.to_vec(),
        };
        let narrowed = Scope {
            offers: narrow(&scope.offers, offers),
            affiliates: narrow(&scope.affiliates, affiliates),
            ..scope.clone()
        };
        // One second earlier: the ends' inclusion is not documented.
        oldest.map(|oldest| (oldest - Duration::from_secs(1), narrowed))
    }
}
