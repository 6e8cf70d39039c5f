//! What to ask the network for next, and whether its answer was whole.
//!
//! Failures are asked first, then successes: a delivery that flips in between
//! is in both answers, never in neither.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::clock::Clock;
use crate::domain::policy::{Policy, Scope, SourcePolicy};
use crate::domain::time::Timestamp;
use crate::domain::turn::WholeSpan;
use crate::metrics::Metrics;
use crate::pipeline::{Message, View};
use crate::source::{ApiError, Ask, ReportApi, Status};

mod whole;

/// Every poll reads this much again, beyond `settle`: which ends the network
/// includes, and how late its rows are, is not documented.
const OVERLAP: Duration = Duration::from_secs(60);

/// Rows may come late by the delay of their postback, at most five minutes.
const LATEST_DELAY: Duration = Duration::from_secs(10 * 60);

/// Every so many intervals older failures are read again, for their retries.
const POLLS_PER_SWEEP: u32 = 5;

/// More ids than this are not narrowed to.
const MOST_FILTERS: usize = 50;

/// The list of postbacks must not hold up the polls.
const LIST_WITHIN: Duration = Duration::from_secs(15);

/// Reads one source for as long as it lives.
pub struct Poller<A> {
    pub api: A,
    pub source: SourcePolicy,
    pub policy: Arc<Policy>,
    pub view: View,
    pub keeper: mpsc::Sender<Message>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    last_read: u32,
    paces: HashMap<u64, Pace>,
    /// Questions whose last report was truncated: these go to the export at once.
    is_large: HashMap<(u64, Status, Extent), bool>,
    warned_of_list: bool,
}

/// When a scope's slower questions were last answered whole, in this process.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// The end of the last read that reached back for late rows.
    late_to: Option<Timestamp>,
    /// When older failures were last read again.
    older_at: Option<Timestamp>,
}

/// Which of a scope's questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Extent {
    Recent,
    Older,
}

/// Why a poll was not whole.
#[derive(Debug, thiserror::Error)]
enum PollError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("what was read could not be stored: {0}")]
    Store(String),
    #[error("the service is stopping")]
    Stopping,
}

impl PollError {
    /// The value of the metric's label `outcome`.
    fn outcome(&self) -> &'static str {
        match self {
            PollError::Api(ApiError::Refused { .. }) => "refused",
            PollError::Api(ApiError::Rejected { .. }) => "rejected",
            PollError::Api(ApiError::Unavailable { .. }) => "unavailable",
            PollError::Api(ApiError::Incomplete { .. }) => "incomplete",
            PollError::Store(_) => "store",
            PollError::Stopping => "stopping",
        }
    }
}

impl<A: ReportApi> Poller<A> {
    pub fn new(
        api: A,
        source: SourcePolicy,
        policy: Arc<Policy>,
        view: View,
        keeper: mpsc::Sender<Message>,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Poller<A> {
        Poller {
            api,
            source,
            policy,
            view,
            keeper,
            clock,
            metrics,
            last_read: 0,
            paces: HashMap::new(),
            is_large: HashMap::new(),
            warned_of_list: false,
        }
    }

    /// Polls at every interval until the service stops.
    pub async fn run(mut self) {
        loop {
            let began_at = self.clock.now();
            if self.poll().await.is_break() {
                return;
            }
            let took = self.clock.now().since(began_at);
            self.clock.sleep(self.source.poll_every.saturating_sub(took)).await;
        }
    }

    async fn poll(&mut self) -> std::ops::ControlFlow<()> {
        let began_at = tokio::time::Instant::now();
        let polled = self.poll_scopes().await;
        self.poll_postbacks().await;
        let outcome = match &polled {
            Ok(()) => "whole",
            Err(PollError::Stopping) => return std::ops::ControlFlow::Break(()),
            Err(error) => error.outcome(),
        };
        let source = self.source.name.as_str();
        self.metrics.polls.with_label_values(&[source, outcome]).inc();
        let seconds = began_at.elapsed().as_secs_f64();
        self.metrics.poll_seconds.with_label_values(&[source, outcome]).observe(seconds);
        if let Err(error) = polled {
            tracing::warn!(source, %error, "this poll was not whole; its span is asked for again");
            let failed = Message::Failed { source: source.to_owned(), trouble: error.to_string() };
            self.keeper.send(failed).await.ok();
        }
        std::ops::ControlFlow::Continue(())
    }

    async fn poll_scopes(&mut self) -> Result<(), PollError> {
        for scope in self.source.scopes.clone() {
            // After a failed commit there is no state until it was built anew: what
            // is not known now is not what was never read.
            if !self.view.state().sources.contains_key(&self.source.name) {
                return Err(PollError::Store("the store does not answer".to_owned()));
            }
            let front = self.coverage(&scope).and_then(|(_, front)| front);
            if front.is_none() {
                self.look_back(&scope).await?;
            }
            self.read_recent(&scope).await?;
            let older_at = self.pace(&scope).older_at;
            if self.is_due(older_at) {
                self.read_older(&scope).await?;
            }
        }
        Ok(())
    }

    fn pace(&mut self, scope: &Scope) -> &mut Pace {
        self.paces.entry(scope.key()).or_default()
    }

    /// Whether a slower question is to be asked again. A poll that failed leaves
    /// it due.
    fn is_due(&self, last: Option<Timestamp>) -> bool {
        let every = self.source.poll_every * POLLS_PER_SWEEP;
        last.is_none_or(|last| self.clock.now() >= last + every || self.clock.now() < last)
    }

    /// `(successes counted since, front)`.
    fn coverage(&self, scope: &Scope) -> Option<(Timestamp, Option<Timestamp>)> {
        let state = self.view.state();
        let coverage = state.sources.get(&self.source.name)?.facts.coverage.get(&scope.key())?;
        Some((coverage.since, coverage.front))
    }

    /// The first look-back reads failures only: what succeeded before the first
    /// start is not ours to count.
    async fn look_back(&mut self, scope: &Scope) -> Result<(), PollError> {
        let to = self.clock.now();
        let from = to - self.source.lookback;
        tracing::info!(source = self.source.name, %from, %to, "looking back");
        let read = self.begin_read(false).await?;
        self.is_large.insert((scope.key(), Status::Failure, Extent::Older), true);
        let ask = Ask { status: Status::Failure, from, to, scope: scope.clone() };
        self.read_whole(read, Extent::Older, ask).await?;
        let successes_since = self.successes_since(to);
        let span = WholeSpan::Lookback { to, successes_since };
        self.end_read(scope, read, span).await?;
        self.pace(scope).older_at = Some(to);
        Ok(())
    }

    /// A new source counts successes from where its windows begin; a new scope of
    /// a known source from here on, since others counted what came before.
    fn successes_since(&self, to: Timestamp) -> Timestamp {
        let state = self.view.state();
        let watermark = state.sources.get(&self.source.name).and_then(|s| s.facts.watermark);
        match watermark {
            Some(at) => at,
            None => {
                // The first moment that is judged lies this far before `to`, and its
                // windows must be covered.
                let behind = self.source.settle + self.policy.evaluate_every * 2;
                to - (self.policy.longest_window() + behind).min(self.source.lookback)
            }
        }
    }

    async fn read_recent(&mut self, scope: &Scope) -> Result<(), PollError> {
        let Some((since, Some(front))) = self.coverage(scope) else { return Ok(()) };
        let now = self.clock.now();
        let late_to = self.pace(scope).late_to;
        let is_late_due = self.is_due(late_to);
        // A wall clock that was set back: the front is ahead of it, the rows are not.
        let (behind, to) = (front.min(now), front.max(now));
        let failures_from = match is_late_due {
            true => late_to.unwrap_or(behind).min(behind) - LATEST_DELAY,
            false => behind - self.source.settle - OVERLAP,
        };
        let are_read = self.are_successes_read(scope);
        let successes_from = if are_read { failures_from.max(since) } else { since };
        let read = self.begin_read(true).await?;
        // A second more than is counted: whether the network includes the ends is
        // not documented.
        let ask = |status, from: Timestamp| {
            let from = from - Duration::from_secs(1);
            Ask { status, from, to, scope: scope.clone() }
        };
        self.read_whole(read, Extent::Recent, ask(Status::Failure, failures_from)).await?;
        if self.source.successes {
            self.read_whole(read, Extent::Recent, ask(Status::Success, successes_from)).await?;
        }
        let span = WholeSpan::Recent { failures_from, successes_from, to };
        self.end_read(scope, read, span).await?;
        if is_late_due {
            self.pace(scope).late_to = Some(to);
        }
        Ok(())
    }

    fn are_successes_read(&self, scope: &Scope) -> bool {
        let state = self.view.state();
        let facts = state.sources.get(&self.source.name).map(|source| &source.facts);
        facts
            .and_then(|facts| facts.coverage.get(&scope.key()))
            .is_some_and(|coverage| coverage.are_successes_read)
    }

    /// Older failures, for their retries and for rows that came very late; then
    /// the successes of the offers and affiliates that still have some.
    async fn read_older(&mut self, scope: &Scope) -> Result<(), PollError> {
        let to = self.clock.now();
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

    async fn begin_read(&mut self, counts: bool) -> Result<u32, PollError> {
        self.last_read += 1;
        let source = self.source.name.clone();
        self.tell(Message::Began { source, read: self.last_read, counts }).await?;
        Ok(self.last_read)
    }

    async fn end_read(
        &mut self,
        scope: &Scope,
        read: u32,
        span: WholeSpan,
    ) -> Result<(), PollError> {
        let (done, answer) = oneshot::channel();
        let source = self.source.name.clone();
        self.tell(Message::Whole { source, scope: scope.key(), read, span, done }).await?;
        answer.await.map_err(|_| PollError::Stopping)?.map_err(PollError::Store)
    }

    async fn tell(&self, message: Message) -> Result<(), PollError> {
        self.keeper.send(message).await.map_err(|_| PollError::Stopping)
    }

    /// Which postbacks are active: a switched-off one has no rows to tell it.
    async fn poll_postbacks(&mut self) {
        let source = self.source.name.clone();
        let listed = tokio::time::timeout(LIST_WITHIN, self.api.postbacks()).await;
        let listed = listed.unwrap_or_else(|_| {
            Err(ApiError::Unavailable { message: "it did not come in time".to_owned() })
        });
        let statuses = match listed {
            Ok(postbacks) => {
                self.warned_of_list = false;
                Some(postbacks.into_iter().map(|p| (p.id, p.is_active)).collect())
            }
            Err(error) => {
                if !self.warned_of_list {
                    tracing::warn!(source, %error, "the list of postbacks cannot be read; whether they are active is taken from the report's rows");
                }
                self.warned_of_list = true;
                None
            }
        };
        self.tell(Message::Postbacks { source, statuses }).await.ok();
    }
}
