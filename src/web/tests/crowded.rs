//! Clients that are slow, idle or many.

use prometheus::IntCounter;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use super::served::{Served, serve_within};
use super::*;
use crate::config::AccessConfig;

const PATIENT: Duration = Duration::from_secs(600);

async fn serve_seats(limits: Limits) -> Served {
    serve_within(true, AccessConfig::default(), limits).await
}

/// A client that has sent this much.
async fn client(served: &Served, sent: &str) -> TcpStream {
    let mut stream = TcpStream::connect(served.address).await.expect("it listens");
    stream.write_all(sent.as_bytes()).await.expect("it takes it");
    stream
}

async fn is_closed(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // Closed or reset; what stood before was an answer.
    stream.read_to_end(&mut rest).await.ok();
}

#[tokio::test]
async fn many_idle_clients_keep_nobody_out_and_the_oldest_make_room() {
    let limits = Limits { connections: 8, headers_within: PATIENT, stalls_after: PATIENT };
    let served = serve_seats(limits).await;
    let mut idle = Vec::new();
    for number in 0..40 {
        let sent = ["", "GET / HTTP/1.1\r\nHost: local"][number % 2];
        idle.push(client(&served, sent).await);
    }
    let answer = served.send("GET /healthz HTTP/1.1\r\nHost: localhost", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    for stream in &mut idle[..30] {
        is_closed(stream).await;
    }
}

#[tokio::test]
async fn a_client_that_never_ends_its_headers_is_let_go() {
    let short = Duration::from_millis(50);
    let limits = Limits { connections: 8, headers_within: short, stalls_after: PATIENT };
    let served = serve_seats(limits).await;
    for sent in ["", "GET / HTTP/1.1\r\nHost: local"] {
        is_closed(&mut client(&served, sent).await).await;
    }
    let limits = Limits { connections: 8, headers_within: PATIENT, stalls_after: short };
    let served = serve_seats(limits).await;
    let asks = "POST /silences HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nexpire";
    for sent in ["", "GET / HTTP/1.1\r\nHost: local", asks] {
        is_closed(&mut client(&served, sent).await).await;
    }
}

#[tokio::test]
async fn clients_that_never_send_their_bodies_keep_nobody_out() {
    let limits = Limits { connections: 8, headers_within: PATIENT, stalls_after: PATIENT };
    let served = serve_seats(limits).await;
    let asks = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\
                Expect: 100-continue\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..8 {
        let mut stream = client(&served, asks).await;
        let mut told = [0; 12];
        stream.read_exact(&mut told).await.expect("it asks for the body");
        assert_eq!(&told, b"HTTP/1.1 100");
        waiting.push(stream);
    }
    let answer = served.send("GET /healthz HTTP/1.1\r\nHost: localhost", "").await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Serves these routes until it is told to stop: where, whom it turned away, and its end.
async fn serve_routes(
    routes: Router,
    connections: usize,
) -> (std::net::SocketAddr, IntCounter, oneshot::Sender<()>, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it is bound");
    let turned_away = Metrics::new().limits_reached.with_label_values(&["", "connection"]);
    let limits = Limits { connections, headers_within: PATIENT, stalls_after: PATIENT };
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move { drop(stopped.await) };
    let routes = routes.layer(middleware::from_fn(body::taken_in));
    let serving = tokio::spawn(serve(listener, routes, limits, turned_away.clone(), stopped));
    (address, turned_away, stop, serving)
}

#[tokio::test]
async fn whom_there_is_no_seat_for_is_counted() {
    let asked = Arc::new(tokio::sync::Notify::new());
    let asks = asked.clone();
    let never = get(async move || {
        asks.notify_one();
        std::future::pending::<()>().await;
    });
    let (address, turned_away, _stop, _serving) =
        serve_routes(Router::new().route("/", never), 1).await;
    let mut busy = TcpStream::connect(address).await.expect("it listens");
    busy.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it reads");
    asked.notified().await;
    assert_eq!(turned_away.get(), 0);
    is_closed(&mut TcpStream::connect(address).await.expect("it listens")).await;
    assert_eq!(turned_away.get(), 1);
}

#[tokio::test]
async fn an_answer_that_has_begun_is_sent_whole_when_the_service_stops() {
    const LONG: usize = 32 << 20;
    let long = get(async || "x".repeat(LONG));
    let (address, _, stop, serving) = serve_routes(Router::new().route("/", long), 8).await;
    let mut idle = TcpStream::connect(address).await.expect("it listens");
    let mut reader = TcpStream::connect(address).await.expect("it listens");
    reader.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("it reads");
    let mut answer = vec![0; 12];
    reader.read_exact(&mut answer).await.expect("it answers");
    assert_eq!(answer, b"HTTP/1.1 200");
    stop.send(()).expect("it serves");
    is_closed(&mut idle).await;
    reader.read_to_end(&mut answer).await.expect("it goes on");
    assert!(answer.len() > LONG, "cut after {} bytes", answer.len());
    serving.await.expect("it ends");
}
