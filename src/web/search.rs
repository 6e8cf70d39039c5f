//! `GET /api/v1/deliveries` and `GET /api/v1/postbacks`: what failed, a page at a time.

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tokio::sync::oneshot;

use super::problem::Problem;
use super::{Web, broken, build};
use crate::config;
use crate::domain::search::{DeliveryFound, DeliveryWords, Found, Search, Unclear};
use crate::domain::search::{deliveries, postbacks};
use crate::pipeline::Message;

type Pairs = Query<Vec<(String, String)>>;

pub async fn list_deliveries(Shared(web): Shared<Web>, Query(pairs): Pairs) -> Response {
    let search = match Search::for_deliveries(&pairs) {
        Ok(search) => search,
        Err(unclear) => return refuse(&unclear),
    };
    let found = build(web.clone(), move |web| {
        let (now, state) = (web.clock.now(), web.view.state());
        deliveries(now, &web.view.policy(), &state, &search)
    });
    match found.await {
        Some(Ok(found)) => Json(with_words(&web, found).await).into_response(),
        Some(Err(unclear)) => refuse(&unclear),
        None => broken(),
    }
}

pub async fn list_postbacks(Shared(web): Shared<Web>, Query(pairs): Pairs) -> Response {
    let search = match Search::for_postbacks(&pairs) {
        Ok(search) => search,
        Err(unclear) => return refuse(&unclear),
    };
    let found = build(web, move |web| {
        let (now, state) = (web.clock.now(), web.view.state());
        postbacks(now, &web.view.policy(), &state, &search)
    });
    match found.await {
        Some(Ok(found)) => Json(found).into_response(),
        Some(Err(unclear)) => refuse(&unclear),
        None => broken(),
    }
}

/// The texts are read from the store when they are shown, and made safe.
async fn with_words(web: &Web, mut found: Found<DeliveryFound>) -> Found<DeliveryFound> {
    let wanted = found.items.iter().map(|one| (one.text, one.identity)).collect();
    let (texts, answer) = oneshot::channel();
    web.keeper.send(Message::Read { wanted, texts }).await.ok();
    for (one, text) in found.items.iter_mut().zip(answer.await.unwrap_or_default()) {
        one.said = text.as_ref().map(DeliveryWords::of);
    }
    found
}

fn refuse(unclear: &Unclear) -> Response {
    let detail = match unclear {
        Unclear::Key { name, known } => format!("{unclear}; {}", config::suggest(name, known)),
        Unclear::Value { .. } | Unclear::TooMany { .. } => unclear.to_string(),
    };
    let title = "This question cannot be understood";
    Problem::new(StatusCode::BAD_REQUEST, title, detail).into_response()
}
