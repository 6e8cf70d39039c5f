//! A letter as a mail: headers that thread it and keep auto-responders quiet,
//! and the same text twice, plain and as HTML.

use std::hash::Hasher;
use std::time::{Duration, UNIX_EPOCH};

use lettre::Message;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use siphasher::sip128::{Hasher128, SipHasher13};

use crate::domain::notify::Notice;

use super::super::render::{Letter, html, plain};
use super::SendError;

/// What all mails of a batch refer to, the first one too: it can be made anew
/// at any time, so that losing what a send returned breaks no thread.
pub(super) fn root_id(notice: &Notice, from: &Mailbox) -> String {
    let mut hash = SipHasher13::new_with_keys(0x706f_7374, 0x6d61_696c);
    for part in [&notice.receiver, &notice.batch] {
        hash.write_usize(part.len());
        hash.write(part.as_bytes());
    }
    format!("<batch.{:032x}@{}>", hash.finish128().as_u128(), from.email.domain())
}

/// The same over every retry, so that a mail program shows a repeat once.
fn message_id(notice: &Notice, from: &Mailbox) -> String {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let id = &notice.id;
    let local = if !id.is_empty() && id.len() <= 64 && id.chars().all(is_safe) {
        id.clone()
    } else {
        let mut hash = SipHasher13::new_with_keys(0x706f_7374, 0x6e6f_7465);
        hash.write(id.as_bytes());
        format!("{:032x}", hash.finish128().as_u128())
    };
    format!("<{local}@{}>", from.email.domain())
}

/// The whole message as it goes over the wire.
pub(super) fn message(
    notice: &Notice,
    letter: &Letter,
    root: &str,
    from: &Mailbox,
    to: &[Mailbox],
) -> Result<Vec<u8>, SendError> {
    let created_at = Duration::from_secs(u64::try_from(notice.created_at.0).unwrap_or_default());
    let mut builder = Message::builder()
        .from(from.clone())
        .subject(letter.headline.clone())
        .message_id(Some(message_id(notice, from)))
        .in_reply_to(root.to_owned())
        .references(root.to_owned())
        .date(UNIX_EPOCH + created_at);
    for mailbox in to {
        builder = builder.to(mailbox.clone());
    }
    let parts = MultiPart::alternative_plain_html(plain::text(letter), html::page(letter));
    let mut message = builder.multipart(parts).map_err(|e| {
        SendError::permanent("bad_message", format!("the mail cannot be written ({e})"))
    })?;
    let headers = message.headers_mut();
    for (name, value) in [
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("List-Id", format!("<postwatch.{}>", from.email.domain())),
    ] {
        headers.insert_raw(HeaderValue::new(HeaderName::new_from_ascii_str(name), value));
    }
    Ok(message.formatted())
}
