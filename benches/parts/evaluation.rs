//! What judging costs: every group by every rule at once, and a turn that brings
//! 100 deliveries. ARCHITECTURE.md promises 50 ms for 100 rules over 10,000 groups,
//! and of the turn that it follows the groups touched, not all groups.

use std::cell::RefCell;

use divan::Bencher;
use divan::counter::ItemsCount;

use crate::watched::Watched;

/// New deliveries in one turn.
pub const NEW: u64 = 100;

#[divan::bench(consts = [1, 10, 100], args = [100, 1_000, 10_000])]
fn every_group_by_rules<const RULES: u32>(bencher: Bencher<'_, '_>, groups: u64) {
    let watched = RefCell::new(Watched::begin(RULES, groups));
    let judged = ItemsCount::new(u64::from(RULES) * groups);
    bencher
        .counter(judged)
        .with_inputs(|| watched.borrow_mut().touch_everything())
        .bench_local_values(|()| watched.borrow_mut().judge_touched());
}

/// A turn of six moments.
#[divan::bench(consts = [1, 10, 100], args = [100, 1_000, 10_000])]
fn turn_of_100_deliveries_by_rules<const RULES: u32>(bencher: Bencher<'_, '_>, groups: u64) {
    let watched = RefCell::new(settled(RULES, groups));
    bencher
        .counter(ItemsCount::new(NEW))
        .with_inputs(|| watched.borrow_mut().next_minute(NEW))
        .bench_local_refs(|page| watched.borrow_mut().poll(page));
}

/// What the start brought has left the windows, and as much leaves them as comes.
pub fn settled(rules: u32, groups: u64) -> Watched {
    let mut watched = Watched::begin(rules, groups);
    for _ in 0..30 {
        let page = watched.next_minute(NEW);
        watched.poll(&page);
    }
    watched
}
