//! `GET /api/v1/explain`: why an alert fires or does not, or what became of a
//! conversion. Errors say what could have been asked.

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem::Problem;
use super::{Web, broken, build};
use crate::config;
use crate::domain::explain::{Question, Unknown, Which, explain_deliveries, explain_rule};

const HOW: &str = "Write /api/v1/explain?rule=NAME, with a label of its groups where it is to be \
                   one of them (&affiliate=7), or ?conversion=ID, or ?transaction=ID.";

/// What was asked, once understood.
enum Asked {
    Rule(Question),
    Conversion(String),
    Transaction(String),
}

pub async fn explain(
    Shared(web): Shared<Web>,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    let asked = match understand(pairs) {
        Ok(asked) => asked,
        Err(why) => {
            let detail = format!("{why} {HOW}");
            let title = "This question cannot be understood";
            return Problem::new(StatusCode::BAD_REQUEST, title, detail).into_response();
        }
    };
    let built = build(web, move |web| {
        let (now, state) = (web.clock.now(), web.view.state());
        let policy = web.view.policy();
        let conversion = |which| {
            explain_deliveries(now, &policy, &state, which).map(|told| Json(told).into_response())
        };
        match &asked {
            Asked::Rule(question) => {
                explain_rule(now, &policy, &state, question).map(|told| Json(told).into_response())
            }
            Asked::Conversion(id) => conversion(Which::Conversion(id)),
            Asked::Transaction(id) => conversion(Which::Transaction(id)),
        }
    });
    match built.await {
        Some(Ok(answer)) => answer,
        Some(Err(unknown)) => not_found(&unknown),
        None => broken(),
    }
}

fn understand(pairs: Vec<(String, String)>) -> Result<Asked, String> {
    let mut rules = pairs.iter().filter(|(name, _)| name == "rule");
    let named = |wanted: &str| pairs.iter().find(|(name, _)| name == wanted);
    match (rules.next(), rules.next(), named("conversion"), named("transaction")) {
        (Some((_, rule)), None, None, None) => {
            let rule = rule.clone();
            let labels = pairs.iter().filter(|(name, _)| name != "rule").cloned().collect();
            Ok(Asked::Rule(Question { rule, labels }))
        }
        (None, None, Some((_, id)), None) if pairs.len() == 1 => Ok(Asked::Conversion(id.clone())),
        (None, None, None, Some((_, id))) if pairs.len() == 1 => Ok(Asked::Transaction(id.clone())),
        (None, None, None, None) => Err("It names neither a rule nor a conversion.".to_owned()),
        _ => Err("It names more than one thing.".to_owned()),
    }
}

fn not_found(unknown: &Unknown) -> Response {
    #[derive(Serialize)]
    struct Known<'a> {
        known: &'a [String],
    }
    let (asked, known) = unknown.known();
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let detail = match names.is_empty() {
        true => format!("{unknown}"),
        false => format!("{unknown}; {}", config::suggest(asked, &names)),
    };
    Problem::new(StatusCode::NOT_FOUND, "It is not known", detail)
        .with(Known { known })
        .into_response()
}
