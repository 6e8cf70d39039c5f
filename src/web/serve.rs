//! Takes connections and serves them. A client that is slow, or idle, holds nothing for
//! long: where there are too many, whoever has been idle longest makes room.

use std::convert::Infallible;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use prometheus::IntCounter;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::crowd::{Crowd, Seat};

/// Answers under way get this long once the service stops.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// A request's first line and its headers.
const LARGEST_HEAD: usize = 32 << 10;

/// Until the next try where the process may open no more files.
const BREATH: Duration = Duration::from_millis(50);

/// What clients may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub connections: usize,
    /// From the first byte that could come to the end of the headers.
    pub headers_within: Duration,
    /// A connection on which no request begins or ends for this long is closed.
    pub stalls_after: Duration,
}

impl Limits {
    /// At most half of the files that this process may open: the store and the network
    /// need theirs.
    pub fn of_this_process() -> Limits {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let connections = files.map_or(usize::MAX, |files| files as usize / 2).clamp(16, 512);
        Limits {
            connections,
            headers_within: Duration::from_secs(20),
            stalls_after: Duration::from_secs(60),
        }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub IpAddr);

/// Serves until `stop` comes, and then for as long as answers are under way,
/// but not longer than two seconds. Counts whom it has no seat for.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: Limits,
    turned_away: IntCounter,
    stop: impl Future<Output = ()> + Send + 'static,
) {
    let (told, stopping) = watch::channel(false);
    let crowd = Arc::new(Crowd::new(limits.connections));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
            () = &mut stop => break,
        };
        let seat = crowd.seat();
        match (accepted, seat) {
            (Ok((stream, peer)), Some(seat)) => {
                let attending =
                    attend(stream, peer, router.clone(), seat, limits, stopping.clone());
                connections.spawn(attending);
            }
            // Everybody is being answered: this one may come again.
            (Ok(_), None) => turned_away.inc(),
            (Err(error), _) => {
                tracing::debug!(%error, "a connection was not accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
    told.send_replace(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
        tracing::debug!("an answer under way was left");
    }
}

async fn attend(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    seat: Seat,
    limits: Limits,
    mut stopping: watch::Receiver<bool>,
) {
    let seat = Arc::new(seat);
    let (router, held) = (TowerToHyperService::new(router), seat.clone());
    let answering = service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Peer(peer.ip()));
        request.extensions_mut().insert(held.clone());
        let (answer, seat) = (router.call(request), held.clone());
        async move {
            seat.is_asked();
            let answer: Result<Response, Infallible> = answer.await;
            seat.is_idle();
            answer
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.headers_within);
    http.max_buf_size(LARGEST_HEAD);
    let connection = http.serve_connection(TokioIo::new(stream), answering);
    tokio::pin!(connection);
    let stopped = async { drop(stopping.wait_for(|stopping| *stopping).await) };
    tokio::select! {
        // A client that went away, or sent nonsense, is no news.
        _ = connection.as_mut() => return,
        () = seat.is_taken() => return,
        () = seat.stalls(limits.stalls_after) => return,
        () = stopped => {}
    }
    // An idle one ends at once; an answer that has begun goes out to its end.
    connection.as_mut().graceful_shutdown();
    connection.await.ok();
}
