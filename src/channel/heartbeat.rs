//! The address at which an outside watcher waits to hear that postwatch lives.

use std::time::Duration;

use reqwest::Client;
use url::Url;

use super::{SendError, http};

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);

/// What `heartbeat:` says.
pub struct Heartbeat {
    client: Client,
    url: Url,
    /// At most one in this time.
    pub every: Duration,
}

impl Heartbeat {
    /// Checks the address; nothing is asked over the network.
    pub fn new(url: &str, every: Duration) -> Result<Heartbeat, String> {
        let url = Url::parse(url).map_err(|e| format!("`heartbeat`: `url` is no address ({e})"))?;
        Ok(Heartbeat { client: http::client()?, url, every })
    }

    /// One GET of the address.
    pub async fn beat(&self) -> Result<(), SendError> {
        let request = self.client.get(self.url.clone()).timeout(ANSWERS_WITHIN);
        http::send(&self.url, request).await.map(drop)
    }

    /// Connects to the host, and asks for nothing at the address: that would be a beat.
    pub async fn probe(&self) -> Result<String, SendError> {
        let mut top = self.url.clone();
        top.set_path("/");
        top.set_query(None);
        let request = self.client.head(top).timeout(ANSWERS_WITHIN);
        let status = http::answers(&self.url, request).await?;
        let host = http::host(&self.url);
        Ok(format!("{host} is there ({} to HEAD /); no heartbeat was sent", status.as_u16()))
    }
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heartbeat").field("host", &http::host(&self.url)).finish_non_exhaustive()
    }
}
