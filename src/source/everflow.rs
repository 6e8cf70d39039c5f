//! Everflow's Network API as a [`ReportApi`]: what is asked and what an answer
//! is. Never decides what to ask next, nor what rows mean.

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::HeaderValue;
use reqwest::redirect;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use self::budget::Gate;
use self::export::{Broken, Splitter};
use self::refusal::Failure;
use self::request::{Call, Caller, Endpoint};
use super::{
    ApiError, Ask, Budget, Network, Page, PageSink, PostbackConfig, REPORT_CAP, Report, ReportApi,
};
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;

mod ask;
#[cfg(test)]
mod broken;
mod budget;
pub mod export;
mod lenient;
mod lists;
mod network_time;
mod refusal;
mod request;
#[cfg(test)]
mod tests;
pub mod wire;

/// UTC in the documentation, for keys that may not read the list.
const DOCUMENTED_UTC: u32 = 67;
const REPORT: &str = "/networks/reporting/affiliate/pixels";
const EXPORT: &str = "/networks/reporting/affiliate/pixels/export";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// The most that a list gives at once.
const LIST_PAGE: u64 = 2_000;
/// A list that does not end by then never will.
const MAX_LIST_PAGES: u64 = 500;

/// The key of a network. Shown nowhere: `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Spaces around it are dropped: files that hold a key end with a line end.
    pub fn new(key: impl AsRef<str>) -> ApiKey {
        ApiKey(key.as_ref().trim().to_owned())
    }

    fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(…)")
    }
}

/// What it takes to talk to one network account.
#[derive(Debug, Clone)]
pub struct EverflowOptions {
    /// The source's name, for metrics and messages.
    pub source: String,
    /// `https://api.eflow.team/v1`; a slash at the end makes no difference.
    pub base_url: String,
    pub api_key: ApiKey,
    /// The network's id of UTC; looked up where it is not given.
    pub timezone_id: Option<u32>,
    pub budget: Budget,
}

/// One network account. All its requests share one budget.
pub struct Everflow {
    caller: Caller,
    /// The network's id of UTC, once it is known.
    utc: OnceCell<u32>,
}

impl Everflow {
    /// Prepares the client; sends nothing.
    ///
    /// # Errors
    /// [`ApiError::Rejected`] where the address or the key cannot be used, or
    /// this machine offers no TLS.
    pub fn new(
        options: EverflowOptions,
        clock: Clock,
        metrics: Arc<Metrics>,
    ) -> Result<Everflow, ApiError> {
        let EverflowOptions { source, base_url, api_key, timezone_id, budget } = options;
        let (base, host) = base(&source, &base_url)?;
        let key_header = key_header(&source, &api_key)?;
        let client = client(&budget).map_err(|error| {
            rejected(format!("no HTTPS client can be made: {}", error.without_url()))
        })?;
        let gate = Gate::new(&budget, clock);
        let key = api_key;
        let caller = Caller {
            client,
            base,
            host,
            source,
            key,
            key_header,
            budget,
            gate,
            clock,
            metrics,
            began_at: Instant::now(),
            network_time: Mutex::default(),
        };
        Ok(Everflow { caller, utc: OnceCell::new_with(timezone_id) })
    }

    /// The id of UTC: given, looked up once, or as documented.
    async fn timezone_id(&self) -> Result<u32, ApiError> {
        self.utc.get_or_try_init(|| self.look_up_utc()).await.copied()
    }

    async fn look_up_utc(&self) -> Result<u32, ApiError> {
        let source = &*self.caller.source;
        let listed = match self.caller.fetch(&get(Endpoint::Timezones, "/meta/timezones")).await {
            Ok(body) => lists::utc(&body).flatten(),
            // Some keys may not read the list, and some networks have none. A
            // 401 is no such case: nothing else will work with that key.
            Err(ApiError::Refused { status: 403, .. } | ApiError::Rejected { .. }) => None,
            Err(error) => return Err(error),
        };
        if listed.is_none() {
            tracing::debug!(
                source,
                id = DOCUMENTED_UTC,
                "no UTC listed: the documented id is used"
            );
        }
        Ok(listed.unwrap_or(DOCUMENTED_UTC))
    }

    async fn stream<S: PageSink>(
        &self,
        call: &Call,
        sink: &mut S,
        handed: &mut bool,
    ) -> Result<(), Failure> {
        let mut answer = self.caller.open(call).await?;
        let mut splitter = Splitter::default();
        while let Some(chunk) = self.caller.chunk(&mut answer).await? {
            splitter.feed(&chunk);
            loop {
                let page = splitter.page();
                self.caller.count_limit("row", splitter.take_too_long());
                let Some(page) = page.map_err(|why| self.broken(why))? else { break };
                *handed = true;
                self.hand(page, sink).await?;
            }
        }
        let last = splitter.finish().map_err(|why| self.broken(why))?;
        if last.is_empty() { Ok(()) } else { self.hand(last, sink).await }
    }

    async fn hand<S: PageSink>(&self, page: Page, sink: &mut S) -> Result<(), Failure> {
        if sink.page(page).await {
            return Ok(());
        }
        let source = &self.caller.source;
        Err(refusal::incomplete(format!(
            "the reading was ended before the export (source \"{source}\")"
        )))
    }

    fn broken(&self, why: Broken) -> Failure {
        self.caller.about().broken(why)
    }

    fn no_answer(&self, why: &'static str) -> ApiError {
        self.broken(Broken::Incomplete(why)).error
    }
}

impl ReportApi for Everflow {
    async fn report(&self, ask: &Ask) -> Result<Report, ApiError> {
        let body = ask::body(ask, self.timezone_id().await?, None);
        let body = self.caller.fetch(&post(Endpoint::Report, REPORT, body)).await?;
        let page = match wire::report(body.clone()) {
            Some(page) => page,
            None if export::names_error(&body) => {
                return Err(self.broken(Broken::Error(body)).error);
            }
            None => return Err(self.no_answer("it holds no list of rows")),
        };
        if page.len() < REPORT_CAP {
            return Ok(Report::Whole(page));
        }
        let labels = [&*self.caller.source, Endpoint::Report.as_str(), "200"];
        self.caller.metrics.reports_truncated.with_label_values(&labels).inc();
        Ok(Report::Truncated)
    }

    async fn export<S: PageSink>(&self, ask: &Ask, sink: &mut S) -> Result<(), ApiError> {
        let body = ask::body(ask, self.timezone_id().await?, Some("json"));
        let call = post(Endpoint::Export, EXPORT, body);
        let mut tries = 0;
        loop {
            let mut handed = false;
            let failure = match self.stream(&call, sink, &mut handed).await {
                Ok(()) => return Ok(()),
                Err(failure) => failure,
            };
            if handed {
                // Another try would hand the same pages again.
                return Err(ApiError::Incomplete { message: failure.error.to_string() });
            }
            tries += 1;
            self.caller.before_next(&call, tries, failure).await?;
        }
    }

    async fn postbacks(&self) -> Result<Vec<PostbackConfig>, ApiError> {
        let mut postbacks = Vec::new();
        let mut seen = 0;
        for number in 1..=MAX_LIST_PAGES {
            let path = format!("/networks/pixels?page={number}&page_size={LIST_PAGE}");
            let body = self.caller.fetch(&get(Endpoint::Pixels, path)).await?;
            let page = lists::configs(&body)
                .ok_or_else(|| self.no_answer("it holds no list of postbacks"))?;
            seen += page.entries;
            postbacks.extend(page.postbacks);
            // The network may give less at once than was asked for, and says so.
            let page_size = page.page_size.filter(|size| *size > 0).unwrap_or(LIST_PAGE);
            let is_last = page.total_count.map_or(page.entries < page_size, |total| seen >= total);
            if is_last || page.entries == 0 {
                return Ok(postbacks);
            }
        }
        Err(self.no_answer("its list of postbacks does not end"))
    }

    fn time(&self) -> Option<Timestamp> {
        self.caller.time()
    }

    async fn connect(&self) -> Result<Network, ApiError> {
        let body = self.caller.fetch(&get(Endpoint::Networks, "/networks")).await?;
        let network =
            lists::network(&body).ok_or_else(|| self.no_answer("it describes no network"))?;
        self.timezone_id().await?;
        Ok(network)
    }
}

fn get(endpoint: Endpoint, path: impl Into<String>) -> Call {
    Call { endpoint, path: path.into(), body: None }
}

fn post(endpoint: Endpoint, path: &str, body: bytes::Bytes) -> Call {
    Call { endpoint, path: path.into(), body: Some(body) }
}

/// The base without its last slash, and its host.
fn base(source: &str, base_url: &str) -> Result<(String, String), ApiError> {
    // The address itself is not quoted: it may hold a password.
    let wrong = |why: &str| {
        rejected(format!("base_url of source \"{source}\" {why}; write https://api.eflow.team/v1"))
    };
    let url = url::Url::parse(base_url.trim()).map_err(|_| wrong("is no URL"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(wrong("is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(wrong("holds a user or a query"));
    }
    let host = url.host_str().ok_or_else(|| wrong("has no host"))?.to_owned();
    Ok((url.as_str().trim_end_matches(['/', '#']).to_owned(), host))
}

fn key_header(source: &str, key: &ApiKey) -> Result<HeaderValue, ApiError> {
    let usable = Some(key.reveal()).filter(|key| !key.is_empty());
    let mut header = usable.and_then(|key| HeaderValue::from_str(key).ok()).ok_or_else(|| {
        rejected(format!(
            "api_key of source \"{source}\" is empty or holds characters that no key has"
        ))
    })?;
    header.set_sensitive(true);
    Ok(header)
}

fn client(budget: &Budget) -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(concat!("postwatch/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // Nothing came for so long: the only time-out of an export.
        .read_timeout(budget.request_timeout)
        // reqwest would carry a header of ours to any host.
        .redirect(redirect::Policy::none())
        .build()
}

fn rejected(message: String) -> ApiError {
    refusal::rejected(message).error
}
