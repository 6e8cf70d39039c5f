//! The simulated network's API over HTTP: what stands before every answer, and
//! the way to it. Decides nothing about deliveries.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, DATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::sync::watch;

use crate::clock::Clock;
use crate::domain::time::Timestamp;

use super::body::{self, End};
use super::faults::{FaultKind, Faults};
use super::limits::{Limits, Slot};
use super::network::Network;
use super::scenario::Scenario;
use super::wire::ResetSwitch;

mod account;
mod control;
mod report;

/// What all requests share.
pub(super) struct Shared {
    network: Mutex<Network>,
    /// Where the network's time stands still, if it does.
    held_at: Mutex<Option<Timestamp>>,
    pub clock: Clock,
    pub start: Timestamp,
    pub faults: Faults,
    pub requests: AtomicU64,
    pub bytes: Arc<AtomicU64>,
    limits: Limits,
    api_key: String,
    affiliate_api_key: String,
    gzip: bool,
    refusals: AtomicU64,
    pub stopping: watch::Receiver<bool>,
}

impl Shared {
    pub(super) fn of(scenario: Scenario, clock: Clock, stopping: watch::Receiver<bool>) -> Shared {
        let start = clock.now();
        Shared {
            clock,
            start,
            faults: Faults::default(),
            requests: AtomicU64::new(0),
            bytes: Arc::default(),
            limits: Limits::of(scenario.requests_per_window, scenario.concurrent_reports),
            api_key: scenario.api_key.clone(),
            affiliate_api_key: scenario.affiliate_api_key.clone(),
            gzip: scenario.gzip,
            refusals: AtomicU64::new(0),
            stopping,
            network: Mutex::new(Network::begin(scenario, start)),
            held_at: Mutex::new(None),
        }
    }

    /// Looks at the network as it is now, or changes it.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut Network) -> T) -> T {
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        network.advance(self.now());
        look(&mut network)
    }

    /// The network's time: the clock's, unless it is held.
    pub(super) fn now(&self) -> Timestamp {
        let held_at = *self.held_at.lock().unwrap_or_else(PoisonError::into_inner);
        held_at.unwrap_or_else(|| self.clock.now())
    }

    /// Holds the network's time where it was last looked at, so that nothing happens
    /// before the hold that nobody saw; or lets it catch up with the clock.
    pub(super) fn hold(&self, holds: bool) {
        // Nobody may look in between.
        let network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let mut held_at = self.held_at.lock().unwrap_or_else(PoisonError::into_inner);
        *held_at = holds.then(|| network.now());
    }

    /// An error in one of the spellings that the network uses.
    fn refuse(&self, status: StatusCode, message: &str) -> Response {
        match self.refusals.fetch_add(1, Ordering::Relaxed) % 3 {
            0 => json(status, &serde_json::json!({ "error": message })),
            1 => json(status, &serde_json::json!({ "Error": message })),
            _ => (status, message.to_owned()).into_response(),
        }
    }
}

/// Waits until the server is told to stop.
pub(super) async fn until_stopping(mut stopping: watch::Receiver<bool>) {
    if stopping.wait_for(|stopping| *stopping).await.is_err() {
        // Nobody is left who could tell it: it runs until its runtime ends.
        std::future::pending().await
    }
}

/// The API below /v1 and the simulation's own controls below /simulate.
pub(super) fn router(shared: Arc<Shared>) -> Router {
    let api = Router::new()
        .route("/networks/reporting/affiliate/pixels", post(report::report))
        .route("/networks/reporting/affiliate/pixels/export", post(report::export))
        .route("/meta/timezones", get(account::timezones))
        .route("/networks", get(account::network))
        .route("/networks/pixels", get(account::postbacks))
        .route("/networks/pixelstable", post(account::postbacks))
        .route("/networks/pixels/{id}", get(account::postback))
        .fallback(unknown)
        .layer(from_fn_with_state(shared.clone(), gate));
    Router::new()
        .nest("/v1", api)
        .route("/simulate/faults", get(control::faults).post(control::add).delete(control::clear))
        .route("/simulate/truth", get(control::truth))
        .route("/simulate/clock", get(control::clock))
        .route("/simulate/postbacks/{id}", post(control::postback))
        .with_state(shared)
}

async fn unknown(State(shared): State<Arc<Shared>>) -> Response {
    shared.refuse(StatusCode::NOT_FOUND, "resource not found")
}

/// Stands before every request: limits, the key, ordered faults.
async fn gate(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(switch): ConnectInfo<ResetSwitch>,
    request: Request,
    next: Next,
) -> Response {
    shared.requests.fetch_add(1, Ordering::Relaxed);
    let left = shared.limits.count(shared.clock.now());
    let mut response = match admit(&shared, &request, left) {
        Err(refusal) => *refusal,
        Ok(slot) => {
            let response = answer(&shared, &switch, request, next).await;
            match slot {
                Some(slot) => body::hold(response, slot),
                None => response,
            }
        }
    };
    let headers = response.headers_mut();
    headers.insert("X-RateLimit-Limit", shared.limits.requests_per_window.into());
    headers.insert("X-RateLimit-Remaining", left.unwrap_or(0).into());
    if let Some(date) = date(shared.now()) {
        headers.insert(DATE, date);
    }
    body::weigh(response, shared.bytes.clone())
}

/// A place among the reports where the request needs one, or the refusal.
fn admit(
    shared: &Shared,
    request: &Request,
    left: Option<u32>,
) -> Result<Option<Slot>, Box<Response>> {
    if left.is_none() {
        return Err(shared.refuse(StatusCode::TOO_MANY_REQUESTS, "rate limit exceeded").into());
    }
    let key = request.headers().get("X-Eflow-API-Key").map(HeaderValue::as_bytes);
    if key == Some(shared.affiliate_api_key.as_bytes()) {
        let body = serde_json::json!({ "Error": "this key is not a network key" });
        return Err(json(StatusCode::FORBIDDEN, &body).into());
    }
    if key != Some(shared.api_key.as_bytes()) {
        let body = serde_json::json!({ "error": "missing or unknown API key" });
        return Err(json(StatusCode::UNAUTHORIZED, &body).into());
    }
    if !request.uri().path().starts_with("/networks/reporting/") {
        return Ok(None);
    }
    let refused =
        || shared.refuse(StatusCode::TOO_MANY_REQUESTS, "too many concurrent reports").into();
    shared.limits.slot().map(Some).ok_or_else(refused)
}

/// The answer, spoilt where a fault was ordered.
async fn answer(
    shared: &Shared,
    switch: &ResetSwitch,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(fault) = shared.faults.take(request.uri().path()) else {
        return next.run(request).await;
    };
    // Where to cut is found in plain text.
    request.headers_mut().remove(ACCEPT_ENCODING);
    match fault {
        FaultKind::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            shared.refuse(status, "simulated fault")
        }
        FaultKind::Hang => {
            until_stopping(shared.stopping.clone()).await;
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        FaultKind::Reset => {
            switch.pull();
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
        FaultKind::Empty => StatusCode::OK.into_response(),
        FaultKind::MalformedRows { every } => {
            request.extensions_mut().insert(report::Malformed { every });
            next.run(request).await
        }
        FaultKind::CutMidRow { after_bytes } => {
            body::cut(next.run(request).await, after_bytes, End::Proper)
        }
        FaultKind::CutShort { after_bytes } => {
            body::cut(next.run(request).await, after_bytes, End::Abrupt)
        }
        FaultKind::SlowBody { bytes_per_second } => {
            body::trickle(next.run(request).await, bytes_per_second)
        }
    }
}

/// The network's own time, as its replies bear it: it may run faster than the machine's.
fn date(now: Timestamp) -> Option<HeaderValue> {
    let moment = jiff::Timestamp::from_second(now.0).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
    HeaderValue::from_str(&moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).ok()
}

fn json(status: StatusCode, value: &serde_json::Value) -> Response {
    whole(status, value.to_string().into_bytes())
}

/// A JSON answer that announces its length.
fn whole(status: StatusCode, bytes: Vec<u8>) -> Response {
    let length = HeaderValue::from(bytes.len());
    let mut response = (status, Body::from(bytes)).into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CONTENT_LENGTH, length);
    response
}

#[cfg(test)]
mod tests;
