//! The rules that postwatch always has.

use postwatch::domain::notify::AlertFacts;
use postwatch::domain::policy::Scope;
use postwatch::domain::rules::Measure;

use super::world::{HOUR, World, at_least, policy, rule, seconds};

fn world() -> World {
    let mut world =
        World::calm(policy(vec![rule("r", 600, vec![at_least(Measure::Failures, 3.0)])]));
    world.list = Some([(1, true), (2, true)].into());
    world.poll();
    world
}

#[test]
fn a_source_is_blind_after_ten_minutes_and_badly_so_after_thirty() {
    let mut world = world();
    world.is_network_down = true;
    world.pass(590);
    assert_eq!(world.shows("source-blind"), "inactive");
    world.pass(60);
    assert_eq!(world.shows("source-blind"), "warning");
    world.pass(20 * 60);
    assert_eq!(world.shows("source-blind"), "critical");
    world.is_network_down = false;
    world.pass(60);
    assert_ne!(world.shows("source-blind"), "critical");
    world.pass(600);
    let told = world.told();
    assert_eq!(
        told,
        [
            "ops: first [source-blind warning]",
            "ops: escalated [source-blind critical]",
            "ops: resolved [source-blind resolved]"
        ]
    );
}

#[test]
fn the_end_of_blindness_is_told_though_it_came_right_after_the_alert() {
    let mut world = world();
    world.is_network_down = true;
    world.pass(700);
    world.is_network_down = false;
    world.pass(600);
    assert_eq!(
        world.told(),
        ["ops: first [source-blind warning]", "ops: resolved [source-blind resolved]"]
    );
}

#[test]
fn a_restart_neither_resolves_nor_fires_source_blind() {
    let mut world = world();
    world.is_network_down = true;
    world.pass(300);
    world.restart();
    world.pass(540);
    assert_eq!(world.shows("source-blind"), "inactive", "it began to read just now");
    world.pass(120);
    assert_eq!(world.shows("source-blind"), "warning");
    world.restart();
    world.pass(300);
    assert_eq!(world.shows("source-blind"), "warning");
}

#[test]
fn blind_time_resolves_nothing_and_what_was_missed_is_told_once_as_late() {
    let mut world = world();
    world.fail_many("bad", 3);
    world.pass(120);
    assert_eq!(world.shows("r"), "critical");
    world.is_network_down = true;
    world.succeed("good");
    world.pass(HOUR);
    assert_eq!(world.shows("r"), "critical");
    world.fail_many("in-the-dark", 5);
    world.pass(HOUR / 2);
    world.succeed("cured");
    world.pass(HOUR / 2);
    world.notices.clear();
    world.is_network_down = false;
    world.pass(HOUR);
    let about: Vec<_> =
        world.notices.iter().flat_map(|n| &n.alerts).filter(|alert| alert.rule == "r").collect();
    assert_eq!(about.len(), 1, "{:?}", world.told());
}

#[test]
fn an_incident_that_began_and_ended_in_an_outage_is_told_once_and_marked() {
    let mut world = world();
    world.is_network_down = true;
    world.fail_many("bad", 5);
    world.pass(HOUR);
    world.succeed("cured");
    world.pass(HOUR);
    world.notices.clear();
    world.is_network_down = false;
    world.pass(HOUR);
    let late: Vec<_> =
        world.notices.iter().flat_map(|n| &n.alerts).filter(|alert| alert.rule == "r").collect();
    assert_eq!(late.len(), 1, "{:?}", world.told());
    assert!(late[0].notes[0].starts_with("Detected late"));
}

/// The alerts of the rule that were told, each as often as it was.
fn told_of(world: &World, rule: &str) -> Vec<AlertFacts> {
    let alerts = world.notices.iter().flat_map(|notice| &notice.alerts);
    alerts.filter(|alert| alert.rule == rule).cloned().collect()
}

#[test]
fn a_gap_that_takes_many_polls_to_fill_tells_each_incident_once() {
    let mut world = world();
    world.is_network_down = true;
    world.pass(HOUR / 2);
    world.fail_many("bad", 5);
    world.pass(HOUR);
    world.succeed("cured");
    world.pass(4 * HOUR);
    assert_eq!(world.shows("source-blind"), "critical");
    (world.is_network_down, world.parts) = (false, 1);
    world.notices.clear();
    world.succeed("present");
    world.pass(60);
    let missing = 5 * HOUR + HOUR / 2 + 60 - 600 - HOUR;
    assert_eq!(world.facts().gap(), seconds(missing));
    assert_eq!(world.shows("source-blind"), "critical", "the present is not judged yet");
    assert_eq!(world.shows("r"), "quiet", "the first hour is judged");
    world.restart();
    world.pass(60);
    assert_eq!(told_of(&world, "r"), [], "it may be over by now");
    world.pass(20 * 60);
    let late = told_of(&world, "r");
    assert_eq!(late.len(), 1, "{:?}", world.told());
    assert!(late[0].notes[0].starts_with("Detected late"));
    assert_eq!((world.facts().gap().as_secs(), world.deliveries_total()), (0, 7));
}

#[test]
fn the_present_is_read_though_the_gap_cannot_be() {
    let mut world = world();
    world.is_network_down = true;
    world.pass(3 * HOUR);
    (world.is_network_down, world.parts) = (false, 0);
    world.fail_many("new", 3);
    world.pass(120);
    assert_eq!(world.failures_total(), 3, "seen at once");
    world.pass(HOUR);
    assert_eq!(world.shows("source-blind"), "critical", "but nothing can be judged");
}

#[test]
fn a_step_of_the_wall_clock_is_no_blindness() {
    for step in [HOUR, -HOUR] {
        let mut world = world();
        world.skew += step;
        world.tick();
        world.pass(HOUR / 2);
        assert_eq!(world.told(), Vec::<String>::new(), "stepped by {step} s");
        world.is_network_down = true;
        world.pass(660);
        assert_eq!(world.shows("source-blind"), "warning", "stepped by {step} s");
    }
}

#[test]
fn a_keeper_that_stalls_again_and_again_postpones_no_blindness() {
    let mut world = world();
    world.is_network_down = true;
    for _ in 0..8 {
        world.now += 90;
        world.uptime += seconds(90);
        world.tick();
    }
    assert_eq!(world.shows("source-blind"), "warning");
}

#[test]
fn where_spans_follow_a_clock_that_was_set_back_nothing_is_judged_and_that_is_told() {
    let mut world = world();
    world.now -= HOUR;
    world.tick();
    world.fail_many("unjudged", 5);
    world.pass(HOUR / 2);
    assert_eq!((world.shows("r"), world.told().len()), ("inactive", 1), "{:?}", world.told());
    assert_eq!(world.shows("source-blind"), "warning");
    assert!(world.notices[0].alerts[0].notes[0].contains("was this machine's clock set back"));
    world.pass(HOUR);
    assert_ne!(world.shows("source-blind"), "warning", "the front moves again");
}

#[test]
fn scopes_that_change_during_a_long_outage_lose_no_failure() {
    let mut world = world();
    world.is_network_down = true;
    world.pass(60);
    world.fail_many("lost", 5);
    world.succeed("counted");
    world.now += 80 * HOUR;
    (world.is_network_down, world.parts) = (false, 10);
    let one = Scope { offers: vec![11], ..Scope::default() };
    let others = Scope { exclude_offers: vec![11], ..Scope::default() };
    world.policy.sources[0].scopes = vec![one, others];
    world.restart_changed();
    world.pass(60);
    assert!(world.facts().gap() > seconds(60 * HOUR), "{:?}", world.facts().gap());
    world.pass(HOUR);
    assert_eq!((world.failures_total(), world.deliveries_total()), (5, 6));
    assert_eq!(world.facts().gap(), seconds(0));
}

#[test]
fn successes_that_are_read_again_count_from_then_on_though_a_gap_is_open() {
    let mut world = world();
    world.policy.sources[0].successes = false;
    world.restart_changed();
    world.pass(120);
    world.is_network_down = true;
    world.pass(60);
    world.fail_many("missed", 3);
    world.pass(5 * HOUR);
    (world.is_network_down, world.parts) = (false, 0);
    world.pass(120);
    world.policy.sources[0].successes = true;
    world.restart_changed();
    world.pass(10);
    world.succeed("counted");
    world.parts = 1;
    world.pass(HOUR);
    assert_eq!(world.facts().gap(), seconds(0));
    assert_eq!((world.failures_total(), world.deliveries_total()), (3, 4));
}

#[test]
fn a_scope_that_looks_back_for_long_is_not_blind() {
    let mut world = world();
    let only = |affiliate: u64| Scope { affiliates: vec![affiliate], ..Scope::default() };
    let not = |affiliate: u64| Scope { exclude_affiliates: vec![affiliate], ..Scope::default() };
    world.policy.sources[0].scopes = vec![only(7), not(7)];
    world.restart_changed();
    let read = world.begin_read();
    for _ in 0..90 {
        world.now += 10;
        world.page(read, Vec::new());
        world.tick();
    }
    assert_eq!(world.shows("source-blind"), "inactive");
}

#[test]
fn a_switched_off_postback_is_told_and_ends_when_it_is_active_again() {
    let mut world = world();
    world.fail("waiting");
    world.pass(120);
    world.list = Some([(1, false), (2, true)].into());
    world.pass(180);
    assert_eq!(world.told(), ["ops: first [postback-deactivated critical]"]);
    assert!(world.notices[0].alerts[0].notes[0].starts_with("1 delivery was still failing"));
    world.restart();
    world.poll();
    world.pass(600);
    assert_eq!(world.shows("postback-deactivated"), "critical");
    world.list = Some([(1, true), (2, true)].into());
    world.pass(600);
    assert_eq!(world.told()[1..], ["ops: resolved [postback-deactivated resolved]"]);
}

#[test]
fn what_was_off_when_first_seen_is_not_told() {
    let mut world = world();
    world.list = Some([(1, true), (2, true), (3, false)].into());
    world.pass(600);
    assert_eq!(world.shows("postback-deactivated"), "inactive");
}

#[test]
fn rows_from_before_the_switch_off_do_not_end_it_after_a_restart() {
    let mut world = world();
    world.succeed("active");
    world.pass(60);
    world.list = Some([(1, false), (2, true)].into());
    world.pass(420);
    assert_eq!(world.shows("postback-deactivated"), "critical");
    world.restart();
    world.pass(600);
    assert_eq!(world.told(), ["ops: first [postback-deactivated critical]"]);
}

#[test]
fn where_the_list_is_refused_no_older_row_switches_a_postback() {
    let mut world = world();
    world.list = None;
    world.pass(60);
    world.fail("off").postback_status = "inactive".into();
    world.pass(120);
    world.succeed("on");
    world.pass(600);
    world.restart();
    world.pass(1200);
    let told = world.told();
    assert_eq!(told.iter().filter(|told| told.contains("critical")).count(), 1, "{told:?}");
}
