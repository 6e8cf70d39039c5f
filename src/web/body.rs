//! Bodies within limits: a client that sends too much, or too slowly, holds nobody up.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::crowd::Seat;
use super::problem::{Nothing, Problem};

/// A silence is some hundred bytes.
const LARGEST: usize = 64 << 10;
const READ_WITHIN: Duration = Duration::from_secs(10);

/// Takes in the whole body before anybody looks at the request. Only then does its client
/// have a seat that nobody takes.
pub async fn taken_in(request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    let body = match tokio::time::timeout(READ_WITHIN, to_bytes(body, LARGEST)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return too_large().into_response(),
        Err(_) => return too_slow().into_response(),
    };
    if let Some(seat) = parts.extensions.get::<Arc<Seat>>() {
        seat.is_busy();
    }
    next.run(Request::from_parts(parts, Body::from(body))).await
}

fn too_large() -> Problem<Nothing> {
    let detail = format!("Nothing here takes more than {} kB.", LARGEST >> 10);
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "The body is too large", detail)
}

fn too_slow() -> Problem<Nothing> {
    let detail = format!("The whole body has to be here within {} s.", READ_WITHIN.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "The body comes too slowly", detail)
}
