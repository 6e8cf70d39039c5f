//! What an SMTP server's refusals mean for the outbox, and what a person does
//! about them. The server's own words are not repeated: they quote addresses.

use std::error::Error as _;
use std::fmt;

use lettre::transport::smtp;

use super::SendError;

/// Where in the dialogue it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Tls,
    Login,
    Sender,
    Recipient,
    Message,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::Connect => "at the greeting",
            Step::Tls => "at STARTTLS",
            Step::Login => "at the login",
            Step::Sender => "at the sender",
            Step::Recipient => "at a recipient",
            Step::Message => "at the message",
        })
    }
}

/// By the code where the server gave one, else by the step.
pub(super) fn explain(step: Step, error: &smtp::Error) -> SendError {
    match error.status() {
        Some(code) => {
            let code = u16::from(code);
            if error.is_permanent() { refused(step, code) } else { put_off(step, code) }
        }
        None => broken(step, error),
    }
}

fn put_off(step: Step, code: u16) -> SendError {
    SendError::temporary(
        "smtp_4xx",
        format!("the SMTP server puts the message off ({code}, {step})"),
    )
}

fn refused(step: Step, code: u16) -> SendError {
    let (reason, words) = match (step, code) {
        (Step::Login, _) => (
            "auth",
            format!(
                "the SMTP server refused the login ({code}): check user and password in `smtp`"
            ),
        ),
        (_, 530) => (
            "auth",
            "the SMTP server wants a login (530): write `smtps://user:password@host` in `smtp`"
                .to_owned(),
        ),
        (Step::Sender, _) => (
            "sender",
            format!("the SMTP server refused the sender ({code}): may this login send as `from`?"),
        ),
        (Step::Recipient, _) => (
            "recipient",
            format!(
                "the SMTP server refused the recipients ({code}): check `to`, and whether it relays to them"
            ),
        ),
        (Step::Message, _) => (
            "message",
            format!(
                "the SMTP server refused the message ({code}): look for its size or spam rules"
            ),
        ),
        (Step::Connect | Step::Tls, _) => (
            "smtp_5xx",
            format!(
                "the SMTP server refused the connection ({code}, {step}): may this machine use it?"
            ),
        ),
    };
    SendError::permanent(reason, words)
}

fn broken(step: Step, error: &smtp::Error) -> SendError {
    if has_bad_certificate(error) {
        return SendError::permanent(
            "tls",
            "the SMTP server's certificate is not accepted: check the host's name in `smtp`, or name its authority with `ca=FILE`",
        );
    }
    match step {
        Step::Tls if error.is_client() => SendError::permanent(
            "tls",
            "the SMTP server offers no STARTTLS: use `smtps://`, or another port",
        ),
        Step::Login if error.is_client() => SendError::permanent(
            "auth",
            "the SMTP server offers no login by password (PLAIN or LOGIN) on this port",
        ),
        Step::Connect if !error.is_response() => SendError::temporary(
            "connect",
            "cannot connect to the SMTP server: check host and port in `smtp`",
        ),
        _ if error.is_response() => SendError::temporary(
            "bad_answer",
            format!("the SMTP server's answer could not be read ({step})"),
        ),
        _ => SendError::temporary(
            "connection_lost",
            format!("the connection to the SMTP server broke ({step})"),
        ),
    }
}

/// rustls' verdict lies within an I/O error within lettre's.
fn has_bad_certificate(error: &smtp::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = inner.and_then(|inner| inner.downcast_ref::<rustls::Error>());
        let tls = tls.or_else(|| cause.downcast_ref::<rustls::Error>());
        if matches!(tls, Some(rustls::Error::InvalidCertificate(_))) {
            return true;
        }
        source = cause.source();
    }
    false
}
