//! The simulation's own controls, which no real network has: the truth, the
//! clock, faults on request and a switch for postbacks. They ask for no key.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;

use super::super::faults::Fault;
use super::super::truth::{self, Telling};
use super::{Shared, json as reply};

/// Deliveries that one frame of the truth looks at.
const FRAME_DELIVERIES: usize = 2000;

/// `GET /simulate/faults`: the open orders.
pub(super) async fn faults(State(shared): State<Arc<Shared>>) -> Json<Vec<Fault>> {
    Json(shared.faults.open())
}

/// `POST /simulate/faults`: one order.
pub(super) async fn add(State(shared): State<Arc<Shared>>, Json(fault): Json<Fault>) -> StatusCode {
    shared.faults.add(fault);
    StatusCode::NO_CONTENT
}

/// `DELETE /simulate/faults`.
pub(super) async fn clear(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.faults.clear();
    StatusCode::NO_CONTENT
}

/// `GET /simulate/clock`.
pub(super) async fn clock(State(shared): State<Arc<Shared>>) -> Response {
    let now = shared.clock.now();
    let clock = json!({ "now": now, "now_text": now.to_string(), "start": shared.start });
    reply(StatusCode::OK, &clock)
}

/// `?all=1`: the clean successes too.
#[derive(Deserialize)]
pub(super) struct Asked {
    all: Option<u8>,
}

/// `GET /simulate/truth`: newline-delimited JSON, streamed.
pub(super) async fn truth(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Asked>,
) -> Response {
    let telling = if asked.all.unwrap_or(0) > 0 { Telling::All } else { Telling::Failed };
    let total = shared.with(|network| network.deliveries().len());
    let frames = stream::unfold(0, move |first| {
        let shared = shared.clone();
        async move {
            tokio::task::yield_now().await;
            let end = total.min(first + FRAME_DELIVERIES);
            (first < total)
                .then(|| (Ok::<_, axum::Error>(frame(&shared, first..end, telling)), end))
        }
    });
    let mut response = Body::from_stream(frames).into_response();
    let kind = HeaderValue::from_static("application/x-ndjson");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

fn frame(shared: &Shared, places: std::ops::Range<usize>, telling: Telling) -> Bytes {
    let mut out = Vec::new();
    shared.with(|network| {
        for row in places.filter_map(|place| truth::tell(network, place, telling)) {
            serde_json::to_writer(&mut out, &row)
                .expect("a vector takes all, the keys are strings");
            out.push(b'\n');
        }
    });
    out.into()
}

/// What a postback shall be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Switch {
    status: Status,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Status {
    Active,
    Inactive,
}

/// `POST /simulate/postbacks/{id}`.
pub(super) async fn postback(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<u64>,
    Json(switch): Json<Switch>,
) -> StatusCode {
    let found = shared.with(|network| {
        let place = network.cast.place_of(id)?;
        network.switch(place, switch.status == Status::Active);
        Some(())
    });
    if found.is_some() { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND }
}
