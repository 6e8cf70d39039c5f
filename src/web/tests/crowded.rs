//! Clients that are slow, idle or many.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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
