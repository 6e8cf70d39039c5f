//! The network's limits: requests in a window, and reports at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::time::Timestamp;

const WINDOW_SECONDS: i64 = 30;

#[derive(Debug)]
pub(super) struct Limits {
    pub requests_per_window: u32,
    concurrent_reports: usize,
    window: Mutex<(i64, u32)>,
    running: Arc<AtomicUsize>,
}

/// A place among the reports that run at once; free again when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<AtomicUsize>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Limits {
    pub(super) fn of(requests_per_window: u32, concurrent_reports: usize) -> Limits {
        Limits {
            requests_per_window,
            concurrent_reports,
            window: Mutex::new((i64::MIN, 0)),
            running: Arc::default(),
        }
    }

    /// Counts a request; what is left of the window, `None` past its end.
    pub(super) fn count(&self, now: Timestamp) -> Option<u32> {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let current = now.0.div_euclid(WINDOW_SECONDS);
        if window.0 != current {
            *window = (current, 0);
        }
        window.1 = window.1.saturating_add(1);
        self.requests_per_window.checked_sub(window.1)
    }

    /// A place for one more report, if there is one.
    pub(super) fn slot(&self) -> Option<Slot> {
        let slot = Slot(self.running.clone());
        // Counted first: two that come at once must not both see the last place.
        let before = self.running.fetch_add(1, Ordering::AcqRel);
        (before < self.concurrent_reports).then_some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_allows_so_many_and_then_turns() {
        let limits = Limits::of(2, 1);
        for (at, left) in
            [(60, Some(1)), (70, Some(0)), (89, None), (89, None), (90, Some(1)), (120, Some(1))]
        {
            assert_eq!(limits.count(Timestamp(at)), left, "at {at}");
        }
    }

    #[test]
    fn a_slot_is_free_again_when_its_report_ends() {
        let limits = Limits::of(2, 1);
        let held = limits.slot();
        assert!(held.is_some() && limits.slot().is_none() && limits.slot().is_none());
        drop(held);
        assert!(limits.slot().is_some());
    }
}
