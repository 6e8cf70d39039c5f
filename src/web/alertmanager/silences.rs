//! Silences, as Alertmanager shows and takes them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Pairs, filters, refuse};
use crate::domain::explain::At;
use crate::domain::silence::matcher::{Matcher, Op};
use crate::domain::silence::{Draft, Refused, Silence, SilenceId, Stage, Wish};
use crate::domain::time::Timestamp;
use crate::web::silences::{ask, fresh_id};
use crate::web::{Web, broken, build};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MatcherWritten {
    name: String,
    value: String,
    is_regex: bool,
    #[serde(default = "yes")]
    is_equal: bool,
}

fn yes() -> bool {
    true
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GettableSilence {
    id: SilenceId,
    status: Status,
    updated_at: At,
    matchers: Vec<MatcherWritten>,
    starts_at: At,
    ends_at: At,
    created_by: String,
    comment: String,
}

#[derive(Serialize)]
struct Status {
    state: Stage,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostableSilence {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<MatcherWritten>,
    starts_at: At,
    ends_at: At,
    created_by: String,
    comment: String,
}

pub async fn list(Shared(web): Shared<Web>, Query(pairs): Pairs) -> Response {
    let filters = match filters(&pairs) {
        Ok(filters) => filters,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let told = build(web, move |web| {
        let (now, state) = (web.clock.now(), web.view.state());
        let mut told: Vec<GettableSilence> = state
            .silences
            .iter()
            .filter(|(_, silence)| filters.iter().all(|filter| is_about(silence, filter)))
            .map(|(id, silence)| gettable(now, id, silence))
            .collect();
        told.sort_by_key(|silence| (silence.status.state, silence.ends_at));
        told
    });
    told.await.map_or_else(broken, |told| Json(told).into_response())
}

pub async fn show(Shared(web): Shared<Web>, Path(id): Path<String>) -> Response {
    let told = build(web, move |web| {
        let (now, state) = (web.clock.now(), web.view.state());
        let id = SilenceId(id);
        state.silences.get(&id).map(|silence| gettable(now, &id, silence)).ok_or(id)
    });
    match told.await {
        Some(Ok(told)) => Json(told).into_response(),
        Some(Err(id)) => answer(&Refused::Unknown(id)),
        None => broken(),
    }
}

pub async fn put(Shared(web): Shared<Web>, body: Result<Bytes, BytesRejection>) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(error) => return refuse(error.status(), error.body_text()),
    };
    let wish = serde_json::from_slice::<PostableSilence>(&body)
        .map_err(|error| format!("this is no silence: {error}"))
        .and_then(wish);
    let wish = match wish {
        Ok(wish) => wish,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    match ask(&web, wish).await {
        Ok(Ok(id)) => Json(json!({ "silenceID": id })).into_response(),
        Ok(Err(refused)) => answer(&refused),
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

pub async fn expire(Shared(web): Shared<Web>, Path(id): Path<String>) -> Response {
    match ask(&web, Wish::Expire { id: SilenceId(id) }).await {
        Ok(Ok(_)) => StatusCode::OK.into_response(),
        Ok(Err(refused)) => answer(&refused),
        Err(why) => refuse(StatusCode::SERVICE_UNAVAILABLE, why),
    }
}

fn wish(asked: PostableSilence) -> Result<Wish, String> {
    let matcher =
        |m: &MatcherWritten| Matcher::new(&m.name, Op::new(m.is_equal, m.is_regex), &m.value);
    let draft = Draft {
        matchers: asked.matchers.iter().map(matcher).collect::<Result<_, _>>()?,
        starts_at: asked.starts_at.0,
        ends_at: asked.ends_at.0,
        created_by: asked.created_by,
        comment: asked.comment,
    };
    let of = asked.id.filter(|id| !id.is_empty()).map(SilenceId);
    Ok(Wish::Put { draft, of, fresh: fresh_id() })
}

fn answer(refused: &Refused) -> Response {
    let status = match refused {
        Refused::Unknown(_) => StatusCode::NOT_FOUND,
        Refused::Invalid(_) | Refused::Full => StatusCode::BAD_REQUEST,
    };
    refuse(status, refused.to_string())
}

/// Whether one of its matchers for that label has a value that the filter takes.
fn is_about(silence: &Silence, filter: &Matcher) -> bool {
    let of = |m: &&Matcher| m.name() == filter.name();
    let values = silence.draft.matchers.iter().filter(of).map(Matcher::value);
    let mut values = values.peekable();
    match values.peek() {
        None => filter.takes(""),
        Some(_) => values.any(|value| filter.takes(value)),
    }
}

fn gettable(now: Timestamp, id: &SilenceId, silence: &Silence) -> GettableSilence {
    let Draft { matchers, starts_at, ends_at, created_by, comment } = silence.draft.clone();
    let written = |m: &Matcher| MatcherWritten {
        name: m.name().to_owned(),
        value: m.value().to_owned(),
        is_regex: m.op().is_regex(),
        is_equal: m.op().is_equal(),
    };
    GettableSilence {
        id: id.clone(),
        status: Status { state: silence.stage(now) },
        updated_at: At(silence.updated_at),
        matchers: matchers.iter().map(written).collect(),
        starts_at: At(starts_at),
        ends_at: At(ends_at),
        created_by,
        comment,
    }
}
