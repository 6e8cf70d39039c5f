//! Mail by SMTP: one connection for each message, each step of it with its own
//! limit of time. No pool of connections: a cancelled send would leave a stale
//! answer behind that the next one would take for its own.

use std::future::Future;
use std::time::Duration;

use lettre::message::Mailbox;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::Mechanism;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use tracing::warn;

use crate::domain::notify::Notice;
use crate::domain::notify::wording::Wording;

use super::render::Letter;
use super::{SendError, Sent, Thread};
use refusal::Step;
use server::{Server, Tls};

mod mail;
mod refusal;
mod server;

/// The longest that one command may take; the whole send has its own limit.
const STEP: Duration = Duration::from_secs(15);

/// What `email:` of a receiver says.
#[derive(Clone)]
pub struct EmailOptions {
    /// `smtps://user:pass@host:465`, or `smtp://…?tls=required|opportunistic|none`,
    /// either with `ca=FILE` for a private authority. User and password are
    /// percent-encoded. Without `tls=`: required where there is a password.
    pub smtp: String,
    /// `postwatch <alerts@example.com>`.
    pub from: String,
    pub to: Vec<String>,
}

/// Recipients behind one SMTP server.
pub struct Email {
    server: Server,
    hello: ClientId,
    from: Mailbox,
    to: Vec<Mailbox>,
    pub(super) words: Wording,
}

impl Email {
    /// Checks the options; nothing is asked over the network.
    pub fn new(options: EmailOptions) -> Result<Email, String> {
        let server = Server::parse(&options.smtp)?;
        let from = mailbox("from", &options.from)?;
        let to: Vec<Mailbox> =
            options.to.iter().map(|to| mailbox("to", to)).collect::<Result<_, _>>()?;
        if to.is_empty() {
            return Err("`to` is empty; write at least one address".to_owned());
        }
        Ok(Email { server, hello: ClientId::default(), from, to, words: Wording::default() })
    }

    /// The same with the receiver's own words.
    pub fn with_words(self, words: Wording) -> Email {
        Email { words, ..self }
    }

    pub(super) async fn send(
        &self,
        notice: &Notice,
        letter: &Letter,
        thread: Option<&Thread>,
    ) -> Result<Sent, SendError> {
        let root = match thread {
            Some(Thread::Email { root }) => root.clone(),
            _ => mail::root_id(notice, &self.from),
        };
        let message = mail::message(notice, letter, &root, &self.from, &self.to)?;
        let mut connection = self.log_in().await?;
        self.transfer(&mut connection, &message).await?;
        close(connection);
        Ok(Sent { thread: Some(Thread::Email { root }), ..Sent::default() })
    }

    /// Connects and logs in, and sends nothing.
    pub(super) async fn probe(&self) -> Result<String, SendError> {
        let connection = self.log_in().await?;
        let tls = if connection.is_encrypted() { "encrypted" } else { "not encrypted" };
        close(connection);
        let login = if self.server.credentials.is_some() { ", the login is good" } else { "" };
        Ok(format!("the SMTP server answers, {tls}{login}"))
    }

    async fn log_in(&self) -> Result<AsyncSmtpConnection, SendError> {
        let Server { host, port, tls, credentials } = &self.server;
        let wrapped = match tls {
            Tls::Wrapped(parameters) => Some(parameters.clone()),
            Tls::Required(_) | Tls::Opportunistic(_) | Tls::None => None,
        };
        let address = (host.as_str(), *port);
        let connecting =
            AsyncSmtpConnection::connect_tokio1(address, None, &self.hello, wrapped, None);
        let mut connection = step(Step::Connect, connecting).await?;
        match tls {
            Tls::Required(parameters) => {
                step(Step::Tls, connection.starttls(parameters.clone(), &self.hello)).await?;
            }
            Tls::Opportunistic(parameters) if connection.can_starttls() => {
                step(Step::Tls, connection.starttls(parameters.clone(), &self.hello)).await?;
            }
            Tls::Wrapped(_) | Tls::Opportunistic(_) | Tls::None => {}
        }
        if let Some(credentials) = credentials {
            let mechanisms = [Mechanism::Plain, Mechanism::Login];
            step(Step::Login, connection.auth(&mechanisms, credentials)).await?;
        }
        Ok(connection)
    }

    async fn transfer(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &[u8],
    ) -> Result<(), SendError> {
        let sender = Mail::new(Some(self.from.email.clone()), Vec::new());
        step(Step::Sender, connection.command(sender)).await?;
        self.name_recipients(connection).await?;
        step(Step::Message, connection.command(Data)).await?;
        step(Step::Message, connection.message(message)).await?;
        Ok(())
    }

    /// One address that is gone must not keep the message from the others. A
    /// refusal that may pass ends the send before anybody got it: sending to
    /// some now and to all later would tell some twice.
    async fn name_recipients(&self, connection: &mut AsyncSmtpConnection) -> Result<(), SendError> {
        let mut refused = Vec::new();
        for to in &self.to {
            let recipient = Rcpt::new(to.email.clone(), Vec::new());
            match step(Step::Recipient, connection.command(recipient)).await {
                Ok(_) => {}
                Err(error @ SendError::Permanent { .. }) => refused.push(error),
                Err(error) => return Err(error),
            }
        }
        let (count, all) = (refused.len(), self.to.len());
        match refused.pop() {
            Some(error) if count == all => Err(error),
            Some(_) => {
                warn!(
                    refused = count,
                    recipients = all,
                    "the SMTP server refuses some recipients for good: check `to`"
                );
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Email").field("recipients", &self.to.len()).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for EmailOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmailOptions").field("recipients", &self.to.len()).finish_non_exhaustive()
    }
}

async fn step<T>(
    step: Step,
    doing: impl Future<Output = Result<T, smtp::Error>>,
) -> Result<T, SendError> {
    match tokio::time::timeout(STEP, doing).await {
        Ok(done) => done.map_err(|error| refusal::explain(step, &error)),
        Err(_) => Err(SendError::temporary(
            "timeout",
            format!("the SMTP server did not answer within {} s ({step})", STEP.as_secs()),
        )),
    }
}

/// Says goodbye beside the caller: the message is taken, and a server that is
/// slow to hang up must not turn that into an error.
fn close(mut connection: AsyncSmtpConnection) {
    tokio::spawn(async move {
        // Nothing depends on how it ends.
        let _ = tokio::time::timeout(STEP, connection.abort()).await;
    });
}

fn mailbox(key: &str, text: &str) -> Result<Mailbox, String> {
    let wanted = "write `name@example.com` or `Name <name@example.com>`";
    let mailbox: Mailbox =
        text.trim().parse().map_err(|_| format!("`{key}` holds what is no address; {wanted}"))?;
    if !mailbox.email.to_string().is_ascii() {
        return Err(format!(
            "`{key}` holds an address with letters beyond ASCII, which many servers refuse; {wanted}"
        ));
    }
    Ok(mailbox)
}
