//! A steady load for sixty days: what is kept is level after the first
//! thirty, on the disk and in memory.

use postwatch::domain::rules::Measure;
use postwatch::store::Store;

use crate::world::{DAY, HOUR, World, at_least, policy, rule, seconds};

const STEP: i64 = 300;
const RETAIN: i64 = 30 * DAY;

/// One step: a delivery fails, the one before it recovers or is given up in the
/// end, others succeed at once.
fn step(world: &mut World, number: i64) {
    world.fail(&format!("bad{number}")).affiliate = (number % 5) as u64;
    if number % 3 != 0 {
        world.succeed(&format!("bad{}", number - 1));
    }
    world.succeed_many(&format!("good{number}-"), 2);
    world.now += STEP;
    world.tick();
    world.poll();
    world.send();
}

/// Bytes in the store, and characters of the state written out.
fn size(world: &World) -> (u64, u64) {
    (world.store.condition().bytes, format!("{:?}", world.state).len() as u64)
}

#[test]
fn after_thirty_days_disk_and_memory_are_level() {
    let burst = rule("burst", HOUR, vec![at_least(Measure::Failures, 3.0)]);
    let streak = rule("streak", HOUR, vec![at_least(Measure::Streak, 5.0)]);
    let mut world = World::calm(policy(vec![burst, streak]));
    // For every ten days the most of each.
    let mut most = vec![(0, 0); 6];
    for day in 0..60 {
        for number in 0..DAY / STEP {
            step(&mut world, day * DAY / STEP + number);
        }
        let followed = world.now - 4 * DAY;
        world.rows.retain(|_, row| row.timestamp.0 > followed);
        world.notices.clear();
        world.events.clear();
        world.delivered.clear();
        world.checkpoint();
        world.store.prune(seconds(RETAIN)).expect("memory takes it");
        let (disk, memory) = size(&world);
        let most = &mut most[day as usize / 10];
        *most = (most.0.max(disk), most.1.max(memory));
    }
    let (early, late) = (most[3], most[5]);
    println!("at most, ten days by ten days, (disk, memory): {most:?}");
    assert!(late.0 <= early.0 + early.0 / 20, "disk: {most:?}");
    assert!(late.1 <= early.1 + early.1 / 20, "memory: {most:?}");
    world.restart();
}

#[test]
fn a_first_start_with_a_clock_days_behind_is_known_at_the_next_one() {
    for days in [2, 6, 10] {
        let mut world = World::new(policy(vec![]));
        world.fail_many("before", 5);
        world.skew = -days * DAY;
        world.pass(HOUR);
        world.skew = 0;
        world.pass(HOUR);
        world.checkpoint();
        world.pass(60);
        world.restart();
        world.pass(HOUR);
        assert_eq!(world.failures_total(), 5, "{days} days behind");
    }
}

/// Blocks that a start needs are told by the network's time: a machine whose clock
/// was far away for a while would lose them else, and count them anew.
#[test]
fn a_clock_that_was_months_away_for_a_while_costs_nothing_at_the_next_start() {
    for skew in [-400 * DAY, -10 * DAY, -2 * DAY, 60 * DAY] {
        let mut world =
            World::calm(policy(vec![rule("any", HOUR, vec![at_least(Measure::Open, 1.0)])]));
        world.fail_many("before", 9);
        world.pass(HOUR);
        world.skew = skew;
        world.fail_many("meanwhile", 9);
        world.pass(HOUR);
        world.checkpoint();
        world.store.prune(seconds(RETAIN)).expect("memory takes it");
        world.restart();
        world.skew = 0;
        world.fail_many("after", 9);
        world.pass(HOUR);
        world.checkpoint();
        world.store.prune(seconds(RETAIN)).expect("memory takes it");
        world.restart();
        assert_eq!(world.failures_total(), 27, "{skew} s");
        assert_eq!(world.facts().deliveries.len(), 27, "{skew} s");
    }
}
