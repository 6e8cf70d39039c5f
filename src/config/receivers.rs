//! `receivers:` → whom messages can go to, and how.

use std::collections::BTreeSet;
use std::time::Duration;

use lettre::message::Mailbox;
use url::Url;

use crate::domain::notify::wording::{self, Wording};
use crate::domain::rules::Rule;

use super::decode::{Decoder, Entry, Fields, Shape};
use super::names;
use super::report::Place;
use super::sources::{api_url, is_http, is_loopback, name};
use super::{ChannelConfig, HeartbeatConfig, Receiver, Secret};

pub const RECEIVER: Shape = Shape {
    what: "a receiver",
    known: &["name", "slack", "email", "webhook", "alertmanager", "title", "body"],
    later: &["pagerduty", "teams"],
};

pub const SLACK: Shape =
    Shape { what: "`slack`", known: &["token", "token_file", "channel", "api_url"], later: &[] };

pub const EMAIL: Shape =
    Shape { what: "`email`", known: &["smtp", "smtp_file", "from", "to"], later: &[] };

pub const WEBHOOK: Shape =
    Shape { what: "`webhook`", known: &["url", "url_file", "secret", "secret_file"], later: &[] };

pub const HEARTBEAT: Shape =
    Shape { what: "`heartbeat`", known: &["url", "url_file", "every"], later: &[] };

pub const ALERTMANAGER: Shape =
    Shape { what: "`alertmanager`", known: &["url", "url_file"], later: &[] };

/// The keys of a receiver of which it has one.
const CHANNELS: [&str; 4] = ["slack", "email", "webhook", "alertmanager"];

const MAX_MEMBERS: usize = 20;
const MAX_RECIPIENTS: usize = 50;

/// A receiver and the place of its name.
pub struct Placed {
    pub at: Place,
    pub receiver: Option<Receiver>,
    pub name: String,
}

/// Every receiver; one whose channel is not understood still has its name, so
/// that routes to it are no mistakes of their own.
pub fn receivers(d: &mut Decoder<'_>, root: &Fields<'_>, rules: &[Rule]) -> Vec<Placed> {
    let Some(entry) = root.get("receivers") else { return Vec::new() };
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for item in d.items(entry) {
        d.enter_item("receiver", item);
        if let Some(fields) = d.map(item, &RECEIVER) {
            let name = name(d, &fields, "receiver", &mut names);
            let channel = channel(d, &fields);
            let at = fields.get("name").map_or(fields.at, |entry| entry.at);
            let words = words(d, &fields, rules);
            let receiver = channel.map(|channel| Receiver { name: name.clone(), channel, words });
            found.push(Placed { at, receiver, name });
        }
        d.enter("");
    }
    found
}

fn channel(d: &mut Decoder<'_>, fields: &Fields<'_>) -> Option<ChannelConfig> {
    let found: Vec<Entry<'_>> = CHANNELS.iter().filter_map(|name| fields.get(name)).collect();
    match found[..] {
        [entry] => match entry.name {
            "slack" => slack(d, entry),
            "email" => email(d, entry),
            "webhook" => webhook(d, entry),
            _ => alertmanager(d, entry),
        },
        [_, second, ..] => {
            let hint = "write two receivers, and both names in the route's `to`";
            d.wrong(second.at, "a receiver has one channel, this one has two", hint);
            None
        }
        [] => {
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

/// Its own title and body, each tried with a message about nothing.
fn words(d: &mut Decoder<'_>, fields: &Fields<'_>, rules: &[Rule]) -> Wording {
    let mut template = |name: &str| {
        let entry = fields.get(name)?;
        for channel in ["webhook", "alertmanager"] {
            if fields.get(channel).is_some() {
                let message = format!(
                    "`{name}` has no place beside `{channel}`: programs read it, its form is fixed"
                );
                d.wrong(entry.at, message, "remove it");
                return None;
            }
        }
        let template = d.text(entry)?;
        let labels = rules.iter().flat_map(|rule| rule.labels.keys().cloned());
        if let Err(why) = wording::try_out(&template, labels) {
            let hint = format!("it may use {}", names::listed(&wording::NAMES));
            d.wrong(entry.at, format!("`{name}` cannot be rendered: {why}"), hint);
        }
        Some(template)
    };
    Wording { title: template("title"), body: template("body") }
}

/// Who is told that postwatch lives.
pub fn heartbeat(d: &mut Decoder<'_>, root: &Fields<'_>) -> Option<HeartbeatConfig> {
    let fields = d.map(root.get("heartbeat")?, &HEARTBEAT)?;
    let url = d.secret(&fields, "url", "\"https://hc.example.com/ping/1\"");
    let at = fields.get("url").or_else(|| fields.get("url_file"));
    let url = url.zip(at).filter(|(url, at)| is_web_address(d, *at, url)).map(|(url, _)| url);
    let every = fields.get("every").and_then(|entry| d.duration(entry, Duration::from_secs(1)));
    Some(HeartbeatConfig { url: url?, every: every.unwrap_or(Duration::from_secs(60)) })
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

fn webhook(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<ChannelConfig> {
    let fields = d.map(entry, &WEBHOOK)?;
    let url = d.secret(&fields, "url", "\"https://example.com/hook\"");
    let at = fields.get("url").or_else(|| fields.get("url_file"));
    let url = url.zip(at).filter(|(url, at)| is_web_address(d, *at, url)).map(|(url, _)| url);
    if let Some((url, at)) = url.as_ref().zip(at)
        && is_in_the_clear(url)
    {
        let message = format!("`{}` is plain http: messages travel unencrypted", at.name);
        d.warn(at.at, message, "write `https://…` where the way there is not yours alone");
    }
    let given = fields.get("secret").or_else(|| fields.get("secret_file"));
    let secret = given.and_then(|entry| {
        let secret = d.secret(&fields, "secret", "\"${HOOK_SECRET}\"")?;
        if secret.signing_key().is_none() {
            let message = format!("`{}` is no secret for signing", entry.name);
            let hint = "write `whsec_` and 24 to 64 bytes in base64, as `echo whsec_$(openssl rand -base64 24)` makes them";
            d.wrong(entry.at, message, hint);
        }
        Some(secret)
    });
    Some(ChannelConfig::Webhook { url: url?, secret })
}

fn alertmanager(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<ChannelConfig> {
    let fields = d.map(entry, &ALERTMANAGER)?;
    let listed = fields.get("url").filter(|_| fields.get("url_file").is_none());
    let found: Vec<(Entry<'_>, Secret)> = match listed {
        Some(entry) => {
            let items = d.some_items(entry);
            items.into_iter().filter_map(|item| Some((item, d.checked_secret(item)?))).collect()
        }
        None => {
            let at = fields.get("url_file").unwrap_or(entry);
            let url = d.secret(&fields, "url", "\"http://alertmanager:9093\"");
            url.map(|url| (at, url)).into_iter().collect()
        }
    };
    if found.len() > MAX_MEMBERS {
        d.wrong(entry.at, format!("more than {MAX_MEMBERS} addresses in `url`"), "name fewer");
        return None;
    }
    let good = found.into_iter().filter(|(at, url)| is_web_address(d, *at, url));
    let urls: Vec<Secret> = good.map(|(_, url)| url).collect();
    (!urls.is_empty()).then_some(ChannelConfig::Alertmanager { urls })
}

fn is_in_the_clear(url: &Secret) -> bool {
    Url::parse(url.expose()).is_ok_and(|url| url.scheme() == "http" && !is_loopback(&url))
}

/// Says what is wrong with an address of which no part may be shown.
fn is_web_address(d: &mut Decoder<'_>, entry: Entry<'_>, text: &Secret) -> bool {
    let name = entry.name;
    let url = Url::parse(text.expose()).ok().filter(|url| is_http(url) && url.has_host());
    let Some(url) = url.filter(|url| url.fragment().is_none()) else {
        d.wrong(entry.at, format!("`{name}` is no web address"), "write `https://host/path`");
        return false;
    };
    let has_login = !url.username().is_empty() || url.password().is_some();
    if url.scheme() == "http" && !is_loopback(&url) && has_login {
        d.wrong(
            entry.at,
            format!("`{name}` would send the password unencrypted"),
            "write `https://…`",
        );
        return false;
    }
    true
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
