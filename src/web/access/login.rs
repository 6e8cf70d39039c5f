//! Where a browser shows the token, and forgets it. The token is in no address and in no
//! cookie.

use axum::body::Bytes;
use axum::extract::{Request, State as Shared};
use axum::http::header::{ACCEPT, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use maud::{Markup, html};

use super::origin::is_https;
use super::token::SESSION_LASTS;
use super::{SESSION, asker};
use crate::domain::time::{Timestamp, seconds};
use crate::web::problem::{Nothing, Problem};
use crate::web::{Web, page};

/// The form, under what is wrong.
pub fn form(problem: &Problem<Nothing>, next: &str) -> Response {
    let (status, title, _) = problem.parts();
    let body = html! {
        h1 { (title) }
        form.login method="post" action="/login" {
            input type="hidden" name="next" value=(next);
            // A name for the browser's own memory of passwords.
            input type="text" name="user" value="postwatch" autocomplete="username" hidden;
            label for="token" { "Token" }
            input #token type="password" name="token" required autofocus
                autocomplete="current-password" aria-describedby="which";
            button type="submit" { "log in" }
        }
        p #which .note { "It is " code { "auth_token" } " of the rules file." }
    };
    sheet(status, title, &body)
}

/// What is wrong, in words.
pub fn notice(problem: &Problem<Nothing>) -> Response {
    let (status, title, detail) = problem.parts();
    sheet(status, title, &html! { h1 { (title) } p { (detail) } })
}

fn sheet(status: StatusCode, title: &str, body: &Markup) -> Response {
    (status, Html(page::sheet(title, body).into_string())).into_response()
}

/// `GET /login`: the form, or how long the browser is logged in.
pub async fn show(Shared(web): Shared<Web>, headers: HeaderMap) -> Response {
    let (access, now) = (web.door.access(), web.clock.now());
    let Some(token) = &access.token else {
        let detail = "Whoever sits at this machine may read this page. Set auth_token in the \
                      rules file to let others read it.";
        return notice(&Problem::new(StatusCode::OK, "No token is set", detail));
    };
    match web.door.session(token, now, &headers) {
        Some(session) => sheet(StatusCode::OK, "Logged in", &logged_in(session.until)),
        None => form(&Problem::new(StatusCode::OK, "Log in to postwatch", ""), "/"),
    }
}

fn logged_in(until: Timestamp) -> Markup {
    html! {
        h1 { "Logged in" }
        p { "This browser may read the page until " (until) ", or until the token is changed." }
        form method="post" action="/logout" { button type="submit" { "log out" } }
        p { a href="/" { "to the page" } }
    }
}

/// `POST /login`.
pub async fn log_in(Shared(web): Shared<Web>, mut request: Request) -> Response {
    let access = web.door.access();
    let body = std::mem::take(request.body_mut());
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let field = |wanted: &str| {
        let mut fields = url::form_urlencoded::parse(&body);
        fields.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    let next = field("next").filter(|next| is_ours(next)).unwrap_or_else(|| "/".to_owned());
    let Some(token) = &access.token else { return to(&next) };
    let shown = field("token").unwrap_or_default();
    if let Err(denied) = web.door.try_token(token, shown.trim(), asker(&request)) {
        let mut response = form(&denied.problem(), &next);
        denied.mark(&mut response);
        return response;
    }
    let cookie = token.open_session(web.clock.now());
    let lasts = seconds(SESSION_LASTS);
    with_cookie(to(&next), &cookie, lasts, is_https(request.headers()))
}

/// `POST /logout`: this session is over, in whatever browser it is.
pub async fn log_out(Shared(web): Shared<Web>, headers: HeaderMap, _body: Bytes) -> Response {
    let (access, now) = (web.door.access(), web.clock.now());
    let session = access.token.as_ref().and_then(|token| web.door.session(token, now, &headers));
    if let Some(session) = session {
        web.door.end(session, now);
    }
    with_cookie(to("/login"), "", 0, is_https(&headers))
}

fn to(path: &str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, path)]).into_response()
}

/// `Lax`, so that the link of a message opens the page; a form of another page is
/// refused by its origin.
fn with_cookie(mut response: Response, value: &str, lasts: i64, is_https: bool) -> Response {
    let secure = if is_https { "; Secure" } else { "" };
    let cookie =
        format!("{SESSION}={value}; Path=/; Max-Age={lasts}; HttpOnly; SameSite=Lax{secure}");
    response.headers_mut().extend(cookie.parse().ok().map(|cookie| (SET_COOKIE, cookie)));
    response
}

/// Where a browser that was asked to log in wanted to go.
pub fn next_of(request: &Request) -> String {
    let next = request.uri().path_and_query().map(ToString::to_string);
    let is_read = request.method().is_safe() && request.headers().contains_key(ACCEPT);
    next.filter(|next| is_read && is_ours(next)).unwrap_or_else(|| "/".to_owned())
}

/// A path of this address, that no browser takes for another one.
fn is_ours(path: &str) -> bool {
    let is_absolute = path.starts_with('/') && !path[1..].starts_with(['/', '\\']);
    is_absolute && path.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_no_other_address() {
        for path in ["/", "/api/v1/alerts?filter=a", "/login"] {
            assert!(is_ours(path), "{path}");
        }
        for path in ["", "//evil.example", "/\\evil.example", "https://evil.example", "/\tx", "/ü"]
        {
            assert!(!is_ours(path), "{path}");
        }
    }
}
