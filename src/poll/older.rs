//! Older failures and what became of them, and the past of streaks.

use tokio::time::Instant;

use super::{Extent, PollError, Poller, Troubles};
use crate::domain::coverage::Span;
use crate::domain::policy::Scope;
use crate::domain::recheck::{self, AGES, Look, Question};
use crate::domain::turn::WholeSpan;
use crate::pipeline::Message;
use crate::source::{Ask, ReportApi, Status};

/// What could not be read is asked for so many times sooner than what was.
const SOONER: u32 = 5;

impl<A: ReportApi> Poller<A> {
    /// Older failures, for their retries and for rows that came very late, the
    /// young ones often and the old ones now and then; then the successes that
    /// those which are gone may have turned into.
    ///
    /// # Errors
    /// Those that end the poll; the others are noted, and asked for sooner.
    pub(super) async fn read_older(
        &mut self,
        scope: &Scope,
        troubles: &mut Troubles,
    ) -> Result<(), PollError> {
        for (age, (_, intervals)) in AGES.into_iter().enumerate() {
            let last = self.pace(scope).older_at[age];
            if last.is_some_and(|(at, wait)| !self.is_due(Some(at), wait)) {
                continue;
            }
            let (began_at, now) = (Instant::now(), self.now());
            let span = recheck::age_span(now, self.source.lookback, age);
            let asked = match span.from < span.to {
                true => self.read_age(scope, span).await,
                false => Ok(()),
            };
            let wait = if asked.is_ok() { intervals } else { intervals / SOONER };
            self.pace(scope).older_at[age] = Some((began_at, wait));
            troubles.note(asked)?;
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
    ///
    /// # Errors
    /// Those that end the poll; the others are noted.
    pub(super) async fn look_into_streaks(
        &mut self,
        troubles: &mut Troubles,
    ) -> Result<(), PollError> {
        for look in self.looks() {
            let asked = self.look_into(look).await;
            troubles.note(asked)?;
        }
        Ok(())
    }

    async fn look_into(&mut self, look: Look) -> Result<(), PollError> {
        let Look { postback, question } = look;
        let from = question.span.from;
        let scope = question.scope.clone();
        let read = self.begin_read(false).await?;
        self.read_whole(read, Extent::Narrow, successes(question)).await?;
        self.end_read(&scope, read, WholeSpan::Back { postback, from }).await
    }

    fn looks(&self) -> Vec<Look> {
        let state = self.view.state();
        let policy = self.view.policy();
        let source = state.sources.get(&self.source.name);
        let looks = source.map(|known| recheck::looks(&policy, &self.source, known));
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
