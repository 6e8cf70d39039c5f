//! When conversions, events and clicks happen, and whose they are. Knows
//! nothing of what they set off.

use std::f64::consts::TAU;

use fastrand::Rng;

use super::cast::{Cast, Trigger};
use super::chance::{Purpose, draw};
use super::scenario::Scenario;

/// One conversion, event or click.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival {
    pub at: u32,
    pub trigger: Trigger,
    pub affiliate: u16,
    pub offer: u16,
    /// 0 = the base conversion.
    pub event: u8,
}

/// The stream of arrivals, in order of time.
#[derive(Debug)]
pub(super) struct Traffic {
    rng: Rng,
    /// Seconds of the model; the unix time of second 0 places it in the day.
    next_at: f64,
    origin: i64,
    per_second: f64,
    ends_at: u32,
}

impl Traffic {
    /// Traffic from `begins` on; no arrival at or after `ends_at`.
    pub(super) fn of(
        scenario: &Scenario,
        cast: &Cast,
        origin: i64,
        begins: u32,
        ends_at: u32,
    ) -> Traffic {
        let per_second = scenario.deliveries_per_day / 86_400.0 / cast.fan_out();
        let rng = draw(scenario.seed, Purpose::Arrivals, 0);
        let mut traffic = Traffic { rng, next_at: f64::from(begins), origin, per_second, ends_at };
        traffic.wait();
        traffic
    }

    /// When the next arrival comes; `None` after the last.
    pub(super) fn next_at(&self) -> Option<u32> {
        (self.next_at < f64::from(self.ends_at)).then_some(self.next_at as u32)
    }

    /// The next arrival; what follows it is drawn at once.
    pub(super) fn take(&mut self, cast: &Cast) -> Arrival {
        let arrival = self.draw(cast, self.next_at as u32);
        self.wait();
        arrival
    }

    /// An arrival at a moment that the caller decides.
    pub(super) fn draw(&mut self, cast: &Cast, at: u32) -> Arrival {
        let point = self.rng.f64();
        let (trigger, event) = if point < Trigger::Conversion.share() {
            (Trigger::Conversion, 0)
        } else if point < Trigger::Conversion.share() + Trigger::Event.share() {
            (Trigger::Event, self.rng.u8(1..=3))
        } else {
            (Trigger::Click, 0)
        };
        let affiliate = cast.affiliate_popularity.pick(&mut self.rng) as u16;
        let offer = cast.offer_popularity.pick(&mut self.rng) as u16;
        Arrival { at, trigger, affiliate, offer, event }
    }

    fn wait(&mut self) {
        let second_of_day = (self.origin as f64 + self.next_at).rem_euclid(86_400.0);
        // Busiest at 20:00 UTC, calmest twelve hours away.
        let curve = 1.0 + 0.4 * ((second_of_day / 86_400.0 - 20.0 / 24.0) * TAU).cos();
        let rate = self.per_second * curve;
        self.next_at += -(1.0 - self.rng.f64()).ln() / rate;
    }
}
