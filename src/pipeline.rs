//! One task owns state and store: it takes news from the pollers and the
//! outbox, lets the domain decide, and makes it durable before anybody sees it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::clock::Clock;
use crate::domain::delivery::DeliveryText;
use crate::domain::delivery::{Identity, Row};
use crate::domain::outgoing::Outcome;
use crate::domain::policy::Policy;
use crate::domain::silence::{Refused, SilenceId, Wish};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::domain::turn::{News, Tally, WholeSpan, turn};
use crate::failpoint::{Step, reach};
use crate::metrics::Metrics;
use crate::source::Page;
use crate::store::{Store, StoreError};

mod house;
mod loading;
mod outbox;
mod reload;
mod silences;
#[cfg(test)]
mod tests;
mod view;

use house::House;
pub use outbox::DeadLetters;
pub use view::{InForce, StoreHealth, View};

/// Pages that may wait for the keeper: with more, the network is read slower.
const WAITING: usize = 2;

/// What the keeper is told. `Ok` on `done` means: it is on the disk.
pub enum Message {
    Began {
        source: String,
        read: u32,
        /// The network's time.
        at: Timestamp,
        counts: bool,
    },
    Page {
        source: String,
        read: u32,
        page: Page,
    },
    Whole {
        source: String,
        scope: u64,
        read: u32,
        span: WholeSpan,
        done: Done,
    },
    /// Answers when every page of the read so far was taken in.
    Taken {
        source: String,
        read: u32,
        done: Done,
    },
    Failed {
        source: String,
        trouble: String,
    },
    Postbacks {
        source: String,
        statuses: Option<Vec<(u64, bool)>>,
    },
    ClickParameters {
        source: String,
        of: Vec<(u64, Vec<String>)>,
    },
    /// A notice is about to be handed to its channel; `Err` where that cannot be
    /// kept, or where it was merged into another: then it must wait.
    Sending {
        number: u64,
        receiver: String,
        done: Done,
    },
    /// A dead letter, or all of them, are to be sent again.
    Resend {
        which: DeadLetters,
        done: oneshot::Sender<Result<Vec<u64>, String>>,
    },
    Settled {
        number: u64,
        outcome: Outcome,
        done: Done,
    },
    Read {
        wanted: Vec<(u64, Identity)>,
        texts: oneshot::Sender<Vec<Option<DeliveryText>>>,
    },
    /// The rules file changed. Where the answer is an error, nothing did.
    Reload {
        rules: InForce,
        adopt: Adopt,
        done: Done,
    },
    /// Somebody wants a silence, or wants it no more.
    Silence {
        wish: Wish,
        granted: Granted,
    },
    Tick,
    /// Commits nothing more; answers when the store is at rest.
    Stop {
        done: Done,
    },
}

pub type Done = oneshot::Sender<Result<(), String>>;

/// Gets the silence that a wish came to, why it was refused, or why the store did not
/// take it.
pub type Granted = oneshot::Sender<Result<Result<SilenceId, Refused>, String>>;

/// What changes together with the rules: called once they are durable, before
/// anybody sees the state that follows from them.
pub type Adopt = Box<dyn FnOnce() + Send>;

/// The owner of state and store.
pub struct Keeper<S> {
    store: S,
    view: View,
    policy: Arc<Policy>,
    clock: Clock,
    began: tokio::time::Instant,
    metrics: Arc<Metrics>,
    /// Wakes the outbox after a commit that it may care about.
    committed: Arc<Notify>,
    /// Unset after a failed commit, until the state was built anew.
    is_loaded: bool,
    /// Set when only a new process can go on: whoever waits for the keeper sees it
    /// end.
    is_over: bool,
    house: House,
}

impl<S: Store + 'static> Keeper<S> {
    /// Builds the state from what the store kept.
    pub fn open(
        store: S,
        rules: InForce,
        clock: Clock,
        metrics: Arc<Metrics>,
        committed: Arc<Notify>,
    ) -> Result<Keeper<S>, StoreError> {
        let policy = rules.policy.clone();
        let view = View::new(rules);
        let house = House::new(clock.now());
        let mut keeper = Keeper {
            store,
            view,
            policy,
            clock,
            began: tokio::time::Instant::now(),
            metrics,
            committed,
            is_loaded: false,
            is_over: false,
            house,
        };
        let store = [keeper.store.kind()];
        keeper.metrics.store_failed_commits.with_label_values(&store).inc_by(0);
        keeper.metrics.store_trouble.with_label_values(&store).set(0);
        match keeper.load() {
            // As later: said, waited out, and tried again with each message.
            Err(error @ StoreError::Unusable(_)) => {
                keeper.note_trouble(&error);
            }
            loaded => loaded?,
        }
        keeper.show_rules(None);
        Ok(keeper)
    }

    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Starts the keeper on a thread of its own: its commits block.
    pub fn start(mut self) -> mpsc::Sender<Message> {
        let (sender, mut receiver) = mpsc::channel(WAITING);
        std::thread::spawn(move || {
            while let Some(message) = receiver.blocking_recv() {
                if self.take(message).is_break() || self.is_over {
                    break;
                }
            }
        });
        sender
    }

    fn take(&mut self, message: Message) -> std::ops::ControlFlow<()> {
        match message {
            Message::Began { source, read, at, counts } => {
                self.turn(News::Began { source: &source, read, at, counts }).ok();
            }
            Message::Page { source, read, page } => self.take_page(&source, read, &page),
            Message::Whole { source, scope, read, span, done } => {
                done.send(self.end_read(&source, scope, read, span)).ok();
            }
            Message::Taken { source, read, done } => {
                done.send(self.is_under_way(&source, read)).ok();
            }
            Message::Failed { source, trouble } => {
                self.turn(News::Failed { source: &source, trouble }).ok();
            }
            Message::Postbacks { source, statuses } => {
                self.turn(News::Postbacks { source: &source, statuses: statuses.as_deref() }).ok();
            }
            Message::ClickParameters { source, of } => {
                self.turn(News::ClickParameters { source: &source, of: &of }).ok();
            }
            Message::Sending { number, receiver, done } => {
                done.send(self.begin_send(number, &receiver)).ok();
            }
            Message::Resend { which, done } => {
                done.send(self.send_again(which)).ok();
            }
            Message::Settled { number, outcome, done } => {
                let settled = self.turn(News::Settled { number, outcome });
                done.send(settled.map(|_| ())).ok();
            }
            Message::Read { wanted, texts } => {
                let found = self.store.read(&wanted).unwrap_or_else(|error| {
                    tracing::warn!(%error, "the texts of deliveries cannot be read");
                    vec![None; wanted.len()]
                });
                texts.send(found).ok();
            }
            Message::Reload { rules, adopt, done } => {
                done.send(self.reload(rules, adopt)).ok();
            }
            Message::Silence { wish, granted } => {
                granted.send(self.silence(&wish)).ok();
            }
            Message::Tick => self.tick(),
            Message::Stop { done } => {
                self.checkpoint();
                done.send(Ok(())).ok();
                return std::ops::ControlFlow::Break(());
            }
        }
        std::ops::ControlFlow::Continue(())
    }

    /// Commits a page under the old watermark; what cannot be read of it is
    /// counted and does not stop the rest.
    fn take_page(&mut self, source: &str, read: u32, page: &Page) {
        let mut rejected = 0u64;
        let mut first_error = None;
        let mut rows = page.rows().filter_map(|row| match row {
            Ok(row) => Some(row),
            Err(error) => {
                rejected += 1;
                first_error.get_or_insert(error);
                None
            }
        });
        let rows: &mut dyn Iterator<Item = Row<'_>> = &mut rows;
        let tally = self.turn(News::Rows { source, read, rows }).unwrap_or_default();
        let count = |kind: &str, by: u64| {
            self.metrics.poll_rows.with_label_values(&[source, kind]).inc_by(by);
        };
        count("new", tally.new);
        count("changed", tally.changed);
        count("repeated", tally.repeated);
        count("rejected", rejected);
        if let Some(error) = first_error {
            tracing::warn!(source, rejected, %error, "rows of the report cannot be read; the others are");
        }
    }

    fn end_read(
        &mut self,
        source: &str,
        scope: u64,
        read: u32,
        span: WholeSpan,
    ) -> Result<(), String> {
        self.is_under_way(source, read)?;
        while self.turn(News::Count { source, scope, read, span })?.uncounted > 0 {}
        let began = std::time::Instant::now();
        let stopwatch: &dyn Fn() -> Duration = &|| began.elapsed();
        let tally = self.turn(News::Whole { source, scope, read, span, stopwatch })?;
        for (rule, judged) in self.policy.rules.iter().zip(&tally.rules) {
            let labels = [rule.name.as_str()];
            let seconds = judged.took.as_secs_f64();
            self.metrics.rule_evaluation_seconds.with_label_values(&labels).observe(seconds);
            self.metrics.rule_unknown.with_label_values(&labels).inc_by(judged.unknown);
            let failed = judged.failed_templates;
            self.metrics.template_failures.with_label_values(&[labels[0], ""]).inc_by(failed);
        }
        Ok(())
    }

    /// A failed commit ends a read: not all of its pages are stored.
    fn is_under_way(&self, source: &str, read: u32) -> Result<(), String> {
        let state = self.view.state();
        let known = state.sources.get(source);
        match known.is_some_and(|source| source.reads.contains_key(&read)) {
            true => Ok(()),
            false => Err("a page of this read could not be stored".to_owned()),
        }
    }

    /// Decides, commits, and only then lets anybody see. After a failed commit
    /// the state is built anew from the store: memory never knows more than it.
    fn turn(&mut self, news: News<'_>) -> Result<Tally, String> {
        let policy = self.policy.clone();
        self.turn_under(&policy, news, || {})
    }

    /// A turn by these rules. What `adopt` does is seen together with its outcome.
    fn turn_under(
        &mut self,
        policy: &Policy,
        news: News<'_>,
        adopt: impl FnOnce(),
    ) -> Result<Tally, String> {
        if !self.is_loaded
            && let Err(error) = self.load()
        {
            return Err(self.note_trouble(&error));
        }
        let now = self.clock.now();
        let committed = {
            // Held over the commit: what is not durable yet is nobody's to see.
            let mut state = self.view.state_mut();
            let (changes, tally) = turn(now, policy, &mut state, news);
            if changes.is_empty() {
                adopt();
                return Ok(tally);
            }
            let timer = self.metrics.store_commit_seconds.with_label_values(&[self.store.kind()]);
            let _timer = timer.start_timer();
            reach(Step::TurnDecided);
            let committed = self.store.commit(&changes);
            match committed {
                Ok(()) => adopt(),
                // As in `lose_state`, before anybody else gets the lock.
                Err(_) => *state = State::default(),
            }
            committed.map(|()| tally)
        };
        match committed {
            Ok(tally) => {
                if !tally.alerts.is_empty() {
                    reach(Step::AlertCommitted);
                }
                self.count_messages(&tally);
                self.note_well();
                self.checkpoint_if_due();
                self.committed.notify_one();
                Ok(tally)
            }
            Err(error) => {
                self.is_loaded = false;
                Err(self.note_trouble(&error))
            }
        }
    }
}
