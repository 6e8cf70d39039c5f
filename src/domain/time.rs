//! Moments in whole seconds, as the network's API gives them.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: seconds since 1970-01-01 00:00:00 UTC.
///
/// Two roles, two names: `at` follows the data (the watermark), `now` is the
/// wall clock.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// A moment that a row tells, within 1970 to 2106: what lies beyond is nonsense, and
    /// deliveries are held with 32 bits for each of their times.
    pub fn of_row(seconds: i64) -> Timestamp {
        Timestamp(seconds.clamp(0, u32::MAX.into()))
    }

    /// In 32 bits; exact for what [`Timestamp::of_row`] gave.
    pub fn to_u32(self) -> u32 {
        Timestamp::of_row(self.0).0 as u32
    }

    /// The reverse of [`Timestamp::to_u32`].
    pub fn of_u32(seconds: u32) -> Timestamp {
        Timestamp(seconds.into())
    }

    /// The last multiple of `step` that is not after this moment.
    pub fn floor_to(self, step: Duration) -> Timestamp {
        let step = seconds(step).max(1);
        Timestamp(self.0.div_euclid(step) * step)
    }

    /// Time from `earlier` to this moment; zero where `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0).max(0) as u64)
    }
}

/// A duration as whole seconds, for arithmetic with [`Timestamp`].
pub fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

impl Add<Duration> for Timestamp {
    type Output = Timestamp;
    fn add(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(seconds(duration)))
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Timestamp;
    fn sub(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(seconds(duration)))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC: `2026-03-01T12:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_second(self.0) {
            Ok(moment) => moment.fmt(f),
            Err(_) => write!(f, "@{}", self.0),
        }
    }
}
