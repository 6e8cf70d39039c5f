//! What the API answers where it cannot do what was asked: problem details
//! (RFC 9457), in words that say what to do instead.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// One refusal of the API. `more` stands beside the standard's own members.
#[derive(Debug, Serialize)]
pub struct Problem<T> {
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(flatten)]
    more: T,
}

#[derive(Debug, Serialize)]
pub struct Nothing {}

impl Problem<Nothing> {
    pub fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Problem { title, status: status.as_u16(), detail: detail.into(), more: Nothing {} }
    }
}

impl<T> Problem<T> {
    pub fn with<U>(self, more: U) -> Problem<U> {
        let Problem { title, status, detail, .. } = self;
        Problem { title, status, detail, more }
    }
}

impl<T: Serialize> IntoResponse for Problem<T> {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let body = serde_json::to_string(&self).unwrap_or_default();
        (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response()
    }
}
