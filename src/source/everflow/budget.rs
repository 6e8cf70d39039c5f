//! Keeps one source within its budget: the network's limits are shared with the
//! customer's other tools. Never decides whether a request is repeated.

use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::clock::Clock;
use crate::source::Budget;

/// The longest time for which a source stands still because the network asked
/// it to. Where more is asked, the request fails and the next poll asks again.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(300);

/// Lets requests through: so many at once, and one each `1 / per_second`.
#[derive(Debug)]
pub(super) struct Gate {
    slots: Semaphore,
    /// Between two requests, real time.
    spacing: Duration,
    /// No request goes out before this.
    next: Mutex<Instant>,
    clock: Clock,
}

impl Gate {
    pub(super) fn new(budget: &Budget, clock: Clock) -> Gate {
        // A budget of nothing would wait for ever: one a minute is the least.
        let per_second = if budget.per_second.is_finite() { budget.per_second } else { 1.0 };
        let spacing = Duration::from_secs_f64(1.0 / per_second.max(1.0 / 60.0));
        let slots = budget.concurrent.clamp(1, Semaphore::MAX_PERMITS);
        Gate {
            slots: Semaphore::new(slots),
            spacing: clock.real(spacing),
            next: Mutex::new(Instant::now()),
            clock,
        }
    }

    /// Waits for a turn. The permit is kept until the body has been read: that
    /// is what the network counts as one of its concurrent requests.
    pub(super) async fn enter(&self) -> SemaphorePermit<'_> {
        let permit = self.slots.acquire().await.expect("the semaphore is never closed");
        tokio::time::sleep_until(self.turn()).await;
        permit
    }

    /// Holds every request of this source back for `pause`, in the clock's time.
    pub(super) fn hold(&self, pause: Duration) {
        let until = Instant::now() + self.clock.real(pause.min(MAX_PAUSE));
        let mut next = self.next();
        *next = until.max(*next);
    }

    fn turn(&self) -> Instant {
        let mut next = self.next();
        let turn = Instant::now().max(*next);
        *next = turn + self.spacing;
        turn
    }

    fn next(&self) -> std::sync::MutexGuard<'_, Instant> {
        // Nothing panics while it is held, and a moment cannot be half written.
        self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::time::Timestamp;

    fn budget(concurrent: usize, per_second: f64) -> Budget {
        Budget { concurrent, per_second, ..Budget::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_are_spaced() {
        let gate = Gate::new(&budget(5, 4.0), Clock::System);
        let began = Instant::now();
        for _ in 0..5 {
            let _permit = gate.enter().await;
        }
        assert_eq!(began.elapsed().as_millis() / 10, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_faster_clock_spaces_them_closer() {
        let gate = Gate::new(&budget(1, 1.0), Clock::scaled(Timestamp(0), 10.0));
        let began = Instant::now();
        for _ in 0..11 {
            let _permit = gate.enter().await;
        }
        assert_eq!(began.elapsed().as_millis() / 100, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hold_stops_everybody_and_has_an_end() {
        let gate = Gate::new(&budget(1, 100.0), Clock::System);
        let began = Instant::now();
        gate.hold(Duration::from_secs(20));
        gate.hold(Duration::from_secs(5));
        drop(gate.enter().await);
        assert_eq!(began.elapsed().as_secs(), 20);
        gate.hold(Duration::from_secs(1_000_000));
        drop(gate.enter().await);
        assert_eq!(began.elapsed().as_secs(), 320);
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_waits_for_a_free_slot() {
        let gate = Gate::new(&budget(1, 0.0), Clock::System);
        let permit = gate.enter().await;
        let second = tokio::time::timeout(Duration::from_secs(600), gate.enter()).await;
        assert!(second.is_err());
        drop(permit);
        drop(gate.enter().await);
    }
}
