//! Wires the rooms together and runs them until it is told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use crate::channel::{Channel, Heartbeat, Link};
use crate::clock::Clock;
use crate::config::AccessConfig;
use crate::domain::policy::SourcePolicy;
use crate::metrics::Metrics;
use crate::outbox::{Channels, Outbox};
use crate::pipeline::{InForce, Keeper, Message, View};
use crate::poll::Poller;
use crate::source::ReportApi;
use crate::store::{Store, StoreError};
use crate::web::{self, Access, Door, Limits, Reloads, Web};

mod heartbeat;

/// Whoever stops the service kills it after 5 s: everything is at rest before
/// that. What is not told by then is in the outbox, and the next start tells it.
const STOP_WITHIN: Duration = Duration::from_millis(4_500);

/// What a slow channel may take of it; the rest is the store's.
const SENDS_END_WITHIN: Duration = Duration::from_millis(2_500);

/// Everything that a service is made of.
pub struct Parts<A, S> {
    pub rules: InForce,
    /// One client for each source of the policy.
    pub sources: Vec<(SourcePolicy, A)>,
    pub channels: BTreeMap<String, Channel>,
    pub heartbeat: Option<Heartbeat>,
    pub access: AccessConfig,
    pub store: S,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub listener: TcpListener,
    pub reloads: Reloads,
}

/// What takes the place of the rules in force.
pub struct NewRules<A> {
    pub rules: InForce,
    /// A client for each source that is new, or asked otherwise than before. The
    /// others go on as they are.
    pub sources: Vec<(SourcePolicy, A)>,
    pub channels: BTreeMap<String, Channel>,
    pub heartbeat: Option<Heartbeat>,
    pub access: AccessConfig,
}

/// A service whose parts are at work.
pub struct Service {
    view: View,
    keeper: mpsc::Sender<Message>,
    clock: Clock,
    metrics: Arc<Metrics>,
    channels: Arc<watch::Sender<Channels>>,
    heartbeat: Arc<watch::Sender<heartbeat::Told>>,
    access: Arc<watch::Sender<Arc<Access>>>,
    /// Counts the reads of every poller.
    reads: Arc<AtomicU32>,
    stop: watch::Sender<bool>,
    /// By source.
    pollers: BTreeMap<String, JoinHandle<()>>,
    outbox: JoinHandle<()>,
    web: JoinHandle<()>,
}

impl Service {
    /// Builds the state from the store and starts every part.
    pub fn start<A: ReportApi, S: Store + 'static>(
        parts: Parts<A, S>,
    ) -> Result<Service, StoreError> {
        let Parts { rules, sources, channels, store, clock, metrics, listener, reloads, .. } =
            parts;
        let (heartbeat, told) = watch::channel(parts.heartbeat.map(Arc::new));
        let (access, said) = watch::channel(Arc::new(Access::new(&parts.access)));
        let committed = Arc::new(Notify::new());
        let keeper = Keeper::open(store, rules, clock, metrics.clone(), committed.clone())?;
        let view = keeper.view();
        let keeper = keeper.start();
        let (stop, stopping) = watch::channel(false);
        let address = listener.local_addr().ok();
        let (channels, _) = watch::channel(Arc::new(channels));
        let web = Web {
            view: view.clone(),
            metrics: metrics.clone(),
            clock,
            channels: channels.subscribe(),
            reloads,
            keeper: keeper.clone(),
            started_at: clock.now(),
            page: Link::of(address).as_str().to_owned(),
            is_loopback: address.is_none_or(|address| address.ip().is_loopback()),
            door: Door::new(said),
        };
        let (router, limits) = (web::router(web), Limits::of_this_process());
        let turned_away = metrics.limits_reached.with_label_values(&["", "connection"]);
        let stopped = stopped(stopping.clone());
        let web = tokio::spawn(web::serve(listener, router, limits, turned_away, stopped));
        tokio::spawn(tick(keeper.clone(), clock));
        tokio::spawn(heartbeat::run(view.clone(), told, clock, metrics.clone()));
        let outbox = Outbox {
            view: view.clone(),
            keeper: keeper.clone(),
            channels: channels.subscribe(),
            link: Link::of(address),
            clock,
            metrics: metrics.clone(),
            committed,
        };
        let outbox = tokio::spawn(outbox.run(stopping));
        let mut service = Service {
            view,
            keeper,
            clock,
            metrics,
            channels: Arc::new(channels),
            heartbeat: Arc::new(heartbeat),
            access: Arc::new(access),
            reads: Arc::default(),
            stop,
            pollers: BTreeMap::new(),
            outbox,
            web,
        };
        sources.into_iter().for_each(|(source, api)| service.poll(source, api));
        Ok(service)
    }

    /// Puts other rules in force: all of them, or after an error none.
    ///
    /// # Errors
    /// Why the store did not take it.
    pub async fn reload<A: ReportApi>(&mut self, new: NewRules<A>) -> Result<(), String> {
        let NewRules { rules, sources, channels, heartbeat, access } = new;
        let policy = rules.policy.clone();
        let (done, answer) = oneshot::channel();
        let holder = (self.channels.clone(), self.heartbeat.clone(), self.access.clone());
        let adopt = Box::new(move || {
            holder.0.send_replace(Arc::new(channels));
            holder.1.send_replace(heartbeat.map(Arc::new));
            holder.2.send_replace(Arc::new(Access::new(&access)));
        });
        let stopping = || "the service is stopping".to_owned();
        let asked = self.keeper.send(Message::Reload { rules, adopt, done }).await;
        asked.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())??;
        let begins_anew = |name: &str| sources.iter().any(|(source, _)| source.name == name);
        let ended: Vec<_> = self
            .pollers
            .extract_if(.., |name, _| begins_anew(name) || policy.source(name).is_none())
            .collect();
        for (_, poller) in ended {
            poller.abort();
            // Never two of one source: each would take the other's reads for its own.
            poller.await.ok();
        }
        sources.into_iter().for_each(|(source, api)| self.poll(source, api));
        Ok(())
    }

    fn poll<A: ReportApi>(&mut self, source: SourcePolicy, api: A) {
        let name = source.name.clone();
        let (view, keeper) = (self.view.clone(), self.keeper.clone());
        let (metrics, reads) = (self.metrics.clone(), self.reads.clone());
        let poller = Poller::new(api, source, view, keeper, self.clock, metrics, reads);
        self.pollers.insert(name, tokio::spawn(poller.run()));
    }

    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Waits until a part ends that should go on for ever; names it.
    pub async fn broken(&mut self) -> &'static str {
        let pollers = async {
            match self.pollers.is_empty() {
                true => std::future::pending().await,
                false => drop(futures_util::future::select_all(self.pollers.values_mut()).await),
            }
        };
        tokio::select! {
            () = self.keeper.closed() => "the keeper of the state",
            () = pollers => "a poller",
            _ = &mut self.outbox => "the outbox",
            _ = &mut self.web => "the web server",
        }
    }

    /// Stops reading, lets the sends under way end, and puts the store to rest.
    pub async fn stop(self) -> Result<(), String> {
        for poller in self.pollers.values() {
            poller.abort();
        }
        let deadline = tokio::time::Instant::now() + STOP_WITHIN;
        self.stop.send(true).ok();
        // Dropping the task drops its sends with it: none settles behind the store's back.
        let mut outbox = self.outbox;
        if tokio::time::timeout(SENDS_END_WITHIN, &mut outbox).await.is_err() {
            tracing::warn!("a message is still under way: the next start sends it again");
            outbox.abort();
        }
        self.web.abort();
        let (done, rested) = oneshot::channel();
        let resting = async {
            self.keeper.send(Message::Stop { done }).await.ok();
            rested.await.unwrap_or(Ok(()))
        };
        tokio::time::timeout_at(deadline, resting)
            .await
            .unwrap_or_else(|_| Err("the store did not come to rest in time".to_owned()))
    }
}

/// Lets time pass for the keeper, and tells systemd that it does.
async fn tick(keeper: mpsc::Sender<Message>, clock: Clock) {
    let second = clock.real(Duration::from_secs(1)).max(Duration::from_millis(20));
    let mut interval = tokio::time::interval(second);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        if keeper.send(Message::Tick).await.is_err() {
            return;
        }
        sd_notify::notify(false, &[sd_notify::NotifyState::Watchdog]).ok();
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    // Nobody left to say so is as good as being told.
    stopping.wait_for(|stop| *stop).await.ok();
}
