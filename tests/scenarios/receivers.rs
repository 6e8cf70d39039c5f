//! To whom: the receivers of an alert's routes, whatever becomes of either, and that
//! whoever was told hears of the end, and nobody else does.

use postwatch::domain::notify::{AlertFacts, AlertStatus};
use postwatch::domain::rules::{Glob, Label, Level, Measure, Rule, Severity};

use super::world::{HOUR, World, at_least, policy, route, rule, seconds};

fn failing() -> Rule {
    rule("failing", 300, vec![at_least(Measure::Failures, 2.0)])
}

/// One rule for each affiliate: a few failures are a warning.
fn levels() -> Rule {
    let mut levels = rule("levels", 300, vec![]);
    levels.per = vec![Label::Affiliate];
    levels.levels = vec![
        Level { severity: Severity::Warning, conditions: vec![at_least(Measure::Failures, 2.0)] },
        Level { severity: Severity::Critical, conditions: vec![at_least(Measure::Failures, 6.0)] },
    ];
    levels
}

#[test]
fn an_escalation_adds_the_receivers_of_its_route_and_all_hear_of_the_end() {
    let mut policy = policy(vec![levels()]);
    let mut on_call = route(&["on-call"]);
    on_call.matches = [("severity".to_owned(), vec![Glob("critical".into())])].into();
    policy.routes.insert(0, on_call);
    let mut world = World::calm(policy);
    world.fail_many("a", 3);
    world.pass(180);
    world.fail_many("b", 9);
    world.pass(180);
    world.succeed("cured");
    world.pass(1200);
    let mut told = world.told();
    told.sort();
    assert_eq!(
        told,
        [
            "on-call: first [levels critical]",
            "on-call: resolved [levels resolved]",
            "ops: escalated [levels critical]",
            "ops: first [levels warning]",
            "ops: resolved [levels resolved]",
        ]
    );
}

#[test]
fn who_is_not_told_that_an_alert_fires_again_is_not_told_its_end() {
    let mut policy = policy(vec![levels()]);
    let (mut ops, mut night) = (route(&["ops"]), route(&["night"]));
    ops.matches.insert("severity".to_owned(), vec![Glob("critical".to_owned())]);
    ops.continue_ = true;
    // It waits to tell the end, and until then the alert is known.
    night.timing.min_gap = seconds(1200);
    policy.routes = vec![ops, night];
    let mut world = World::calm(policy);
    let fail = |world: &mut World, affiliate: u64, times: u32, lasts: i64| {
        for number in 0..times {
            world.fail(&format!("{}-{affiliate}-{number}", world.now)).affiliate = affiliate;
        }
        // The batch stays open: another partner fails all the time.
        for _ in 0..lasts / 120 {
            for number in 0..6 {
                world.fail(&format!("{}-9-{number}", world.now)).affiliate = 9;
            }
            world.succeed(&format!("{}-1", world.now)).affiliate = 1;
            world.pass(120);
        }
    };
    fail(&mut world, 1, 6, 720);
    let told_the_end = |world: &World| {
        let to_ops = world.notices.iter().filter(|notice| notice.receiver == "ops");
        let of_first = |alert: &&AlertFacts| {
            alert.labels.contains(&("affiliate".to_owned(), "1".to_owned()))
                && matches!(alert.status, AlertStatus::Resolved { .. })
        };
        to_ops.flat_map(|notice| &notice.alerts).filter(of_first).count()
    };
    assert_eq!(told_the_end(&world), 1, "it was told that it fires");
    fail(&mut world, 1, 3, 120);
    fail(&mut world, 2, 6, 3600);
    assert_eq!(told_the_end(&world), 1, "its second firing was told to the other receiver alone");
}

#[test]
fn whoever_was_told_hears_of_the_end_though_routes_changed_or_the_rule_is_gone() {
    for is_rule_removed in [false, true] {
        let mut world = World::calm(policy(vec![failing()]));
        world.fail_many("bad", 3);
        world.pass(120);
        world.policy.routes.insert(0, route(&["others"]));
        if is_rule_removed {
            world.policy.rules.clear();
        }
        world.restart_changed();
        world.succeed("cured");
        world.pass(900);
        let how = if is_rule_removed { "removed" } else { "resolved" };
        assert_eq!(world.told()[1..], [format!("ops: resolved [failing {how}]")]);
        assert!(world.state.batches.is_empty() && world.state.alerts.is_empty());
    }
}

#[test]
fn an_alert_whose_receiver_is_renamed_before_it_was_told_is_told_to_the_new_one() {
    let mut policy = policy(vec![failing()]);
    policy.routes[0].timing.batch_wait = seconds(120);
    let mut world = World::calm(policy);
    world.fail_many("bad", 3);
    world.pass(120);
    assert_eq!((world.shows("failing"), world.told()), ("critical", vec![]));
    world.policy.routes = vec![route(&["night"])];
    world.refusing = vec!["ops".into()];
    world.restart_changed();
    world.restart();
    world.pass(60);
    assert!(world.told().contains(&"night: first [failing critical]".to_owned()));
    world.succeed("after");
    world.pass(900);
    assert!(world.told().contains(&"night: resolved [failing resolved]".to_owned()));
}

#[test]
fn an_alert_that_stands_is_told_anew_where_nobody_who_was_told_is_left() {
    for ends_first in [false, true] {
        let mut world = World::calm(policy(vec![failing()]));
        world.policy.routes[0].timing.min_gap = seconds(HOUR);
        world.fail_many("bad", 3);
        world.pass(120);
        assert_eq!(world.told(), ["ops: first [failing critical]"]);
        if ends_first {
            world.succeed("cured");
            world.pass(600);
            assert_eq!(world.shows("failing"), "ended", "its end waits for min_gap");
        }
        world.policy.routes = vec![route(&["night"])];
        for _ in 0..3 {
            world.restart_changed();
            world.pass(60);
        }
        let anew: Vec<String> =
            world.told().into_iter().filter(|told| told.starts_with("night")).collect();
        let count = if ends_first { 0 } else { 1 };
        assert_eq!(anew.len(), count, "{:?}", world.told());
        assert!(anew.iter().all(|told| told.starts_with("night: first [failing")), "{anew:?}");
    }
}
