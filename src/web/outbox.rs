//! `GET /api/v1/outbox`: messages that nobody has got yet, and those given up.
//! `POST /api/v1/outbox/resend`: puts given-up ones back.

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::problem::{Nothing, Problem};
use super::{Web, broken, build};
use crate::domain::outgoing::Outgoing;
use crate::domain::time::Timestamp;
use crate::pipeline::{DeadLetters, Message};

/// Everything in the outbox, oldest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outbox")]
pub struct Shown {
    waiting: Vec<Letter>,
    /// Given up.
    dead_letters: Vec<Letter>,
}

/// One message, as the API and the command show it. Times in RFC 3339.
#[derive(Serialize, JsonSchema)]
struct Letter {
    /// By which it can be sent again.
    number: u64,
    /// As the receiver sees it; stays over every try.
    id: String,
    receiver: String,
    /// The receiver for which this one stands in.
    instead_of: Option<String>,
    reason: &'static str,
    /// The headline of its worst alert.
    summary: String,
    alerts: usize,
    created_at: String,
    tries: u32,
    /// Whether an answer was lost: it may have arrived.
    may_have_arrived: bool,
    next_try_at: Option<String>,
    given_up_at: Option<String>,
    /// What the channel said last, and what to do.
    trouble: Option<String>,
}

pub async fn list(Shared(web): Shared<Web>) -> Response {
    let built = build(web, |web| {
        let state = web.view.state();
        let (dead, waiting) =
            state.outbox.iter().partition::<Vec<_>, _>(|(_, one)| one.given_up.is_some());
        let letters = |some: Vec<(&u64, &Outgoing)>| {
            some.into_iter().map(|(&number, outgoing)| letter(number, outgoing)).collect()
        };
        Json(Shown { waiting: letters(waiting), dead_letters: letters(dead) }).into_response()
    });
    built.await.unwrap_or_else(broken)
}

fn letter(number: u64, outgoing: &Outgoing) -> Letter {
    let (notice, given_up) = (&outgoing.notice, outgoing.given_up.as_ref());
    let written = |at: Timestamp| at.to_string();
    Letter {
        number,
        id: notice.id.clone(),
        receiver: notice.receiver.clone(),
        instead_of: notice.instead_of.clone(),
        reason: notice.reason.as_str(),
        summary: notice.alerts.first().map(|alert| alert.summary.clone()).unwrap_or_default(),
        alerts: notice.alerts.len(),
        created_at: written(notice.created_at),
        tries: outgoing.tries,
        may_have_arrived: outgoing.is_in_doubt || outgoing.may_have_arrived,
        next_try_at: given_up.is_none().then(|| written(outgoing.next_try_at)),
        given_up_at: given_up.map(|given_up| written(given_up.at)),
        trouble: given_up.map(|given_up| given_up.message.clone()).or(outgoing.trouble.clone()),
    }
}

/// The numbers of what goes out again.
#[derive(Serialize, JsonSchema)]
pub struct SentAgain {
    sent_again: Vec<u64>,
}

/// Which dead letters: `?number=N` or `?all=true`.
#[derive(Deserialize)]
pub struct Wanted {
    number: Option<u64>,
    #[serde(default)]
    all: bool,
    /// Asked by a button of the page, which is then shown again.
    #[serde(default)]
    page: bool,
}

pub async fn resend(
    Shared(web): Shared<Web>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Response {
    let Query(wanted) = match wanted {
        Ok(wanted) => wanted,
        Err(error) => return unclear(&format!("{}. ", error.body_text())).into_response(),
    };
    let which = match (wanted.number, wanted.all) {
        (Some(number), false) => DeadLetters::One(number),
        (None, true) => DeadLetters::All,
        (Some(_), true) | (None, false) => return unclear("").into_response(),
    };
    let (done, answer) = oneshot::channel();
    web.keeper.send(Message::Resend { which, done }).await.ok();
    match answer.await {
        Ok(Ok(_)) if wanted.page => {
            (StatusCode::SEE_OTHER, [(header::LOCATION, "/#outbox")]).into_response()
        }
        Ok(Ok(numbers)) => match (which, numbers.is_empty()) {
            (DeadLetters::One(number), true) => unknown(number).into_response(),
            (DeadLetters::One(_) | DeadLetters::All, _) => {
                Json(SentAgain { sent_again: numbers }).into_response()
            }
        },
        Ok(Err(why)) => not_now(&why).into_response(),
        Err(_) => not_now("The service is stopping.").into_response(),
    }
}

fn unclear(why: &str) -> Problem<Nothing> {
    let detail =
        format!("{why}Write /api/v1/outbox/resend?number=N, or ?all=true for every dead letter.");
    Problem::new(StatusCode::BAD_REQUEST, "It does not say which message", detail)
}

fn unknown(number: u64) -> Problem<Nothing> {
    let detail = format!(
        "No dead letter has the number {number}; GET /api/v1/outbox lists them (postwatch outbox)."
    );
    Problem::new(StatusCode::NOT_FOUND, "There is no such dead letter", detail)
}

fn not_now(why: &str) -> Problem<Nothing> {
    let title = "It cannot be sent again now";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, title, format!("{why} Nothing was changed."))
}
