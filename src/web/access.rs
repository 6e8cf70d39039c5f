//! Who may read and change what: everybody health, whoever shows the token the rest;
//! without a token whoever sits at this machine. And no page of another address.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::watch;

use super::Web;
use super::problem::{Nothing, Problem};
use super::serve::Peer;
use crate::config::AccessConfig;
use crate::domain::time::Timestamp;

mod guesses;
pub mod login;
mod origin;
mod token;

use guesses::Guesses;
use origin::{is_foreign, is_our_name, is_our_own};
use token::{Session, Token};

pub const SESSION: &str = "postwatch_session";

/// Sessions that were logged out of before their time; with more, the oldest is forgotten.
const MOST_ENDED: usize = 10_000;

/// What the rules in force say.
#[derive(Default)]
pub struct Access {
    token: Option<Token>,
    protects_metrics: bool,
}

impl Access {
    pub fn new(config: &AccessConfig) -> Access {
        let token = config.token.as_ref().map(Token::new);
        Access { token, protects_metrics: config.protects_metrics }
    }

    /// Whether nobody need show anything to read this.
    fn is_open(&self, path: &str) -> bool {
        match path {
            "/healthz" | "/readyz" => true,
            "/metrics" => !self.protects_metrics,
            "/login" => self.token.is_some(),
            _ => false,
        }
    }
}

/// What the rules say, and what was tried so far.
#[derive(Clone)]
pub struct Door {
    access: watch::Receiver<Arc<Access>>,
    guesses: Arc<Guesses>,
    ended: Arc<Mutex<BTreeSet<Session>>>,
}

/// Why nobody comes in.
enum Denied {
    /// Neither a token nor a session was shown.
    Nothing,
    Wrong,
    TooMany(Duration),
}

/// How somebody came in.
#[derive(PartialEq, Eq)]
enum Shown {
    /// By what only a program sends.
    Bearer,
    /// By what a browser may send of itself, where it was asked once.
    Basic,
    /// By what a browser sends of itself, whichever page asks.
    Session,
}

impl Door {
    pub fn new(access: watch::Receiver<Arc<Access>>) -> Door {
        Door { access, guesses: Arc::default(), ended: Arc::default() }
    }

    /// Whether the rules in force set a token.
    pub fn asks_for_a_token(&self) -> bool {
        self.access().token.is_some()
    }

    fn access(&self) -> Arc<Access> {
        self.access.borrow().clone()
    }

    fn admit(&self, token: &Token, now: Timestamp, request: &Request) -> Result<Shown, Denied> {
        if let Some((how, shown)) = shown_token(request.headers()) {
            return self.try_token(token, &shown, asker(request)).map(|()| how);
        }
        let session = self.session(token, now, request.headers());
        session.map(|_| Shown::Session).ok_or(Denied::Nothing)
    }

    fn try_token(&self, token: &Token, shown: &str, asker: IpAddr) -> Result<(), Denied> {
        let now = Instant::now();
        if let Some(wait) = self.guesses.wait(asker, now) {
            return Err(Denied::TooMany(wait));
        }
        if token.is(shown) {
            return Ok(());
        }
        self.guesses.note(asker, shown, now);
        Err(Denied::Wrong)
    }

    fn session(&self, token: &Token, now: Timestamp, headers: &HeaderMap) -> Option<Session> {
        let cookies = headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut values = cookies.flat_map(|line| line.split(';')).filter_map(|cookie| {
            cookie.trim().strip_prefix(SESSION).and_then(|rest| rest.strip_prefix('='))
        });
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        values.find_map(|value| token.session(now, value).filter(|one| !ended.contains(one)))
    }

    fn end(&self, session: Session, now: Timestamp) {
        let mut ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|session| now < session.until);
        if ended.len() >= MOST_ENDED {
            ended.pop_first();
        }
        ended.insert(session);
    }
}

/// Refuses whoever may not ask.
pub async fn guard(Shared(web): Shared<Web>, request: Request, next: Next) -> Response {
    let access = web.door.access();
    let refusal = match &access.token {
        Some(_) if access.is_open(request.uri().path()) => refuse_foreign(&request),
        Some(token) => match web.door.admit(token, web.clock.now(), &request) {
            Ok(Shown::Bearer) => None,
            Ok(Shown::Basic) => refuse_foreign(&request),
            Ok(Shown::Session) if request.method().is_safe() => None,
            Ok(Shown::Session) => {
                (!is_our_own(request.headers())).then(|| wrong_origin().answer(&request))
            }
            Err(denied) => Some(denied.answer(&request)),
        },
        None => without_token(&web, &access, &request),
    };
    match refusal {
        Some(refusal) => refusal,
        None => next.run(request).await,
    }
}

fn without_token(web: &Web, access: &Access, request: &Request) -> Option<Response> {
    let refusal = match web.is_loopback {
        // A web page elsewhere can point its own name at 127.0.0.1 and have the
        // reader's browser fetch ours as its own; the Host header still tells.
        true if !is_our_name(request.headers()) => Problem::new(
            StatusCode::FORBIDDEN,
            "This address is not one of this machine's own names",
            "Open http://localhost with the same port.",
        ),
        false if !access.is_open(request.uri().path()) => Problem::new(
            StatusCode::FORBIDDEN,
            "Without a token only this machine may ask that",
            "Set auth_token in the rules file. Or let postwatch listen on loopback (--listen \
             127.0.0.1:9467) and ask through a tunnel: ssh -L 9467:127.0.0.1:9467 HOST, then \
             http://localhost:9467/.",
        ),
        true | false => return refuse_foreign(request),
    };
    Some(refusal.answer(request))
}

/// Refuses to let a page of another address change anything.
fn refuse_foreign(request: &Request) -> Option<Response> {
    let is_refused = !request.method().is_safe() && is_foreign(request.headers());
    is_refused.then(|| wrong_origin().answer(request))
}

fn wrong_origin() -> Problem<Nothing> {
    Problem::new(
        StatusCode::FORBIDDEN,
        "A page of another address may not ask for this",
        "Ask from postwatch's own page, or without a browser: curl -X POST with the same address.",
    )
}

impl Denied {
    fn problem(&self) -> Problem<Nothing> {
        let (status, title, detail) = match self {
            Denied::Nothing => (
                StatusCode::UNAUTHORIZED,
                "It asks for the token",
                "Send auth_token of the rules file as `Authorization: Bearer TOKEN`; in a browser, \
                 log in at /login.",
            ),
            Denied::Wrong => (
                StatusCode::UNAUTHORIZED,
                "That is not the token",
                "The token is auth_token of the rules file in force.",
            ),
            Denied::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "Too many wrong tokens came from your address",
                "Wait as long as Retry-After says, and show the right one.",
            ),
        };
        Problem::new(status, title, detail)
    }

    /// A browser is shown where to log in.
    fn answer(&self, request: &Request) -> Response {
        let problem = self.problem();
        let mut response = match wants_page(request.headers()) {
            true => login::form(&problem, &login::next_of(request)),
            false => problem.into_response(),
        };
        self.mark(&mut response);
        response
    }

    fn mark(&self, response: &mut Response) {
        let (name, value) = match self {
            Denied::TooMany(wait) => (header::RETRY_AFTER, (wait.as_secs() + 1).to_string()),
            // Not `Basic`, which a browser would ask for in a window of its own.
            _ => (header::WWW_AUTHENTICATE, "Bearer realm=\"postwatch\"".to_owned()),
        };
        response.headers_mut().extend(value.parse().ok().map(|value| (name, value)));
    }
}

impl Problem<Nothing> {
    /// In the form in which the asker reads.
    fn answer(self, request: &Request) -> Response {
        match wants_page(request.headers()) {
            true => login::notice(&self),
            false => self.into_response(),
        }
    }
}

fn wants_page(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The token of the Authorization header: a bearer's, or the password beside any name.
fn shown_token(headers: &HeaderMap) -> Option<(Shown, String)> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, value) = shown.split_once(' ').unwrap_or((shown, ""));
    if !scheme.eq_ignore_ascii_case("basic") {
        return Some((Shown::Bearer, value.trim().to_owned()));
    }
    let decoded = STANDARD.decode(value.trim()).ok();
    let pair = decoded.and_then(|pair| String::from_utf8(pair).ok()).unwrap_or_default();
    let password = pair.split_once(':').map_or("", |(_, password)| password);
    Some((Shown::Basic, password.to_owned()))
}

/// Whose guesses are counted. A proxy on this machine tells whom it asks for.
fn asker(request: &Request) -> IpAddr {
    let peer = request.extensions().get::<Peer>();
    let peer = peer.map_or(IpAddr::from(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let told = request.headers().get_all("x-forwarded-for").iter().next_back();
    let told = told.and_then(|told| told.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    told.filter(|_| peer.to_canonical().is_loopback()).unwrap_or(peer)
}

/// Refuses to tell of alerts while the store is in trouble: nothing is known then, and
/// an empty list would read as an all-clear.
pub async fn only_while_known(Shared(web): Shared<Web>, request: Request, next: Next) -> Response {
    match web.view.store().trouble {
        None => next.run(request).await,
        Some(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The store is in trouble: nothing is known of alerts and silences now",
            "See /readyz for what is wrong and what to do, and ask again.",
        )
        .into_response(),
    }
}
