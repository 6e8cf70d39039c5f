//! What judging costs: 100 rules over 10,000 groups all at once, and a turn that
//! brings 100 deliveries, among few groups and among many.
//!
//! `cargo bench` prints the times; the promise of ARCHITECTURE.md is 50 ms for the
//! first, and for the second that it follows the groups touched, not all groups.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use postwatch::domain::delivery::Row;
use postwatch::domain::policy::{Policy, Scope, SourcePolicy};
use postwatch::domain::rules::evaluate::{Evaluation, Moment, Verdict};
use postwatch::domain::rules::{Condition, Label, Level, Measure, Op, Rule, Severity, Threshold};
use postwatch::domain::state::State;
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::{News, WholeSpan, turn};
use postwatch::domain::window::rule::RuleWindow;

const SOURCE: &str = "acme";
const START: Timestamp = Timestamp(1_772_366_400);
const MINUTE: Duration = Duration::from_secs(60);
const RULES: u32 = 100;
const GROUPS: u64 = 10_000;
/// New deliveries in one turn.
const NEW: u64 = 100;

fn main() {
    divan::main();
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

/// A network with so many groups, and the service that watches it.
struct Watched {
    policy: Policy,
    state: State,
    groups: u64,
    now: Timestamp,
    fired: u64,
    read: u32,
}

impl Watched {
    /// Every group had deliveries, one in fifty has a failing one.
    fn begin(groups: u64) -> Watched {
        let policy = Policy {
            sources: vec![SourcePolicy::named(SOURCE)],
            evaluate_every: Duration::from_secs(10),
            rules: (0..RULES).map(rule).collect(),
            ..Policy::default()
        };
        let (state, now) = (State::default(), START);
        let mut watched = Watched { policy, state, groups, now, fired: 0, read: 0 };
        watched.tell(News::Started);
        let since = START - MINUTE * 60;
        let span = WholeSpan::Lookback { to: START, successes_since: since };
        watched.whole(0, span);
        let span = WholeSpan::Recent { failures_from: since, successes_from: since, to: START };
        watched.whole(groups, span);
        watched
    }

    fn tell(&mut self, news: News<'_>) -> u64 {
        turn(self.now, &self.policy, &mut self.state, news).1.uncounted
    }

    /// A whole read that brings so many deliveries, each of the next group.
    fn whole(&mut self, count: u64, span: WholeSpan) {
        self.read += 1;
        let (read, scope, at) = (self.read, Scope::default().key(), self.now);
        let counts = matches!(span, WholeSpan::Recent { .. });
        self.tell(News::Began { source: SOURCE, read, at, counts });
        let (fired, groups) = (self.fired, self.groups);
        let mut rows = (fired..fired + count).map(|number| row(number, number % groups, at));
        self.tell(News::Rows { source: SOURCE, read, rows: &mut rows });
        self.fired += count;
        while counts && self.tell(News::Count { source: SOURCE, scope, read, span }) > 0 {}
        let stopwatch = &|| Duration::ZERO;
        self.tell(News::Whole { source: SOURCE, scope, read, span, stopwatch });
    }

    /// A poll a minute later, that brings so many deliveries.
    fn poll(&mut self, count: u64) {
        let from = self.now - Duration::from_secs(20);
        self.now = self.now + MINUTE;
        let span = WholeSpan::Recent { failures_from: from, successes_from: from, to: self.now };
        self.whole(count, span);
    }

    /// As rows do that touch every group of every rule.
    fn touch_everything(&mut self) {
        let source = self.state.sources.get_mut(SOURCE).expect("it is watched");
        let windows = source.windows.as_mut().expect("it was read");
        windows.rules.iter_mut().for_each(RuleWindow::touch_everything);
    }

    /// Judges every group that was touched; how many conditions hold.
    fn judge_touched(&mut self) -> usize {
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

fn row(number: u64, group: u64, now: Timestamp) -> Row<'static> {
    let is_success = !number.is_multiple_of(50);
    let text = Cow::Borrowed;
    Row {
        offer: 11,
        offer_name: text(""),
        affiliate: group % 997,
        affiliate_name: text(""),
        postback: group,
        event: 0,
        conversion_id: format!("c{number}").into(),
        transaction_id: format!("t{number}").into(),
        timestamp: now - Duration::from_secs(30),
        last_attempt: if is_success { Timestamp(0) } else { now },
        failed_attempts: u32::from(!is_success),
        is_success,
        delivery_method: text("postback"),
        postback_level: text("specific"),
        postback_type: text("conversion"),
        postback_status: text("active"),
        payload: format!("https://h{}.example/p?cid={number}", group % 4_999).into(),
        debug_information: text(if is_success { "Status: 200" } else { "Status: 500" }),
    }
}

/// 100 rules, each over as many groups.
#[divan::bench(args = [100, GROUPS])]
fn every_group_of_100_rules(bencher: Bencher<'_, '_>, groups: u64) {
    let mut watched = Watched::begin(groups);
    watched.poll(groups);
    let judged = ItemsCount::new(u64::from(RULES) * groups);
    let watched = RefCell::new(watched);
    bencher
        .counter(judged)
        .with_inputs(|| watched.borrow_mut().touch_everything())
        .bench_local_values(|()| watched.borrow_mut().judge_touched());
}

/// A turn of six moments with 100 deliveries of 100 groups, among so many.
#[divan::bench(args = [100, 1_000, GROUPS])]
fn a_turn_with_100_deliveries(bencher: Bencher<'_, '_>, groups: u64) {
    let mut watched = Watched::begin(groups);
    // Until what the start brought has left the windows, and as much leaves as comes.
    for _ in 0..30 {
        watched.poll(NEW);
    }
    bencher.counter(ItemsCount::new(NEW)).bench_local(|| watched.poll(NEW));
}
