//! Answers that are no answer, in sentences that say what to do. Shows what the
//! network said, cleaned and short, and never the key.

use std::error::Error;
use std::time::Duration;

use serde::Deserialize;

use super::export::Broken;
use super::lenient::Text;
use crate::source::ApiError;

/// Characters of the network's own words that are shown.
const MAX_SAID: usize = 200;

/// A try that failed: what it means, and whether another may do better.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: ApiError,
    pub(super) retry: Retry,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Retry {
    Never,
    BackOff,
    /// Not before this has passed.
    After(Duration),
}

/// What the sentences name.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    pub(super) source: &'a str,
    pub(super) host: &'a str,
    /// Cut out of whatever the network says.
    pub(super) key: &'a str,
}

impl About<'_> {
    /// An answer with a status other than 200 to 299. `after` is how long to
    /// wait where the status is 429 or the network asked for it.
    pub(super) fn status(&self, status: u16, body: &[u8], after: Option<Duration>) -> Failure {
        let said = self.said(body);
        let source = self.source;
        let retry = after.map_or(Retry::BackOff, Retry::After);
        match status {
            401 => refused(
                status,
                format!(
                    "the network refused the API key (401){said} — check api_key of source \"{source}\"; it may have been revoked"
                ),
            ),
            403 => refused(
                status,
                format!(
                    "the network forbids this to the API key (403){said} — source \"{source}\" needs a key of the network itself (not an affiliate's or advertiser's) that may read reports; if the key has a list of allowed IP addresses, this server's must be on it"
                ),
            ),
            404 => rejected(format!(
                "the network has nothing at this address (404){said} — check base_url of source \"{source}\"; it usually ends in /v1"
            )),
            429 => unavailable(
                format!(
                    "the network's rate limit is used up (429){said} — it is shared with your other tools; source \"{source}\" is asked again later"
                ),
                retry,
            ),
            300..=399 => rejected(format!(
                "the network answered with a redirect ({status}), which is not followed so that the API key stays with {} — check base_url of source \"{source}\"",
                self.host
            )),
            500.. => unavailable(
                format!(
                    "the network has trouble of its own ({status}){said} — source \"{source}\" is asked again later"
                ),
                retry,
            ),
            _ => rejected(format!(
                "the network rejected the request ({status}){said} — check the scopes and timezone_id of source \"{source}\""
            )),
        }
    }

    /// No answer, or one that broke off, which `error` tells by its kind.
    pub(super) fn transport(&self, error: reqwest::Error) -> Failure {
        let message = format!("{} (source \"{}\")", self.broken_by(&error), self.source);
        // Only a body that was already coming can be cut.
        let cut = !error.is_timeout() && (error.is_body() || error.is_decode());
        let error =
            if cut { ApiError::Incomplete { message } } else { ApiError::Unavailable { message } };
        Failure { error, retry: Retry::BackOff }
    }

    /// A 200 whose body is not what was asked for.
    pub(super) fn broken(&self, broken: Broken) -> Failure {
        match broken {
            // Mostly a stream that was cut, which the next try need not be.
            Broken::Incomplete(why) => Failure {
                retry: Retry::BackOff,
                ..incomplete(format!(
                    "the network's answer is not whole: {why} (source \"{}\")",
                    self.source
                ))
            },
            Broken::Error(body) => rejected(format!(
                "the network answered with an error under the status 200{} (source \"{}\")",
                self.said(&body),
                self.source
            )),
        }
    }

    fn broken_by(&self, error: &reqwest::Error) -> String {
        let host = self.host;
        let causes = causes(error);
        let all = causes.join(": ").to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| all.contains(word));
        let text = self.clean(causes.last().map_or("no cause is known", String::as_str));
        if error.is_timeout() && error.is_connect() {
            format!("{host} took no connection in time")
        } else if error.is_timeout() {
            format!("{host} did not answer in time")
        } else if has(&["dns error", "failed to lookup", "name or service not known"]) {
            format!("the name {host} cannot be resolved (DNS): {text}")
        } else if has(&["certificate", "tls", "handshake", "corrupt message"]) {
            format!("no trusted TLS connection to {host}: {text}")
        } else if has(&["connection refused"]) {
            format!("{host} refuses connections")
        } else if error.is_body() || error.is_decode() {
            format!("the answer of {host} broke off: {text}")
        } else {
            format!("the connection to {host} failed: {text}")
        }
    }

    /// `: what the network said`, or nothing.
    fn said(&self, body: &[u8]) -> String {
        let said = self.clean(&words(body));
        if said.is_empty() { said } else { format!(": {said}") }
    }

    /// One line of at most 200 characters without the key.
    fn clean(&self, text: &str) -> String {
        // The key first: a control character taken out might join its halves.
        let one_line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let text = if self.key.is_empty() { one_line } else { one_line.replace(self.key, "…") };
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut said: String = text.chars().take(MAX_SAID).collect();
        if said.len() < text.len() {
            said.push('…');
        }
        said
    }
}

pub(super) fn incomplete(message: String) -> Failure {
    Failure { error: ApiError::Incomplete { message }, retry: Retry::Never }
}

pub(super) fn rejected(message: String) -> Failure {
    Failure { error: ApiError::Rejected { message }, retry: Retry::Never }
}

fn refused(status: u16, message: String) -> Failure {
    Failure { error: ApiError::Refused { status, message }, retry: Retry::Never }
}

fn unavailable(message: String, retry: Retry) -> Failure {
    Failure { error: ApiError::Unavailable { message }, retry }
}

/// `{"error": …}`, `{"Error": …}`, or the text itself.
fn words(body: &[u8]) -> String {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Body<'a> {
        #[serde(borrow)]
        error: Text<'a>,
        #[serde(borrow, rename = "Error")]
        capital: Text<'a>,
        #[serde(borrow)]
        message: Text<'a>,
    }
    let text = body.trim_ascii();
    if text.first() == Some(&b'<') {
        return "(an HTML page)".into();
    }
    let parsed = serde_json::from_slice::<Body<'_>>(text).unwrap_or_default();
    let told = [parsed.error, parsed.capital, parsed.message].into_iter().find(|t| !t.0.is_empty());
    told.map_or_else(|| String::from_utf8_lossy(text).into_owned(), |text| text.0.into_owned())
}

/// The causes behind an error, the deepest last. The error's own text names the
/// URL, and its wrappers say little.
fn causes(error: &reqwest::Error) -> Vec<String> {
    let first: Option<&dyn Error> = error.source();
    std::iter::successors(first, |&cause| cause.source()).map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'_> = About { source: "acme", host: "api.example", key: "k3y" };

    fn message(status: u16, body: &str) -> String {
        ABOUT.status(status, body.as_bytes(), None).error.to_string()
    }

    #[test]
    fn what_the_network_said_is_shown_clean_and_short() {
        let check = |body: &str, expected: &str| {
            let shown = message(401, body);
            let expected = format!("the network refused the API key (401){expected} — check");
            assert!(shown.starts_with(&expected), "{body}: {shown}");
        };
        check(r#"{"error":"no such key"}"#, ": no such key");
        check(r#"{"Error":"no such key"}"#, ": no such key");
        check(r#"{"error":null,"Error":"gone"}"#, ": gone");
        check("plain\r\n text\u{1b}[31m", ": plain text [31m");
        check(r#"{"error":"key k3y is unknown"}"#, ": key … is unknown");
        check("<html>k3y</html>", ": (an HTML page)");
        check("", "");
        check("{}", ": {}");
        check(&"x".repeat(1_000), &format!(": {}…", "x".repeat(200)));
    }

    #[test]
    fn a_status_says_what_to_do_next() {
        let check = |status: u16, kind: &str, retry: Retry, hint: &str| {
            let failure = ABOUT.status(status, b"", None);
            assert!(format!("{:?}", failure.error).starts_with(kind), "{failure:?}");
            assert_eq!(failure.retry, retry, "{status}");
            assert!(failure.error.to_string().contains(hint), "{failure:?}");
        };
        check(400, "Rejected", Retry::Never, "scopes");
        check(401, "Refused", Retry::Never, "api_key of source \"acme\"");
        check(403, "Refused", Retry::Never, "allowed IP addresses");
        check(404, "Rejected", Retry::Never, "base_url");
        check(302, "Rejected", Retry::Never, "redirect");
        check(429, "Unavailable", Retry::BackOff, "other tools");
        check(500, "Unavailable", Retry::BackOff, "later");
        check(503, "Unavailable", Retry::BackOff, "(503)");
    }
}
