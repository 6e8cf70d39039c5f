//! Faults on request: what shall go wrong with the next requests. Keeps the
//! orders; carries none out.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

/// One thing that goes wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Answers this status: 500, 401, 403, 429, …
    Status(u16),
    /// Never answers.
    Hang,
    /// The connection is reset before any answer.
    Reset,
    /// A proper end of the body, in the middle of a row that begins after so many bytes.
    CutMidRow { after_bytes: usize },
    /// The connection ends before the body that was announced does.
    CutShort { after_bytes: usize },
    /// 200 and no body at all.
    Empty,
    /// Between the true rows, after each so many of them, one that lacks its keys.
    MalformedRows { every: usize },
    /// The body trickles.
    SlowBody { bytes_per_second: usize },
}

/// An order: the kind, for which requests, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub kind: FaultKind,
    /// How the request's path ends; empty: every request below /v1.
    #[serde(default)]
    pub path: String,
    /// Requests that pass before the first one is hit.
    #[serde(default)]
    pub skip: u32,
    /// Requests that are hit; `None`: until cleared.
    #[serde(default)]
    pub times: Option<u32>,
}

impl Fault {
    /// Hits the next request below /v1.
    pub fn once(kind: FaultKind) -> Fault {
        Fault { kind, path: String::new(), skip: 0, times: Some(1) }
    }

    /// Hits every request below /v1 until cleared.
    pub fn always(kind: FaultKind) -> Fault {
        Fault { times: None, ..Fault::once(kind) }
    }

    /// Hits only requests whose path ends so.
    pub fn on(self, path: &str) -> Fault {
        Fault { path: path.to_owned(), ..self }
    }

    pub fn times(self, times: u32) -> Fault {
        Fault { times: Some(times), ..self }
    }

    pub fn skip(self, skip: u32) -> Fault {
        Fault { skip, ..self }
    }
}

/// The orders that are still open, and how many requests were hit.
#[derive(Debug, Default)]
pub struct Faults {
    orders: Mutex<(Vec<Fault>, u64)>,
}

impl Faults {
    pub fn add(&self, fault: Fault) {
        self.lock().0.push(fault);
    }

    pub fn clear(&self) {
        self.lock().0.clear();
    }

    /// The open orders, oldest first.
    pub fn open(&self) -> Vec<Fault> {
        self.lock().0.clone()
    }

    /// Requests that were hit so far.
    pub fn hits(&self) -> u64 {
        self.lock().1
    }

    /// What goes wrong with a request to `path`: the oldest order that matches.
    pub(super) fn take(&self, path: &str) -> Option<FaultKind> {
        let mut guard = self.lock();
        let (orders, hits) = &mut *guard;
        let place = orders.iter().position(|it| path.ends_with(&it.path))?;
        let order = &mut orders[place];
        if order.skip > 0 {
            order.skip -= 1;
            return None;
        }
        *hits += 1;
        let kind = order.kind.clone();
        if let Some(times) = &mut order.times {
            *times = times.saturating_sub(1);
            if *times == 0 {
                orders.remove(place);
            }
        }
        Some(kind)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, (Vec<Fault>, u64)> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_hits_as_often_and_where_it_says() {
        let faults = Faults::default();
        faults.add(Fault::once(FaultKind::Hang).on("/export").skip(1).times(2));
        let hits: Vec<bool> = ["/export", "/pixels", "/export", "/export", "/export"]
            .map(|path| faults.take(path).is_some())
            .into();
        assert_eq!(hits, [false, false, true, true, false]);
        assert_eq!((faults.hits(), faults.open().len()), (2, 0));
    }

    #[test]
    fn an_order_is_read_as_a_test_writes_it() {
        let text = r#"{"kind":{"status":500},"path":"affiliate/pixels","times":3}"#;
        let order: Fault = serde_json::from_str(text).expect("an order");
        assert_eq!(order, Fault::once(FaultKind::Status(500)).on("affiliate/pixels").times(3));
    }
}
