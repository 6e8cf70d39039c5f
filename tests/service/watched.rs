//! The service in this process, many times as fast as life, and what it counts
//! beside what is true.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use postwatch::clock::Clock;
use postwatch::config::AccessConfig;
use postwatch::domain::alert::Alert;
use postwatch::domain::delivery::{Ended, Life};
use postwatch::domain::dims::DimsId;
use postwatch::domain::policy::{Policy, SourcePolicy};
use postwatch::domain::rules::Rule;
use postwatch::domain::state::SourceState;
use postwatch::domain::time::Timestamp;
use postwatch::metrics::Metrics;
use postwatch::pipeline::InForce;
use postwatch::service::{Parts, Service};
use postwatch::simulate::{self, Running, Scenario, Telling, TruthRow};
use postwatch::source::Budget;
use postwatch::source::everflow::{ApiKey, Everflow, EverflowOptions};
use postwatch::store::sled::SledStore;
use postwatch::web::Reloads;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::support;

/// The network's seconds in a real one.
pub const SPEED: f64 = 240.0;
const START: Timestamp = Timestamp(1_772_366_400);
const SOURCE: &str = "acme";

/// Numbers by (offer, affiliate).
pub type Counts = BTreeMap<(u64, u64), u64>;

/// What both sides can tell.
#[derive(Debug, PartialEq, Default)]
pub struct Told {
    pub failures: Counts,
    pub open: Counts,
    pub recovered: Counts,
    /// Successes that never failed, from where they are counted on.
    pub clean: Counts,
}

pub struct Watched {
    pub network: Running,
    pub metrics: Arc<Metrics>,
    clock: Clock,
    folder: tempfile::TempDir,
    service: Option<Service>,
    /// What had failed and recovered before the service first read.
    over: BTreeSet<(u64, String, u64)>,
    rules: Vec<Rule>,
    _alone: MutexGuard<'static, ()>,
}

/// What tells a delivery from every other.
fn name(row: &TruthRow) -> (u64, String, u64) {
    (row.pixel_id, format!("{} {}", row.conversion_id, row.transaction_id), row.event)
}

/// One at a time: what runs so fast must have the machine for itself.
static ALONE: Mutex<()> = Mutex::const_new(());

pub async fn begin(scenario: Scenario, speed: f64) -> Watched {
    begin_with(Vec::new(), scenario, speed).await
}

/// The same with rules.
pub async fn begin_with(rules: Vec<Rule>, scenario: Scenario, speed: f64) -> Watched {
    support::tls();
    let alone = ALONE.lock().await;
    let clock = Clock::scaled(START, speed);
    let shows_attempts = scenario.rows_per_attempt;
    let anywhere = ([127, 0, 0, 1], 0).into();
    let network = simulate::start(anywhere, scenario, clock).await.expect("loopback is free");
    network.hold(true);
    // Where every try has its row, the failed ones are shown for ever.
    let failed = if shows_attempts { Vec::new() } else { network.truth() };
    let over = failed.iter().filter(|row| row.is_success).map(name).collect();
    let folder = tempfile::tempdir().expect("a folder for the test");
    let mut watched = Watched {
        network,
        metrics: Metrics::new(),
        clock,
        folder,
        over,
        rules,
        service: None,
        _alone: alone,
    };
    watched.start(0).await;
    watched
}

impl Watched {
    /// Starts the service with a clock that is wrong by so many seconds.
    pub async fn start(&mut self, wrong_by: i64) {
        let speed = 1.0 / self.clock.real(Duration::from_secs(1)).as_secs_f64();
        let clock = Clock::scaled(Timestamp(self.clock.now().0 + wrong_by), speed);
        let sources = vec![SourcePolicy::named(SOURCE)];
        let every = Duration::from_secs(10);
        let rules = self.rules.clone();
        let policy = Policy { sources, evaluate_every: every, rules, ..Policy::default() };
        let source = policy.sources[0].clone();
        let options = EverflowOptions {
            source: SOURCE.into(),
            base_url: self.network.base_url(),
            api_key: ApiKey::new("simulated-key"),
            timezone_id: None,
            budget: Budget { request_timeout: Duration::from_millis(700), ..Budget::default() },
        };
        let api =
            Everflow::new(options, clock, self.metrics.clone()).expect("the options are good");
        let parts = Parts {
            rules: InForce { policy: Arc::new(policy), hash: 0 },
            sources: vec![(source, api)],
            channels: BTreeMap::new(),
            heartbeat: None,
            access: AccessConfig::default(),
            store: open(self.folder.path()).await,
            clock,
            metrics: self.metrics.clone(),
            listener: TcpListener::bind("127.0.0.1:0").await.expect("loopback is free"),
            reloads: Reloads::none(),
        };
        self.service = Some(Service::start(parts).expect("the store is good"));
    }

    pub async fn stop_service(&mut self) {
        if let Some(service) = self.service.take() {
            service.stop().await.expect("the store comes to rest");
        }
    }

    /// Lets so much of the network's time go by.
    pub async fn pass(&self, time: Duration) {
        let until = self.clock.now() + time;
        while self.clock.now() < until {
            self.clock.sleep(Duration::from_secs(1)).await;
        }
    }

    /// Holds the network's time until what is counted is the truth.
    pub async fn agree(&self, when: &str) {
        self.network.hold(true);
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            let (counted, truth) = (self.counted(), self.truth());
            if counted == truth {
                break;
            }
            if Instant::now() > deadline {
                let trouble = self.ask(|source| source.sight.trouble.clone());
                let differ = [
                    differ(&counted.failures, &truth.failures),
                    differ(&counted.open, &truth.open),
                    differ(&counted.recovered, &truth.recovered),
                    differ(&counted.clean, &truth.clean),
                ];
                panic!(
                    "failures, open, recovered, clean {when}, counted and true: {differ:?} {trouble:?}"
                );
            }
            self.clock.sleep(Duration::from_secs(5)).await;
        }
        self.network.hold(false);
    }

    /// Asks something of the source's state; `None` before there is any.
    pub fn ask<T>(&self, look: impl FnOnce(&SourceState) -> T) -> Option<T> {
        let view = self.service.as_ref()?.view();
        let state = view.state();
        state.sources.get(SOURCE).map(look)
    }

    /// The groups of the alerts that stand, as rules write them.
    pub fn firing(&self) -> Vec<String> {
        let Some(service) = &self.service else { return Vec::new() };
        let view = service.view();
        let state = view.state();
        let stands = |alert: &&Alert| alert.severity().is_some() && !alert.has_ended();
        let alerts = state.alerts.values().filter(stands);
        alerts
            .map(|alert| {
                let group = alert.key.group.iter().map(|(_, value)| value.as_str());
                format!("{} {}", alert.key.rule, group.collect::<Vec<_>>().join(" "))
            })
            .collect()
    }

    fn counted(&self) -> Told {
        self.ask(counted).unwrap_or_default()
    }

    fn truth(&self) -> Told {
        let since = self.ask(since).flatten().unwrap_or(Timestamp(i64::MAX));
        let first = self.ask(|source| source.facts.first_read_at).flatten();
        let mut told = Told::default();
        for row in self.network.tell(Telling::All).iter().filter(|row| row.visible) {
            // What was over at the first read is not the service's business.
            let is_counted = row.timestamp > since;
            let is_ours = first.is_some_and(|first| row.last_attempt > first);
            let was_over = !is_ours && self.over.contains(&name(row));
            let counts = match row.failed_attempts == 0 || was_over {
                true if !is_counted => continue,
                true => &mut told.clean,
                false => &mut told.failures,
            };
            add(counts, row.offer, row.affiliate, 1);
            if row.is_success && row.failed_attempts > 0 && !was_over {
                add(&mut told.recovered, row.offer, row.affiliate, 1);
            }
            if is_open(row) {
                add(&mut told.open, row.offer, row.affiliate, 1);
            }
        }
        told
    }
}

/// A store that was just closed may take a moment to let go of its lock.
async fn open(folder: &Path) -> SledStore {
    for _ in 0..100 {
        if let Ok(store) = SledStore::open(folder) {
            return store;
        }
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
    SledStore::open(folder).expect("the folder is ours")
}

fn since(source: &SourceState) -> Option<Timestamp> {
    source.facts.coverage.values().next().map(|coverage| coverage.since)
}

fn counted(source: &SourceState) -> Told {
    let facts = &source.facts;
    let mut told = Told::default();
    let mut count = |counts: fn(&mut Told) -> &mut Counts, dims: DimsId, by: u32| {
        let dims = facts.dims.get(dims);
        add(counts(&mut told), dims.offer, dims.affiliate, u64::from(by));
    };
    for delivery in facts.deliveries.iter() {
        count(|told| &mut told.failures, delivery.dims, 1);
        if matches!(delivery.life, Life::Ended { how: Ended::Recovered, .. }) {
            count(|told| &mut told.recovered, delivery.dims, 1);
        }
    }
    for (_, slot) in facts.deliveries.open() {
        count(|told| &mut told.open, facts.deliveries.get(slot).dims, 1);
    }
    for (_, dims, clean) in facts.successes_within(Timestamp(i64::MIN), Timestamp(i64::MAX)) {
        count(|told| &mut told.clean, dims, clean);
    }
    told
}

fn differ(counted: &Counts, truth: &Counts) -> Vec<((u64, u64), u64, u64)> {
    let keys: BTreeSet<_> = counted.keys().chain(truth.keys()).collect();
    let of = |counts: &Counts, key| counts.get(key).copied().unwrap_or(0);
    let all = keys.into_iter().map(|key| (*key, of(counted, key), of(truth, key)));
    all.filter(|(_, counted, truth)| counted != truth).collect()
}

fn add(counts: &mut Counts, offer: u64, affiliate: u64, by: u64) {
    *counts.entry((offer, affiliate)).or_default() += by;
}

/// Failing now, as product.md counts it: not given up by the network.
fn is_open(row: &TruthRow) -> bool {
    !row.is_success && row.failed_attempts < 10 && row.postback_active
}
