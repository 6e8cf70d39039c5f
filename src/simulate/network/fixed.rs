//! An exact history in place of a drawn one.

use super::{Network, Step};
use crate::simulate::chance::{Purpose, draw};
use crate::simulate::health::passing_reason;
use crate::simulate::scenario::Fixed;

impl Network {
    /// Lays out an exact history before `begins`; the failing ones get their
    /// first retry soon after it, evenly spread over the first wait.
    pub(super) fn lay_out(&mut self, fixed: Fixed, begins: u32) {
        let span = u64::from(begins.saturating_sub(2));
        let wanted = fixed.deliveries as u64;
        while self.deliveries.len() < fixed.deliveries {
            let made = self.deliveries.len() as u64;
            let arrival = self.traffic.draw(&self.cast, 1 + (span * made / wanted) as u32);
            self.conversions += 1;
            let places: Vec<u32> = self.set_off(arrival).collect();
            for place in places.into_iter().take(fixed.deliveries - made as usize) {
                let number = self.record(arrival, place);
                self.settle(fixed, number, begins);
            }
        }
    }

    fn settle(&mut self, fixed: Fixed, number: u32, begins: u32) {
        let failing_before = |count: u64| count * fixed.failing as u64 / fixed.deliveries as u64;
        let rank = failing_before(number.into());
        let fails = failing_before(u64::from(number) + 1) > rank;
        let delivery = &mut self.deliveries[number as usize];
        delivery.visible_at = delivery.at;
        if fails {
            let mut rng = draw(self.seed, Purpose::Try, u64::from(number) << 8);
            let reason = passing_reason(&mut rng);
            delivery.first_reason = Some(reason);
            delivery.reason = Some(reason);
            delivery.last_attempt = delivery.at;
            delivery.failed_attempts = 1;
            if self.scenario.rows_per_attempt {
                self.tries.insert(number, vec![(delivery.at, reason)]);
            }
            let wait = self.scenario.retry_schedule.first().map_or(60, |it| it.as_secs());
            let due = begins + 1 + (rank * wait / fixed.failing as u64) as u32;
            self.plan(due, Step::Retry { delivery: number, switched_off: 0 });
        }
    }
}
