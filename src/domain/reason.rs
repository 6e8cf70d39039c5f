//! Why a postback failed, told from what the network recorded, and what that
//! means for the person who reads it. Never looks at the destination itself.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::url;

/// The class of a failure. Serialized by position: new variants go to the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The host's name leads nowhere.
    Dns,
    /// The host's certificate or protocol is not accepted.
    Tls,
    /// Nothing takes connections there, or no network leads there.
    Refused,
    /// No answer in time.
    Timeout,
    /// The connection broke before an answer.
    Reset,
    /// The answer's status, 400 to 599.
    Http(u16),
    /// A bot wall's 403.
    Challenge,
    /// The answer points elsewhere, and nobody follows.
    Redirect,
    /// What was to be called is no URL.
    BadUrl,
    /// It failed and recovered between two polls: nobody saw why.
    Unseen,
    Other,
}

/// Stands for the text of a try that a history no longer tells of.
pub const UNTOLD: &str = "(not told)";

/// Go's wordings, lower case, and others that mean the same. The first that
/// occurs decides: specific ones come before those that they may contain.
const WORDINGS: &[(Reason, &[&str])] = &[
    (
        Reason::BadUrl,
        &[
            "unsupported protocol scheme",
            "missing protocol scheme",
            "first path segment in url",
            "invalid url",
            "no host in request url",
            "missing host",
            "in host name",
            "invalid port",
            "invalid control character in url",
        ],
    ),
    (Reason::Redirect, &["redirects", "redirect loop", "missing location"]),
    (
        Reason::Dns,
        &[
            "no such host",
            "server misbehaving",
            "name resolution",
            "name or service not known",
            "no address associated",
            "nxdomain",
            "servfail",
            // A name server that does not answer: the name leads nowhere for now.
            "dial tcp: lookup",
        ],
    ),
    // Not a fault of the certificate: the host is too slow.
    (Reason::Timeout, &["tls handshake timeout"]),
    (
        Reason::Tls,
        &[
            "x509:",
            "tls:",
            "certificate",
            "handshake failure",
            "tls handshake",
            "http response to https client",
            "ssl",
        ],
    ),
    // Where no route leads, a person must act as much as where a port is closed.
    (
        Reason::Refused,
        &[
            "connection refused",
            "actively refused",
            "no route to host",
            "network is unreachable",
            "host is unreachable",
            "host is down",
        ],
    ),
    (Reason::Timeout, &["deadline exceeded", "timeout", "timed out"]),
    (
        Reason::Reset,
        &[
            "connection reset",
            "reset by peer",
            "broken pipe",
            "connection aborted",
            "forcibly closed",
            "server closed idle connection",
            "use of closed network connection",
            "goaway",
            "stream error",
        ],
    ),
];

/// What only a bot wall writes. `Server: cloudflare` alone is not among them:
/// much of the web stands behind it, and its 403 may be the partner's own.
const BOT_WALL: &[&str] = &[
    "cf-mitigated",
    "just a moment",
    "captcha",
    "attention required",
    "checking your browser",
    "challenge-platform",
    "cf-chl",
    "cf_chl",
];

impl Reason {
    /// Tells the reason of a failed delivery from what the network recorded.
    ///
    /// An answer's status decides where there is one; else the error's wording;
    /// else whether `payload` could be called at all. `Other` where nothing tells.
    pub fn classify(debug_information: &str, payload: &str) -> Reason {
        if debug_information == UNTOLD {
            return Reason::Unseen;
        }
        let status = status(debug_information);
        match status {
            Some(403) if is_bot_wall(debug_information) => return Reason::Challenge,
            Some(status @ 400..=599) => return Reason::Http(status),
            Some(300..=399) => return Reason::Redirect,
            Some(_) | None => {}
        }
        let told = causes(debug_information).find_map(worded);
        // A status, even an odd one, proves that there was somebody to call.
        let uncallable = || status.is_none() && is_uncallable(payload);
        told.unwrap_or_else(|| if uncallable() { Reason::BadUrl } else { Reason::Other })
    }

    /// Reads the word that `Display` writes.
    pub fn parse(word: &str) -> Option<Reason> {
        Some(match word {
            "dns" => Reason::Dns,
            "tls" => Reason::Tls,
            "refused" => Reason::Refused,
            "timeout" => Reason::Timeout,
            "reset" => Reason::Reset,
            "challenge" => Reason::Challenge,
            "redirect" => Reason::Redirect,
            "bad_url" => Reason::BadUrl,
            "unseen" => Reason::Unseen,
            "other" => Reason::Other,
            _ => Reason::Http(
                word.strip_prefix("http_")
                    .and_then(three_digits)
                    .filter(|s| (400..600).contains(s))?,
            ),
        })
    }

    /// Whether the network's own retries may cure it, so that a person may wait.
    pub fn retries_may_cure(self) -> bool {
        match self {
            // An unseen one did cure itself.
            Reason::Timeout | Reason::Reset | Reason::Unseen => true,
            Reason::Http(status) => status == 429 || status >= 500,
            Reason::Dns
            | Reason::Tls
            | Reason::Refused
            | Reason::Challenge
            | Reason::Redirect
            | Reason::BadUrl
            | Reason::Other => false,
        }
    }

    /// One or two plain sentences: what it means and who must act.
    pub fn advice(self) -> &'static str {
        match self {
            Reason::Dns => {
                "The name of the host cannot be resolved (domain expired, or its DNS is broken): the partner must repair it or give a new URL; retries will not help."
            }
            Reason::Tls => {
                "Its TLS certificate is not accepted (often expired): the partner must renew it; retries will not help."
            }
            Reason::Refused => {
                "Nothing accepts connections there: the partner must start the server or open its firewall for the network; retries will not help until then."
            }
            Reason::Timeout => {
                "The host does not answer in time: retries may cure it; if it goes on, the partner must look at its load."
            }
            Reason::Reset => {
                "The host breaks the connection before it answers: retries may cure it; if it goes on, the partner must look at its server or proxy."
            }
            Reason::Http(status) => http_advice(status),
            Reason::Challenge => {
                "A bot wall (such as Cloudflare's) stands in front of the host: the partner must exempt the network's requests; retries will not help."
            }
            Reason::Redirect => {
                "The host answers with a redirect: the partner must give the final URL, and the postback must be changed to it; retries will not help."
            }
            Reason::BadUrl => {
                "The postback's URL cannot be called: correct its template in the network; retries will not help."
            }
            Reason::Unseen => {
                "It failed and recovered between two polls, so the cause was not seen: nothing to do unless it goes on."
            }
            Reason::Other => {
                "The network does not say why in words that are known here: read the delivery's raw text; a person must look."
            }
        }
    }
}

fn http_advice(status: u16) -> &'static str {
    match status {
        400 | 422 => {
            "The host rejects the request, often because a parameter is missing or wrong: compare the postback's template with what the partner expects; retries will not help."
        }
        401 => {
            "The host wants a valid token or password: renew it in the postback's URL; retries will not help."
        }
        403 => {
            "The host forbids the request: the partner must allow the network's IP addresses or renew the token; retries will not help."
        }
        404 => {
            "The URL is not there (any more): ask the partner for the new one and change the postback; retries will not help."
        }
        405 => {
            "The host does not take this kind of request there: ask the partner for the right URL and method; retries will not help."
        }
        408 => {
            "The host gave up waiting for the request: if it goes on, the partner must look at its server."
        }
        410 => {
            "The URL was given up for good: ask the partner for the new one and change the postback; retries will not help."
        }
        429 => {
            "The host takes fewer requests than it gets: retries may cure it; if it goes on, the partner must raise its limit."
        }
        500 => {
            "The partner's server fails while it works on the request: retries may cure it; if it goes on, the partner must repair it."
        }
        502..=504 => {
            "The partner's proxy gets no good answer from the server behind it: retries may cure it; if it goes on, the partner must repair it."
        }
        501..=599 => {
            "The partner's server has trouble: retries may cure it; if it goes on, the partner must repair it."
        }
        _ => {
            "The host refuses the request: the partner must say what it expects; retries will not help."
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Dns => f.write_str("dns"),
            Reason::Tls => f.write_str("tls"),
            Reason::Refused => f.write_str("refused"),
            Reason::Timeout => f.write_str("timeout"),
            Reason::Reset => f.write_str("reset"),
            Reason::Http(status) => write!(f, "http_{status}"),
            Reason::Challenge => f.write_str("challenge"),
            Reason::Redirect => f.write_str("redirect"),
            Reason::BadUrl => f.write_str("bad_url"),
            Reason::Unseen => f.write_str("unseen"),
            Reason::Other => f.write_str("other"),
        }
    }
}

/// The status of the answer: of the first line that begins with `Status:` and
/// holds a number of three digits.
pub(super) fn status(debug_information: &str) -> Option<u16> {
    debug_information.lines().filter_map(|line| line.strip_prefix("Status:")).find_map(|value| {
        let word = value.split_ascii_whitespace().next()?;
        three_digits(word)
    })
}

fn three_digits(text: &str) -> Option<u16> {
    let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// The lines that may hold an error's wording, without the URL that Go quotes
/// before it: a host may well be called `timeout.example`.
pub(super) fn causes(debug_information: &str) -> impl Iterator<Item = &str> {
    let lines = debug_information.lines().map(str::trim).filter(|line| !is_known_key(line));
    lines
        .map(|line| line.rfind("\": ").map_or(line, |quote| &line[quote + 3..]))
        .filter(|c| !c.is_empty())
}

/// Lines that describe the request or the answer, not what went wrong.
fn is_known_key(line: &str) -> bool {
    const KEYS: &[&str] =
        &["PostbackUrl:", "Status:", "Scheme:", "Path:", "Authority:", "Headers:"];
    // A header after the first stands alone: `Keep-Alive: [timeout=5]`.
    KEYS.iter().any(|key| line.starts_with(key)) || line.ends_with(']')
}

fn worded(cause: &str) -> Option<Reason> {
    let lower = cause.to_ascii_lowercase();
    let told = WORDINGS.iter().find(|(_, words)| words.iter().any(|word| lower.contains(word)));
    told.map(|(reason, _)| *reason).or_else(|| ends_early(cause).then_some(Reason::Reset))
}

/// Go's `EOF`, as a word of its own.
fn ends_early(cause: &str) -> bool {
    cause.split(|c: char| !c.is_alphanumeric()).any(|word| word.eq_ignore_ascii_case("eof"))
}

fn is_bot_wall(debug_information: &str) -> bool {
    // The URL that was called may itself name a captcha.
    let answer = debug_information.lines().filter(|line| !line.starts_with("PostbackUrl:"));
    answer.into_iter().any(|line| {
        let lower = line.to_ascii_lowercase();
        BOT_WALL.iter().any(|sign| lower.contains(sign))
    })
}

/// Whether no request can be made of it. Payloads of other methods than
/// `postback` are markup or JSON, and no URLs by nature.
fn is_uncallable(payload: &str) -> bool {
    let payload = payload.trim();
    !payload.is_empty()
        && !payload.starts_with(['<', '{', '['])
        && url::host(payload, "postback").is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const URL: &str = "https://track.acme.example/p?cid=1";

    fn check(debug_information: &str, word: &str) {
        assert_eq!(
            Reason::classify(debug_information, URL).to_string(),
            word,
            "{debug_information}"
        );
    }

    #[test]
    fn a_status_decides() {
        check(
            "PostbackUrl: https://a.b/?x=1\nStatus: 404\nScheme: \nHeaders: Server: [nginx]",
            "http_404",
        );
        check("Status: 500 Internal Server Error", "http_500");
        check("Status: 429\nKeep-Alive: [timeout=5]", "http_429");
        check("Status:503", "http_503");
        check("Status: 302\nHeaders: Location: [https://x]", "redirect");
        check("Status: 403\nHeaders: Server: [nginx]", "http_403");
        check("Status: 403\nHeaders: Server: [cloudflare]", "http_403");
        check("Status: 403\nHeaders: Server: [cloudflare] Cf-Mitigated: [challenge]", "challenge");
        check("Status: 403\nBody: <title>Just a moment...</title>", "challenge");
        check("PostbackUrl: https://captcha.example/\nStatus: 403", "http_403");
        check("Status: 404\nError: x509: certificate has expired", "http_404");
        check("Status: 200\nHeaders: Server: [x]\nKeep-Alive: [timeout=5]", "other");
        check("Status: 200\nunexpected EOF", "reset");
        check("Status: 999", "other");
        check("X-Status: 404\n Status: 404\nNote: Status: 404", "other");
        check("Status: 4040", "other");
    }

    #[test]
    fn gos_wordings_are_known() {
        check(
            "PostbackUrl: https://x\nStatus: \nError: Get \"https://timeout.example/eof\": dial tcp: lookup timeout.example on 10.0.0.2:53: no such host",
            "dns",
        );
        check("dial tcp: lookup a.b: server misbehaving", "dns");
        check(
            "dial tcp: lookup a.b on 10.0.0.2:53: read udp 10.0.0.1:1->10.0.0.2:53: i/o timeout",
            "dns",
        );
        check(
            "Get \"https://a.b\": x509: certificate has expired or is not yet valid: current time 2026",
            "tls",
        );
        check("tls: failed to verify certificate: x509: certificate is valid for a, not b", "tls");
        check("remote error: tls: handshake failure", "tls");
        check("http: server gave HTTP response to HTTPS client", "tls");
        check("net/http: TLS handshake timeout", "timeout");
        check("dial tcp 1.2.3.4:443: connect: connection refused", "refused");
        check("DIAL TCP 1.2.3.4:443: CONNECT: CONNECTION REFUSED", "refused");
        check("dial tcp 1.2.3.4:443: connect: no route to host", "refused");
        check("dial tcp 1.2.3.4:443: connect: network is unreachable", "refused");
        check(
            "Get \"https://a\": context deadline exceeded (Client.Timeout exceeded while awaiting headers)",
            "timeout",
        );
        check("dial tcp 1.2.3.4:443: i/o timeout", "timeout");
        check("read tcp 1.1.1.1:5->2.2.2.2:443: read: connection reset by peer", "reset");
        check("write: broken pipe", "reset");
        check("Get \"https://a.b/\": EOF", "reset");
        check("unexpected EOF", "reset");
        check("geofence", "other");
        check("Get \"ftp://a\": unsupported protocol scheme \"ftp\"", "bad_url");
        check("parse \"::\": missing protocol scheme", "bad_url");
        check("http: no Host in request URL", "bad_url");
        check("Get \"/x\": stopped after 10 redirects", "redirect");
        check("context canceled", "other");
        check("", "other");
        check("PostbackUrl: https://timeout.example/x509:", "other");
    }

    #[test]
    fn a_payload_that_cannot_be_called_is_a_bad_url() {
        let check = |payload: &str, word: &str| {
            assert_eq!(Reason::classify("Status: \n", payload).to_string(), word, "{payload}");
        };
        check("https://a.example/x", "other");
        check("https:///x", "bad_url");
        check("https://{domain}/x", "bad_url");
        check("a.example/x", "bad_url");
        check("<img src=x>", "other");
        check("{\"event\":1}", "other");
        check("", "other");
    }

    #[test]
    fn words_are_read_back() {
        for word in [
            "dns",
            "tls",
            "refused",
            "timeout",
            "reset",
            "http_404",
            "http_599",
            "challenge",
            "redirect",
            "bad_url",
            "unseen",
            "other",
        ] {
            assert_eq!(Reason::parse(word).map(|r| r.to_string()), Some(word.to_owned()));
        }
        for word in ["", "DNS", "http_", "http_200", "http_4040", "http_+40", "http_600"] {
            assert_eq!(Reason::parse(word), None, "{word}");
        }
    }

    #[test]
    fn advice_agrees_with_whether_retries_may_cure() {
        let check = |word: &str, cures: bool| {
            let reason = Reason::parse(word).expect("a word");
            assert_eq!(reason.retries_may_cure(), cures, "{word}");
            assert!(!(cures && reason.advice().contains("retries will not help")), "{word}");
        };
        for word in ["timeout", "reset", "http_429", "http_500", "http_503", "http_520"] {
            check(word, true);
        }
        for word in [
            "dns",
            "tls",
            "refused",
            "challenge",
            "bad_url",
            "http_400",
            "http_401",
            "http_403",
            "http_404",
            "http_410",
            "redirect",
            "other",
        ] {
            check(word, false);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(debug in "(Status: ?|\": |\\PC|[0-9]{3}|\n){0,60}", payload in "\\PC{0,80}") {
            let _ = Reason::classify(&debug, &payload);
            let _ = Reason::parse(&debug);
        }
    }
}
