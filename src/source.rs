//! The network's report API as the poller sees it. Knows how to ask; never what
//! to ask for next, nor what an answer means.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::delivery::Row;
use crate::domain::policy::Scope;
use crate::domain::time::Timestamp;

pub mod everflow;

/// One question to the postback report: rows of one status whose timestamp
/// lies in `from..=to` and in `scope`.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub status: Status,
    pub from: Timestamp,
    pub to: Timestamp,
    pub scope: Scope,
}

/// `delivery_status` of the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Failure,
    Success,
}

impl Status {
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Failure => "failure",
            Status::Success => "success",
        }
    }
}

/// Rows as the network sent them, parsed when they are read: a row that was
/// seen before costs no allocation.
#[derive(Debug, Clone)]
pub struct Page {
    bytes: Bytes,
    rows: Vec<Range<usize>>,
}

impl Page {
    /// `rows` are the places of whole JSON objects within `bytes`.
    pub fn new(bytes: Bytes, rows: Vec<Range<usize>>) -> Page {
        Page { bytes, rows }
    }

    /// Each row, or why it cannot be read (never its content).
    pub fn rows(&self) -> impl Iterator<Item = Result<Row<'_>, RowError>> {
        self.rows.iter().map(|place| everflow::wire::row(&self.bytes[place.clone()]))
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// A row that lacks what identifies it. Says which field, never its content.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct RowError(pub String);

/// The report gives no more rows, and does not say when there are more (Everflow's
/// documentation).
pub const REPORT_CAP: usize = 1_000;

/// Answer of the capped report.
#[derive(Debug)]
pub enum Report {
    /// Every row of the span.
    Whole(Page),
    /// The network's cap was reached: rows are missing, and it does not say which.
    Truncated,
}

/// Why a question has no whole answer; by what the caller does next.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// 401 or 403: nothing will work until a person acts.
    #[error("{message}")]
    Refused { status: u16, message: String },
    /// Any other answer that repeating will not change.
    #[error("{message}")]
    Rejected { message: String },
    /// Retries are used up; the next poll asks again.
    #[error("{message}")]
    Unavailable { message: String },
    /// The stream ended early or holds what is no row: nothing of its span is proven.
    #[error("{message}")]
    Incomplete { message: String },
}

/// A postback as its configuration says it now.
#[derive(Debug, Clone, PartialEq)]
pub struct PostbackConfig {
    pub id: u64,
    /// 0 = every affiliate (`global_offer`).
    pub affiliate: u64,
    /// 0 = every offer (`global`).
    pub offer: u64,
    pub delivery_method: String,
    pub level: String,
    pub is_active: bool,
    /// The parameters of its template that hold a click id; the template itself is not
    /// kept, since it may hold a token.
    pub click_parameters: Vec<String>,
}

/// Who the key belongs to.
#[derive(Debug, Clone, PartialEq)]
pub struct Network {
    pub id: u64,
    pub name: String,
}

/// Receives the pages of a streamed answer; `false` ends the reading.
pub trait PageSink: Send {
    fn page(&mut self, page: Page) -> impl Future<Output = bool> + Send;
}

/// The seam to a network. The real one is [`everflow::Everflow`].
pub trait ReportApi: Send + Sync + 'static {
    /// The capped report, one request.
    fn report(&self, ask: &Ask) -> impl Future<Output = Result<Report, ApiError>> + Send;

    /// The uncapped export, streamed into `sink` in pages of at most 1,000 rows.
    /// `Ok` only when the stream came to its proper end; pages that `sink` got
    /// before an error are true, but the span is not whole.
    fn export<S: PageSink>(
        &self,
        ask: &Ask,
        sink: &mut S,
    ) -> impl Future<Output = Result<(), ApiError>> + Send;

    /// Every postback's configuration.
    fn postbacks(&self) -> impl Future<Output = Result<Vec<PostbackConfig>, ApiError>> + Send;

    /// The network's time by now, as its replies tell it; `None` until one told a time
    /// that can be believed.
    fn time(&self) -> Option<Timestamp>;

    /// Tries the key; looks up what later requests need (the id of UTC).
    fn connect(&self) -> impl Future<Output = Result<Network, ApiError>> + Send;
}

/// How many requests one source may make: a tenth of the network's limits, which
/// are shared with the customer's other tools.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Budget {
    pub concurrent: usize,
    pub per_second: f64,
    pub attempts: u32,
    pub request_timeout: Duration,
}

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            concurrent: 1,
            per_second: 3.0,
            attempts: 5,
            request_timeout: Duration::from_secs(60),
        }
    }
}
