//! A proxy before a server on loopback, which lets everything through or fails as
//! it is told: what a real server cannot be made to do.

use std::sync::{Arc, Mutex, MutexGuard};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

/// What becomes of whoever connects. It stays so until something else is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// None.
    Fine,
    /// Each whole HTTP request gets this answer, and the server never sees it.
    Answers(&'static str),
    /// Whoever connects is told this at once, as SMTP servers do, and let go.
    Greets(&'static str),
    /// Nobody ever answers.
    Hangs,
    /// The server takes what it gets; its answer to anything long is lost, and the
    /// connection with it.
    LosesAnswers,
    /// Nobody listens.
    Dead,
}

/// What is shorter is part of a greeting or a handshake.
const LONG: usize = 2_000;

/// The running proxy; it ends with the test's runtime.
#[derive(Clone)]
pub struct Proxy {
    pub port: u16,
    fault: Arc<watch::Sender<Fault>>,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    /// When a fault was met.
    met: Vec<Instant>,
    /// What the server was sent on each connection that it answered with a 2xx.
    taken: Vec<Vec<u8>>,
}

impl Proxy {
    /// Before the server at `upstream`, `HOST:PORT`.
    pub async fn before(upstream: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is free");
        let port = listener.local_addr().expect("it is bound").port();
        let (fault, told) = watch::channel(Fault::Fine);
        let proxy = Proxy { port, fault: Arc::new(fault), seen: Arc::default() };
        tokio::spawn(proxy.clone().listen(listener, upstream.to_owned(), told));
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// When a fault was met.
    pub fn met(&self) -> Vec<Instant> {
        self.lock().met.clone()
    }

    /// The bodies of the HTTP requests that the server took, where each has a
    /// connection of its own.
    pub fn taken(&self) -> Vec<String> {
        let body = |sent: &Vec<u8>| {
            let text = String::from_utf8_lossy(sent).into_owned();
            text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
        };
        self.lock().taken.iter().filter_map(body).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().expect("no test panics while it holds this")
    }

    fn fault(&self) -> Fault {
        *self.fault.borrow()
    }

    fn note(&self) {
        self.lock().met.push(Instant::now());
    }

    async fn listen(self, first: TcpListener, upstream: String, mut told: watch::Receiver<Fault>) {
        let mut listener = Some(first);
        loop {
            let fault = *told.borrow_and_update();
            match (fault, &listener) {
                (Fault::Dead, Some(_)) => listener = None,
                (Fault::Dead, None) | (_, Some(_)) => {}
                (_, None) => listener = Some(self.listen_again().await),
            }
            tokio::select! {
                stream = accept(listener.as_ref()) => {
                    tokio::spawn(self.clone().serve(stream, upstream.clone()));
                }
                changed = told.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn listen_again(&self) -> TcpListener {
        let mut tries = tokio::time::interval(Duration::from_millis(10));
        loop {
            // Somebody's connection may have got the port for a moment.
            if let Ok(listener) = TcpListener::bind(("127.0.0.1", self.port)).await {
                return listener;
            }
            tries.tick().await;
        }
    }

    /// Ends with the connection, for which an I/O error is one way.
    async fn serve(self, mut client: TcpStream, upstream: String) -> std::io::Result<()> {
        match self.fault() {
            Fault::Greets(text) => {
                self.note();
                client.write_all(text.as_bytes()).await
            }
            Fault::Hangs => self.hang(client).await,
            Fault::Fine | Fault::Answers(_) | Fault::LosesAnswers | Fault::Dead => {
                let server = TcpStream::connect(upstream).await?;
                self.carry(client, server).await
            }
        }
    }

    async fn hang(&self, mut client: TcpStream) -> std::io::Result<()> {
        self.note();
        tokio::io::copy(&mut client, &mut tokio::io::sink()).await.map(drop)
    }

    async fn carry(&self, mut client: TcpStream, mut server: TcpStream) -> std::io::Result<()> {
        let mut told = self.fault.subscribe();
        let mut sent = Vec::new();
        let mut answer = vec![0; 65_536];
        while self.fault() != Fault::Dead {
            tokio::select! {
                read = client.read_buf(&mut sent) => {
                    let from = sent.len() - read?;
                    match self.fault() {
                        _ if from == sent.len() => return Ok(()),
                        Fault::Hangs => return self.hang(client).await,
                        Fault::Answers(text) if is_whole(&sent) => {
                            self.note();
                            return client.write_all(text.as_bytes()).await;
                        }
                        Fault::Answers(_) => {}
                        Fault::Fine | Fault::LosesAnswers | Fault::Greets(_) | Fault::Dead => {
                            server.write_all(&sent[from..]).await?;
                        }
                    }
                }
                read = server.read(&mut answer) => {
                    let answer = &answer[..read?];
                    let sent = std::mem::take(&mut sent);
                    let is_lost = self.fault() == Fault::LosesAnswers && sent.len() > LONG;
                    self.take(answer, sent);
                    if is_lost {
                        self.note();
                    }
                    if answer.is_empty() || is_lost {
                        return Ok(());
                    }
                    client.write_all(answer).await?;
                }
                _ = told.changed() => {}
            }
        }
        Ok(())
    }

    fn take(&self, answer: &[u8], sent: Vec<u8>) {
        if answer.starts_with(b"HTTP/1.1 2") {
            self.lock().taken.push(sent);
        }
    }
}

async fn accept(listener: Option<&TcpListener>) -> TcpStream {
    let Some(listener) = listener else { return std::future::pending().await };
    listener.accept().await.expect("loopback works").0
}

/// Whether an HTTP request ends here.
fn is_whole(sent: &[u8]) -> bool {
    let text = String::from_utf8_lossy(sent).to_lowercase();
    let Some((head, _)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
    let length: usize = length.and_then(|length| length.trim().parse().ok()).unwrap_or(0);
    sent.len() >= head.len() + 4 + length
}
