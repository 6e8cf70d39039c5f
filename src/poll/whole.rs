//! Reading a question whole: by the report where its answer fits, by the export
//! where it does not, in parts where the export does not work.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Extent, PollError, Poller};
use crate::clock::Clock;
use crate::pipeline::Message;
use crate::source::{ApiError, Ask, Page, PageSink, REPORT_CAP, Report, ReportApi};

/// A span shorter than this is not split further: its halves, which overlap by a
/// second, would not be shorter.
const SHORTEST_SPLIT: Duration = Duration::from_secs(4);

/// A refused export may be allowed later; a broken one mended sooner.
const REFUSED_FOR: Duration = Duration::from_secs(3600);
const BROKEN_FOR: Duration = Duration::from_secs(10 * 60);

/// An export that breaks this often, while the report works, is broken.
const BREAKS: u32 = 2;

/// Whether the export is worth asking.
#[derive(Debug, Default)]
pub(super) struct ExportHealth {
    /// Not before then.
    avoided_until: Option<Instant>,
    breaks: u32,
}

impl ExportHealth {
    fn is_avoided(&self) -> bool {
        self.avoided_until.is_some_and(|until| Instant::now() < until)
    }

    /// The export failed where the report worked.
    fn note(&mut self, error: &ApiError, clock: Clock) {
        self.breaks += 1;
        let avoid_for = match error {
            ApiError::Refused { .. } | ApiError::Rejected { .. } => REFUSED_FOR,
            ApiError::Unavailable { .. } | ApiError::Incomplete { .. } if self.breaks >= BREAKS => {
                BROKEN_FOR
            }
            ApiError::Unavailable { .. } | ApiError::Incomplete { .. } => return,
        };
        self.avoided_until = Some(Instant::now() + clock.real(avoid_for));
    }
}

impl<A: ReportApi> Poller<A> {
    /// Reads every row of a question: by the report where it fits, by the export
    /// where the report's cap cuts it, in parts where the export does not work.
    pub(super) async fn read_whole(
        &mut self,
        read: u32,
        extent: Extent,
        ask: Ask,
    ) -> Result<(), PollError> {
        let key = (ask.scope.key(), ask.status, extent);
        let is_large = self.is_large.get(&key).copied().unwrap_or(false);
        if !is_large && self.try_report(read, &ask).await?.is_some() {
            return Ok(());
        }
        let rows = match self.export.is_avoided() {
            true => self.read_in_parts(read, ask).await?,
            false => self.read_exported(read, ask).await?,
        };
        // A narrow question is never asked again.
        if extent != Extent::Narrow {
            self.is_large.insert(key, rows >= REPORT_CAP);
        }
        Ok(())
    }

    /// By the export, or by the report in parts; tells how many rows there were.
    async fn read_exported(&mut self, read: u32, ask: Ask) -> Result<usize, PollError> {
        let error = match self.try_export(read, &ask).await? {
            Ok(rows) => {
                self.export = ExportHealth::default();
                return Ok(rows);
            }
            Err(error) => error,
        };
        tracing::debug!(source = self.source.name, %error, "reading in parts instead of the export");
        let rows = self.read_in_parts(read, ask).await?;
        self.export.note(&error, self.clock);
        if self.export.is_avoided() {
            tracing::warn!(source = self.source.name, %error, "the export does not work: large spans are read in parts, which takes more requests; it is tried again later");
        }
        Ok(rows)
    }

    /// The number of rows that the export gave. A short answer must be what the
    /// report gives too: an empty body ends as properly as a whole one.
    async fn try_export(
        &mut self,
        read: u32,
        ask: &Ask,
    ) -> Result<Result<usize, ApiError>, PollError> {
        let mut pages = Pages::new(self, read);
        if let Err(error) = self.api.export(ask, &mut pages).await {
            return Ok(Err(error));
        }
        let rows = pages.rows;
        if rows >= REPORT_CAP || self.try_report(read, ask).await?.is_some() {
            return Ok(Ok(rows));
        }
        let message = format!("the export ended after {rows} rows, the report has more");
        Ok(Err(ApiError::Incomplete { message }))
    }

    /// The number of rows, if the report held every one.
    async fn try_report(&mut self, read: u32, ask: &Ask) -> Result<Option<usize>, PollError> {
        match self.api.report(ask).await? {
            Report::Whole(page) => {
                let rows = page.len();
                self.tell_page(read, page).await?;
                Ok(Some(rows))
            }
            Report::Truncated => Ok(None),
        }
    }

    /// The report of each part of a question that is too large for it, split again
    /// until it fits.
    async fn read_in_parts(&mut self, read: u32, ask: Ask) -> Result<usize, PollError> {
        let mut parts = self.split(&ask)?;
        let mut rows = 0;
        while let Some(part) = parts.pop() {
            match self.try_report(read, &part).await? {
                Some(held) => rows += held,
                None => parts.extend(self.split(&part)?),
            }
        }
        Ok(rows)
    }

    /// Parts that together are the whole question, the first one last: halves of
    /// the span, and where that is too short of the offers, then of the affiliates.
    fn split(&self, ask: &Ask) -> Result<Vec<Ask>, PollError> {
        let length = ask.to.since(ask.from);
        if length >= SHORTEST_SPLIT {
            let middle = ask.from + length / 2;
            let later = Ask { from: middle, ..ask.clone() };
            let earlier = Ask { to: middle + Duration::from_secs(1), ..ask.clone() };
            return Ok(vec![later, earlier]);
        }
        let state = self.view.state();
        let known = state.sources.get(&self.source.name);
        let parts = known.and_then(|known| {
            let all = || known.facts.dims.iter();
            let offers = all().map(|dims| dims.offer).collect();
            ask.scope.split(&offers, &all().map(|dims| dims.affiliate).collect())
        });
        let parts = parts.ok_or_else(|| too_dense(length))?;
        Ok(parts.into_iter().map(|scope| Ask { scope, ..ask.clone() }).collect())
    }

    async fn tell_page(&self, read: u32, page: Page) -> Result<(), PollError> {
        self.tell(Message::Page { source: self.source.name.clone(), read, page }).await
    }
}

fn too_dense(length: Duration) -> PollError {
    PollError::Api(ApiError::Incomplete {
        message: format!(
            "more rows of one offer and affiliate within {} s than the report shows, and the \
             export does not work: allow the export for this API key",
            length.as_secs()
        ),
    })
}

/// Hands the pages of an export to the keeper.
struct Pages {
    source: String,
    read: u32,
    keeper: mpsc::Sender<Message>,
    rows: usize,
}

impl Pages {
    fn new<A>(poller: &Poller<A>, read: u32) -> Pages {
        Pages { source: poller.source.name.clone(), read, keeper: poller.keeper.clone(), rows: 0 }
    }
}

impl PageSink for Pages {
    async fn page(&mut self, page: Page) -> bool {
        self.rows += page.len();
        let message = Message::Page { source: self.source.clone(), read: self.read, page };
        self.keeper.send(message).await.is_ok()
    }
}
