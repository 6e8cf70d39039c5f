//! What postwatch shows: the status page, the metrics, and whether it is alive
//! and ready. It reads the state and never changes it; what the API asks for, others do.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State as Shared};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::channel::Channel;
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::metrics::{Metrics, state};
use crate::pipeline::{Message, View};

mod access;
mod alertmanager;
mod explain;
mod outbox;
mod page;
mod problem;
mod ready;
mod reload;
mod silences;
#[cfg(test)]
mod tests;

pub use reload::{Refusal, ReloadRequest, Reloaded, Reloads};

/// A silence is some hundred bytes.
const LARGEST_BODY: usize = 64 << 10;

/// Answers under way get this long once the service stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What the pages are made from.
#[derive(Clone)]
pub struct Web {
    pub view: View,
    pub metrics: Arc<Metrics>,
    pub clock: Clock,
    /// By receiver.
    pub channels: watch::Receiver<Arc<BTreeMap<String, Channel>>>,
    pub reloads: Reloads,
    /// Takes what somebody asks for: silences, and dead letters that are to be sent again.
    pub keeper: mpsc::Sender<Message>,
    pub started_at: Timestamp,
    /// Where a reader finds the page.
    pub page: String,
    /// Whether only this machine can reach the listener. Beyond it, without a
    /// token, only metrics and health answer.
    pub is_loopback: bool,
}

/// Every path that answers, and who may ask.
pub fn router(web: Web) -> Router {
    let guard = middleware::from_fn_with_state(web.is_loopback, access::guard);
    let local = middleware::from_fn_with_state(web.is_loopback, access::only_loopback);
    let asked = Router::new()
        .route("/api/v1/alerts", get(silences::list_alerts))
        .route("/api/v1/silences", get(silences::list_silences))
        .route("/silences", post(silences::press))
        .nest("/api/v2", alertmanager::routes())
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(middleware::from_fn_with_state(web.clone(), access::only_while_known))
        .layer(local);
    Router::new()
        .merge(asked)
        .route("/", get(page_))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/api/v1/explain", get(explain::explain))
        .route("/api/v1/outbox", get(outbox::list))
        .route("/api/v1/outbox/resend", post(outbox::resend))
        .route("/api/v1/reload", post(reload::reload))
        .fallback(async || (StatusCode::NOT_FOUND, "There is no such page.\n"))
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            (StatusCode::METHOD_NOT_ALLOWED, format!("{} does not take {method}.\n", uri.path()))
        })
        .layer(guard)
        .with_state(web)
}

/// Serves until `stop` comes, and then for as long as answers are under way,
/// but not longer than two seconds.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let (told, mut stopping) = tokio::sync::watch::channel(false);
    let stopped = async move {
        stop.await;
        told.send_replace(true);
    };
    let serving = axum::serve(listener, router).with_graceful_shutdown(stopped);
    let too_late = async {
        stopping.wait_for(|stopping| *stopping).await.ok();
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::select! {
        served = serving => {
            if let Err(error) = served {
                tracing::error!(%error, "the page and the metrics are no longer served");
            }
        }
        () = too_late => tracing::debug!("an answer under way was left"),
    }
}

async fn page_(Shared(web): Shared<Web>) -> Response {
    if !web.is_loopback {
        return (StatusCode::FORBIDDEN, access::HOW_TO_REACH_IT).into_response();
    }
    let built = build(web, |web| {
        let state = web.view.state();
        let refusal = web.reloads.refused.borrow().clone();
        let (policy, store) = (web.view.policy(), web.view.store());
        page::page(web.clock.now(), &policy, &state, &store, refusal.as_deref())
    });
    match built.await {
        Some(page) => Html(page.into_string()).into_response(),
        None => broken(),
    }
}

async fn metrics(Shared(web): Shared<Web>) -> Response {
    let built =
        build(web, |web| TextEncoder::new().encode_to_string(&web.metrics.scrape(of_state(web))));
    match built.await {
        Some(Ok(text)) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
                .into_response()
        }
        Some(Err(error)) => {
            tracing::error!(%error, "the metrics cannot be written");
            broken()
        }
        None => broken(),
    }
}

fn of_state(web: &Web) -> Vec<MetricFamily> {
    let state = web.view.state();
    let (rules, channels) = (web.view.in_force(), web.channels.borrow().clone());
    let kinds = channels.iter().map(|(name, channel)| (name.clone(), channel.kind())).collect();
    state::families(&state, &rules.policy, &kinds, rules.hash)
}

async fn readyz(Shared(web): Shared<Web>) -> Response {
    let built = build(web, |web| {
        let trouble = web.view.store().trouble;
        let state = web.view.state();
        ready::missing(&web.view.policy(), &state, trouble.as_deref())
    });
    match built.await {
        Some(missing) if missing.is_empty() => "ready\n".into_response(),
        Some(missing) => {
            (StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n").into_response()
        }
        None => broken(),
    }
}

/// Builds an answer beside the runtime: the state is locked while a commit is
/// being written, and no other task must wait for that. `None` where it panicked.
async fn build<T: Send + 'static>(
    web: Web,
    build: impl FnOnce(&Web) -> T + Send + 'static,
) -> Option<T> {
    tokio::task::spawn_blocking(move || build(&web)).await.ok()
}

fn broken() -> Response {
    (StatusCode::INTERNAL_SERVER_ERROR, "This could not be shown; the log says more.\n")
        .into_response()
}
