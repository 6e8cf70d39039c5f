//! What stands behind the API.

use axum::Json;
use axum::extract::State as Shared;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::Receiver;
use crate::metrics::state::revision;
use crate::web::Web;

/// The version of Alertmanager whose API this is: clients choose their words by it.
const SPEAKS: &str = "0.25.0";

pub async fn status(Shared(web): Shared<Web>) -> Response {
    let product = concat!("postwatch ", env!("CARGO_PKG_VERSION"));
    Json(json!({
        "cluster": { "status": "disabled", "peers": [] },
        "versionInfo": {
            "version": SPEAKS,
            "revision": revision(),
            "branch": "postwatch",
            "buildUser": product,
            "buildDate": "",
            "goVersion": "",
        },
        "config": { "original": names_of_receivers(&web) },
        "uptime": web.started_at.to_string(),
    }))
    .into_response()
}

pub async fn receivers(Shared(web): Shared<Web>) -> Response {
    let names = web.channels.borrow().keys().cloned().collect::<Vec<_>>();
    Json(names.into_iter().map(|name| Receiver { name }).collect::<Vec<_>>()).into_response()
}

/// A configuration that Alertmanager's tools can read: the names of the receivers. What
/// decides is in `rules.yaml`, beside secrets.
fn names_of_receivers(web: &Web) -> String {
    #[derive(Serialize)]
    struct Config<'a> {
        route: Route<'a>,
        receivers: Vec<Receiver>,
    }
    #[derive(Serialize)]
    struct Route<'a> {
        receiver: &'a str,
    }
    let channels = web.channels.borrow();
    let first = channels.keys().next().map_or("nobody", String::as_str);
    let names = channels.keys().map(String::as_str).chain((channels.is_empty()).then_some(first));
    let receivers = names.map(|name| Receiver { name: name.to_owned() }).collect();
    // JSON is YAML.
    let config = Config { route: Route { receiver: first }, receivers };
    let text = serde_json::to_string(&config).unwrap_or_default();
    format!("# postwatch: what decides is in its rules.yaml\n{text}\n")
}
