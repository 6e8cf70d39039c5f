//! What a browser asks for: the status page, the page of an alert, and the deliveries that
//! somebody looks for.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};
use tokio::sync::oneshot;

use super::page::{self, Look, Texts, found, one_alert};
use super::{Web, broken, build};
use crate::domain::delivery::Identity;
use crate::domain::search::DeliveryWords;
use crate::pipeline::{Message, StoreHealth};

/// Within this time the keeper has read them, or the page goes without.
const TEXTS_WITHIN: Duration = Duration::from_millis(500);

/// `GET /`.
pub async fn status(Shared(web): Shared<Web>) -> Response {
    let wanted = build(web.clone(), |web| page::texts_of_first(&web.view.state())).await;
    let texts = texts(&web, wanted.unwrap_or_default()).await;
    let built = build(web, move |web| look(web, &texts, page::page));
    answer(StatusCode::OK, built.await)
}

/// `GET /alerts/{name}`.
pub async fn alert(Shared(web): Shared<Web>, Path(name): Path<String>) -> Response {
    if let Some(refusal) = refuse_in_trouble(&web) {
        return refusal;
    }
    let known = name.clone();
    let wanted = build(web.clone(), move |web| one_alert::texts(&web.view.state(), &known)).await;
    let texts = texts(&web, wanted.unwrap_or_default()).await;
    let built = build(web, move |web| {
        look(web, &texts, |look| {
            one_alert::find(look.state, &name).map(|alert| one_alert::page(look, alert))
        })
    });
    match built.await {
        Some(Some(page)) => answer(StatusCode::OK, Some(page)),
        Some(None) => answer(StatusCode::NOT_FOUND, Some(unknown_alert())),
        None => broken(),
    }
}

/// `GET /deliveries`.
pub async fn deliveries(
    Shared(web): Shared<Web>,
    Query(asked): Query<Vec<(String, String)>>,
) -> Response {
    if let Some(refusal) = refuse_in_trouble(&web) {
        return refusal;
    }
    let pairs = asked.clone();
    let found =
        build(web.clone(), move |web| look(web, &Texts::new(), |look| found::find(look, &pairs)));
    let found = match found.await {
        Some(Ok(found)) => found,
        Some(Err(unclear)) => {
            let body = html! { h1 { "This cannot be looked for" } p { (unclear) } (back()) };
            let page = page::sheet("This cannot be looked for", &body);
            return answer(StatusCode::BAD_REQUEST, Some(page));
        }
        None => return broken(),
    };
    let texts = texts(&web, found::texts(&found)).await;
    let built = build(web, move |web| look(web, &texts, |look| found::page(look, &asked, &found)));
    answer(StatusCode::OK, built.await)
}

/// Looks at everything as it is now.
fn look<T>(web: &Web, texts: &Texts, show: impl FnOnce(&Look<'_>) -> T) -> T {
    let channels = web.channels.borrow().clone();
    let receivers: BTreeMap<String, &'static str> =
        channels.iter().map(|(name, channel)| (name.clone(), channel.kind())).collect();
    let refusal = web.reloads.refused.borrow().clone();
    let store: StoreHealth = web.view.store();
    let state = web.view.state();
    show(&Look {
        now: web.clock.now(),
        policy: &web.view.policy(),
        state: &state,
        store: &store,
        refusal: refusal.as_deref(),
        texts,
        receivers: &receivers,
    })
}

/// Reads texts from the store and makes them safe. Whoever shows a page waits for the store
/// no longer than people like to wait.
async fn texts(web: &Web, wanted: Vec<(u64, Identity)>) -> Texts {
    if wanted.is_empty() {
        return Texts::new();
    }
    let identities: Vec<Identity> = wanted.iter().map(|(_, identity)| *identity).collect();
    let reading = async {
        let (texts, answer) = oneshot::channel();
        web.keeper.send(Message::Read { wanted, texts }).await.ok();
        answer.await.unwrap_or_default()
    };
    let read = tokio::time::timeout(TEXTS_WITHIN, reading).await.unwrap_or_default();
    let read = identities.into_iter().zip(read);
    read.filter_map(|(identity, text)| Some((identity, DeliveryWords::of(&text?)))).collect()
}

fn answer(status: StatusCode, page: Option<Markup>) -> Response {
    match page {
        Some(page) => (status, Html(page.into_string())).into_response(),
        None => broken(),
    }
}

/// An alert that is not there would read as one that is over.
fn refuse_in_trouble(web: &Web) -> Option<Response> {
    let trouble = web.view.store().trouble?;
    let title = "The store does not work: nothing is known now";
    let body = html! { h1 { (title) } p { (trouble) } (back()) };
    Some(answer(StatusCode::SERVICE_UNAVAILABLE, Some(page::sheet(title, &body))))
}

fn unknown_alert() -> Markup {
    let title = "No such alert is known";
    let body = html! {
        h1 { (title) }
        p { "It is over, or its rule or source was taken out of the rules file." }
        (back())
    };
    page::sheet(title, &body)
}

fn back() -> Markup {
    html! { p { a href="/" { "to the status page" } } }
}
