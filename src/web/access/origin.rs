//! Where a request comes from, as far as a browser tells it.

use axum::http::{HeaderMap, header};

/// Whether a page of another address asks: browsers name the asking page's origin with
/// everything that changes something, and other programs name none.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) && !is_our_own(headers)
}

/// Whether our own page asks. Behind a proxy it may be of https.
pub fn is_our_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| {
        origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"))
    });
    origin.is_some() && origin == text(header::HOST)
}

/// Whether the reader's browser speaks https, to whatever stands before us.
pub fn is_https(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("origin").is_some_and(|origin| origin.starts_with("https://"))
        || text("x-forwarded-proto").is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
}

/// Whether the Host header names loopback. Browsers always send one; where it
/// is missing there is no browser to protect.
pub fn is_our_name(headers: &HeaderMap) -> bool {
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
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_page_elsewhere_may_change_nothing() {
        let check = |origin: Option<&'static str>, foreign, own| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("localhost:9467"));
            if let Some(origin) = origin {
                headers.insert(header::ORIGIN, HeaderValue::from_static(origin));
            }
            assert_eq!((is_foreign(&headers), is_our_own(&headers)), (foreign, own), "{origin:?}");
        };
        check(None, false, false);
        check(Some("http://localhost:9467"), false, true);
        check(Some("https://localhost:9467"), false, true);
        check(Some("http://localhost:8080"), true, false);
        check(Some("https://evil.example"), true, false);
        check(Some("null"), true, false);
        assert!(!is_our_own(&HeaderMap::new()));
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
