//! The seam between the outbox and whoever is told: one `send` for each kind of
//! channel, and an error that says what to do next. Never retries and never
//! waits for a limit: the outbox decides when to try again.

use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::domain::notify::Notice;
use crate::domain::time::Timestamp;

pub mod alertmanager;
pub mod email;
mod heartbeat;
mod http;
pub mod print;
pub mod render;
pub mod slack;
pub mod webhook;

pub use alertmanager::{Alertmanager, AlertmanagerOptions};
pub use email::{Email, EmailOptions};
pub use heartbeat::Heartbeat;
pub use print::Print;
pub use slack::{Slack, SlackOptions};
pub use webhook::{Webhook, WebhookOptions};

use render::{Letter, own_words};

/// A whole send, every connection and step of it included, takes no longer.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// One configured way to reach a receiver.
#[derive(Debug)]
pub enum Channel {
    Slack(Slack),
    Email(Email),
    Webhook(Webhook),
    Alertmanager(Alertmanager),
    Print(Print),
}

/// What the channel said when it took a message.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sent {
    /// Kept for each (receiver, batch) and given to the batch's next message.
    /// `None`: the channel has no threads, or did not say where the message is.
    pub thread: Option<Thread>,
    /// What it answered, in words that may be shown; `None` where it says no more
    /// than that it took it.
    pub answer: Option<String>,
    /// Why the receiver's own words could not be used: the built-in text went out.
    pub unworded: Option<String>,
}

/// Where the messages of a batch hang together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thread {
    /// The root message, which is edited; its history is in its thread.
    Slack { channel: String, ts: String },
    /// The id that all mails of the batch refer to.
    Email { root: String },
    /// What an Alertmanager was told by the batch.
    Alertmanager { told: Vec<alertmanager::told::Told> },
}

/// Why a channel did not take a message, by what the outbox does next.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SendError {
    /// Worth another try, not before `retry_after` where it is given.
    #[error("{message}")]
    Temporary {
        retry_after: Option<Duration>,
        /// A metric's label: `ratelimited`, `timeout`, `http_5xx`, `connect`, …
        reason: &'static str,
        /// For people; never holds a secret, a URL's path or an address.
        message: String,
    },
    /// The same message would be refused again: tell the fallback.
    #[error("{message}")]
    Permanent {
        reason: &'static str,
        /// What was refused, and what a person does about it.
        message: String,
    },
}

impl SendError {
    /// The metric's label.
    pub fn reason(&self) -> &'static str {
        match self {
            SendError::Temporary { reason, .. } | SendError::Permanent { reason, .. } => reason,
        }
    }

    /// Whether the channel may have taken the message all the same.
    pub fn is_answer_lost(&self) -> bool {
        matches!(self.reason(), "timeout" | "connection_lost" | "bad_answer")
    }

    pub(crate) fn temporary(reason: &'static str, message: impl Into<String>) -> SendError {
        SendError::Temporary { retry_after: None, reason, message: message.into() }
    }

    pub(crate) fn permanent(reason: &'static str, message: impl Into<String>) -> SendError {
        SendError::Permanent { reason, message: message.into() }
    }
}

/// The address of our own page, as a reader of a message can open it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link(Url);

impl Link {
    /// `base` is the page's address: `https://postwatch.example.com/`.
    pub fn new(base: Url) -> Link {
        Link(base)
    }

    /// The page that listens there; `None` for where it listens by default.
    pub fn of(address: Option<SocketAddr>) -> Link {
        let text = match address {
            Some(address) => format!("http://{address}/"),
            None => "http://127.0.0.1:9467/".to_owned(),
        };
        Link(text.parse().expect("an address makes a URL"))
    }

    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl Channel {
    /// A metric's label, and the key of the receiver in `rules.yaml`.
    pub fn kind(&self) -> &'static str {
        match self {
            Channel::Slack(_) => "slack",
            Channel::Email(_) => "email",
            Channel::Webhook(_) => "webhook",
            Channel::Alertmanager(_) => "alertmanager",
            Channel::Print(_) => "print",
        }
    }

    /// Sends one notice. `thread` is what the batch's former message returned.
    pub async fn send(
        &self,
        notice: &Notice,
        thread: Option<&Thread>,
        link: &Link,
    ) -> Result<Sent, SendError> {
        let (letter, unworded) = self.compose(notice, link);
        let sending = async {
            match self {
                Channel::Slack(slack) => slack.send(notice, &letter, thread).await,
                Channel::Email(email) => email.send(notice, &letter, thread).await,
                Channel::Webhook(webhook) => webhook.send(notice, link).await,
                Channel::Alertmanager(am) => am.send(notice, thread, link).await,
                Channel::Print(print) => print.send(&letter),
            }
        };
        let sent = tokio::time::timeout(SEND_TIMEOUT, sending).await;
        let sent = sent.unwrap_or_else(|_| Err(self.timed_out()))?;
        Ok(Sent { unworded, ..sent })
    }

    /// The text, in the receiver's own words where it has some and they work; else
    /// why they do not.
    fn compose(&self, notice: &Notice, link: &Link) -> (Letter, Option<String>) {
        let mut letter = render::compose(notice, link);
        let words = match self {
            Channel::Slack(slack) => &slack.words,
            Channel::Email(email) => &email.words,
            // Programs read these: their form is fixed.
            Channel::Webhook(_) | Channel::Alertmanager(_) | Channel::Print(_) => {
                return (letter, None);
            }
        };
        let unworded = own_words::apply(&mut letter, words, notice);
        (letter, unworded)
    }

    /// Whether it has to hear again and again what it was told.
    pub fn forgets(&self) -> bool {
        matches!(self, Channel::Alertmanager(_))
    }

    /// Tells one that forgets what stands of all that its batches told.
    pub async fn restate(
        &self,
        now: Timestamp,
        standing: &[alertmanager::told::Standing],
        link: &Link,
    ) -> Result<(), SendError> {
        let Channel::Alertmanager(am) = self else { return Ok(()) };
        let restating = am.restate(now, standing, link);
        tokio::time::timeout(SEND_TIMEOUT, restating)
            .await
            .unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Tries address, login and permissions, and sends nothing: what it found, in words.
    pub async fn probe(&self) -> Result<String, SendError> {
        let probing = async {
            match self {
                Channel::Slack(slack) => slack.probe().await,
                Channel::Email(email) => email.probe().await,
                Channel::Webhook(webhook) => webhook.probe().await,
                Channel::Alertmanager(am) => am.probe().await,
                Channel::Print(_) => Ok("prints to this terminal".to_owned()),
            }
        };
        tokio::time::timeout(SEND_TIMEOUT, probing).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    fn timed_out(&self) -> SendError {
        let kind = self.kind();
        let limit = SEND_TIMEOUT.as_secs();
        SendError::temporary("timeout", format!("{kind} did not answer within {limit} s"))
    }
}
