//! What may be told of a payload and of the network's raw text: the host, and
//! texts that hold nothing personal. Never resolves or requests anything.

use std::borrow::Cow;

use super::reason;

/// Stands for what is not shown.
const HIDDEN: &str = "…";
/// The longest name that DNS knows, bytes.
const MAX_HOST: usize = 253;
/// Characters of a redacted URL.
const MAX_URL: usize = 300;
/// Characters of an answer.
const MAX_ANSWER: usize = 120;
/// From here on a run of letters and digits looks like a token.
const TOKEN: usize = 20;

/// The destination of a payload: lower case, without user, port and final dot.
///
/// `None` where the method is not `postback`, or the payload is no http(s) URL
/// with a usable host (an unreplaced macro is none).
pub fn host<'a>(payload: &'a str, delivery_method: &str) -> Option<Cow<'a, str>> {
    if !delivery_method.eq_ignore_ascii_case("postback") {
        return None;
    }
    let (_, rest) = after_scheme(payload.trim())?;
    let (name, port) = host_and_port(authority(rest).0)?;
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let usable = !name.is_empty() && name.len() <= MAX_HOST && is_host(name);
    usable.then(|| lower(name)).filter(|name| name.len() <= MAX_HOST)
}

/// The payload without what may be personal: scheme, host, path and the names
/// of the query stay, values become `…`, and so do parts of the path that look
/// like a token, a number or an address. At most 300 characters.
///
/// A macro that was left unreplaced and an empty value are shown: they are
/// mistakes of the template, and nobody's data.
pub fn redact(payload: &str) -> String {
    let payload = payload.trim();
    let Some((scheme, rest)) = after_scheme(payload) else {
        return if payload.is_empty() { String::new() } else { HIDDEN.to_owned() };
    };
    let (authority, rest) = authority(rest);
    let rest = rest.split('#').next().unwrap_or_default();
    let (path, query) = rest.split_once('?').map_or((rest, None), |(p, q)| (p, Some(q)));
    let mut shown = format!("{}://{}", scheme.to_ascii_lowercase(), shown_authority(authority));
    shown.push_str(&joined(path, '/', shown_segment));
    if let Some(query) = query {
        shown.push('?');
        shown.push_str(&joined(query, '&', shown_pair));
    }
    capped(&shown, MAX_URL)
}

/// What the host answered, safe to show: `Status: 404`, or the error's wording
/// without URLs, addresses, headers and tokens. At most 120 characters, and
/// empty where the network recorded neither.
pub fn answer(debug_information: &str) -> String {
    if let Some(status) = reason::status(debug_information) {
        return format!("Status: {status}");
    }
    let cause = reason::causes(debug_information).next().unwrap_or_default();
    let words: Vec<Cow<'_, str>> = cause.split_whitespace().map(shown_word).collect();
    capped(&words.join(" "), MAX_ANSWER)
}

fn after_scheme(url: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = url.split_once(':')?;
    let rest = rest.strip_prefix("//")?;
    let known = scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http");
    known.then_some((scheme, rest))
}

fn authority(rest: &str) -> (&str, &str) {
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?' | b'#'));
    rest.split_at(end.unwrap_or(rest.len()))
}

/// Host and port of an authority, the user dropped. Brackets stay.
fn host_and_port(authority: &str) -> Option<(&str, &str)> {
    if authority.contains('\\') {
        // Browsers and Go disagree on where such a host ends: it is none.
        return None;
    }
    let place = authority.rsplit('@').next().unwrap_or_default();
    if place.starts_with('[') {
        let (name, port) = place.split_at(place.find(']')? + 1);
        return Some((name, if port.is_empty() { "" } else { port.strip_prefix(':')? }));
    }
    Some(place.split_once(':').unwrap_or((place, "")))
}

fn is_host(name: &str) -> bool {
    if let Some(address) = name.strip_prefix('[').and_then(|n| n.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().is_ok();
    }
    name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '.' | '_'))
        && !name.starts_with('.')
        && !name.contains("..")
}

fn lower(name: &str) -> Cow<'_, str> {
    let is_lower = name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
    if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_lowercase()) }
}

fn shown_authority(authority: &str) -> String {
    let Some((name, port)) = host_and_port(authority) else { return HIDDEN.to_owned() };
    if !is_host(name) && !is_macro(name) {
        return HIDDEN.to_owned();
    }
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = if is_port { format!(":{port}") } else { String::new() };
    format!("{}{port}", lower(name))
}

fn joined<'a>(text: &'a str, by: char, show: fn(&'a str) -> Cow<'a, str>) -> String {
    let parts: Vec<Cow<'_, str>> = text.split(by).map(show).collect();
    parts.join(by.encode_utf8(&mut [0; 4]))
}

fn shown_segment(segment: &str) -> Cow<'_, str> {
    if segment.contains('=') {
        return shown_pair(segment);
    }
    if looks_personal(segment) { HIDDEN.into() } else { segment.into() }
}

fn shown_pair(pair: &str) -> Cow<'_, str> {
    match pair.split_once('=') {
        None if pair.is_empty() || is_macro(pair) => pair.into(),
        // A value without a name.
        None => HIDDEN.into(),
        Some((name, value)) => {
            let name = if looks_personal(name) { HIDDEN } else { name };
            let value = if value.is_empty() || is_macro(value) { value } else { HIDDEN };
            format!("{name}={value}").into()
        }
    }
}

/// A word of an error's text.
fn shown_word(word: &str) -> Cow<'_, str> {
    let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
    // `1.2.3.4:443`, `[::1]:53`, `10.0.0.1:1->10.0.0.2:53`
    let is_address = bare.starts_with(|c: char| c.is_ascii_digit()) && bare.contains(['.', ':'])
        || word.starts_with('[')
        || word.contains("->")
        || word.matches(':').count() > 2;
    let is_url = word.contains("://")
        || word.contains(['?', '=', '/']) && word != "i/o" && word != "net/http:";
    if is_address || is_url || looks_personal(word) { HIDDEN.into() } else { word.into() }
}

/// An e-mail address, a token, or a long number.
fn looks_personal(text: &str) -> bool {
    let lower_at = text.contains('@') || text.contains("%40");
    lower_at || text.split(|c| !is_token_char(c)).any(is_token)
}

fn is_token_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '+' | '_' | '-' | '%')
}

/// Words joined by dashes are long, too, but have neither digits nor mixed case.
fn is_token(run: &str) -> bool {
    let has = |is: fn(&u8) -> bool| run.as_bytes().iter().any(is);
    let digits = has(u8::is_ascii_digit);
    let only_digits = digits && run.bytes().all(|b| b.is_ascii_digit());
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
    run.len() >= TOKEN && (digits || mixed) || only_digits && run.len() >= 7
}

/// `{sub5}`, plain or percent-encoded.
fn is_macro(text: &str) -> bool {
    let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}')).or_else(|| {
        let open = text.strip_prefix("%7B").or_else(|| text.strip_prefix("%7b"))?;
        open.strip_suffix("%7D").or_else(|| open.strip_suffix("%7d"))
    });
    inner.is_some_and(|name| {
        (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !looks_personal(name)
    })
}

/// At most `limit` characters, none of which controls a terminal.
fn capped(text: &str, limit: usize) -> String {
    let mut clean = text.chars().filter(|c| !c.is_control());
    let mut shown: String = clean.by_ref().take(limit).collect();
    if clean.next().is_some() {
        shown.pop();
        shown.push_str(HIDDEN);
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_host_of_a_payload() {
        let check = |payload: &str, expected: &str| {
            assert_eq!(host(payload, "postback").unwrap_or_default(), expected, "{payload}");
        };
        check("https://track.acme.example/p?x=1", "track.acme.example");
        check("HTTPS://Track.ACME.example:8443", "track.acme.example");
        check(" http://a.example?x=http://b.example/", "a.example");
        check("https://user:pa@ss@a.example/", "a.example");
        check("https://a.example#@b.example", "a.example");
        check("https://a.example./x", "a.example");
        check("https://[2001:DB8::1]:443/x", "[2001:db8::1]");
        check("https://[::1]x/", "");
        check("https://[oops]/", "");
        check("https://10.0.0.1:80/", "10.0.0.1");
        check("https://Bücher.example/", "bücher.example");
        check("https://a.example:port/", "");
        check("https://{domain}/x", "");
        check("https://a example/", "");
        check("https://a.example\\@b.example/", "");
        check("https://", "");
        check("https://.", "");
        check("https:///x", "");
        check("//a.example/", "");
        check("ftp://a.example/", "");
        check("a.example/x", "");
        check("<img src=\"https://a.example\">", "");
        check("", "");
        check(&format!("https://{}/", "a".repeat(254)), "");
        assert_eq!(host("https://a.example/", "html"), None);
        assert!(matches!(host("https://a.example/", "postback"), Some(Cow::Borrowed(_))));
    }

    #[test]
    fn a_redacted_payload_shows_its_form_only() {
        let check =
            |payload: &str, expected: &str| assert_eq!(redact(payload), expected, "{payload}");
        check(
            "https://a.example/p?cid=abc&sub=&m={sub5}&e=%7Bsub1%7D",
            "https://a.example/p?cid=…&sub=&m={sub5}&e=%7Bsub1%7D",
        );
        check("HTTPS://user:secret@A.example:8443/p#token", "https://a.example:8443/p");
        check("https://a.example/p#f?x=1", "https://a.example/p");
        check("https://a.example?x=1?y=2", "https://a.example?x=…");
        check("https://a.example/?secret", "https://a.example/?…");
        check("https://a.example/u/joe@b.example/joe%40b.example/x", "https://a.example/u/…/…/x");
        check(
            "https://a.example/v1/d5c6feef0d8f489fb91aa5cfb4d64f4e/done",
            "https://a.example/v1/…/done",
        );
        check("https://a.example/AbCdEfGhIjKlMnOpQrStUv/", "https://a.example/…/");
        check(
            "https://a.example/server-to-server-postback-tracking",
            "https://a.example/server-to-server-postback-tracking",
        );
        check("https://a.example/c/49151234567", "https://a.example/c/…");
        check("https://a.example/c/id=12/x;sid=1", "https://a.example/c/id=…/x;sid=…");
        check("https://a.example/?joe@b.example=1", "https://a.example/?…=…");
        check("https://a.example/?m={{a}}&n={a b}", "https://a.example/?m=…&n=…");
        check("https://{domain}/x", "https://{domain}/x");
        check("https://what ever/x", "https://…/x");
        check("<img src=\"https://a.example/?x=secret\">", "…");
        check("{\"email\":\"joe@b.example\"}", "…");
        check("", "");
        check("https://a.example/\u{1b}[31m", "https://a.example/[31m");
        let long = redact(&format!("https://a.example/?{}", "a=1&".repeat(500)));
        assert!(long.chars().count() == 300 && long.ends_with('…'));
    }

    #[test]
    fn an_answer_holds_no_address() {
        let check = |debug: &str, expected: &str| assert_eq!(answer(debug), expected, "{debug}");
        check(
            "PostbackUrl: https://a/?x=1\nStatus: 404\nHeaders: Set-Cookie: [a=b]",
            "Status: 404",
        );
        check("PostbackUrl: https://a/?x=1\nStatus: \nScheme: \nHeaders: Server: [x]", "");
        check(
            "Error: Get \"https://a.example/?cid=1\": dial tcp 10.1.2.3:443: connect: connection refused",
            "dial tcp … connect: connection refused",
        );
        check(
            "dial tcp: lookup a.example on 10.0.0.2:53: no such host",
            "dial tcp: lookup a.example on … no such host",
        );
        check("read udp 10.0.0.1:1->10.0.0.2:53: i/o timeout", "read udp … i/o timeout");
        check("dial tcp [2001:db8::1]:443: i/o timeout", "dial tcp … i/o timeout");
        check("failed for joe@b.example at https://x/?y", "failed for … at …");
        check("net/http: TLS handshake timeout", "net/http: TLS handshake timeout");
        check("", "");
        assert!(answer(&"so it goes ".repeat(50)).chars().count() == 120);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "(https?://|[@:/?#&=.\\[\\]{}%\"]|\\PC|[a-f0-9]{1,30}){0,80}") {
            if let Some(host) = host(&text, "postback") {
                prop_assert!(!host.is_empty() && host.len() <= 253);
            }
            prop_assert!(redact(&text).chars().count() <= 300);
            prop_assert!(answer(&text).chars().count() <= 120);
        }

        #[test]
        fn no_value_of_a_query_survives(value in "[a-z0-9]{6,30}", name in "[a-z]{1,5}") {
            let shown = redact(&format!("https://x.example/p?{name}={value}&b={value}#{value}"));
            prop_assert!(!shown.contains(&value), "{}", shown);
        }
    }
}
