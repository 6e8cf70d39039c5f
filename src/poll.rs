//! What to ask the network for next, and whether its answer was whole.
//!
//! Failures are asked first, then successes: a delivery that flips in between
//! is in both answers, never in neither.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::domain::coverage::{Coverage, plan};
use crate::domain::policy::{Scope, SourcePolicy};
use crate::domain::recheck::AGES;
use crate::domain::time::Timestamp;
use crate::domain::turn::WholeSpan;
use crate::metrics::Metrics;
use crate::pipeline::{Message, View};
use crate::source::{ApiError, Ask, ReportApi, Status};

mod older;
mod trouble;
mod whole;

use trouble::{PollError, Troubles};
use whole::ExportHealth;

/// The list of postbacks must not hold up the polls.
const LIST_WITHIN: Duration = Duration::from_secs(15);

/// Clocks this far apart are worth a word.
const CLOCKS_APART: Duration = Duration::from_secs(120);

/// Reads one source for as long as it lives.
pub struct Poller<A> {
    pub api: A,
    pub source: SourcePolicy,
    pub view: View,
    pub keeper: mpsc::Sender<Message>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    reads: Arc<AtomicU32>,
    paces: HashMap<u64, Pace>,
    /// Questions whose last report was truncated: these go to the export at once.
    is_large: HashMap<(u64, Status, Extent), bool>,
    export: ExportHealth,
    warned_of_list: bool,
    warned_of_clock: bool,
}

/// When a scope's slower questions were last asked, in this process.
#[derive(Debug, Clone, Copy, Default)]
struct Pace {
    /// The end of the last read that reached back for late rows, and when it was.
    late_to: Option<Timestamp>,
    late_at: Option<Instant>,
    /// When older failures were last read again, by their age, and for how many
    /// intervals they may wait now.
    older_at: [Option<(Instant, u32)>; AGES.len()],
}

/// Which of a scope's questions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Extent {
    Recent,
    Gap,
    Older,
    /// A few moments of a part of the network: each is another question.
    Narrow,
}

impl<A: ReportApi> Poller<A> {
    /// `reads` numbers the reads of every poller: later ones have greater numbers,
    /// also those of a poller that takes another's place.
    pub fn new(
        api: A,
        source: SourcePolicy,
        view: View,
        keeper: mpsc::Sender<Message>,
        clock: Clock,
        metrics: Arc<Metrics>,
        reads: Arc<AtomicU32>,
    ) -> Poller<A> {
        Poller {
            api,
            source,
            view,
            keeper,
            clock,
            metrics,
            reads,
            paces: HashMap::new(),
            is_large: HashMap::new(),
            export: ExportHealth::default(),
            warned_of_list: false,
            warned_of_clock: false,
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
        let began_at = Instant::now();
        tokio::time::timeout(LIST_WITHIN, self.learn_time()).await.ok();
        let polled = self.poll_scopes(began_at).await;
        self.compare_clocks();
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

    /// Whatever the network answers bears its time, without which no span is certain.
    /// Where this machine's clock is wrong, several replies must agree.
    async fn learn_time(&self) {
        for _ in 0..3 {
            if self.api.time().is_some() {
                return;
            }
            if self.api.connect().await.is_err() {
                // Not every key may ask who it belongs to.
                let (now, scope) = (self.clock.now(), Scope::default());
                let ask = Ask { status: Status::Failure, from: now, to: now, scope };
                self.api.report(&ask).await.ok();
            }
        }
    }

    /// The present of every scope first, then what was missed, as far as the
    /// interval reaches: neither starves.
    async fn poll_scopes(&mut self, began_at: Instant) -> Result<(), PollError> {
        let (scopes, mut troubles) = (self.source.scopes.clone(), Troubles::default());
        for scope in &scopes {
            let asked = self.read_scope(scope).await;
            troubles.note(asked)?;
        }
        if troubles.count == scopes.len() {
            // Nothing is answered at the moment: what is slower has time.
            return troubles.end();
        }
        self.fill_gaps(began_at, &mut troubles).await?;
        for scope in &scopes {
            self.read_older(scope, &mut troubles).await?;
        }
        self.look_into_streaks(&mut troubles).await?;
        troubles.end()
    }

    async fn read_scope(&mut self, scope: &Scope) -> Result<(), PollError> {
        // After a failed commit there is no state until it was built anew: what
        // is not known now is not what was never read.
        if !self.view.state().sources.contains_key(&self.source.name) {
            return Err(PollError::Store("the store does not answer".to_owned()));
        }
        if self.coverage(scope).is_none_or(|coverage| coverage.front.is_none()) {
            self.look_back(scope).await?;
        }
        self.read_present(scope).await
    }

    /// The network's time, which its rows bear; the machine's where it never told.
    fn now(&self) -> Timestamp {
        self.api.time().unwrap_or_else(|| self.clock.now())
    }

    fn compare_clocks(&mut self) {
        let (ours, theirs) = (self.clock.now(), self.now());
        let apart = ours.since(theirs).max(theirs.since(ours));
        let is_wrong = apart > CLOCKS_APART;
        if is_wrong && !self.warned_of_clock {
            tracing::warn!(
                source = self.source.name,
                seconds = apart.as_secs(),
                "this machine's clock and the network's differ: spans follow the network's, messages this one's; synchronise this machine's clock"
            );
        }
        self.warned_of_clock = is_wrong;
    }

    fn pace(&mut self, scope: &Scope) -> &mut Pace {
        self.paces.entry(scope.key()).or_default()
    }

    /// Whether a slower question is to be asked again.
    fn is_due(&self, last: Option<Instant>, intervals: u32) -> bool {
        let every = self.source.poll_every * intervals;
        last.is_none_or(|last| self.clock.passed(last) >= every)
    }

    fn coverage(&self, scope: &Scope) -> Option<Coverage> {
        let state = self.view.state();
        state.sources.get(&self.source.name)?.facts.coverage.get(&scope.key()).cloned()
    }

    /// The first look-back reads failures only: what succeeded before the first
    /// start is not ours to count. A new scope of a known source looks back from where
    /// the others came to; what came since then is a gap like any other.
    async fn look_back(&mut self, scope: &Scope) -> Result<(), PollError> {
        let began_at = Instant::now();
        let (now, watermark) = (self.now(), self.watermark());
        let to = plan::lookback_end(now, watermark);
        let from = to - self.source.lookback;
        tracing::info!(source = self.source.name, %from, %to, "looking back");
        let read = self.begin_read(false).await?;
        self.is_large.insert((scope.key(), Status::Failure, Extent::Older), true);
        let ask = Ask { status: Status::Failure, from, to, scope: scope.clone() };
        self.read_whole(read, Extent::Older, ask).await?;
        let to = self.proven(to);
        let successes_since = self.successes_since(to);
        let span = WholeSpan::Lookback { to, successes_since };
        self.end_read(scope, read, span).await?;
        self.pace(scope).older_at = AGES.map(|(_, intervals)| Some((began_at, intervals)));
        Ok(())
    }

    fn watermark(&self) -> Option<Timestamp> {
        self.view.state().sources.get(&self.source.name)?.facts.watermark
    }

    /// A new source counts successes from where its windows begin; a new scope of
    /// a known source from here on, since others counted what came before.
    fn successes_since(&self, to: Timestamp) -> Timestamp {
        match self.watermark() {
            Some(at) => at,
            None => {
                // The first moment that is judged lies this far before `to`, and its
                // windows must be covered.
                let policy = self.view.policy();
                let behind = self.source.settle + policy.evaluate_every * 2;
                to - (policy.longest_window() + behind).min(self.source.lookback)
            }
        }
    }

    async fn read_present(&mut self, scope: &Scope) -> Result<(), PollError> {
        let Some(coverage) = self.coverage(scope) else { return Ok(()) };
        let Pace { late_to, late_at, .. } = *self.pace(scope);
        let (now, is_late_due) = (self.now(), self.is_due(late_at, plan::LATE_EVERY));
        let began_at = Instant::now();
        let present = plan::present(now, &self.source, &coverage, late_to, is_late_due);
        let Some((span, reaches_back)) = present else { return Ok(()) };
        self.read_span(scope, Extent::Recent, span).await?;
        if reaches_back {
            let pace = self.pace(scope);
            (pace.late_to, pace.late_at) = (Some(now), Some(began_at));
        }
        Ok(())
    }

    /// Fills the oldest gap of all scopes, part by part: one part at least, and as
    /// many as the interval holds. A scope whose part cannot be read waits for the
    /// next poll.
    async fn fill_gaps(
        &mut self,
        began_at: Instant,
        troubles: &mut Troubles,
    ) -> Result<(), PollError> {
        let mut scopes = self.source.scopes.clone();
        while let Some((scope, span)) = self.oldest_gap(&scopes) {
            tracing::debug!(source = self.source.name, ?span, "filling a gap");
            let asked = self.read_span(&scope, Extent::Gap, span).await;
            if asked.is_err() {
                scopes.retain(|other| *other != scope);
            } else if self.clock.passed(began_at) >= self.source.poll_every {
                break;
            }
            troubles.note(asked)?;
        }
        Ok(())
    }

    fn oldest_gap(&self, scopes: &[Scope]) -> Option<(Scope, WholeSpan)> {
        let behind = |scope: &Scope| {
            let coverage = self.coverage(scope)?;
            Some((coverage.front, scope.clone(), plan::oldest_gap(&self.source, &coverage)?))
        };
        let behind = scopes.iter().filter_map(behind);
        behind.min_by_key(|(front, _, _)| *front).map(|(_, scope, span)| (scope, span))
    }

    async fn read_span(
        &mut self,
        scope: &Scope,
        extent: Extent,
        span: WholeSpan,
    ) -> Result<(), PollError> {
        let WholeSpan::Recent { failures_from, successes_from, to } = span else { return Ok(()) };
        let read = self.begin_read(true).await?;
        // A second more than is counted: whether the network includes the ends is
        // not documented.
        let ask = |status, from: Timestamp| {
            let from = from - Duration::from_secs(1);
            Ask { status, from, to, scope: scope.clone() }
        };
        self.read_whole(read, extent, ask(Status::Failure, failures_from)).await?;
        // Successes that count from a later moment on are not this part's to read.
        if self.source.successes && successes_from <= to {
            self.read_whole(read, extent, ask(Status::Success, successes_from)).await?;
        }
        let to = self.proven(to);
        self.end_read(scope, read, WholeSpan::Recent { failures_from, successes_from, to }).await
    }

    /// A read proves nothing of what its own replies say is still to come.
    fn proven(&self, to: Timestamp) -> Timestamp {
        to.min(self.now())
    }

    async fn begin_read(&mut self, counts: bool) -> Result<u32, PollError> {
        let read = self.reads.fetch_add(1, Ordering::Relaxed) + 1;
        let (source, at) = (self.source.name.clone(), self.now());
        self.tell(Message::Began { source, read, at, counts }).await?;
        Ok(read)
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
                let of = postbacks.iter().map(|p| (p.id, p.click_parameters.clone())).collect();
                let source = source.clone();
                self.tell(Message::ClickParameters { source, of }).await.ok();
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
