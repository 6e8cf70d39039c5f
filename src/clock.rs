//! The one place that reads the wall clock. `demo` runs it faster, tests run it paused.

use std::time::Duration;

use tokio::time::Instant;

use crate::domain::time::Timestamp;

/// Tells the time and sleeps by it.
#[derive(Debug, Clone, Copy)]
pub enum Clock {
    /// The machine's clock.
    System,
    /// Starts at `start` and runs `speed` times as fast as the machine's.
    Scaled { start: Timestamp, since: Instant, speed: f64 },
}

impl Clock {
    /// A clock that shows `start` now and runs `speed` times as fast as real time.
    pub fn scaled(start: Timestamp, speed: f64) -> Clock {
        Clock::Scaled { start, since: Instant::now(), speed }
    }

    pub fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp(jiff::Timestamp::now().as_second()),
            Clock::Scaled { start, since, speed } => {
                Timestamp(start.0 + (since.elapsed().as_secs_f64() * speed) as i64)
            }
        }
    }

    /// Sleeps for `duration` of this clock's time.
    pub async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(self.real(duration)).await;
    }

    /// How much of this clock's time has passed since `then`, whatever the machine's
    /// clock was set to in between.
    pub fn passed(&self, then: Instant) -> Duration {
        match self {
            Clock::System => then.elapsed(),
            Clock::Scaled { speed, .. } => then.elapsed().mul_f64(*speed),
        }
    }

    /// How long `duration` of this clock's time takes in real time.
    pub fn real(&self, duration: Duration) -> Duration {
        match self {
            Clock::System => duration,
            Clock::Scaled { speed, .. } => duration.div_f64(*speed),
        }
    }
}
