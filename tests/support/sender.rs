//! The sender as the service has it, before a real pipeline and a store on disk,
//! on a clock as fast as a test wants. The test is the network: it feeds rows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use postwatch::channel::{Channel, Link};
use postwatch::clock::Clock;
use postwatch::domain::policy::{Policy, Route, Scope, SourcePolicy};
use postwatch::domain::rules::{Condition, Label, Level, Measure, Op, Rule, Severity, Threshold};
use postwatch::domain::state::State;
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::WholeSpan;
use postwatch::metrics::Metrics;
use postwatch::outbox::Outbox;
use postwatch::pipeline::{DeadLetters, InForce, Keeper, Message, View};
use postwatch::source::Page;
use postwatch::store::sled::SledStore;
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub const SOURCE: &str = "acme";

/// A poll reads so much of the network's time.
const POLL: Duration = Duration::from_secs(60);

/// The running sender; [`Sender::stop`] ends it.
pub struct Sender {
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    view: View,
    keeper: mpsc::Sender<Message>,
    stop: watch::Sender<bool>,
    outbox: JoinHandle<()>,
    read: u32,
    /// Up to where the network was read. Its time lies in the past of the machine's,
    /// so that nothing ends in the future of a real server, however fast our clock is.
    read_to: Timestamp,
    failed_at: BTreeMap<Place, Timestamp>,
    _folder: tempfile::TempDir,
}

/// An alert for each offer of each affiliate that has a failing delivery.
pub fn failing() -> Rule {
    let open = Condition { measure: Measure::Open, op: Op::Ge, threshold: Threshold::Number(1.0) };
    Rule {
        name: "failing".to_owned(),
        summary: Some("{{ affiliate }} fails for {{ offer }}".to_owned()),
        matches: BTreeMap::new(),
        per: vec![Label::Affiliate, Label::Offer],
        over: Duration::from_secs(600),
        levels: vec![Level { severity: Severity::Critical, conditions: vec![open] }],
        hold_for: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        labels: BTreeMap::new(),
        runbook: None,
    }
}

/// An affiliate and an offer: one delivery, one alert.
pub type Place = (u64, u64);

/// The delivery of a place, which failed once.
fn row((affiliate, offer): Place, at: Timestamp, cured_at: Option<Timestamp>) -> Value {
    let answer = if cured_at.is_some() { "Status: 200" } else { "Status: 503" };
    let names = json!({
        "offer": {"name": format!("Offer {offer}")},
        "affiliate": {"name": format!("Partner {affiliate}")},
    });
    json!({
        "network_offer_id": offer,
        "affiliate_id": affiliate,
        "pixel_id": affiliate * 10_000 + offer,
        "conversion_id": format!("c-{affiliate}-{offer}"),
        "transaction_id": format!("t-{affiliate}-{offer}"),
        "timestamp": at.0,
        "last_attempt": cured_at.unwrap_or(at).0,
        "failed_attempts": 1,
        "is_success": cured_at.is_some(),
        "delivery_method": "postback",
        "pixel_level": "specific",
        "pixel_type": "conversion",
        "pixel_status": "active",
        "payload": format!("https://trk.hosting.example/p?click_id={offer}"),
        "debug_information": answer,
        "relationship": names,
    })
}

impl Sender {
    /// A source that was calm so far, and who is told of it by these routes.
    pub async fn start(
        rule: Rule,
        routes: Vec<Route>,
        channels: BTreeMap<String, Channel>,
        speed: f64,
    ) -> Sender {
        let policy = Policy {
            sources: vec![SourcePolicy::named(SOURCE)],
            evaluate_every: Duration::from_secs(10),
            rules: vec![rule],
            routes,
            ..Policy::default()
        };
        let now = Timestamp(jiff::Timestamp::now().as_second());
        let clock = Clock::scaled(now, speed);
        let folder = tempfile::tempdir().expect("a folder for the test");
        let store = SledStore::open(folder.path()).expect("the folder is ours");
        let (metrics, committed) = (Metrics::new(), Arc::default());
        let rules = InForce { policy: Arc::new(policy), hash: 1 };
        let keeper = Keeper::open(store, rules, clock, metrics.clone(), Arc::clone(&committed))
            .expect("a new store opens");
        let view = keeper.view();
        let keeper = keeper.start();
        let (stop, stopping) = watch::channel(false);
        let (_, channels) = watch::channel(Arc::new(channels));
        let outbox = Outbox {
            view: view.clone(),
            keeper: keeper.clone(),
            channels,
            link: Link::of(None),
            clock,
            metrics: metrics.clone(),
            committed,
        };
        let outbox = tokio::spawn(outbox.run(stopping));
        tokio::spawn(tick(keeper.clone(), clock));
        let read_to = Timestamp((now.0 - 3 * 3600) / 60 * 60);
        let mut sender = Sender {
            clock,
            metrics,
            view,
            keeper,
            stop,
            outbox,
            read: 0,
            read_to,
            failed_at: BTreeMap::new(),
            _folder: folder,
        };
        let to = sender.read_to;
        sender.read(&[], WholeSpan::Lookback { to, successes_since: to }).await;
        sender.poll(&[]).await;
        sender
    }

    /// A poll that shows a failing delivery at each place, spread over its minute.
    pub async fn fail(&mut self, places: impl IntoIterator<Item = Place>) {
        let from = self.read_to;
        let places: Vec<Place> = places.into_iter().collect();
        let rows = places.iter().enumerate().map(|(index, &place)| {
            // Not in the last seconds, which count as not settled yet.
            let at = from + Duration::from_secs(index as u64 % 40);
            self.failed_at.insert(place, at);
            row(place, at, None)
        });
        let rows: Vec<Value> = rows.collect();
        self.poll(&rows).await;
    }

    /// A poll that shows them delivered after all.
    pub async fn cure(&mut self, places: impl IntoIterator<Item = Place>) {
        let cured_at = Some(self.read_to + Duration::from_secs(1));
        let rows = places.into_iter().map(|place| row(place, self.failed_at[&place], cured_at));
        let rows: Vec<Value> = rows.collect();
        self.poll(&rows).await;
    }

    /// One poll: a minute of the network's time, and the rows that it shows.
    async fn poll(&mut self, rows: &[Value]) {
        let overlap = self.read_to - Duration::from_secs(80);
        let to = self.read_to + POLL;
        self.read_to = to;
        let span = WholeSpan::Recent { failures_from: overlap, successes_from: overlap, to };
        self.read(rows, span).await;
    }

    async fn read(&mut self, rows: &[Value], span: WholeSpan) {
        self.read += 1;
        let (source, read) = (SOURCE.to_owned(), self.read);
        let began = Message::Began { source: source.clone(), read, at: self.read_to, counts: true };
        self.tell(began).await;
        for rows in rows.chunks(500) {
            self.tell(Message::Page { source: source.clone(), read, page: page(rows) }).await;
        }
        let (done, whole) = oneshot::channel();
        let scope = Scope::default().key();
        self.tell(Message::Whole { source, scope, read, span, done }).await;
        whole.await.expect("the keeper lives").expect("the read is whole");
    }

    async fn tell(&self, message: Message) {
        let told = self.keeper.send(message).await;
        assert!(told.is_ok(), "the keeper ended: {:?}", self.view.store().trouble);
    }

    /// Sends every dead letter again; how many there were.
    pub async fn resend(&self) -> usize {
        let (done, answer) = oneshot::channel();
        self.tell(Message::Resend { which: DeadLetters::All, done }).await;
        answer.await.expect("the keeper lives").expect("the disk takes it").len()
    }

    /// Looks at what is durable.
    pub fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.view.state())
    }

    /// How many messages a receiver's channel took.
    pub fn sent(&self, receiver: &str) -> u64 {
        let families = prometheus::core::Collector::collect(&self.metrics.notifications);
        let metrics = families.iter().flat_map(|family| family.get_metric());
        let is_of = |metric: &&prometheus::proto::Metric| {
            let has = |name: &str, value: &str| {
                metric.get_label().iter().any(|one| one.name() == name && one.value() == value)
            };
            has("receiver", receiver) && has("outcome", "sent")
        };
        metrics.filter(is_of).map(|metric| metric.get_counter().get_value() as u64).sum()
    }

    /// What waits for a receiver.
    pub fn waiting(&self, receiver: &str) -> usize {
        self.look(|state| {
            let waiting = state.outbox.values().filter(|one| one.given_up.is_none());
            waiting.filter(|one| one.notice.receiver == receiver).count()
        })
    }

    /// How often each message was tried again before it was given up.
    pub fn tries_of_dead_letters(&self, receiver: &str) -> Vec<u32> {
        self.look(|state| {
            let dead = state.outbox.values().filter(|one| one.given_up.is_some());
            dead.filter(|one| one.notice.receiver == receiver).map(|one| one.tries).collect()
        })
    }

    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        (&mut self.outbox).await.expect("it ends in order");
        let (done, rested) = oneshot::channel();
        self.tell(Message::Stop { done }).await;
        rested.await.expect("the keeper lives").expect("the store comes to rest");
    }
}

fn page(rows: &[Value]) -> Page {
    let (mut text, mut places) = (String::new(), Vec::new());
    for row in rows {
        let from = text.len();
        text.push_str(&row.to_string());
        places.push(from..text.len());
    }
    Page::new(text.into(), places)
}

/// Lets time pass for the keeper, until it ends. Not each second of a fast clock: many
/// senders share the machine.
async fn tick(keeper: mpsc::Sender<Message>, clock: Clock) {
    let second = clock.real(Duration::from_secs(1)).max(Duration::from_millis(100));
    let mut interval = tokio::time::interval(second);
    while keeper.send(Message::Tick).await.is_ok() {
        interval.tick().await;
    }
}
