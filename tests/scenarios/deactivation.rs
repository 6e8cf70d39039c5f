//! From the first failure in a row to the postback that is active again: what the
//! person who is woken by it reads.

use std::collections::BTreeMap;

use postwatch::channel::Link;
use postwatch::channel::render::{compose, plain};
use postwatch::domain::policy::DeactivationCounts;
use postwatch::domain::rules::{Label, Level, Measure, Rule, Severity};

use super::world::{HOUR, World, at_least, policy, rule, seconds};

fn near_deactivation() -> Rule {
    let mut rule = rule("near", 600, vec![at_least(Measure::Streak, 8.0)]);
    rule.per = vec![Label::Postback];
    rule.levels.insert(
        0,
        Level { severity: Severity::Warning, conditions: vec![at_least(Measure::Streak, 5.0)] },
    );
    rule
}

/// A world that saw one success, then `failures` deliveries fail every two
/// minutes; the network tried the first of them three times.
fn failed_in_a_row(counts: DeactivationCounts, failures: usize) -> World {
    let mut policy = policy(vec![near_deactivation()]);
    policy.sources[0].deactivation_counts = counts;
    policy.routes[0].timing.remind_every = seconds(HOUR);
    let mut world = World::calm(policy);
    world.list = Some(BTreeMap::from([(1, true)]));
    world.succeed("before");
    for number in 0..failures {
        world.pass(120);
        world.fail(&format!("x{number}"));
        if number == 1 {
            world.fail("x0");
            world.fail("x0");
        }
    }
    world.pass(120);
    world
}

fn last_text(world: &World) -> String {
    let link = Link::new(url::Url::parse("http://127.0.0.1:9467/").expect("a constant address"));
    plain::text(&compose(world.notices.last().expect("a message"), &link))
}

fn check(world: &World, expected: &[&str]) {
    let text = last_text(world);
    for expected in expected {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
}

const NETWORK: &str = "the network switches off at 10 and does not say which it counts.";

#[test]
fn both_countings_are_told_whichever_the_rule_compares() {
    let world = failed_in_a_row(DeactivationCounts::Deliveries, 6);
    assert_eq!(world.shows("near"), "warning");
    let counted = format!("Postback 1: 5 deliveries in a row failed, 7 tries; {NETWORK}");
    check(&world, &[&counted, "At this pace the 10th failed delivery comes in about "]);
    let world = failed_in_a_row(DeactivationCounts::Attempts, 6);
    assert_eq!(world.shows("near"), "critical");
    let counted = format!("Postback 1: 6 deliveries in a row failed, 8 tries; {NETWORK}");
    check(&world, &[&counted, "At this pace the 10th failed try comes in about "]);
}

#[test]
fn a_reminder_tells_how_far_it_has_come_since() {
    let mut world = failed_in_a_row(DeactivationCounts::Deliveries, 6);
    world.fail("late");
    world.pass(HOUR);
    check(&world, &["STILL WARNING", "Postback 1: 7 deliveries in a row failed, 9 tries"]);
    world.restart();
    world.succeed("after");
    world.pass(300);
    check(&world, &["RESOLVED", "Postback 1: it had come to 7 deliveries in a row, 9 tries."]);
}

#[test]
fn a_postback_is_seen_to_be_active_again_though_the_clock_was_set_back() {
    let mut world = failed_in_a_row(DeactivationCounts::Deliveries, 10);
    world.skew = HOUR;
    world.list = Some(BTreeMap::from([(1, false)]));
    world.pass(120);
    assert_eq!(world.shows("postback-deactivated"), "critical");
    world.skew = 0;
    world.list = Some(BTreeMap::from([(1, true)]));
    world.pass(120);
    assert_eq!(world.shows("postback-deactivated"), "inactive");
}

#[test]
fn a_postback_that_was_switched_off_and_is_active_again_is_told_both_times() {
    let mut world = failed_in_a_row(DeactivationCounts::Deliveries, 10);
    world.list = Some(BTreeMap::from([(1, false)]));
    world.pass(120);
    assert_eq!(world.shows("postback-deactivated"), "critical");
    check(
        &world,
        &[
            "Postback 1 of Acme Media (7) was switched off",
            "Postback 1: 10 deliveries in a row failed, 12 tries, before it was switched off",
        ],
    );
    world.restart();
    world.pass(HOUR);
    world.list = Some(BTreeMap::from([(1, true)]));
    world.pass(600);
    assert_eq!(world.shows("postback-deactivated"), "inactive");
    let ended = world.notices.iter().rposition(|n| n.alerts[0].rule == "postback-deactivated");
    world.notices.truncate(ended.map_or(0, |last| last + 1));
    check(
        &world,
        &[
            "RESOLVED: Postback 1 of Acme Media (7) is active again",
            "Active again since 2026-03-01 14:",
            "What failed or was converted while it was switched off is not delivered later.",
            "Postback 1: it had come to 10 deliveries in a row, 12 tries.",
        ],
    );
}
