//! Cured needs proof.

use postwatch::domain::rules::{Measure, Rule};

use super::world::{DAY, HOUR, World, at_least, policy, rule};

fn failing() -> Rule {
    rule("failing", 300, vec![at_least(Measure::Failures, 2.0)])
}

fn fired() -> World {
    let mut world = World::calm(policy(vec![failing()]));
    world.fail_many("bad", 3);
    world.pass(180);
    assert_eq!(world.shows("failing"), "critical");
    world
}

#[test]
fn clear_without_a_later_success_is_quiet_sends_no_reminder_and_expires_after_a_day() {
    let mut world = fired();
    world.pass(600);
    assert_eq!(world.shows("failing"), "quiet");
    world.restart();
    world.pass(23 * HOUR);
    assert_eq!(world.shows("failing"), "quiet");
    assert_eq!(world.told(), ["ops: first [failing critical]"], "no reminder");
    world.pass(2 * HOUR);
    assert_eq!(world.shows("failing"), "inactive");
    assert_eq!(world.told()[1..], ["ops: resolved [failing expired]"]);
}

#[test]
fn a_success_before_the_newest_failure_proves_nothing_and_one_after_it_does() {
    let mut world = World::calm(policy(vec![failing()]));
    world.succeed("before");
    world.pass(30);
    world.fail_many("bad", 3);
    world.pass(900);
    assert_eq!(world.shows("failing"), "quiet");
    world.succeed("after");
    world.pass(120);
    assert_eq!(world.shows("failing"), "inactive");
    assert_eq!(world.told()[1..], ["ops: resolved [failing resolved]"]);
}

#[test]
fn a_failure_that_was_counted_before_a_restart_still_needs_a_later_success() {
    let mut world = World::calm(policy(vec![rule("open", 10, vec![at_least(Measure::Open, 2.0)])]));
    world.fail_many("bad", 3);
    world.pass(120);
    assert_eq!(world.shows("open"), "critical");
    world.now += 5;
    world.succeed("between");
    world.now += 5;
    let gone = world.fail("last");
    gone.failed_attempts = 10;
    world.pass(120);
    world.restart();
    for number in 0..3 {
        world.rows.get_mut(&format!("bad{number}")).expect("failed").failed_attempts = 10;
    }
    world.pass(600);
    assert_eq!(world.shows("open"), "quiet");
}

#[test]
fn a_switched_off_postback_keeps_an_alert_from_resolving() {
    let mut world = World::calm(policy(vec![failing()]));
    world.list = Some([(1, true)].into());
    world.poll();
    world.fail_many("bad", 3);
    world.pass(180);
    world.list = Some([(1, false)].into());
    world.pass(60);
    world.succeed("straggler");
    world.pass(2 * DAY);
    assert_eq!(world.shows("failing"), "quiet");
    world.restart();
    world.list = Some([(1, true)].into());
    world.succeed("again");
    world.pass(900);
    assert_eq!(
        (world.shows("failing"), world.shows("postback-deactivated")),
        ("inactive", "inactive")
    );
}

#[test]
fn an_alert_that_fires_again_while_quiet_goes_on() {
    let mut world = fired();
    world.pass(600);
    assert_eq!(world.shows("failing"), "quiet");
    world.fail_many("more", 3);
    world.pass(120);
    assert_eq!(world.shows("failing"), "critical");
    assert_eq!(world.told().len(), 1);
    world.pass(5 * HOUR);
    assert_eq!(world.told().len(), 1, "quiet again: no reminder");
}
