//! Reading a question whole: by the report where its answer fits, by the export
//! where it does not, in halves where the export does not work.

use std::time::Duration;

use tokio::sync::mpsc;

use super::{Extent, PollError, Poller};
use crate::pipeline::Message;
use crate::source::{ApiError, Ask, Page, PageSink, REPORT_CAP, Report, ReportApi};

/// A span shorter than this is not split further: its halves, which overlap by a
/// second, would not be shorter.
const SHORTEST_SPLIT: Duration = Duration::from_secs(4);

impl<A: ReportApi> Poller<A> {
    /// Reads every row of a question: by the report where it fits, by the export
    /// where the report's cap cuts it, in halves where the export does not work.
    pub(super) async fn read_whole(
        &mut self,
        read: u32,
        extent: Extent,
        ask: Ask,
    ) -> Result<(), PollError> {
        let key = (ask.scope.key(), ask.status, extent);
        if !self.is_large.get(&key).copied().unwrap_or(false) && self.try_report(read, &ask).await?
        {
            return Ok(());
        }
        let mut pages = Pages::new(self, read);
        let exported = self.api.export(&ask, &mut pages).await;
        let rows = pages.rows;
        match exported {
            Ok(()) => {
                self.is_large.insert(key, rows >= REPORT_CAP);
                Ok(())
            }
            // Refused, broken or down: the report may work where the export does not.
            Err(error) => {
                tracing::debug!(source = self.source.name, %error, "reading in halves instead of the export");
                self.read_in_halves(read, ask).await
            }
        }
    }

    /// Whether the report held every row.
    async fn try_report(&mut self, read: u32, ask: &Ask) -> Result<bool, PollError> {
        match self.api.report(ask).await? {
            Report::Whole(page) => {
                self.tell_page(read, page).await?;
                Ok(true)
            }
            Report::Truncated => Ok(false),
        }
    }

    /// The report of each half of the span, halved again until it fits.
    async fn read_in_halves(&mut self, read: u32, ask: Ask) -> Result<(), PollError> {
        let mut spans = vec![(ask.from, ask.to)];
        while let Some((from, to)) = spans.pop() {
            let part = Ask { from, to, ..ask.clone() };
            if self.try_report(read, &part).await? {
                continue;
            }
            if to.since(from) < SHORTEST_SPLIT {
                return Err(PollError::Api(ApiError::Incomplete {
                    message: format!(
                        "more rows within {} s than the report shows, and the export does not \
                         work: narrow the source's scopes, or allow the export for this API key",
                        to.since(from).as_secs()
                    ),
                }));
            }
            let middle = from + to.since(from) / 2;
            spans.push((middle, to));
            spans.push((from, middle + Duration::from_secs(1)));
        }
        Ok(())
    }

    async fn tell_page(&self, read: u32, page: Page) -> Result<(), PollError> {
        self.tell(Message::Page { source: self.source.name.clone(), read, page }).await
    }
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
