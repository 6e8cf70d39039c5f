//! Who comes in where a token is set.

use super::served::{Served, serve_within};
use super::*;
use crate::config::{AccessConfig, Secret};

const TOKEN: &str = "correct-horse-battery";

fn rule(token: &str, protects_metrics: bool) -> AccessConfig {
    AccessConfig { token: Some(Secret::new(token)), protects_metrics }
}

async fn serve_to_all() -> Served {
    serve_within(false, rule(TOKEN, false), Limits::of_this_process()).await
}

impl Served {
    /// Status and whole answer of a request to `path` with these headers.
    async fn try_(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
        let head = format!("{method} {path} HTTP/1.1\r\nHost: postwatch.example");
        let head = if headers.is_empty() { head } else { format!("{head}\r\n{headers}") };
        let answer = self.send(&head, body).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        (status.expect("it is HTTP"), answer)
    }

    async fn status(&self, method: &str, path: &str, headers: &str) -> u16 {
        self.try_(method, path, headers, "").await.0
    }

    /// The cookie of a browser that logs in.
    async fn log_in(&self) -> String {
        let form = format!("token={TOKEN}&next=%2Fapi%2Fv1%2Falerts");
        let (status, answer) = self.try_("POST", "/login", "Accept: text/html", &form).await;
        assert!(status == 303 && answer.contains("location: /api/v1/alerts"), "{answer}");
        let cookie = answer.split("set-cookie: ").nth(1).expect("it is given one");
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(attribute), "{cookie}");
        }
        assert!(!answer.contains(TOKEN), "{answer}");
        format!("Cookie: theme=dark; {}", cookie.split(';').next().unwrap_or_default())
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

#[tokio::test]
async fn everything_but_health_and_metrics_asks_for_the_token() {
    let served = serve_to_all().await;
    let paths = [
        "/",
        "/api/v1/alerts",
        "/api/v1/outbox",
        "/api/v2/status",
        "/api/openapi.json",
        "/nothing",
    ];
    for path in paths {
        let (status, answer) = served.try_("GET", path, "", "").await;
        assert_eq!(status, 401, "{path}: {answer}");
        assert!(answer.contains("www-authenticate: Bearer"), "{path}: {answer}");
        assert!(answer.contains("application/problem+json"), "{path}: {answer}");
        assert_ne!(served.status("GET", path, &bearer(TOKEN)).await, 401, "{path}");
    }
    for path in ["/metrics", "/healthz"] {
        assert_eq!(served.status("GET", path, "").await, 200, "{path}");
    }
    assert_eq!(served.status("POST", "/api/v1/reload", "").await, 401);
    // The demo and this test have no file to read again.
    assert_eq!(served.status("POST", "/api/v1/reload", &bearer(TOKEN)).await, 409);
    let basic = "Authorization: Basic YW5uOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==";
    assert_eq!(served.status("GET", "/api/v2/status", basic).await, 200);
    served.access.send_replace(Arc::new(Access::new(&rule(TOKEN, true))));
    assert_eq!(served.status("GET", "/metrics", "").await, 401);
    assert_eq!(served.status("GET", "/metrics", &bearer(TOKEN)).await, 200);
    assert_eq!(served.status("GET", "/healthz", "").await, 200);
}

#[tokio::test]
async fn a_browser_logs_in_reads_presses_and_logs_out() {
    let served = serve_to_all().await;
    let (status, form) = served.try_("GET", "/?x=1&y=2", "Accept: text/html", "").await;
    assert!(status == 401 && form.contains("type=\"password\""), "{form}");
    assert!(form.contains("name=\"next\" value=\"/?x=1&amp;y=2\""), "{form}");
    let cookie = served.log_in().await;
    assert_eq!(served.status("GET", "/", &cookie).await, 200);
    let (_, shown) = served.try_("GET", "/login", &cookie, "").await;
    assert!(shown.contains("Logged in") && shown.contains("action=\"/logout\""), "{shown}");

    // A browser sends the cookie whichever page asks; only its own may change something.
    let expire = "/silences";
    for (origin, expected) in [
        ("Origin: http://postwatch.example", 400),
        ("Origin: https://postwatch.example", 400),
        ("Origin: https://evil.example", 403),
        ("Origin: null", 403),
        ("Accept: */*", 403),
    ] {
        let headers = format!("{cookie}\r\n{origin}");
        assert_eq!(served.status("POST", expire, &headers).await, expected, "{origin}");
    }
    let own = format!("{cookie}\r\nOrigin: http://postwatch.example");
    assert_eq!(served.status("POST", "/logout", &own).await, 303);
    assert_eq!(served.status("GET", "/", &cookie).await, 401);
}

#[tokio::test]
async fn a_cookie_is_for_https_alone_where_the_browser_speaks_it() {
    let served = serve_to_all().await;
    for header in ["Origin: https://postwatch.example", "X-Forwarded-Proto: https"] {
        let (_, answer) = served.try_("POST", "/login", header, &format!("token={TOKEN}")).await;
        assert!(answer.contains("; Secure"), "{answer}");
    }
}

#[tokio::test]
async fn another_token_voids_sessions_at_once_and_none_closes_the_door() {
    let served = serve_to_all().await;
    let cookie = served.log_in().await;
    served.access.send_replace(Arc::new(Access::new(&rule(TOKEN, true))));
    assert_eq!(served.status("GET", "/", &cookie).await, 200, "it is the same token");
    served.access.send_replace(Arc::new(Access::new(&rule("another-horse-battery", false))));
    assert_eq!(served.status("GET", "/", &cookie).await, 401);
    assert_eq!(served.status("GET", "/", &bearer(TOKEN)).await, 401);
    served.access.send_replace(Arc::default());
    assert_eq!(served.status("GET", "/", &cookie).await, 403, "it listens beyond loopback");
}

#[tokio::test]
async fn wrong_tokens_are_limited_and_a_session_goes_on() {
    let served = serve_to_all().await;
    let cookie = served.log_in().await;
    for _ in 0..20 {
        assert_eq!(served.status("GET", "/", &bearer("stale")).await, 401, "it is one guess");
    }
    for number in 0..8 {
        let wrong = bearer(&format!("wrong-{number}"));
        assert_eq!(served.status("GET", "/", &wrong).await, 401);
    }
    let (status, form) = served.try_("POST", "/login", "", "token=wrong").await;
    assert!(status == 401 && form.contains("That is not the token"), "{form}");
    let (status, answer) = served.try_("GET", "/", &bearer(TOKEN), "").await;
    assert!(status == 429 && answer.contains("retry-after: "), "{answer}");
    assert_eq!(served.try_("POST", "/login", "", &format!("token={TOKEN}")).await.0, 429);
    assert_eq!(served.status("GET", "/", &cookie).await, 200);
    // Loopback's proxy asks for somebody else.
    let elsewhere = format!("{}\r\nX-Forwarded-For: 10.0.0.1, 192.0.2.9", bearer(TOKEN));
    assert_eq!(served.status("GET", "/", &elsewhere).await, 200);
}

#[tokio::test]
async fn what_is_refused_is_told_as_a_problem() {
    let served = serve_to_all().await;
    let check = async |method: &str, path: &str, body: &str, expected: u16| {
        let (status, answer) = served.try_(method, path, &bearer(TOKEN), body).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer.contains("content-type: application/problem+json"), "{answer}");
        answer
    };
    check("GET", "/api/v1/nothing", "", 404).await;
    assert!(check("DELETE", "/api/v1/alerts", "", 405).await.contains("allow: GET,HEAD"));
    check("POST", "/api/v1/outbox/resend?number=x", "", 400).await;
    check("GET", "/api/v1/alerts?filter=x", "", 400).await;
    check("GET", "/api/v1/explain", "", 400).await;
    check("POST", "/api/v1/reload", &"x".repeat(70_000), 413).await;
}
