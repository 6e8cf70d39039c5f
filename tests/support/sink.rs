//! A server that takes whatever is posted to it, keeps it, and fails as it is told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the next request meets. Scripted ones are used up in order.
#[derive(Debug, Clone)]
pub enum Meets {
    /// The status line and further headers, as `503 Busy\r\nretry-after: 7`.
    Answer(&'static str),
    /// Takes it after so long.
    Slow(Duration),
    /// Never answers.
    Hang,
    /// Takes the request and closes without an answer.
    ResetAfterAccepting,
}

/// A request that was read whole.
#[derive(Debug, Clone)]
pub struct Request {
    /// `POST /hook`.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Request {
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("the body is JSON")
    }
}

/// The running server; it ends with the test's runtime.
#[derive(Clone)]
pub struct Sink {
    /// `http://127.0.0.1:PORT`.
    pub url: String,
    state: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    requests: Vec<Request>,
    script: VecDeque<Meets>,
}

impl Sink {
    pub async fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is free");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let sink = Sink { url, state: Arc::default() };
        let serving = sink.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        sink
    }

    pub fn then(&self, script: impl IntoIterator<Item = Meets>) {
        self.lock().script.extend(script);
    }

    /// What was taken, in order; refused requests are among it.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().requests.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().expect("no test panics while it holds this")
    }

    async fn serve(self, mut stream: TcpStream) {
        let Some(request) = read(&mut stream).await else { return };
        let meets = {
            let mut inner = self.lock();
            inner.requests.push(request);
            inner.script.pop_front().unwrap_or(Meets::Answer("200 OK"))
        };
        match meets {
            Meets::Answer(head) => answer(&mut stream, head).await,
            Meets::Slow(wait) => {
                tokio::time::sleep(wait).await;
                answer(&mut stream, "200 OK").await;
            }
            Meets::Hang => std::future::pending().await,
            Meets::ResetAfterAccepting => {}
        }
    }
}

async fn answer(stream: &mut TcpStream, head: &str) {
    let answer = format!("HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{{}}");
    // Whoever asked may be gone.
    stream.write_all(answer.as_bytes()).await.ok();
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head_ends = loop {
        if let Some(at) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break at;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_ends]).into_owned();
    let mut lines = head.lines();
    let line = lines.next()?.rsplit_once(' ')?.0.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
    let mut body = bytes.split_off(head_ends + 4);
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Request { line, headers, body: String::from_utf8(body).ok()? })
}
