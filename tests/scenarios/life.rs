//! The life of a delivery: recovered, exhausted, abandoned, vanished.

use postwatch::domain::delivery::Ended;
use postwatch::domain::policy::Scope;
use postwatch::domain::rules::Measure;
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::WholeSpan;

use super::world::{DAY, HOUR, World, at_least, policy, rule};

fn world() -> World {
    World::calm(policy(vec![rule("open", 600, vec![at_least(Measure::Open, 1.0)])]))
}

#[test]
fn a_success_row_recovers() {
    let mut world = world();
    world.fail("x");
    world.pass(120);
    assert_eq!((world.life("x"), world.shows("open")), ("failing", "critical"));
    world.succeed("x");
    world.pass(120);
    assert_eq!((world.life("x"), world.ended(Ended::Recovered)), ("recovered", 1));
    world.restart();
}

#[test]
fn leaving_the_failure_list_proves_nothing() {
    let mut world = world();
    world.fail("x");
    world.pass(60);
    let row = world.rows.remove("x").expect("it failed");
    world.poll();
    world.rows.insert("x".into(), row);
    assert_eq!(world.life("x"), "failing");
}

#[test]
fn tries_used_up_exhaust() {
    let mut world = world();
    for _ in 0..10 {
        world.fail("x");
        world.pass(60);
    }
    assert_eq!((world.life("x"), world.ended(Ended::Exhausted)), ("exhausted", 1));
}

#[test]
fn no_new_try_for_give_up_after_exhausts() {
    let mut world = world();
    world.fail("x");
    world.pass(DAY - 60);
    assert_eq!(world.life("x"), "failing");
    world.pass(300);
    assert_eq!((world.life("x"), world.ended(Ended::Exhausted)), ("exhausted", 1));
}

#[test]
fn a_switched_off_postback_abandons_what_failed() {
    for is_listed in [true, false] {
        let mut world = world();
        world.list = is_listed.then(|| [(1, true)].into());
        world.fail("x");
        world.pass(120);
        if let Some(list) = &mut world.list {
            list.insert(1, false);
        } else {
            world.succeed("other").postback_status = "inactive".into();
        }
        world.pass(120);
        assert_eq!(world.life("x"), "abandoned", "listed: {is_listed}");
        assert_eq!(world.shows("postback-deactivated"), "critical", "listed: {is_listed}");
        world.restart();
    }
}

#[test]
fn two_whole_reads_without_it_let_a_delivery_vanish_and_one_does_not() {
    let mut world = world();
    world.pass(60);
    world.fail("x");
    world.now += 10;
    world.poll();
    let row = world.rows.remove("x").expect("it failed");
    world.now += 10;
    world.poll();
    assert_eq!(world.life_of(&row), "failing", "after one read");
    world.now += 10;
    world.poll();
    assert_eq!(world.life_of(&row), "vanished", "after two");
    world.rows.insert("x".into(), row);
    world.now += 10;
    world.poll();
    assert_eq!(world.life("x"), "failing", "it is back");
    assert_eq!(world.failures_total(), 1);
    world.restart();
}

#[test]
fn a_read_that_did_not_end_makes_nothing_vanish() {
    let mut world = world();
    world.fail("x");
    world.pass(60);
    let row = world.rows.remove("x").expect("it failed");
    for _ in 0..5 {
        world.begin_read();
    }
    assert_eq!(world.life_of(&row), "failing");
}

#[test]
fn what_still_fails_is_followed_beyond_the_look_back() {
    let mut world = world();
    world.fail("slow");
    for _ in 0..3 {
        world.pass(20 * HOUR);
        world.fail("slow");
    }
    world.pass(15 * HOUR);
    // The report no longer shows it: it counts as failing until its time is up.
    assert_eq!((world.life("slow"), world.shows("open")), ("failing", "critical"));
    world.pass(10 * HOUR);
    assert_eq!(world.ended(Ended::Exhausted), 1);
    assert_ne!(world.shows("open"), "critical");
}

#[test]
fn an_outage_longer_than_the_look_back_leaves_nothing_open_for_ever() {
    let mut world = world();
    world.fail("x");
    world.pass(120);
    world.is_network_down = true;
    world.pass(10 * 60);
    world.now += 4 * DAY;
    world.is_network_down = false;
    world.pass(10 * 60);
    assert_eq!(world.ended(Ended::Exhausted), 1);
    world.succeed("later");
    world.pass(20 * 60);
    assert_eq!(world.shows("open"), "inactive");
}

#[test]
fn a_sweep_says_nothing_about_what_lies_before_the_look_back() {
    let mut world = world();
    world.fail("x").timestamp = Timestamp(0);
    let old = world.now - 72 * HOUR + 5;
    world.fail("x").timestamp = Timestamp(old);
    world.sweep(&Scope::default());
    world.rows.clear();
    world.now += 10;
    for _ in 0..3 {
        let read = world.begin_read();
        let span = WholeSpan::Older { from: Timestamp(old - 1), to: Timestamp(world.now) };
        world.end_read(&Scope::default(), read, span);
    }
    assert_eq!(world.ended(Ended::Vanished), 0);
}
