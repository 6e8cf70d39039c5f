//! The seam between the outbox and whoever is told: one `send` for each kind of
//! channel, and an error that says what to do next. Never retries and never
//! waits for a limit: the outbox decides when to try again.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use url::Url;

use crate::domain::notify::Notice;

pub mod email;
pub mod print;
pub mod render;
pub mod slack;

pub use email::{Email, EmailOptions};
pub use print::Print;
pub use slack::{Slack, SlackOptions};

/// A whole send, every connection and step of it included, takes no longer.
pub const SEND_TIMEOUT: Duration = Duration::from_secs(30);

/// One configured way to reach a receiver.
#[derive(Debug)]
pub enum Channel {
    Slack(Slack),
    Email(Email),
    Print(Print),
}

/// What the channel said when it took a message.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sent {
    /// Kept for each (receiver, batch) and given to the batch's next message.
    /// `None`: the channel has no threads, or did not say where the message is.
    pub thread: Option<Thread>,
}

/// Where the messages of a batch hang together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Thread {
    /// The root message, which is edited; its history is in its thread.
    Slack { channel: String, ts: String },
    /// The id that all mails of the batch refer to.
    Email { root: String },
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
        let sending = async {
            match self {
                Channel::Slack(slack) => slack.send(notice, thread, link).await,
                Channel::Email(email) => email.send(notice, thread, link).await,
                Channel::Print(print) => print.send(notice, link),
            }
        };
        tokio::time::timeout(SEND_TIMEOUT, sending).await.unwrap_or_else(|_| Err(self.timed_out()))
    }

    /// Tries address, login and permissions, and sends nothing: what it found, in words.
    pub async fn probe(&self) -> Result<String, SendError> {
        let probing = async {
            match self {
                Channel::Slack(slack) => slack.probe().await,
                Channel::Email(email) => email.probe().await,
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
