//! `receivers:` → whom messages can go to, and how.

use std::collections::BTreeSet;

use lettre::message::Mailbox;
use url::Url;

use super::decode::{Decoder, Entry, Fields, Shape};
use super::report::Place;
use super::sources::{api_url, name};
use super::{ChannelConfig, Receiver, Secret};

pub const RECEIVER: Shape = Shape {
    what: "a receiver",
    known: &["name", "slack", "email"],
    later: &["webhook", "alertmanager", "pagerduty", "teams"],
};

pub const SLACK: Shape =
    Shape { what: "`slack`", known: &["token", "token_file", "channel", "api_url"], later: &[] };

pub const EMAIL: Shape =
    Shape { what: "`email`", known: &["smtp", "smtp_file", "from", "to"], later: &[] };

const MAX_RECIPIENTS: usize = 50;

/// A receiver and the place of its name.
pub struct Placed {
    pub at: Place,
    pub receiver: Option<Receiver>,
    pub name: String,
}

/// Every receiver; one whose channel is not understood still has its name, so
/// that routes to it are no mistakes of their own.
pub fn receivers(d: &mut Decoder<'_>, root: &Fields<'_>) -> Vec<Placed> {
    let Some(entry) = root.get("receivers") else { return Vec::new() };
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for item in d.items(entry) {
        d.enter_item("receiver", item);
        if let Some(fields) = d.map(item, &RECEIVER) {
            let name = name(d, &fields, "receiver", &mut names);
            let channel = channel(d, &fields);
            let at = fields.get("name").map_or(fields.at, |entry| entry.at);
            let receiver = channel.map(|channel| Receiver { name: name.clone(), channel });
            found.push(Placed { at, receiver, name });
        }
        d.enter("");
    }
    found
}

fn channel(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<ChannelConfig> {
    match (fields.get("slack"), fields.get("email")) {
        (Some(_), Some(email)) => {
            let hint = "write two receivers, and both names in the route's `to`";
            d.wrong(email.at, "a receiver has one channel, this one has two", hint);
            None
        }
        (Some(entry), None) => slack(d, entry),
        (None, Some(entry)) => email(d, entry),
        (None, None) => {
            // A channel of a later version was reported as that.
            let later = fields.iter().any(|entry| RECEIVER.later.contains(&entry.name));
            if !later {
                let hint = "write `slack: { token: \"${SLACK_BOT_TOKEN}\", channel: \"#postbacks\" }` or `email: …`";
                d.wrong(fields.at, "the receiver has no channel", hint);
            }
            None
        }
    }
}

fn slack(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<ChannelConfig> {
    let fields = d.map(entry, &SLACK)?;
    let token = d.secret(&fields, "token", "\"${SLACK_BOT_TOKEN}\"");
    let channel = d.required(&fields, "channel", "channel: \"#postbacks\"");
    let channel = channel.and_then(|entry| d.text(entry));
    let api_url = fields.get("api_url").and_then(|entry| api_url(d, entry));
    Some(ChannelConfig::Slack { token: token?, channel: channel?, api_url })
}

fn email(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<ChannelConfig> {
    let fields = d.map(entry, &EMAIL)?;
    let smtp = smtp(d, &fields);
    let from = d.required(&fields, "from", "from: \"postwatch <alerts@example.com>\"");
    let from = from.and_then(|entry| address(d, entry));
    let to = d.required(&fields, "to", "to: [partners@example.com]");
    let to = to.map(|entry| addresses(d, entry)).unwrap_or_default();
    Some(ChannelConfig::Email { smtp: smtp?, from: from?, to })
}

fn addresses(d: &mut Decoder<'_>, entry: Entry<'_>) -> Vec<String> {
    let items = d.some_items(entry);
    if items.len() > MAX_RECIPIENTS {
        let message = format!("more than {MAX_RECIPIENTS} addresses in `to`");
        d.wrong(entry.at, message, "write to a mailing list");
        return Vec::new();
    }
    items.into_iter().filter_map(|item| address(d, item)).collect()
}

fn address(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<String> {
    let text = d.text(entry)?;
    if text.parse::<Mailbox>().is_err() {
        let message = format!("`{}` in `{}` is no e-mail address", d.show(entry), entry.name);
        d.wrong(entry.at, message, "write `name@example.com` or \"Name <name@example.com>\"");
        return None;
    }
    Some(text)
}

/// The address of the mail server. No message quotes it: a password is in it.
fn smtp(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<Secret> {
    let secret = d.secret(fields, "smtp", "\"${SMTP_URL}\"")?;
    let entry = fields.get("smtp").or_else(|| fields.get("smtp_file"))?;
    if let Err((message, hint)) = check_smtp(secret.expose()) {
        d.wrong(entry.at, format!("`{}` {message}", entry.name), hint);
        return None;
    }
    Some(secret)
}

fn check_smtp(text: &str) -> Result<(), (&'static str, &'static str)> {
    const SHAPE: &str = "write `smtps://user:password@host:465` or `smtp://host:587?tls=required`";
    let url = Url::parse(text).map_err(|_| ("is no address of a mail server", SHAPE))?;
    if !matches!(url.scheme(), "smtp" | "smtps") {
        return Err(("is no address of a mail server", SHAPE));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(("names no host", SHAPE));
    }
    let mut tls = None;
    for (key, value) in url.query_pairs() {
        match key.as_ref() {
            "tls" => tls = Some(value.into_owned()),
            // Whether the file holds an authority shows when the channel is made.
            "ca" => {}
            _ => {
                let hint = "write `?tls=required`, or `?ca=FILE` for a private authority";
                return Err(("has an unknown option", hint));
            }
        }
    }
    let credentials = !url.username().is_empty() || url.password().is_some();
    match tls.as_deref() {
        None | Some("required") => Ok(()),
        Some(_) if url.scheme() == "smtps" => {
            Err(("has a `tls` that does not fit `smtps`", "remove `?tls=…`, or write `smtp://`"))
        }
        // Opportunistic, too, sends it in the clear to a server without TLS.
        Some("none" | "opportunistic") if credentials => {
            Err(("would send the password unencrypted", "write `?tls=required`, or `smtps://`"))
        }
        Some("none" | "opportunistic") => Ok(()),
        Some(_) => {
            Err(("has an unknown `tls`", "write `tls=required`, `tls=opportunistic` or `tls=none`"))
        }
    }
}
