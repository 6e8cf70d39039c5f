//! Wires the rooms together and runs them until it is told to stop.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use crate::channel::{Channel, Link};
use crate::clock::Clock;
use crate::domain::policy::{Policy, SourcePolicy};
use crate::metrics::Metrics;
use crate::outbox::Outbox;
use crate::pipeline::{Keeper, Message, View};
use crate::poll::Poller;
use crate::source::ReportApi;
use crate::store::{Store, StoreError};
use crate::web::{self, Web};

/// Whoever stops the service kills it after 5 s: everything is at rest before
/// that. What is not told by then is in the outbox, and the next start tells it.
const STOP_WITHIN: Duration = Duration::from_millis(4_500);

/// What a slow channel may take of it; the rest is the store's.
const SENDS_END_WITHIN: Duration = Duration::from_millis(2_500);

/// Everything that a service is made of.
pub struct Parts<A, S> {
    pub policy: Arc<Policy>,
    /// Of the rules file, for `config_hash`.
    pub config_hash: u64,
    /// One client for each source of the policy.
    pub sources: Vec<(SourcePolicy, A)>,
    pub channels: BTreeMap<String, Channel>,
    pub store: S,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub listener: TcpListener,
}

/// A service whose parts are at work.
pub struct Service {
    view: View,
    keeper: mpsc::Sender<Message>,
    stop: watch::Sender<bool>,
    pollers: Vec<tokio::task::JoinHandle<()>>,
    outbox: tokio::task::JoinHandle<()>,
    web: tokio::task::JoinHandle<()>,
}

impl Service {
    /// Builds the state from the store and starts every part.
    pub fn start<A: ReportApi, S: Store + 'static>(
        parts: Parts<A, S>,
    ) -> Result<Service, StoreError> {
        let Parts { policy, config_hash, sources, channels, store, clock, metrics, listener } =
            parts;
        let committed = Arc::new(Notify::new());
        let keeper =
            Keeper::open(store, policy.clone(), clock, metrics.clone(), committed.clone())?;
        let view = keeper.view();
        let keeper = keeper.start();
        let (stop, stopping) = watch::channel(false);
        let address = listener.local_addr().ok();
        let web = Web {
            view: view.clone(),
            policy: policy.clone(),
            metrics: metrics.clone(),
            clock,
            channels: channels.iter().map(|(name, one)| (name.clone(), one.kind())).collect(),
            config_hash,
            is_loopback: address.is_none_or(|address| address.ip().is_loopback()),
        };
        let web = tokio::spawn(web::serve(listener, web::router(web), stopped(stopping.clone())));
        let poller = |(source, api)| {
            Poller::new(
                api,
                source,
                policy.clone(),
                view.clone(),
                keeper.clone(),
                clock,
                metrics.clone(),
            )
        };
        let pollers: Vec<_> =
            sources.into_iter().map(|source| tokio::spawn(poller(source).run())).collect();
        tokio::spawn(tick(keeper.clone(), clock));
        let outbox = Outbox {
            view: view.clone(),
            keeper: keeper.clone(),
            channels: Arc::new(channels),
            link: page_link(address),
            clock,
            metrics,
            committed,
        };
        let outbox = tokio::spawn(outbox.run(stopping));
        Ok(Service { view, keeper, stop, pollers, outbox, web })
    }

    pub fn view(&self) -> View {
        self.view.clone()
    }

    /// Waits until a part ends that should go on for ever; names it.
    pub async fn broken(&mut self) -> &'static str {
        let pollers = futures_util::future::select_all(&mut self.pollers);
        tokio::select! {
            () = self.keeper.closed() => "the keeper of the state",
            _ = pollers => "a poller",
            _ = &mut self.outbox => "the outbox",
            _ = &mut self.web => "the web server",
        }
    }

    /// Stops reading, lets the sends under way end, and puts the store to rest.
    pub async fn stop(self) -> Result<(), String> {
        for poller in &self.pollers {
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

/// Where messages say that the page is.
fn page_link(address: Option<std::net::SocketAddr>) -> Link {
    let text =
        address.map_or("http://localhost/".to_owned(), |address| format!("http://{address}/"));
    Link::new(text.parse().expect("an address makes a URL"))
}
