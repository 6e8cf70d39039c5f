//! `/api/v2`: Alertmanager's API over our alerts and silences, for the tools that speak
//! it: `amtool`, karma, Grafana. In the shapes of version 0.25; errors are JSON strings,
//! as there.

use axum::Json;
use axum::Router;
use axum::extract::Query;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use super::Web;
use crate::domain::silence::matcher::Matcher;

mod alerts;
mod silences;
mod status;

/// Everything below `/api/v2`.
pub fn routes() -> Router<Web> {
    Router::new()
        .route("/status", get(status::status))
        .route("/receivers", get(status::receivers))
        .route("/alerts", get(alerts::list))
        .route("/alerts/groups", get(alerts::groups))
        .route("/silences", get(silences::list).post(silences::put))
        .route("/silence/{id}", get(silences::show).delete(silences::expire))
        .fallback(async || {
            let why = "postwatch takes no alerts from others, and has no such path; see \
                       docs/silences.md for what it answers";
            refuse(StatusCode::NOT_FOUND, why)
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let why = match uri.path() {
                "/alerts" => "postwatch finds its alerts itself and takes none from others",
                _ => "see docs/silences.md for what it answers",
            };
            let why = format!("/api/v2{} does not take {method}: {why}", uri.path());
            refuse(StatusCode::METHOD_NOT_ALLOWED, why)
        })
}

fn refuse(status: StatusCode, why: impl Into<String>) -> Response {
    (status, Json(why.into())).into_response()
}

/// A receiver by its name, as every answer has it.
#[derive(Clone, Serialize)]
struct Receiver {
    name: String,
}

type Pairs = Query<Vec<(String, String)>>;

/// The matchers of each `filter=`.
fn filters(pairs: &[(String, String)]) -> Result<Vec<Matcher>, String> {
    let filters = pairs.iter().filter(|(name, _)| name == "filter");
    filters.map(|(_, text)| Matcher::parse(text)).collect()
}
