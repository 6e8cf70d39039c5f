//! Requests to addresses that a rules file names, and what their failures mean
//! for the outbox. Follows no redirect, keeps no connection, reads little; an
//! error names the host and never more of the address.

use std::error::Error;
use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use url::Url;

use super::{SEND_TIMEOUT, SendError};

/// More of an answer than this is not read.
const MOST_BODY: usize = 256 * 1024;

const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// A client for one channel.
///
/// # Errors
/// Where this machine's certificate authorities cannot be read.
pub(super) fn client() -> Result<Client, String> {
    Client::builder()
        // What was meant for one address must not travel to another.
        .redirect(Policy::none())
        .connect_timeout(CONNECT_WITHIN)
        .timeout(SEND_TIMEOUT)
        // A connection that was kept may be dead: its next message would be one
        // whose answer was lost.
        .pool_max_idle_per_host(0)
        .user_agent(concat!("postwatch/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|_| "cannot read this machine's certificate authorities".to_owned())
}

/// Sends `request` to `url` and returns the status of a good answer.
pub(super) async fn send(url: &Url, request: RequestBuilder) -> Result<StatusCode, SendError> {
    let host = host(url);
    let answer = request.send().await.map_err(|error| unanswered(&host, &error))?;
    match answer.status() {
        status if status.is_success() => Ok(status),
        status if status.is_redirection() => Err(redirected(url, status, &answer)),
        status => Err(refused(&host, status, answer.headers())),
    }
}

/// Any answer at all: the server is there.
pub(super) async fn answers(url: &Url, request: RequestBuilder) -> Result<StatusCode, SendError> {
    let host = host(url);
    Ok(request.send().await.map_err(|error| unanswered(&host, &error))?.status())
}

/// The beginning of a good answer's body.
pub(super) async fn body(url: &Url, request: RequestBuilder) -> Result<Vec<u8>, SendError> {
    let host = host(url);
    let mut answer = request.send().await.map_err(|error| unanswered(&host, &error))?;
    if !answer.status().is_success() {
        return Err(refused(&host, answer.status(), answer.headers()));
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| unanswered(&host, &error))? {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_BODY {
            break;
        }
    }
    Ok(body)
}

/// `host` or `host:port`, without anything that may be secret.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// What a person is shown of a good answer.
pub(super) fn answered(url: &Url, status: StatusCode) -> Option<String> {
    Some(format!("{} answered {}", host(url), status.as_u16()))
}

fn unanswered(host: &str, error: &reqwest::Error) -> SendError {
    if error.is_timeout() {
        return SendError::temporary("timeout", format!("{host} did not answer in time"));
    }
    if is_about_tls(error) {
        let message = format!(
            "no secure connection to {host}: its certificate is not accepted by this machine; \
             let it be renewed, or add its authority to this machine (or SSL_CERT_FILE)"
        );
        return SendError::temporary("tls", message);
    }
    if error.is_connect() {
        let message = format!(
            "cannot connect to {host}: check the address, and this machine's network, DNS and firewall"
        );
        return SendError::temporary("connect", message);
    }
    let message = format!("the connection to {host} broke before its answer was read");
    SendError::temporary("connection_lost", message)
}

fn is_about_tls(error: &(dyn Error + 'static)) -> bool {
    // An `io::Error` hides what it was made of from its own chain.
    let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    error.is::<rustls::Error>()
        || inner.is_some_and(|inner| is_about_tls(inner))
        || error.source().is_some_and(is_about_tls)
}

fn redirected(url: &Url, status: StatusCode, answer: &Response) -> SendError {
    let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    let target = location.and_then(|location| url.join(location).ok());
    let whither = match target {
        Some(target) if target.host_str() != url.host_str() => {
            format!("another host ({})", host(&target))
        }
        Some(_) | None => "another address".to_owned(),
    };
    let (host, status) = (host(url), status.as_u16());
    SendError::permanent(
        "redirect",
        format!(
            "{host} sends us to {whither} ({status}), and no redirect is followed: write the \
             address that answers itself"
        ),
    )
}

fn refused(host: &str, status: StatusCode, headers: &HeaderMap) -> SendError {
    let reason = match status.as_u16() {
        429 => "ratelimited",
        408 => "timeout",
        425 | 500..=599 => "http_5xx",
        _ => {
            let message = format!("{host} refuses it ({}): {}", status.as_u16(), advice(status));
            return SendError::permanent("http_4xx", message);
        }
    };
    SendError::Temporary {
        retry_after: retry_after(headers),
        reason,
        message: format!("{host} does not take it now ({})", status.as_u16()),
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "check the user, password or token in the address, and the signing secret",
        404 | 405 | 410 => "nothing takes messages at this address; check its path",
        411 | 413 | 414 => "the message is too large for it; raise the server's limit",
        _ => "look into that server's log",
    }
}

/// How long the server wants to be left alone: seconds, or a date by its own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let said = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = said.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = date(said)?;
    let now = headers.get(DATE).and_then(|value| date(value.to_str().ok()?));
    let now = now.unwrap_or_else(jiff::Timestamp::now);
    Some(Duration::try_from(until.duration_since(now)).unwrap_or_default())
}

fn date(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text.trim()).ok()
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date_by_the_servers_clock() {
        let check = |said: &'static str, seconds: Option<u64>| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(said));
            headers.insert(DATE, HeaderValue::from_static("Wed, 21 Oct 2015 07:27:50 GMT"));
            assert_eq!(retry_after(&headers), seconds.map(Duration::from_secs), "{said}");
        };
        check("7", Some(7));
        check("Wed, 21 Oct 2015 07:28:00 GMT", Some(10));
        check("Wed, 21 Oct 2015 07:00:00 GMT", Some(0));
        check("soon", None);
        check("-1", None);
    }
}
