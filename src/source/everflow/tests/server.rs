//! A server that answers from a script, and remembers what it was asked.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::{Semaphore, mpsc};

/// One scripted answer; `cut` breaks the connection after the body.
#[derive(Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, &'static str)>,
    pub body: Bytes,
    pub cut: bool,
}

pub fn reply(status: u16, body: impl Into<Bytes>) -> Reply {
    Reply { status, headers: Vec::new(), body: body.into(), cut: false }
}

pub fn ok(body: impl Into<Bytes>) -> Reply {
    reply(200, body)
}

pub fn cut(body: impl Into<Bytes>) -> Reply {
    Reply { cut: true, ..ok(body) }
}

/// The server: its script, and what it saw.
pub struct Server {
    pub script: Mutex<VecDeque<Reply>>,
    pub requests: Mutex<Vec<(String, String, String)>>,
    pub now: AtomicUsize,
    pub most: AtomicUsize,
    pub arrived: mpsc::UnboundedSender<()>,
    /// Answers may leave.
    pub leave: Semaphore,
}

impl Server {
    pub fn requests(&self) -> Vec<(String, String, String)> {
        self.requests.lock().expect("no test panics with it").clone()
    }
}

pub async fn answer(State(server): State<Arc<Server>>, request: Request) -> Response {
    let most = server.now.fetch_add(1, Ordering::SeqCst) + 1;
    server.most.fetch_max(most, Ordering::SeqCst);
    let place = request.uri().to_string();
    let key =
        request.headers().get("X-Eflow-API-Key").map(|k| k.to_str().unwrap_or_default().to_owned());
    let body = axum::body::to_bytes(request.into_body(), 1 << 20).await.unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    server.requests.lock().expect("no test panics with it").push((
        place,
        key.unwrap_or_default(),
        body,
    ));
    let _ = server.arrived.send(());
    server.leave.acquire().await.expect("never closed").forget();
    let reply = server.script.lock().expect("no test panics with it").pop_front();
    server.now.fetch_sub(1, Ordering::SeqCst);
    written(reply.unwrap_or_else(reply_over))
}

fn reply_over() -> Reply {
    reply(418, "the script is over")
}

fn written(reply: Reply) -> Response {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    let whole = reply.body;
    let size = whole.len().div_ceil(5).max(1);
    let mut chunks: Vec<std::io::Result<Bytes>> = (0..whole.len())
        .step_by(size)
        .map(|from| Ok(whole.slice(from..whole.len().min(from + size))))
        .collect();
    if reply.cut {
        chunks.push(Err(std::io::Error::other("cut")));
    }
    // Between two chunks the server gets the time to send the first.
    let slowly = stream::iter(chunks).then(async |chunk| {
        tokio::task::yield_now().await;
        chunk
    });
    response.body(Body::from_stream(slowly)).expect("a valid answer")
}
