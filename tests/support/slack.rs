//! A fake of Slack's Web API on loopback, as strict as Slack: it refuses what
//! Slack refuses, records what it takes, and fails as it is told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::any;
use serde_json::{Value, json};

pub const TOKEN: &str = "xoxb-test-token";
pub const CHANNEL: &str = "#postbacks";
pub const CHANNEL_ID: &str = "C0POSTBACKS";

/// How the next call goes wrong. Scripted ones are used up in order.
#[derive(Debug, Clone)]
pub enum Fault {
    /// None: a step between two faults.
    Fine,
    /// 429 with Retry-After.
    RateLimited(u64),
    /// This status, with a page that is no JSON.
    Status(u16),
    /// Never answers.
    Hang,
    /// Takes the message and closes without an answer.
    ResetAfterAccepting,
    /// `ok: false` with this error.
    Error(&'static str),
    /// Takes the message; `ok: true` without `message`.
    WithoutMessage,
    /// Takes the message; the answer breaks off in the middle.
    CutShort,
    /// 200 with a login page, as a captive portal answers.
    Portal,
}

/// A call that was taken.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: String,
    pub body: Value,
}

/// The running fake; it ends with the test's runtime.
#[derive(Clone)]
pub struct FakeSlack {
    pub api_url: String,
    state: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    calls: Vec<Call>,
    /// `ts` of each root and reply that is there.
    messages: Vec<String>,
    faults: VecDeque<Fault>,
    refusals: Vec<String>,
}

impl FakeSlack {
    pub async fn start() -> FakeSlack {
        let state = Arc::new(Mutex::new(Inner::default()));
        let listener =
            tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback is free");
        let address = listener.local_addr().expect("it is bound");
        let router =
            Router::new().route("/api/{method}", any(answer)).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        FakeSlack { api_url: format!("http://{address}/api"), state }
    }

    pub fn then(&self, faults: impl IntoIterator<Item = Fault>) {
        self.lock().faults.extend(faults);
    }

    pub fn calls(&self) -> Vec<Call> {
        self.lock().calls.clone()
    }

    /// How many of the scripted faults have not happened yet.
    pub fn faults_left(&self) -> usize {
        self.lock().faults.len()
    }

    /// What a strict Slack had against our messages; empty in a good test.
    pub fn refusals(&self) -> Vec<String> {
        self.lock().refusals.clone()
    }

    /// As when somebody deletes the message by hand.
    pub fn forget_messages(&self) {
        self.lock().messages.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().expect("no test panics while it holds this")
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Inner>>>,
    Path(method): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response<Body> {
    let fault = {
        let mut inner = state.lock().expect("no test panics while it holds this");
        inner.faults.pop_front().unwrap_or(Fault::Fine)
    };
    let take = || {
        let mut inner = state.lock().expect("no test panics while it holds this");
        inner.take(&method, &headers, &body)
    };
    match fault {
        Fault::Fine => reply(200, take().to_string()),
        Fault::RateLimited(seconds) => Response::builder()
            .status(StatusCode::TOO_MANY_REQUESTS)
            .header("retry-after", seconds)
            .header("content-type", "application/json")
            .body(Body::from(json!({"ok": false, "error": "ratelimited"}).to_string()))
            .expect("constant parts"),
        Fault::Status(status) => Response::builder()
            .status(status)
            .header("content-type", "text/html")
            .body(Body::from("<h1>Sorry</h1>"))
            .expect("constant parts"),
        Fault::Hang => std::future::pending().await,
        Fault::ResetAfterAccepting => {
            take();
            let broken = futures_util::stream::once(async {
                Err::<Bytes, _>(std::io::Error::from(std::io::ErrorKind::ConnectionReset))
            });
            Response::new(Body::from_stream(broken))
        }
        Fault::Error(code) => reply(200, json!({"ok": false, "error": code}).to_string()),
        Fault::WithoutMessage => {
            let mut taken = take();
            taken.as_object_mut().expect("an object").remove("message");
            reply(200, taken.to_string())
        }
        Fault::CutShort => {
            take();
            reply(200, r#"{"ok":true,"channel":"C0POST"#.to_owned())
        }
        Fault::Portal => Response::builder()
            .header("content-type", "text/html")
            .body(Body::from("<h1>Please log in</h1>"))
            .expect("constant parts"),
    }
}

fn reply(status: u16, body: String) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("content-type", "application/json; charset=utf-8")
        .body(Body::from(body))
        .expect("constant parts")
}

impl Inner {
    fn take(&mut self, method: &str, headers: &HeaderMap, body: &Bytes) -> Value {
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        match self.check(method, headers, &body) {
            Err(error) => {
                self.refusals.push(error.clone());
                let code = error.split(':').next().unwrap_or_default();
                json!({"ok": false, "error": code})
            }
            // A server that stands in for Slack need not say more.
            Ok(_) if method == "auth.test" => {
                self.calls.push(Call { method: method.to_owned(), body });
                json!({ "ok": true, "user": "postwatch", "team": "T" })
            }
            Ok(ts) => {
                self.calls.push(Call { method: method.to_owned(), body });
                json!({
                    "ok": true, "channel": CHANNEL_ID, "ts": ts,
                    "text": "…",
                    "message": {"type": "message", "ts": ts, "text": "…", "user": "U1"},
                })
            }
        }
    }

    /// The `ts` of the message, or Slack's error and what it was about.
    fn check(&mut self, method: &str, headers: &HeaderMap, body: &Value) -> Result<String, String> {
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok());
        if bearer != Some(&format!("Bearer {TOKEN}")) {
            return Err("invalid_auth".to_owned());
        }
        if method == "auth.test" {
            return Ok(String::new());
        }
        let channel = body["channel"].as_str().unwrap_or_default();
        // An update wants the channel's id, a post takes both.
        let known = channel == CHANNEL_ID || (method == "chat.postMessage" && channel == CHANNEL);
        if !known {
            return Err("channel_not_found".to_owned());
        }
        check_message(body)?;
        match method {
            "chat.postMessage" => self.post(body),
            "chat.update" => {
                let ts = body["ts"].as_str().unwrap_or_default().to_owned();
                let there = self.messages.contains(&ts);
                there.then_some(ts).ok_or_else(|| "message_not_found".to_owned())
            }
            _ => Err("unknown_method".to_owned()),
        }
    }

    fn post(&mut self, body: &Value) -> Result<String, String> {
        if let Some(thread) = body["thread_ts"].as_str() {
            if !self.messages.iter().any(|ts| ts == thread) {
                return Err("thread_not_found".to_owned());
            }
        } else if body["reply_broadcast"] == json!(true) {
            return Err("invalid_arguments: broadcast without a thread".to_owned());
        }
        let ts = format!("1772331120.{:06}", self.messages.len() + 1);
        self.messages.push(ts.clone());
        Ok(ts)
    }
}

fn check_message(body: &Value) -> Result<(), String> {
    let text = body["text"].as_str().unwrap_or_default();
    if text.is_empty() {
        return Err("no_text".to_owned());
    }
    check_text(text, 4_000)?;
    check_mentions(text)?;
    let blocks = blocks_of(body)?;
    if blocks.len() > 50 {
        return Err(format!("invalid_blocks: {} blocks", blocks.len()));
    }
    let total: usize = blocks.iter().map(|block| block.to_string().encode_utf16().count()).sum();
    if total > 13_200 {
        return Err(format!("msg_blocks_too_long: {total}"));
    }
    blocks.iter().try_for_each(check_block)
}

/// Those of the message itself, then those of its attachments.
fn blocks_of(body: &Value) -> Result<Vec<Value>, String> {
    let mut blocks = body["blocks"].as_array().cloned().unwrap_or_default();
    let attachments = body["attachments"].as_array().cloned().unwrap_or_default();
    if attachments.len() > 20 {
        return Err(format!("too_many_attachments: {}", attachments.len()));
    }
    for attachment in attachments {
        let colour = attachment["color"].as_str().unwrap_or_default();
        let is_colour = colour.strip_prefix('#').is_some_and(|digits| {
            digits.len() == 6 && digits.chars().all(|digit| digit.is_ascii_hexdigit())
        });
        let inner = attachment["blocks"].as_array().cloned().unwrap_or_default();
        if !is_colour || inner.is_empty() {
            return Err(format!("invalid_attachments: colour {colour:?}, {} blocks", inner.len()));
        }
        blocks.extend(inner);
    }
    Ok(blocks)
}

fn check_block(block: &Value) -> Result<(), String> {
    match block["type"].as_str() {
        Some("header") => {
            if block["text"]["type"] != "plain_text" {
                return Err("invalid_blocks: a header is plain text".to_owned());
            }
            check_object(&block["text"], 150)
        }
        Some("section") => {
            let fields = block["fields"].as_array().cloned().unwrap_or_default();
            if fields.len() > 10 || (fields.is_empty() && block["text"].is_null()) {
                return Err("invalid_blocks: a section has text or up to 10 fields".to_owned());
            }
            fields.iter().try_for_each(|field| check_object(field, 2_000))?;
            if block["text"].is_null() { Ok(()) } else { check_object(&block["text"], 3_000) }
        }
        Some("context") => {
            let elements = block["elements"].as_array().cloned().unwrap_or_default();
            if elements.is_empty() || elements.len() > 10 {
                return Err("invalid_blocks: a context has 1 to 10 elements".to_owned());
            }
            elements.iter().try_for_each(|element| check_object(element, 3_000))
        }
        Some("actions") => {
            let elements = block["elements"].as_array().cloned().unwrap_or_default();
            if elements.is_empty() || elements.len() > 25 {
                return Err("invalid_blocks: actions have 1 to 25 elements".to_owned());
            }
            elements.iter().try_for_each(check_button)
        }
        other => Err(format!("invalid_blocks: {other:?} is not expected")),
    }
}

fn check_button(button: &Value) -> Result<(), String> {
    let text = |key: &str| button[key].as_str().unwrap_or_default();
    let (url, id) = (text("url"), text("action_id"));
    if text("type") != "button" || button["text"]["type"] != "plain_text" {
        return Err("invalid_blocks: a button has plain text".to_owned());
    }
    check_text(button["text"]["text"].as_str().unwrap_or_default(), 75)?;
    check_text(id, 255)?;
    let is_web = url.starts_with("http://") || url.starts_with("https://");
    match is_web && url.len() <= 3_000 {
        true => Ok(()),
        false => Err(format!("invalid_blocks: a button to {url:?}")),
    }
}

fn check_object(object: &Value, max: usize) -> Result<(), String> {
    let text = object["text"].as_str().unwrap_or_default();
    if !matches!(object["type"].as_str(), Some("plain_text" | "mrkdwn")) {
        return Err("invalid_blocks: not a text object".to_owned());
    }
    check_text(text, max)?;
    check_mentions(text)
}

fn check_text(text: &str, max: usize) -> Result<(), String> {
    let length = text.encode_utf16().count();
    if text.is_empty() || length > max {
        return Err(format!("invalid_blocks: a text of {length} characters, {max} at most"));
    }
    Ok(())
}

/// Only links to the web may stand in angle brackets, and nobody is called.
fn check_mentions(text: &str) -> Result<(), String> {
    for part in text.split('<').skip(1) {
        if !part.starts_with("http://") && !part.starts_with("https://") {
            return Err(format!("invalid_blocks: unescaped <{part}"));
        }
    }
    let calls = ["@channel", "@here", "@everyone"];
    match calls.iter().find(|call| text.contains(*call)) {
        Some(call) => Err(format!("invalid_blocks: {call} calls everybody")),
        None => Ok(()),
    }
}
