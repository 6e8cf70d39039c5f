//! The postback report, capped, and its export, which is streamed and never
//! held whole.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, body};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;

use super::super::chance::{Purpose, draw};
use super::super::network::{Delivery, Network};
use super::super::question::{Format, Question};
use super::super::row;
use super::{Shared, whole};

/// The documented cap: rows beyond it are left out without a word.
const CAP: usize = 1000;
/// Rows are rendered until a frame is this long, with the network locked.
const FRAME_BYTES: usize = 64 * 1024;
/// And no frame looks at more deliveries than this.
const FRAME_DELIVERIES: usize = 50_000;

/// Ordered for a request: a malformed row after each so many.
#[derive(Debug, Clone, Copy)]
pub(super) struct Malformed {
    pub every: usize,
}

/// `POST …/pixels`.
pub(super) async fn report(
    State(shared): State<Arc<Shared>>,
    malformed: Option<Extension<Malformed>>,
    body: body::Bytes,
) -> Response {
    let question = match Question::parse(&body) {
        Ok(question) => question,
        Err(message) => return shared.refuse(StatusCode::BAD_REQUEST, &message),
    };
    let request = shared.requests.load(Ordering::Relaxed);
    let every = malformed.map(|Extension(it)| it.every);
    let bytes = shared.with(|network| rows(network, &question, request, every));
    whole(StatusCode::OK, bytes)
}

fn rows(
    network: &Network,
    question: &Question,
    request: u64,
    malformed_every: Option<usize>,
) -> Vec<u8> {
    let mut rows: Vec<Delivery> = network
        .places(question.from, question.to)
        .flat_map(|place| network.rows(place))
        .filter(|row| question.takes(network, row))
        .collect();
    if rows.is_empty() {
        return br#"{"pixels":null}"#.to_vec();
    }
    draw(network.seed, Purpose::Request, request).shuffle(&mut rows);
    let mut out = br#"{"pixels":["#.to_vec();
    for (count, delivery) in rows.iter().take(CAP).enumerate() {
        if count > 0 {
            out.push(b',');
        }
        row::write_json(&mut out, network, delivery);
        if malformed_every.is_some_and(|every| (count + 1).is_multiple_of(every.max(1))) {
            out.push(b',');
            out.extend_from_slice(row::MALFORMED);
        }
    }
    out.extend_from_slice(b"]}");
    out
}

/// `POST …/pixels/export`.
pub(super) async fn export(
    State(shared): State<Arc<Shared>>,
    malformed: Option<Extension<Malformed>>,
    headers: HeaderMap,
    body: body::Bytes,
) -> Response {
    let question = match Question::parse(&body) {
        Ok(question) => question,
        Err(message) => return shared.refuse(StatusCode::BAD_REQUEST, &message),
    };
    let Some(format) = question.format else {
        return shared.refuse(StatusCode::BAD_REQUEST, "format is required");
    };
    let accepts = headers.get(ACCEPT_ENCODING).and_then(|it| it.to_str().ok());
    let zip = shared.gzip && accepts.is_some_and(|it| it.contains("gzip"));
    let every = malformed.map(|Extension(it)| it.every);
    let export = Export::of(shared, question, format, zip, every);
    let mut response = Body::from_stream(stream::try_unfold(export, Export::next)).into_response();
    let kind = match format {
        // Newline-delimited, whatever the header says: that is how the network does it.
        Format::Json => "application/json",
        Format::Csv => "text/csv",
    };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    if zip {
        response.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A running export: what is still to be looked at.
struct Export {
    shared: Arc<Shared>,
    question: Question,
    format: Format,
    places: Range<usize>,
    rows: usize,
    needs_header: bool,
    malformed_every: Option<usize>,
    zip: Option<GzEncoder<Vec<u8>>>,
    ended: bool,
}

impl Export {
    fn of(
        shared: Arc<Shared>,
        question: Question,
        format: Format,
        zip: bool,
        malformed_every: Option<usize>,
    ) -> Export {
        let places = shared.with(|network| network.places(question.from, question.to));
        let zip = zip.then(|| GzEncoder::new(Vec::new(), Compression::fast()));
        Export {
            shared,
            question,
            format,
            places,
            rows: 0,
            needs_header: format == Format::Csv,
            malformed_every,
            zip,
            ended: false,
        }
    }

    /// The next frame and the rest of the export.
    async fn next(mut self) -> io::Result<Option<(Bytes, Export)>> {
        // Between two frames others get their turn: a long export must not hold a thread.
        tokio::task::yield_now().await;
        let mut frame = Vec::new();
        while frame.is_empty() && !self.ended {
            let text = self.render()?;
            self.ended = self.places.is_empty();
            frame = self.pack(text)?;
        }
        Ok((!frame.is_empty()).then(|| (frame.into(), self)))
    }

    fn render(&mut self) -> io::Result<Vec<u8>> {
        let mut out = Vec::with_capacity(FRAME_BYTES + 4096);
        if std::mem::take(&mut self.needs_header) {
            write_record(&mut out, &row::CSV_COLUMNS)?;
        }
        let shared = self.shared.clone();
        shared.with(|network| self.fill(network, &mut out))?;
        Ok(out)
    }

    fn fill(&mut self, network: &Network, out: &mut Vec<u8>) -> io::Result<()> {
        for place in self.places.by_ref().take(FRAME_DELIVERIES) {
            for delivery in network.rows(place).filter(|row| self.question.takes(network, row)) {
                self.rows += 1;
                let is_malformed =
                    self.malformed_every.is_some_and(|it| self.rows.is_multiple_of(it.max(1)));
                match self.format {
                    Format::Csv => write_record(out, &row::csv_record(network, &delivery))?,
                    Format::Json => write_line(out, network, &delivery, is_malformed),
                }
            }
            if out.len() >= FRAME_BYTES {
                break;
            }
        }
        Ok(())
    }

    fn pack(&mut self, text: Vec<u8>) -> io::Result<Vec<u8>> {
        let Some(mut zip) = self.zip.take() else { return Ok(text) };
        zip.write_all(&text)?;
        if self.ended {
            return zip.finish();
        }
        let packed = std::mem::take(zip.get_mut());
        self.zip = Some(zip);
        Ok(packed)
    }
}

fn write_line(out: &mut Vec<u8>, network: &Network, delivery: &Delivery, is_malformed: bool) {
    row::write_json(out, network, delivery);
    out.push(b'\n');
    if is_malformed {
        out.extend_from_slice(row::MALFORMED);
        out.push(b'\n');
    }
}

fn write_record(out: &mut Vec<u8>, fields: &[impl AsRef<[u8]>]) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(fields)?;
    writer.flush()
}
