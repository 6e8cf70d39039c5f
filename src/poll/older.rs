//! Older failures and what became of them, and the past of streaks.

use tokio::time::Instant;

use super::{Extent, PollError, Poller};
use crate::domain::coverage::Span;
use crate::domain::policy::Scope;
use crate::domain::recheck::{self, AGES, Look, Question};
use crate::domain::turn::WholeSpan;
use crate::pipeline::Message;
use crate::source::{Ask, ReportApi, Status};

impl<A: ReportApi> Poller<A> {
    /// Older failures, for their retries and for rows that came very late, the
    /// young ones often and the old ones now and then; then the successes that
    /// those which are gone may have turned into.
    pub(super) async fn read_older(&mut self, scope: &Scope) -> Result<(), PollError> {
        for (age, (_, intervals)) in AGES.iter().enumerate() {
            let last = self.pace(scope).older_at[age];
            if self.is_due(last, *intervals) {
                let (began_at, now) = (Instant::now(), self.now());
                let span = recheck::age_span(now, self.source.lookback, age);
                if span.from < span.to {
                    self.read_age(scope, span).await?;
                }
                self.pace(scope).older_at[age] = Some(began_at);
            }
        }
        Ok(())
    }

    async fn read_age(&mut self, scope: &Scope, span: Span) -> Result<(), PollError> {
        let Span { from, to } = span;
        let read = self.begin_read(false).await?;
        let failures = Ask { status: Status::Failure, from, to, scope: scope.clone() };
        self.read_whole(read, Extent::Older, failures).await?;
        if self.source.successes {
            self.taken(read).await?;
            for question in self.proofs(scope, read, span) {
                self.read_whole(read, Extent::Narrow, successes(question)).await?;
            }
        }
        self.end_read(scope, read, WholeSpan::Older { from, to }).await
    }

    fn proofs(&self, scope: &Scope, read: u32, span: Span) -> Vec<Question> {
        let state = self.view.state();
        let source = state.sources.get(&self.source.name);
        source.map(|source| recheck::proofs(source, scope, read, span)).unwrap_or_default()
    }

    /// Successes from before what was read, where they decide a streak.
    pub(super) async fn look_into_streaks(&mut self) -> Result<(), PollError> {
        for Look { postback, question } in self.looks() {
            let from = question.span.from;
            let scope = question.scope.clone();
            let read = self.begin_read(false).await?;
            self.read_whole(read, Extent::Narrow, successes(question)).await?;
            self.end_read(&scope, read, WholeSpan::Back { postback, from }).await?;
        }
        Ok(())
    }

    fn looks(&self) -> Vec<Look> {
        let state = self.view.state();
        let source = state.sources.get(&self.source.name);
        let looks = source.map(|known| recheck::looks(&self.policy, &self.source, known));
        looks.unwrap_or_default()
    }

    /// Waits until what was read so far is in the state.
    async fn taken(&self, read: u32) -> Result<(), PollError> {
        let (done, answer) = tokio::sync::oneshot::channel();
        let source = self.source.name.clone();
        self.tell(Message::Taken { source, read, done }).await?;
        answer.await.map_err(|_| PollError::Stopping)?.map_err(PollError::Store)
    }
}

fn successes(question: Question) -> Ask {
    let Question { span, scope } = question;
    Ask { status: Status::Success, from: span.from, to: span.to, scope }
}
