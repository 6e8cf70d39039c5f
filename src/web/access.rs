//! Who may read, and what a browser may do with it: nothing but show it.

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Web;
use super::problem::{Nothing, Problem};

/// What `/` answers beyond loopback.
pub const HOW_TO_REACH_IT: &str = "\
The status page names partners and conversions' failures, so it is not shown to everybody who can \
reach this address.\nLet postwatch listen on loopback (--listen 127.0.0.1:9467) and open the page \
through a tunnel: ssh -L 9467:127.0.0.1:9467 HOST, then http://localhost:9467/\n";

/// What the API answers beyond loopback.
pub fn not_from_afar() -> Problem<Nothing> {
    Problem::new(
        StatusCode::FORBIDDEN,
        "Only this machine may ask that",
        "Let postwatch listen on loopback (--listen 127.0.0.1:9467) and ask through a tunnel: \
         ssh -L 9467:127.0.0.1:9467 HOST, then http://localhost:9467/.",
    )
}

const WRONG_ORIGIN: &str = "A page of another address may not ask for this; ask without a browser: curl -X POST http://localhost with the same port and path.\n";

const WRONG_HOST: &str = "This address is not one of this machine's own names; open http://localhost with the same port.\n";

/// The page has no script, no picture and no font, and sends nothing but its own buttons.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Not `no-referrer`: under that a browser names no origin for the page's own buttons.
    (header::REFERRER_POLICY, "same-origin"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Refuses what came under a stranger's name, and sets the headers of every answer.
pub async fn guard(Shared(is_loopback): Shared<bool>, request: Request, next: Next) -> Response {
    // A web page elsewhere can point its own name at 127.0.0.1 and have the
    // reader's browser fetch ours as its own; the Host header still tells.
    let mut response = if is_loopback && !is_our_name(request.headers()) {
        (StatusCode::FORBIDDEN, WRONG_HOST).into_response()
    } else if !request.method().is_safe() && !is_our_own_page(request.headers()) {
        (StatusCode::FORBIDDEN, WRONG_ORIGIN).into_response()
    } else {
        next.run(request).await
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Refuses to tell of alerts while the store is in trouble: nothing is known then, and
/// an empty list would read as an all-clear.
pub async fn only_while_known(Shared(web): Shared<Web>, request: Request, next: Next) -> Response {
    match web.view.store().trouble {
        None => next.run(request).await,
        Some(_) => Problem::<Nothing>::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store is in trouble: nothing is known of alerts and silences now",
            "See /readyz for what is wrong and what to do, and ask again.",
        )
        .into_response(),
    }
}

/// Refuses whoever asks from beyond this machine.
pub async fn only_loopback(
    Shared(is_loopback): Shared<bool>,
    request: Request,
    next: Next,
) -> Response {
    match is_loopback {
        true => next.run(request).await,
        false => not_from_afar().into_response(),
    }
}

/// Whether no page of another address asks: browsers name the asking page's origin
/// with everything that changes something, and other programs have none.
fn is_our_own_page(headers: &HeaderMap) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = origin.to_str().ok().and_then(|origin| origin.strip_prefix("http://"));
    authority.is_some() && authority == host
}

/// Whether the Host header names loopback. Browsers always send one; where it
/// is missing there is no browser to protect.
fn is_our_name(headers: &HeaderMap) -> bool {
    let Some(host) = headers.get(header::HOST) else { return true };
    let Ok(authority) = host.to_str().unwrap_or_default().parse::<axum::http::uri::Authority>()
    else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_elsewhere_may_change_nothing() {
        let check = |origin: Option<&'static str>, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost:9467"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!(is_our_own_page(&headers), expected, "{origin:?}");
        };
        check(None, true);
        check(Some("http://localhost:9467"), true);
        check(Some("http://localhost:8080"), false);
        check(Some("https://evil.example"), false);
        check(Some("null"), false);
    }

    #[test]
    fn only_names_of_loopback_are_ours() {
        let check = |host: &'static str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static(host));
            assert_eq!(is_our_name(&headers), expected, "{host}");
        };
        check("localhost:9467", true);
        check("LOCALHOST", true);
        check("127.0.0.1:9467", true);
        check("[::1]:9467", true);
        check("127.0.0.1.evil.example:9467", false);
        check("evil.example", false);
        check("10.0.0.7:9467", false);
        check("localhost@evil.example", false);
        check("", false);
        assert!(is_our_name(&HeaderMap::new()));
    }
}
