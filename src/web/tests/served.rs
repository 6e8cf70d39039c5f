//! What is served to whom, over a real connection.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};

use super::*;
use crate::config::AccessConfig;
use crate::pipeline::{InForce, Keeper, Message};
use crate::store::memory::MemoryStore;

/// A service without pollers: the test says what was read.
pub struct Served {
    pub address: std::net::SocketAddr,
    pub access: watch::Sender<Arc<Access>>,
    keeper: mpsc::Sender<Message>,
    scope: u64,
}

async fn serve_at(is_loopback: bool) -> Served {
    serve_within(is_loopback, AccessConfig::default(), Limits::of_this_process()).await
}

pub async fn serve_within(is_loopback: bool, access: AccessConfig, limits: Limits) -> Served {
    let (rule, said) = watch::channel(Arc::new(Access::new(&access)));
    let rules = InForce { policy: Arc::new(policy()), hash: 1 };
    let scope = rules.policy.sources[0].scopes[0].key();
    let reloads = Reloads::none();
    let metrics = Metrics::new();
    let clock = Clock::System;
    let notify = Arc::new(Notify::new());
    let store = MemoryStore::default();
    let keeper = Keeper::open(store, rules, clock, metrics.clone(), notify);
    let keeper = keeper.expect("an empty store opens");
    let view = keeper.view();
    let keeper = keeper.start();
    let web = Web {
        view,
        metrics,
        clock,
        channels: watch::channel(Arc::default()).1,
        reloads,
        keeper: keeper.clone(),
        started_at: NOW,
        page: "http://localhost:9467/".to_owned(),
        is_loopback,
        door: Door::new(said),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let turned_away = web.metrics.limits_reached.with_label_values(&["", "connection"]);
    tokio::spawn(serve(listener, router(web), limits, turned_away, std::future::pending()));
    Served { address, access: rule, keeper, scope }
}

impl Served {
    async fn get(&self, path: &str, host: &str) -> String {
        self.ask("GET", path, host).await
    }

    async fn ask(&self, method: &str, path: &str, host: &str) -> String {
        self.send(&format!("{method} {path} HTTP/1.1\r\nHost: {host}"), "").await
    }

    /// The first lines of a request, and its body.
    pub async fn send(&self, head: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let length = body.len();
        let rest = format!("Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        stream.write_all(format!("{head}\r\n{rest}").as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers in UTF-8");
        answer
    }

    async fn read_whole(&self) {
        let source = || "acme".to_owned();
        let to = Clock::System.now();
        let began = Message::Began { source: source(), read: 1, at: to, counts: false };
        self.keeper.send(began).await.expect("the keeper runs");
        let span = WholeSpan::Lookback { to, successes_since: to };
        let (done, stored) = oneshot::channel();
        let whole = Message::Whole { source: source(), scope: self.scope, read: 1, span, done };
        self.keeper.send(whole).await.expect("the keeper runs");
        stored.await.expect("the keeper answers").expect("it is stored");
    }
}

#[tokio::test]
async fn it_is_ready_once_each_source_was_read() {
    let served = serve_at(true).await;
    let answer = served.get("/readyz", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.ends_with("Source acme: not read whole yet.\n"), "{answer}");
    served.read_whole().await;
    let answer = served.get("/readyz", "localhost").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_blind_source_is_ready_and_a_broken_store_is_not() {
    let policy = policy();
    let mut state = State::default();
    let mut tell = |now, news: News<'_>| drop(turn(now, &policy, &mut state, news));
    tell(NOW, News::Started);
    let trouble = "the key\nis refused".to_owned();
    tell(NOW, News::Failed { source: "acme", trouble });
    let expected = ["Source acme: the last poll failed: the key is refused"];
    assert_eq!(ready::missing(&policy, &state, None), expected);
    let mut tell = |now, news: News<'_>| drop(turn(now, &policy, &mut state, news));
    tell(NOW + Duration::from_secs(3600), News::Tick { uptime: Duration::from_secs(3600) });
    assert_eq!(ready::missing(&policy, &state, None), [""; 0]);
    let missing = ready::missing(&policy, &state, Some("disk full"));
    assert_eq!(missing, ["The store does not work: disk full"]);
}

#[tokio::test]
async fn everybody_beyond_loopback_gets_numbers_and_health_only() {
    let served = serve_at(false).await;
    let check = async |path: &str, status: &str| {
        let answer = served.get(path, "postwatch.example.com").await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {answer}");
        answer
    };
    assert!(check("/", "403").await.contains("ssh -L"));
    assert!(check("/api/v1/explain?rule=failing", "403").await.contains("ssh -L"));
    for path in ["/api/v1/alerts", "/api/v1/silences", "/api/v2/alerts", "/api/v2/silences"] {
        assert!(check(path, "403").await.contains("ssh -L"));
    }
    let press = served.ask("POST", "/silences", "postwatch.example.com").await;
    assert!(press.starts_with("HTTP/1.1 403"), "{press}");
    let reload = served.ask("POST", "/api/v1/reload", "postwatch.example.com").await;
    assert!(reload.starts_with("HTTP/1.1 403") && reload.contains("problem+json"), "{reload}");
    check("/metrics", "200").await;
    check("/healthz", "200").await;
    check("/readyz", "503").await;
    check("/nothing", "403").await;
}

#[tokio::test]
async fn a_strangers_name_for_loopback_is_refused() {
    let served = serve_at(true).await;
    let check = async |host: &str, status: &str| {
        let answer = served.get("/", host).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
        answer
    };
    check("evil.example", "403").await;
    let page = check("localhost:9467", "200").await;
    assert!(page.contains("content-security-policy: default-src 'none'"), "{page}");
    assert!(!page.contains("unsafe-inline") && !page.contains("style=\""), "{page}");
    assert!(page.contains("cache-control: no-store"), "{page}");
}

#[tokio::test]
async fn metrics_come_in_the_text_format_with_those_of_the_process() {
    let served = serve_at(true).await;
    let answer = served.get("/metrics", "127.0.0.1").await;
    assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    assert!(answer.contains("\nprocess_open_fds "), "{answer}");
    assert!(answer.contains("\npostwatch_source_blind{source=\"acme\"} 0"), "{answer}");
}
