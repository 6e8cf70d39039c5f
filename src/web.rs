//! What postwatch shows: the status page, the metrics, and whether it is alive
//! and ready. It reads the state and never changes it; what the API asks for, others do.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::State as Shared;
use axum::http::{StatusCode, header};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use prometheus::TextEncoder;
use prometheus::proto::MetricFamily;
use tokio::sync::{mpsc, watch};

use crate::channel::Channel;
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::metrics::{Metrics, state};
use crate::pipeline::{Message, View};

mod access;
mod alertmanager;
mod body;
mod crowd;
mod explain;
mod headers;
mod openapi;
mod outbox;
mod page;
mod pages;
mod problem;
mod ready;
mod reload;
mod search;
mod serve;
mod silences;
#[cfg(test)]
mod tests;

use problem::Problem;

pub use access::{Access, Door};
pub use reload::{Refusal, ReloadRequest, Reloaded, Reloads};
pub use serve::{Limits, serve};

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
    /// Who comes in.
    pub door: Door,
}

/// Every path that answers, behind everything that may refuse.
pub fn router(web: Web) -> Router {
    let known = Router::new()
        .merge(of(told_while_known()))
        .route("/silences", post(silences::press))
        .nest("/api/v2", alertmanager::routes())
        .layer(middleware::from_fn_with_state(web.clone(), access::only_while_known));
    Router::new()
        .merge(known)
        .merge(of(told_always()))
        .route("/", get(pages::status))
        .route("/alerts/{name}", get(pages::alert))
        .route("/deliveries", get(pages::deliveries))
        .route("/metrics", get(metrics))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .route("/login", get(access::login::show).post(access::login::log_in))
        .route("/logout", post(access::login::log_out))
        .fallback(problem::no_such_path)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(middleware::from_fn(body::taken_in))
        .layer(middleware::from_fn_with_state(web.clone(), access::guard))
        .layer(middleware::from_fn(headers::secure))
        .with_state(web)
}

/// Paths of the API, as [`openapi`] describes them.
type Api = Vec<(&'static str, MethodRouter<Web>)>;

fn of(api: Api) -> Router<Web> {
    api.into_iter().fold(Router::new(), |router, (path, methods)| router.route(path, methods))
}

/// What nobody may take for an all-clear.
fn told_while_known() -> Api {
    vec![
        ("/api/v1/alerts", get(silences::list_alerts)),
        ("/api/v1/deliveries", get(search::list_deliveries)),
        ("/api/v1/postbacks", get(search::list_postbacks)),
        ("/api/v1/silences", get(silences::list_silences)),
    ]
}

fn told_always() -> Api {
    vec![
        ("/api/openapi.json", get(openapi::show)),
        ("/api/v1/explain", get(explain::explain)),
        ("/api/v1/outbox", get(outbox::list)),
        ("/api/v1/outbox/resend", post(outbox::resend)),
        ("/api/v1/reload", post(reload::reload)),
    ]
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
    Problem::new(
        StatusCode::INTERNAL_SERVER_ERROR,
        "This could not be shown",
        "The log says more; please report it.",
    )
    .into_response()
}
