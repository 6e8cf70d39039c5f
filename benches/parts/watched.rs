//! The service that watches the network: the live turns, with a store or without.

use std::collections::BTreeMap;
use std::time::Duration;

use postwatch::domain::delivery::Row;
use postwatch::domain::policy::{Policy, Scope, SourcePolicy};
use postwatch::domain::rules::evaluate::{Evaluation, Moment, Verdict};
use postwatch::domain::rules::{Condition, Label, Level, Measure, Op, Rule, Severity, Threshold};
use postwatch::domain::state::{Changes, State};
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::{News, Tally, WholeSpan, turn};
use postwatch::domain::window::rule::RuleWindow;
use postwatch::source::Page;
use postwatch::store::Store;

use crate::network::{Mix, Network};

pub const SOURCE: &str = "acme";
pub const START: Timestamp = Timestamp(1_772_366_400);
const MINUTE: Duration = Duration::from_secs(60);
/// How far back the first look goes.
const LOOKBACK: Duration = Duration::from_secs(60 * 3600);
/// Rows of a page, at most.
pub const PAGE: u64 = 1_000;

/// Deliveries of so many groups, judged by so many rules.
pub struct Watched {
    pub policy: Policy,
    pub state: State,
    pub network: Network,
    pub now: Timestamp,
    store: Option<Box<dyn Store>>,
    read: u32,
}

impl Watched {
    /// Nothing was read yet. Without a store, nothing is kept.
    pub fn new(rules: u32, groups: u64, store: Option<Box<dyn Store>>) -> Watched {
        let policy = policy(rules);
        let (state, network) = (State::default(), Network::of(groups));
        let mut watched = Watched { policy, state, network, now: START, store, read: 0 };
        watched.tell(News::Started);
        watched
    }

    /// Every group had deliveries, one in fifty has a failing one.
    pub fn begin(rules: u32, groups: u64) -> Watched {
        let mut watched = Watched::new(rules, groups, None);
        watched.look_back(0);
        let page = watched.network.page(groups, Mix::Usual, watched.now);
        watched.whole(&page, MINUTE * 60);
        watched
    }

    /// The first look-back, in which so many deliveries failed.
    pub fn look_back(&mut self, failures: u64) {
        self.begin_read(false);
        for begin in (0..failures).step_by(PAGE as usize) {
            let age = LOOKBACK.mul_f64(1.0 - begin as f64 / failures as f64);
            let count = PAGE.min(failures - begin);
            let page = self.network.page(count, Mix::Failures, START - age);
            self.take(rows(&page));
        }
        self.end_read(WholeSpan::Lookback {
            to: self.now,
            successes_since: self.now - MINUTE * 60,
        });
    }

    /// A poll a minute later, that brings this page.
    pub fn poll(&mut self, page: &Page) {
        self.now = self.now + MINUTE;
        self.whole(page, Duration::from_secs(80));
    }

    /// What [`Watched::poll`] may bring.
    pub fn next_minute(&mut self, deliveries: u64) -> Page {
        self.network.page(deliveries, Mix::Usual, self.now + MINUTE)
    }

    /// A whole read of the time up to now.
    fn whole(&mut self, page: &Page, span: Duration) {
        self.begin_read(true);
        self.take(rows(page));
        let (from, to) = (self.now - span, self.now);
        self.end_read(WholeSpan::Recent { failures_from: from, successes_from: from, to });
    }

    pub fn begin_read(&mut self, counts: bool) {
        self.read += 1;
        let (read, at) = (self.read, self.now);
        self.tell(News::Began { source: SOURCE, read, at, counts });
    }

    /// A page of the read under way.
    pub fn take(&mut self, rows: Vec<Row<'_>>) -> Tally {
        let (changes, tally) = self.decide(rows);
        self.keep(&changes);
        tally
    }

    /// The same, but for the store.
    pub fn decide(&mut self, rows: Vec<Row<'_>>) -> (Changes, Tally) {
        let mut rows = rows.into_iter();
        let news = News::Rows { source: SOURCE, read: self.read, rows: &mut rows };
        turn(self.now, &self.policy, &mut self.state, news)
    }

    fn end_read(&mut self, span: WholeSpan) {
        let (source, read, scope) = (SOURCE, self.read, Scope::default().key());
        while self.tell(News::Count { source, scope, read, span }).uncounted > 0 {}
        let stopwatch = &|| Duration::ZERO;
        self.tell(News::Whole { source, scope, read, span, stopwatch });
    }

    fn tell(&mut self, news: News<'_>) -> Tally {
        let (changes, tally) = turn(self.now, &self.policy, &mut self.state, news);
        self.keep(&changes);
        tally
    }

    fn keep(&mut self, changes: &Changes) {
        if let Some(store) = self.store.as_mut().filter(|_| !changes.is_empty()) {
            store.commit(changes).expect("the disk has room");
        }
    }

    /// As rows do that touch every group of every rule.
    pub fn touch_everything(&mut self) {
        let source = self.state.sources.get_mut(SOURCE).expect("it is watched");
        let windows = source.windows.as_mut().expect("it was read");
        windows.rules.iter_mut().for_each(RuleWindow::touch_everything);
    }

    /// Judges every group that was touched; how many conditions hold.
    pub fn judge_touched(&mut self) -> usize {
        let source = self.state.sources.get_mut(SOURCE).expect("it is watched");
        let windows = source.windows.as_mut().expect("it was read");
        let mut held = 0;
        for place in 0..self.policy.rules.len() {
            let touched = windows.rules[place].take_touched(windows.at);
            let (policy, facts) = (&self.policy.sources[0], &source.facts);
            let moment = Moment { at: windows.at, policy, facts, windows };
            let (rule, window) = (&self.policy.rules[place], &windows.rules[place]);
            let evaluation = Evaluation::new(&moment, rule, window);
            for id in touched {
                let verdicts = evaluation.verdicts(window.at(id));
                held += usize::from(verdicts.contains(&Verdict::True));
            }
        }
        held
    }
}

/// The rows of a page, read.
pub fn rows(page: &Page) -> Vec<Row<'_>> {
    page.rows().map(|row| row.expect("every line is a row")).collect()
}

pub fn policy(rules: u32) -> Policy {
    Policy {
        sources: vec![SourcePolicy::named(SOURCE)],
        evaluate_every: Duration::from_secs(10),
        rules: (0..rules).map(rule).collect(),
        ..Policy::default()
    }
}

fn rule(number: u32) -> Rule {
    let at_least =
        |measure, number| Condition { measure, op: Op::Ge, threshold: Threshold::Number(number) };
    let level = |severity, failures, rate| Level {
        severity,
        conditions: vec![
            at_least(Measure::Failures, failures),
            at_least(Measure::FailureRate, rate),
        ],
    };
    Rule {
        name: format!("rule-{number}"),
        summary: None,
        matches: BTreeMap::new(),
        per: vec![Label::Affiliate, Label::Host, Label::Postback],
        over: MINUTE * (10 + number % 5),
        levels: vec![level(Severity::Warning, 10.0, 0.25), level(Severity::Critical, 30.0, 0.5)],
        hold_for: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        labels: BTreeMap::new(),
        runbook: None,
    }
}
