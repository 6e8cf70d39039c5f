//! The alerts that stand, the silences, and the page's buttons for them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use tokio::sync::oneshot;

use super::problem::Problem;
use super::{Web, broken, build};
use crate::domain::explain::{silences, standing};
use crate::domain::silence::matcher::Matcher;
use crate::domain::silence::{Draft, Refused, SilenceId, Wish};
use crate::pipeline::Message;

/// For how long the page's button silences an alert.
const BY_BUTTON: std::time::Duration = std::time::Duration::from_secs(3600);

/// `GET /api/v1/alerts`: those that stand, with what holds their messages back. Each
/// `filter` is a matcher that they must match.
pub async fn list_alerts(
    Shared(web): Shared<Web>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let filters = pairs.iter().filter(|(name, _)| name == "filter");
    let matchers: Result<Vec<Matcher>, String> =
        filters.map(|(_, text)| Matcher::parse(text)).collect();
    let matchers = match matchers {
        Ok(matchers) => matchers,
        Err(why) => {
            return Problem::new(StatusCode::BAD_REQUEST, "This is no matcher", why)
                .into_response();
        }
    };
    let told = build(web, move |web| {
        let (now, state) = (web.clock.now(), web.view.state());
        standing(now, &web.view.policy(), &state, &matchers)
    });
    told.await.map_or_else(broken, |told| Json(told).into_response())
}

/// `GET /api/v1/silences`: all that are known, with what each hides.
pub async fn list_silences(Shared(web): Shared<Web>) -> Response {
    let told = build(web, |web| silences(web.clock.now(), &web.view.state()));
    told.await.map_or_else(broken, |told| Json(told).into_response())
}

/// `POST /silences`: a button of the page. A form with each `matcher`, or with the id of
/// a silence to `expire`.
pub async fn press(Shared(web): Shared<Web>, body: Bytes) -> Response {
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(&body).into_owned().collect();
    let expire = pairs.iter().find(|(name, _)| name == "expire");
    let wish = match expire {
        Some((_, id)) => Ok(Wish::Expire { id: SilenceId(id.clone()) }),
        None => by_button(&web, &pairs),
    };
    let granted = match wish {
        Ok(wish) => ask(&web, wish).await,
        Err(why) => Ok(Err(Refused::Invalid(why))),
    };
    match granted {
        Ok(Ok(_)) => Redirect::to("/#silences").into_response(),
        Ok(Err(refused)) => (StatusCode::BAD_REQUEST, format!("{refused}\n")).into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

fn by_button(web: &Web, pairs: &[(String, String)]) -> Result<Wish, String> {
    let now = web.clock.now();
    let matchers = pairs.iter().filter(|(name, _)| name == "matcher");
    let draft = Draft {
        matchers: matchers.map(|(_, text)| Matcher::parse(text)).collect::<Result<_, _>>()?,
        starts_at: now,
        ends_at: now + BY_BUTTON,
        created_by: "the status page".to_owned(),
        comment: String::new(),
    };
    Ok(Wish::Put { draft, of: None, fresh: fresh_id() })
}

/// Has a wish granted; the outer error is that nobody could be asked, or that the store
/// did not take it.
pub async fn ask(web: &Web, wish: Wish) -> Result<Result<SilenceId, Refused>, String> {
    let (granted, answer) = oneshot::channel();
    web.keeper.send(Message::Silence { wish, granted }).await.ok();
    answer.await.unwrap_or_else(|_| Err("the service is stopping".to_owned()))
}

/// A random UUID, as version 4 has it.
pub fn fresh_id() -> SilenceId {
    let version = (fastrand::u128(..) & !(0xf << 76)) | (4 << 76);
    let digits = format!("{:032x}", (version & !(0x3 << 62)) | (0x2 << 62));
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    SilenceId(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_uuid() {
        let ids: std::collections::BTreeSet<String> = (0..100).map(|_| fresh_id().0).collect();
        assert_eq!(ids.len(), 100);
        for id in ids {
            let lengths: Vec<usize> = id.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{id}");
            assert!(id[14..].starts_with('4') && "89ab".contains(&id[19..20]), "{id}");
        }
    }
}
