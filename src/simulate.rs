//! The simulated network that `demo`, `simulate` and the tests use: an affiliate
//! network's report API with its unpleasant sides, over a model that is
//! repeatable and knows the truth about each delivery.
//!
//! A test starts one in process:
//!
//! ```no_run
//! # async fn test() -> std::io::Result<()> {
//! use postwatch::simulate::{Fault, FaultKind, Scenario, start};
//! use postwatch::{clock::Clock, domain::time::Timestamp};
//!
//! let clock = Clock::scaled(Timestamp(1_700_000_000), 60.0);
//! let network = start(([127, 0, 0, 1], 0).into(), Scenario::fixed(1, 50_000, 5_000), clock).await?;
//! network.faults().add(Fault::once(FaultKind::Status(500)).on("affiliate/pixels"));
//! println!("{} {}", network.base_url(), network.truth().len());
//! network.stop().await;
//! # Ok(())
//! # }
//! ```

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::domain::time::Timestamp;

mod body;
mod cast;
mod chance;
mod duration;
mod faults;
mod health;
mod http;
mod limits;
mod model;
mod network;
mod question;
mod reason;
mod row;
mod scenario;
mod text;
mod traffic;
mod truth;
mod wire;
mod zones;

pub use faults::{Fault, FaultKind, Faults};
pub use model::Model;
pub use scenario::{Fixed, Incident, IncidentKind, SHARED_HOSTING, Scenario, Target};
pub use truth::{Telling, TruthRow};

/// How long a stopping server waits for the answers that are under way.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// A simulated network that is being served.
pub struct Running {
    pub address: SocketAddr,
    shared: Arc<http::Shared>,
    stop: watch::Sender<bool>,
    server: JoinHandle<io::Result<()>>,
}

/// Builds the network with its history up to `clock`'s now and serves it.
pub async fn start(listen: SocketAddr, scenario: Scenario, clock: Clock) -> io::Result<Running> {
    // The port first: one that is taken is told before the history is built.
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let (stop, stopping) = watch::channel(false);
    let shared = Arc::new(http::Shared::of(scenario, clock, stopping.clone()));
    let service =
        http::router(shared.clone()).into_make_service_with_connect_info::<wire::ResetSwitch>();
    let serve = axum::serve(wire::Wires(listener), service)
        .with_graceful_shutdown(http::until_stopping(stopping));
    let server = tokio::spawn(serve.into_future());
    Ok(Running { address, shared, stop, server })
}

impl Running {
    /// What a source's `base_url` is.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The simulated time.
    pub fn now(&self) -> Timestamp {
        self.shared.now()
    }

    /// Holds the network's time where it was last looked at, so that its truth can be
    /// compared at leisure; `false` lets it catch up with the clock.
    pub fn hold(&self, holds: bool) {
        self.shared.hold(holds);
    }

    /// Every delivery that shows in the reports and has failed at least once.
    pub fn truth(&self) -> Vec<TruthRow> {
        self.tell(Telling::Failed)
    }

    /// The truth about the deliveries asked for, oldest first.
    pub fn tell(&self, telling: Telling) -> Vec<TruthRow> {
        self.shared.with(|network| {
            let places = 0..network.deliveries().len();
            places.filter_map(|place| truth::tell(network, place, telling)).collect()
        })
    }

    /// Orders faults.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    /// Requests below /v1 so far, refused ones too.
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Bytes of the answers' bodies so far, as they were sent: compressed where the
    /// client took that.
    pub fn bytes(&self) -> u64 {
        self.shared.bytes.load(Ordering::Relaxed)
    }

    /// Switches a postback on or off by hand; `false` where there is none with this id.
    pub fn switch_postback(&self, id: u64, active: bool) -> bool {
        self.shared.with(|network| match network.cast.place_of(id) {
            Some(place) => {
                network.switch(place, active);
                true
            }
            None => false,
        })
    }

    /// Stops serving; hanging answers end, long ones are left after a second.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        if tokio::time::timeout(STOP_WITHIN, &mut self.server).await.is_err() {
            self.server.abort();
        }
    }
}
