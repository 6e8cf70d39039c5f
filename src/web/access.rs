//! Who may read, and what a browser may do with it: nothing but show it.

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// What `/` answers beyond loopback.
pub const HOW_TO_REACH_IT: &str = "\
The status page names partners and conversions' failures, so it is not shown to everybody who can \
reach this address.\nLet postwatch listen on loopback (--listen 127.0.0.1:9467) and open the page \
through a tunnel: ssh -L 9467:127.0.0.1:9467 HOST, then http://localhost:9467/\n";

const WRONG_HOST: &str = "This address is not one of this machine's own names; open http://localhost with the same port.\n";

/// The page has no script, no picture and no font, and sends nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
];

/// Refuses what came under a stranger's name, and sets the headers of every answer.
pub async fn guard(Shared(is_loopback): Shared<bool>, request: Request, next: Next) -> Response {
    // A web page elsewhere can point its own name at 127.0.0.1 and have the
    // reader's browser fetch ours as its own; the Host header still tells.
    let mut response = match is_loopback && !is_our_name(request.headers()) {
        true => (StatusCode::FORBIDDEN, WRONG_HOST).into_response(),
        false => next.run(request).await,
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
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
