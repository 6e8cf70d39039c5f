//! Asking the running service, and what is said where it does not answer.

use std::fmt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::LOCATION;
use reqwest::redirect::Policy;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CANNOT_START, WRONG_USAGE};
use crate::channel::render::is_direction_mark;

/// The service answers from memory; what takes longer hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Holds the token that the service asks for. No argument does: those are seen by everybody
/// on the machine.
const TOKEN: &str = "POSTWATCH_TOKEN";

/// Where the service is that is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceArgs {
    /// Where the service is
    #[arg(
        long,
        env = "POSTWATCH_URL",
        hide_env_values = true,
        default_value = "http://127.0.0.1:9467",
        value_name = "URL",
        global = true
    )]
    url: reqwest::Url,
    /// A file that holds the service's auth_token; or set POSTWATCH_TOKEN to it
    #[arg(long, env = "POSTWATCH_TOKEN_FILE", value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
}

/// A good answer.
pub struct Answer<T> {
    /// For people: nothing in it commands their terminal.
    pub read: T,
    /// As it came, for scripts.
    pub json: String,
}

/// Why there is no answer that helps.
pub enum Failed {
    /// Nobody answers there.
    Silent(String),
    /// Nobody was asked: what is needed for it is not there.
    Unasked(String),
    /// The service said no, and why.
    Refused { status: u16, why: String },
}

/// The part of a refusal that people read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refusal {
    Problem { detail: String },
    Text(String),
}

impl ServiceArgs {
    /// Asks once. An answer without a body is `()`.
    pub async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Answer<T>, Failed> {
        let json = self.body(method, path, query, body).await?;
        let read = read(if json.is_empty() { "null" } else { &json });
        read.map(|read| Answer { read, json }).map_err(|error| self.answered_by_another(&error))
    }

    fn answered_by_another(&self, why: &dyn fmt::Display) -> Failed {
        let url = without_secrets(&self.url);
        Failed::Silent(format!(
            "what answers at {url} is no postwatch, or one of another version ({why}); \
             --url names another address"
        ))
    }

    /// The body of a good answer.
    async fn body(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<String, Failed> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let silent = |error: reqwest::Error| {
            let (url, why) = (without_secrets(&self.url), error.without_url());
            Failed::Silent(format!(
                "no postwatch answers at {url}: {why}; is it running? --url names another address"
            ))
        };
        // A redirect would make a read of a wish, and show the token elsewhere.
        let client = reqwest::Client::builder().redirect(Policy::none()).no_proxy();
        let client = client.timeout(ANSWERS_WITHIN).build().map_err(silent)?;
        let mut request = client.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let token = self.token()?;
        if let Some(token) = &token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        if status.is_redirection() {
            return Err(self.sent_on(&answer));
        }
        let body = answer.text().await.map_err(silent)?;
        if status.is_success() {
            return Ok(body);
        }
        if status == reqwest::StatusCode::UNAUTHORIZED {
            return Err(Failed::Refused { status: 401, why: self.which_token(token.is_some()) });
        }
        Err(match serde_json::from_str(&body) {
            Ok(Refusal::Problem { detail: why } | Refusal::Text(why)) => {
                Failed::Refused { status: status.as_u16(), why }
            }
            Err(_) => self.answered_by_another(&status),
        })
    }

    fn token(&self) -> Result<Option<String>, Failed> {
        let token = match &self.token_file {
            Some(file) => std::fs::read_to_string(file).map_err(|error| {
                Failed::Unasked(format!(
                    "the token's file {} cannot be read ({error}): check its path and who may \
                     read it",
                    file.display()
                ))
            })?,
            None => std::env::var(TOKEN).unwrap_or_default(),
        };
        Ok(Some(token.trim().to_owned()).filter(|token| !token.is_empty()))
    }

    fn sent_on(&self, answer: &reqwest::Response) -> Failed {
        let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| answer.url().join(location).ok());
        let whither = target.map_or_else(
            || "nowhere".to_owned(),
            |target| format!("to {}{}", without_secrets(&target), target.path()),
        );
        let (url, status) = (without_secrets(&self.url), answer.status().as_u16());
        Failed::Silent(format!(
            "no postwatch answers at {url}: it sends {whither} ({status}), and no redirect is \
             followed; --url names the address of postwatch itself"
        ))
    }

    fn which_token(&self, was_shown: bool) -> String {
        let url = without_secrets(&self.url);
        match (&self.token_file, was_shown) {
            (_, false) => format!(
                "the postwatch at {url} asks for its token: set {TOKEN} to auth_token of its rules \
                 file, or name a file that holds it with --token-file"
            ),
            (Some(file), true) => format!(
                "the postwatch at {url} does not take the token in {}: it is not auth_token of \
                 its rules file",
                file.display()
            ),
            (None, true) => format!(
                "the postwatch at {url} does not take the token in {TOKEN}: it is not auth_token \
                 of its rules file"
            ),
        }
    }
}

/// What is asked for: what was named by a flag of its own, and labels.
pub fn query<'a>(
    named: &[(&'a str, Option<&'a str>)],
    labels: &'a [(String, String)],
) -> Vec<(&'a str, &'a str)> {
    let named = named.iter().filter_map(|&(name, value)| Some((name, value?)));
    let labels = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    named.chain(labels).collect()
}

/// `KEY=VALUE`.
pub fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as KEY=VALUE, as in affiliate=7".to_owned()),
    }
}

/// Where it is, and not with which password.
fn without_secrets(url: &reqwest::Url) -> String {
    let host = url.host_str().unwrap_or_default();
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{}://{host}{port}", url.scheme())
}

/// Reads an answer that is shown on a terminal: whatever stands in it, others may have
/// written, and it must not command the terminal or turn the text around it.
fn read<T: DeserializeOwned>(body: &str) -> serde_json::Result<T> {
    let mut value = serde_json::from_str(body)?;
    make_harmless(&mut value);
    serde_json::from_value(value)
}

fn make_harmless(value: &mut Value) {
    match value {
        Value::String(text) => *text = harmless(text),
        Value::Array(values) => values.iter_mut().for_each(make_harmless),
        Value::Object(members) => {
            let named = std::mem::take(members).into_iter();
            *members = named
                .map(|(name, mut value)| {
                    make_harmless(&mut value);
                    (harmless(&name), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn harmless(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        c if c.is_control() || is_direction_mark(c) => char::REPLACEMENT_CHARACTER,
        c => c,
    };
    text.chars().map(shown).collect()
}

impl Failed {
    /// Says it, and with which code the program ends: 1 where what was named is not
    /// known, 2 where it was asked wrongly, 3 where the service cannot answer.
    pub fn end(&self, command: &str) -> ExitCode {
        let (why, code) = match self {
            Failed::Silent(why) => (why, CANNOT_START),
            Failed::Unasked(why) => (why, WRONG_USAGE),
            Failed::Refused { status: 404, why } => (why, 1),
            Failed::Refused { status: 400..=499, why } => (why, WRONG_USAGE),
            Failed::Refused { why, .. } => (why, CANNOT_START),
        };
        eprintln!("postwatch {command}: {}", harmless(why));
        ExitCode::from(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_commands_no_terminal() {
        let check = |text: &str, expected: &str| {
            let body = serde_json::json!([{ "why": text, "age": 1.5 }]).to_string();
            let read: Value = read(&body).expect("it is JSON");
            assert_eq!(read[0]["why"], expected);
            assert_eq!(read[0]["age"], 1.5);
        };
        check("moves\u{1b}[2J\u{7}", "moves\u{fffd}[2J\u{fffd}");
        check("ann\r\nroot: all is well", "ann  root: all is well");
        check("\u{202E}evil\u{9b}31m", "\u{fffd}evil\u{fffd}31m");
        check("żółć  👩‍👩‍👧", "żółć  👩‍👩‍👧");
        assert_eq!(harmless("\u{1b}]0;x\u{7}"), "\u{fffd}]0;x\u{fffd}");
    }

    #[test]
    fn an_address_is_told_without_its_password() {
        let check = |url: &str, expected: &str| {
            assert_eq!(without_secrets(&url.parse().expect("an address")), expected);
        };
        check(
            "http://ann:hunter2@watch.example:9467/hidden?key=hunter2#x",
            "http://watch.example:9467",
        );
        check("https://[::1]/", "https://[::1]");
    }
}
