//! The account's own pages: who the key belongs to, time zones, and the
//! postbacks' configurations.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::{row, zones};
use super::{Shared, json as reply};

/// The most entries that one page of a list may hold.
const LARGEST_PAGE: usize = 2000;

/// `GET /meta/timezones`.
pub(super) async fn timezones(State(shared): State<Arc<Shared>>) -> Response {
    reply(StatusCode::OK, &zones::list(shared.clock.now()))
}

/// `GET /networks`.
pub(super) async fn network() -> Response {
    let network = json!({
        "network_id": 1,
        "name": "Simulated Network",
        "status": "active",
        "default_currency_id": "USD",
        "reporting_timezone_id": 67,
    });
    reply(StatusCode::OK, &network)
}

/// Which page of a list.
#[derive(Deserialize)]
pub(super) struct Paging {
    #[serde(default = "first_page")]
    page: usize,
    #[serde(default = "usual_page")]
    page_size: usize,
}

fn first_page() -> usize {
    1
}

fn usual_page() -> usize {
    50
}

/// `GET /networks/pixels` and `POST /networks/pixelstable`.
pub(super) async fn postbacks(
    State(shared): State<Arc<Shared>>,
    Query(Paging { page, page_size }): Query<Paging>,
) -> Response {
    if page == 0 || !(1..=LARGEST_PAGE).contains(&page_size) {
        return shared.refuse(StatusCode::BAD_REQUEST, "invalid page or page_size");
    }
    let first = page.saturating_sub(1).saturating_mul(page_size);
    let (pixels, total): (Vec<Value>, usize) = shared.with(|network| {
        let total = network.cast.postbacks.len();
        let places = (0..total).skip(first).take(page_size);
        (places.map(|place| row::configuration(network, place)).collect(), total)
    });
    let paging = json!({ "page": page, "page_size": page_size, "total_count": total });
    reply(StatusCode::OK, &json!({ "pixels": pixels, "paging": paging }))
}

/// `GET /networks/pixels/{id}`.
pub(super) async fn postback(State(shared): State<Arc<Shared>>, Path(id): Path<u64>) -> Response {
    let found = shared
        .with(|network| network.cast.place_of(id).map(|place| row::configuration(network, place)));
    match found {
        Some(configuration) => reply(StatusCode::OK, &configuration),
        None => shared.refuse(StatusCode::NOT_FOUND, "no such pixel"),
    }
}
