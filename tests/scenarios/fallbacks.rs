//! Who hears of an alert in the place of a receiver that cannot be reached, and that
//! each of them hears of its end.

use postwatch::domain::notify::{Notice, NoticeReason};
use postwatch::domain::rules::{Glob, Label, Level, Measure, Rule, Severity};
use postwatch::domain::turn::News;

use super::world::{HOUR, World, at_least, policy, route, rule, seconds, told};

/// An alert for each affiliate; `ops` is told, in its place `partners`.
fn world() -> World {
    world_of(failing())
}

fn world_of(rule: Rule) -> World {
    let mut policy = policy(vec![rule]);
    policy.routes[0].fallback = vec!["partners".into()];
    World::calm(policy)
}

fn failing() -> Rule {
    let mut rule = rule("failing", 300, vec![at_least(Measure::Failures, 2.0)]);
    rule.per = vec![Label::Affiliate];
    rule
}

/// A world in which `partners` was told of affiliate 1 because nobody else could be,
/// and `ops` takes messages again.
fn told_instead() -> World {
    let mut world = world();
    world.refusing = vec!["ops".into()];
    world.fail_of(1);
    world.pass(150);
    assert_eq!(world.arrived(), ["partners: first [failing critical]"]);
    world.refusing.clear();
    world.restart();
    world
}

fn to<'a>(world: &'a World, receiver: &str) -> Vec<&'a Notice> {
    world.delivered.iter().filter(|notice| notice.receiver == receiver).collect()
}

#[test]
fn who_was_told_in_the_place_of_another_is_told_the_end_though_that_one_works_again() {
    let mut world = told_instead();
    world.cure_of(1);
    world.pass(900);
    world.restart();
    world.pass(HOUR);
    assert_eq!(
        world.arrived()[1..],
        ["ops: resolved [failing resolved]", "partners: resolved [failing resolved]"]
    );
    let (own, end) = (&world.delivered[1], &world.delivered[2]);
    assert_eq!(end.id, format!("{}-partners", own.id));
    assert_eq!((end.instead_of.as_deref(), end.is_back), (Some("ops"), true));
    assert!(!world.delivered[0].is_back && !own.is_back);
    assert!(world.state.told_instead.is_empty() && world.state.batches.is_empty());
}

#[test]
fn who_is_the_fallback_to_the_end_is_told_it_once() {
    let mut world = told_instead();
    world.refusing = vec!["ops".into()];
    world.cure_of(1);
    world.pass(900);
    assert_eq!(world.arrived()[1..], ["partners: resolved [failing resolved]"]);
    assert!(!world.delivered[1].is_back);
    // Both dead letters arrive after all: neither is news to the fallback.
    world.refusing.clear();
    let dead: Vec<u64> = world.state.outbox.keys().copied().collect();
    world.turn(News::Resend { numbers: &dead });
    world.restart();
    world.pass(60);
    assert_eq!(to(&world, "ops").len(), 2);
    assert_eq!(to(&world, "partners").len(), 2);
}

#[test]
fn escalations_and_reminders_go_to_the_receiver_alone() {
    let mut levels = rule("levels", 300, vec![]);
    levels.levels = vec![
        Level { severity: Severity::Warning, conditions: vec![at_least(Measure::Open, 2.0)] },
        Level { severity: Severity::Critical, conditions: vec![at_least(Measure::Open, 9.0)] },
    ];
    let mut world = world_of(levels);
    world.refusing = vec!["ops".into()];
    world.fail_many("a", 3);
    world.pass(180);
    world.refusing.clear();
    world.fail_many("b", 9);
    world.pass(5 * HOUR);
    let reasons: Vec<NoticeReason> = to(&world, "ops").iter().map(|one| one.reason).collect();
    assert_eq!(reasons, [NoticeReason::Escalated, NoticeReason::Reminder]);
    assert_eq!(to(&world, "partners").len(), 1);
    world.succeed_many("a", 3);
    world.succeed_many("b", 9);
    world.pass(HOUR);
    assert_eq!(told(to(&world, "partners")[1]), "partners: resolved [levels resolved]");
    assert_eq!(to(&world, "partners").len(), 2);
}

#[test]
fn a_fallback_hears_of_no_end_whose_beginning_it_did_not_hear() {
    let mut world = told_instead();
    world.fail_of(1);
    world.fail_of(2);
    world.pass(360);
    assert_eq!(told(to(&world, "ops")[0]), "ops: new_alerts [failing critical, failing critical]");
    world.cure_of(1);
    world.cure_of(2);
    world.pass(1_200);
    let last = to(&world, "ops").pop().expect("it was told");
    assert_eq!(told(last), "ops: resolved [failing resolved, failing resolved]");
    let ends = &to(&world, "partners")[1..];
    let affiliates: Vec<&str> = ends
        .iter()
        .flat_map(|notice| notice.alerts.iter().flat_map(|alert| &alert.labels))
        .filter_map(|(name, value)| (name == "affiliate").then_some(value.as_str()))
        .collect();
    assert_eq!(affiliates, ["1"]);
}

#[test]
fn the_end_reaches_the_fallback_though_its_batch_is_over_before_it_is_sent() {
    let mut world = told_instead();
    world.cure_of(1);
    world.failing = vec!["ops".into()];
    while !world.state.batches.is_empty() {
        world.pass(10);
    }
    assert_eq!(world.waiting("ops").len(), 1);
    world.restart();
    world.failing.clear();
    world.pass(60);
    assert_eq!(
        world.arrived()[1..],
        ["ops: resolved [failing resolved]", "partners: resolved [failing resolved]"]
    );
}

#[test]
fn who_was_the_fallback_before_the_rules_changed_is_told_the_end_too() {
    for next in [vec!["boss".to_owned()], Vec::new()] {
        for is_refused in [false, true] {
            let mut world = told_instead();
            let mut changed = world.policy.clone();
            changed.routes[0].fallback = next.clone();
            assert!(world.reload(changed));
            world.refusing = if is_refused { vec!["ops".into()] } else { Vec::new() };
            world.cure_of(1);
            world.pass(900);
            assert_eq!(to(&world, "partners").len(), 2, "{:?}", world.arrived());
            assert_eq!(to(&world, "partners")[1].is_back, !is_refused);
            let others = usize::from(is_refused && !next.is_empty());
            assert_eq!(to(&world, "boss").len(), others);
        }
    }
}

#[test]
fn an_end_that_a_fallback_cannot_be_told_is_kept_as_a_dead_letter() {
    let mut world = told_instead();
    let mut changed = world.policy.clone();
    changed.routes[0].fallback.clear();
    assert!(world.reload(changed));
    // As the outbox answers for a receiver that is no longer in the file.
    world.refusing = vec!["partners".into()];
    world.cure_of(1);
    world.pass(900);
    let dead: Vec<&Notice> = world
        .state
        .outbox
        .values()
        .filter(|outgoing| outgoing.given_up.is_some())
        .map(|outgoing| &outgoing.notice)
        .collect();
    let told_of: Vec<String> = dead.iter().map(|notice| told(notice)).collect();
    assert_eq!(told_of, ["ops: first [failing critical]", "partners: resolved [failing resolved]"]);
}

#[test]
fn the_fallback_of_a_receiver_that_is_taken_out_is_told_the_end_once() {
    let mut world = told_instead();
    let mut changed = world.policy.clone();
    changed.routes = vec![route(&["others"])];
    assert!(world.reload(changed));
    world.refusing = vec!["ops".into()];
    world.cure_of(1);
    world.pass(900);
    assert_eq!(to(&world, "partners").len(), 2, "{:?}", world.arrived());
    assert_eq!(told(to(&world, "partners")[1]), "partners: resolved [failing resolved]");
}

#[test]
fn an_alert_that_fired_anew_before_its_end_was_told_is_over_for_the_fallback() {
    let mut world = told_instead();
    // A second alert keeps the batch open.
    world.fail_of(2);
    world.pass(120);
    world.cure_of(1);
    for _ in 0..12 {
        world.fail_of(2);
        world.pass(60);
    }
    let ended = to(&world, "partners");
    assert_eq!(told(ended[1]), "partners: resolved [failing resolved]");
    world.fail_of(1);
    world.pass(600);
    world.cure_of(1);
    world.cure_of(2);
    world.pass(1_200);
    assert!(world.state.batches.is_empty());
    assert_eq!(to(&world, "partners").len(), 2, "what fired anew was told to `ops` alone");
}

#[test]
fn an_end_in_a_message_made_of_many_batches_reaches_the_fallback() {
    let mut policy = policy(vec![failing()]);
    policy.routes[0].fallback = vec!["partners".into()];
    policy.routes[0].timing.batch_by = vec!["affiliate".into()];
    policy.routes[0].timing.min_gap = seconds(10);
    let mut world = World::calm(policy);
    world.refusing = vec!["ops".into()];
    for affiliate in 1..=15 {
        world.fail_of(affiliate);
    }
    world.pass(150);
    assert_eq!(to(&world, "partners").len(), 15);
    world.refusing.clear();
    // It takes nothing for a while, so that its messages are merged.
    world.failing = vec!["ops".into()];
    for affiliate in 1..=15 {
        world.cure_of(affiliate);
    }
    while !world.state.batches.is_empty() {
        world.pass(10);
    }
    world.failing.clear();
    world.pass(120);
    let merged = |receiver| to(&world, receiver).iter().any(|one| one.alerts.len() > 1);
    assert!(merged("ops"), "{:?}", world.arrived());
    let ends = to(&world, "partners").split_off(15);
    let ended: usize = ends.iter().map(|notice| notice.alerts.len()).sum();
    assert_eq!((ended, ends.iter().all(|notice| notice.is_back)), (15, true));
    assert!(world.state.told_instead.is_empty());
}

/// `ops` cannot be reached: what `alone` tells has nobody else to go to, what `paged`
/// tells has `partners`.
fn one_with_a_fallback_behind_one_without() -> World {
    let at_least = |least| vec![at_least(Measure::Failures, least)];
    let rules = vec![rule("alone", 900, at_least(2.0)), rule("paged", 900, at_least(6.0))];
    let mut policy = policy(rules);
    let mut paged = route(&["ops"]);
    paged.matches.insert("rule".to_owned(), vec![Glob("paged".to_owned())]);
    paged.fallback = vec!["partners".into()];
    policy.routes.insert(0, paged);
    let mut world = World::calm(policy);
    world.failing = vec!["ops".into()];
    world.fail_many("a", 3);
    world
}

#[test]
fn a_message_that_is_tried_for_a_day_keeps_no_other_from_its_fallback() {
    for seconds_apart in [10, 600] {
        let mut world = one_with_a_fallback_behind_one_without();
        world.pass(seconds_apart);
        world.fail_many("b", 9);
        world.pass(240);
        assert_eq!(world.arrived(), ["partners: first [paged critical]"], "{seconds_apart}");
        world.failing.clear();
        world.pass(900);
        let told: Vec<String> = to(&world, "ops").into_iter().map(told).collect();
        assert_eq!(told, ["ops: first [alone critical]"]);
    }
}

#[test]
fn a_dead_letter_that_is_sent_again_in_vain_keeps_no_other_from_its_fallback() {
    let mut world = told_instead();
    world.failing = vec!["ops".into()];
    let dead: Vec<u64> = world.state.outbox.keys().copied().collect();
    world.turn(News::Resend { numbers: &dead });
    world.fail_of(2);
    world.pass(900);
    let again = to(&world, "partners").split_off(1);
    assert_eq!(
        again.into_iter().map(told).collect::<Vec<_>>(),
        ["partners: new_alerts [failing quiet, failing critical]"]
    );
}
