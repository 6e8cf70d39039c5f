//! Alertmanager by its v2 API. It forgets an alert of which it hears no more, so
//! what it was told is told again for as long as that holds: the outbox says when.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::Client;
use serde::{Deserialize, Serialize};
use tracing::{info, warn};
use url::Url;

use crate::domain::notify::Notice;
use crate::domain::time::Timestamp;

use super::render::labelled::{Labelled, Pairs};
use super::{Link, SEND_TIMEOUT, SendError, Sent, Thread, http};

pub mod told;

use told::Standing;

/// How long Alertmanager may believe that an alert fires without hearing of it
/// again: four times may fail.
const BELIEVED_FOR: Duration = Duration::from_secs(5 * 60);

/// One server that hangs must not keep the others' news waiting for long.
const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// All of its requests together: what one member is slow to take must not be lost for
/// another that took it, so this ends before the whole send does.
const MEMBER_TAKES_WITHIN: Duration = SEND_TIMEOUT.saturating_sub(Duration::from_secs(5));

/// Alerts in one request.
const MOST_ALERTS: usize = 500;

/// What `alertmanager:` of a receiver says.
#[derive(Clone)]
pub struct AlertmanagerOptions {
    /// Of every member of a cluster; `/api/v2/alerts` is appended.
    pub urls: Vec<String>,
}

/// An Alertmanager, or the members of a cluster of them.
#[derive(Debug)]
pub struct Alertmanager {
    client: Client,
    peers: Vec<Peer>,
}

struct Peer {
    url: Url,
    /// So that a member that is down is told of once.
    is_failing: AtomicBool,
}

/// An alert as the API takes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Posted<'a> {
    labels: &'a Pairs,
    annotations: &'a Pairs,
    starts_at: String,
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: &'a str,
}

/// What is read of `/api/v2/status`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    version_info: Version,
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

impl Alertmanager {
    /// Checks the options; nothing is asked over the network.
    pub fn new(options: AlertmanagerOptions) -> Result<Alertmanager, String> {
        let parse = |url: &String| {
            let url = Url::parse(url).map_err(|e| {
                format!("`url` is no address ({e}); write `http://alertmanager:9093`")
            })?;
            Ok(Peer { url, is_failing: AtomicBool::new(false) })
        };
        let peers: Vec<Peer> = options.urls.iter().map(parse).collect::<Result<_, String>>()?;
        if peers.is_empty() {
            return Err("`url` is empty; write `http://alertmanager:9093`".to_owned());
        }
        Ok(Alertmanager { client: http::client()?, peers })
    }

    /// Tells what `notice` changes. It is taken where one member took it: the
    /// others hear of it when it is told again.
    pub(super) async fn send(
        &self,
        notice: &Notice,
        thread: Option<&Thread>,
        link: &Link,
    ) -> Result<Sent, SendError> {
        let told = told::after(told::before(thread), notice);
        let alerts: Vec<Labelled> = told.iter().map(|told| told.alert.clone()).collect();
        let now = Timestamp(jiff::Timestamp::now().as_second());
        let taken = self.tell(now, &alerts, link).await?;
        let answer = Some(format!("{taken} of {} took it", self.peers.len()));
        Ok(Sent { thread: Some(Thread::Alertmanager { told }), answer, ..Sent::default() })
    }

    /// Tells again what holds of all that was told; nothing where nothing does.
    pub(super) async fn restate(
        &self,
        now: Timestamp,
        standing: &[Standing],
        link: &Link,
    ) -> Result<(), SendError> {
        let alerts = told::still(now, standing);
        if alerts.is_empty() {
            return Ok(());
        }
        self.tell(now, &alerts, link).await.map(drop)
    }

    /// Asks each member what it is.
    pub(super) async fn probe(&self) -> Result<String, SendError> {
        let asked = self.peers.iter().map(|peer| self.ask_version(peer));
        let found = futures_util::future::try_join_all(asked).await?;
        Ok(found.join(", "))
    }

    async fn ask_version(&self, peer: &Peer) -> Result<String, SendError> {
        let url = peer.at("status");
        let body = http::body(&url, self.client.get(url.clone()).timeout(ANSWERS_WITHIN)).await?;
        let host = http::host(&url);
        match serde_json::from_slice::<Status>(&body) {
            Ok(status) => {
                let version: String = status.version_info.version.chars().take(20).collect();
                Ok(format!("Alertmanager {version:?} at {host}"))
            }
            Err(_) => Err(SendError::permanent(
                "bad_answer",
                format!("{host} answers, but not as an Alertmanager: check the path of `url`"),
            )),
        }
    }

    /// Tells every member, and returns how many took it.
    ///
    /// # Errors
    /// Where none did: one that may pass, if any may.
    async fn tell(
        &self,
        now: Timestamp,
        alerts: &[Labelled],
        link: &Link,
    ) -> Result<usize, SendError> {
        let bodies: Vec<String> =
            alerts.chunks(MOST_ALERTS).map(|some| json(now, some, link)).collect();
        let telling = self.peers.iter().map(|peer| self.tell_one(peer, &bodies));
        let (taken, failed): (Vec<_>, Vec<_>) =
            futures_util::future::join_all(telling).await.into_iter().partition(Result::is_ok);
        let is_passing = |error: &SendError| matches!(error, SendError::Temporary { .. });
        let mut errors: Vec<SendError> = failed.into_iter().filter_map(Result::err).collect();
        errors.sort_by_key(is_passing);
        match errors.pop() {
            Some(error) if taken.is_empty() => Err(error),
            Some(_) | None => Ok(taken.len()),
        }
    }

    async fn tell_one(&self, peer: &Peer, bodies: &[String]) -> Result<(), SendError> {
        let telling = tokio::time::timeout(MEMBER_TAKES_WITHIN, self.tell_all(peer, bodies));
        let told = telling.await.unwrap_or_else(|_| {
            let (host, limit) = (http::host(&peer.url), MEMBER_TAKES_WITHIN.as_secs());
            let message = format!("{host} did not take all of it within {limit} s");
            Err(SendError::temporary("timeout", message))
        });
        peer.note(&told);
        told
    }

    async fn tell_all(&self, peer: &Peer, bodies: &[String]) -> Result<(), SendError> {
        let url = peer.at("alerts");
        for body in bodies {
            let request = self.client.post(url.clone()).timeout(ANSWERS_WITHIN);
            let request = request.header("content-type", "application/json").body(body.clone());
            http::send(&url, request).await?;
        }
        Ok(())
    }
}

impl Peer {
    fn at(&self, what: &str) -> Url {
        let mut url = self.url.clone();
        url.set_path(&format!("{}/api/v2/{what}", self.url.path().trim_end_matches('/')));
        url
    }

    fn note(&self, sent: &Result<(), SendError>) {
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        let host = http::host(&self.url);
        match sent {
            Err(error) if !was_failing => {
                warn!(host, %error, "an Alertmanager does not hear of alerts; it is told again each minute");
            }
            Ok(()) if was_failing => info!(host, "the Alertmanager hears of alerts again"),
            Ok(()) | Err(_) => {}
        }
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&http::host(&self.url))
    }
}

impl std::fmt::Debug for AlertmanagerOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AlertmanagerOptions").field("members", &self.urls.len()).finish()
    }
}

fn json(now: Timestamp, alerts: &[Labelled], link: &Link) -> String {
    let posted = alerts.iter().map(|alert| {
        let ends_at = alert.ends_at.unwrap_or(now + BELIEVED_FOR);
        Posted {
            labels: &alert.labels,
            annotations: &alert.annotations,
            // The network's clock may be ahead of ours, and an alert that ends before
            // it begins would have the whole request refused.
            starts_at: alert.starts_at.min(ends_at).to_string(),
            ends_at: ends_at.to_string(),
            generator_url: link.as_str(),
        }
    });
    serde_json::to_string(&posted.collect::<Vec<_>>()).expect("names and texts are always JSON")
}
