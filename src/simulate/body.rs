//! Bodies that end too early, trickle, or hold a slot until they have ended.
//! Knows nothing of what the bodies hold but that rows end with a line.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};

use super::limits::Slot;

/// How a body that was cut ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As if it were whole.
    Proper,
    /// The connection ends before the announced end.
    Abrupt,
}

/// Keeps `slot` taken until the body has been sent or dropped.
pub(super) fn hold(response: Response, slot: Slot) -> Response {
    response.map(|body| {
        let frames = body.into_data_stream();
        let held = stream::unfold((frames, slot), |(mut frames, slot)| async {
            frames.next().await.map(|frame| (frame, (frames, slot)))
        });
        Body::from_stream(held)
    })
}

/// Counts the body's bytes as they are sent.
pub(super) fn weigh(response: Response, bytes: Arc<AtomicU64>) -> Response {
    let count = move |length: u64| bytes.fetch_add(length, Ordering::Relaxed);
    if let Some(length) = response.body().size_hint().exact() {
        count(length);
        return response;
    }
    response.map(|body| {
        let frames = body.into_data_stream();
        Body::from_stream(frames.inspect_ok(move |frame| {
            count(frame.len() as u64);
        }))
    })
}

/// Ends the body within the row that begins after `after_bytes`.
pub(super) fn cut(mut response: Response, after_bytes: usize, end: End) -> Response {
    if end == End::Proper {
        response.headers_mut().remove(CONTENT_LENGTH);
    }
    response.map(|body| {
        let state = Cutting::Passing { frames: body.into_data_stream(), left: after_bytes, end };
        Body::from_stream(stream::try_unfold(state, Cutting::next))
    })
}

enum Cutting {
    Passing { frames: BodyDataStream, left: usize, end: End },
    Cut { end: End },
}

impl Cutting {
    async fn next(self) -> io::Result<Option<(Bytes, Cutting)>> {
        match self {
            Cutting::Cut { end: End::Proper } => Ok(None),
            Cutting::Cut { end: End::Abrupt } => {
                // The server sends what it has when a body makes it wait: without
                // that the client might not even see the head of the answer.
                tokio::task::yield_now().await;
                Err(io::ErrorKind::UnexpectedEof.into())
            }
            Cutting::Passing { mut frames, left, end } => {
                let Some(frame) = frames.next().await else { return Ok(None) };
                let frame = frame.map_err(io::Error::other)?;
                Ok(Some(match left.checked_sub(frame.len()) {
                    Some(left) => (frame, Cutting::Passing { frames, left, end }),
                    None => (frame.slice(..cut_place(&frame, left)), Cutting::Cut { end }),
                }))
            }
        }
    }
}

/// The middle of the first row that begins after `left`; where none does, of
/// what remains.
fn cut_place(frame: &[u8], left: usize) -> usize {
    let row = frame[left..].iter().position(|&byte| byte == b'\n').map(|place| left + place + 1);
    let begins = row.filter(|&row| row + 1 < frame.len()).unwrap_or(left);
    let rest = &frame[begins..];
    let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
    begins + length / 2
}

/// Sends the body at about `bytes_per_second`, real seconds.
pub(super) fn trickle(response: Response, bytes_per_second: usize) -> Response {
    let piece = (bytes_per_second / 10).max(1);
    response.map(|body| {
        let state = (body.into_data_stream(), Bytes::new());
        let pieces = stream::try_unfold(state, move |(mut frames, mut rest)| async move {
            while rest.is_empty() {
                match frames.next().await {
                    Some(frame) => rest = frame?,
                    None => return Ok::<_, axum::Error>(None),
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = rest.split_to(piece.min(rest.len()));
            Ok(Some((now, (frames, rest))))
        });
        Body::from_stream(pieces)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_always_within_a_row() {
        let rows = b"{\"a\":1}\n{\"b\":2}\n{\"c\":3}\n";
        for (left, kept) in [
            (0, "{\"a\":1}\n{\"b"),
            (7, "{\"a\":1}\n{\"b"),
            (8, "{\"a\":1}\n{\"b\":2}\n{\"c"),
            (16, "{\"a\":1}\n{\"b\":2}\n{\"c"),
        ] {
            assert_eq!(&rows[..cut_place(rows, left)], kept.as_bytes(), "{left}");
        }
        assert_eq!(cut_place(b"{\"a\":1}", 0), 3);
        assert_eq!(cut_place(b"{\"a\":1}\n", 0), 3);
    }
}
