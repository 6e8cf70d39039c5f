//! What the API answers where it cannot do what was asked: problem details
//! (RFC 9457), in words that say what to do instead.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

/// One refusal of the API. `more` stands beside the standard's own members.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Problem<T> {
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(flatten)]
    more: T,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Nothing {}

impl Problem<Nothing> {
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Problem { title, status: status.as_u16(), detail: detail.into(), more: Nothing {} }
    }

    /// The status, the title and the detail.
    pub fn parts(&self) -> (StatusCode, &'static str, &str) {
        (self.status(), self.title, &self.detail)
    }
}

impl<T> Problem<T> {
    pub fn with<U>(self, more: U) -> Problem<U> {
        let Problem { title, status, detail, .. } = self;
        Problem { title, status, detail, more }
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST)
    }
}

impl<T: Serialize> IntoResponse for Problem<T> {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).unwrap_or_default();
        let kind = [(header::CONTENT_TYPE, "application/problem+json")];
        (self.status(), kind, body).into_response()
    }
}

/// There is no such path.
pub async fn no_such_path() -> Problem<Nothing> {
    let detail = "The status page is /, and /api/openapi.json says what the API answers.";
    Problem::new(StatusCode::NOT_FOUND, "There is no such path", detail)
}

/// The path is there, and the method is not.
pub async fn no_such_method() -> Problem<Nothing> {
    let detail = "The header Allow names its methods; see /api/openapi.json.";
    let title = "That method is not for this path";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, title, detail)
}
