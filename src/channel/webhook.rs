//! Any server that takes Alertmanager's webhook payload: one POST a message,
//! signed after Standard Webhooks where there is a secret.

use reqwest::Client;
use url::Url;

use crate::domain::notify::Notice;

use super::{Link, SendError, Sent, http};

pub mod payload;
mod signature;

/// What `webhook:` of a receiver says.
#[derive(Clone)]
pub struct WebhookOptions {
    /// `https://…` or `http://…`; user and password become Basic authentication.
    pub url: String,
    /// The key of the signature; unsigned without one.
    pub key: Option<Vec<u8>>,
}

/// A webhook's address.
pub struct Webhook {
    client: Client,
    url: Url,
    key: Option<ring::hmac::Key>,
}

impl Webhook {
    /// Checks the options; nothing is asked over the network.
    pub fn new(options: WebhookOptions) -> Result<Webhook, String> {
        let url = Url::parse(&options.url)
            .map_err(|e| format!("`url` is no address ({e}); write `https://host/path`"))?;
        let key = options.key.map(|key| ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key));
        Ok(Webhook { client: http::client()?, url, key })
    }

    pub(super) async fn send(&self, notice: &Notice, link: &Link) -> Result<Sent, SendError> {
        let body = payload::json(notice, link);
        // The moment of this try, not of the notice: whoever verifies refuses old ones.
        let sent_at = jiff::Timestamp::now().as_second();
        let mut request = self.client.post(self.url.clone());
        for (name, value) in signature::headers(self.key.as_ref(), &notice.id, sent_at, &body) {
            request = request.header(name, value);
        }
        let request = request.header("content-type", "application/json").body(body);
        let status = http::send(&self.url, request).await?;
        Ok(Sent { answer: http::answered(&self.url, status), ..Sent::default() })
    }

    /// Connects and asks for the head of the page, which sends nothing.
    pub(super) async fn probe(&self) -> Result<String, SendError> {
        let status = http::answers(&self.url, self.client.head(self.url.clone())).await?;
        let signed = if self.key.is_some() { "signed" } else { "not signed" };
        Ok(format!(
            "{} is there ({} to HEAD); whether it takes messages, which are {signed}, only \
             `postwatch notify` shows",
            http::host(&self.url),
            status.as_u16()
        ))
    }
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("host", &http::host(&self.url)).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for WebhookOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookOptions")
            .field("is_signed", &self.key.is_some())
            .finish_non_exhaustive()
    }
}
