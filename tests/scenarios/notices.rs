//! Notices: when they are due, and nothing lost by a crash between any two turns.

use postwatch::domain::outgoing::Outcome;
use postwatch::domain::rules::{Glob, Level, Measure, Rule, Severity};
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::News;

use super::world::{DAY, HOUR, World, at_least, policy, route, rule, seconds};

fn failing(name: &str) -> Rule {
    rule(name, 300, vec![at_least(Measure::Failures, 2.0)])
}

/// One rule for each affiliate.
fn per_affiliate() -> Rule {
    let mut rule = failing("failing");
    rule.per = vec![postwatch::domain::rules::Label::Affiliate];
    rule.keep_firing_for = seconds(900);
    rule
}

fn fail_of(world: &mut World, name: &str, affiliate: u64) {
    for number in 0..3 {
        world.fail(&format!("{name}{number}")).affiliate = affiliate;
    }
}

#[test]
fn the_first_message_waits_for_others_of_its_batch() {
    let mut world = World::calm(policy(vec![per_affiliate()]));
    fail_of(&mut world, "a", 1);
    fail_of(&mut world, "b", 2);
    world.pass(120);
    assert_eq!(world.told(), ["ops: first [failing critical, failing critical]"]);
}

#[test]
fn messages_that_are_due_together_come_in_the_order_in_which_they_began() {
    let mut policy = policy(vec![per_affiliate()]);
    let by = |affiliate: &str, wait: i64| {
        let mut route = route(&["ops"]);
        route.matches.insert("affiliate".to_owned(), vec![Glob(affiliate.to_owned())]);
        route.timing.batch_by = vec!["affiliate".to_owned()];
        route.timing.batch_wait = seconds(wait);
        route
    };
    policy.routes = vec![by("9", 90), by("1", 30)];
    let mut world = World::calm(policy);
    fail_of(&mut world, "earlier", 9);
    world.pass(60);
    fail_of(&mut world, "later", 1);
    world.pass(300);
    let told: Vec<(&str, Timestamp)> =
        world.notices.iter().map(|it| (it.group[0].1.as_str(), it.created_at)).collect();
    assert_eq!(told.iter().map(|(affiliate, _)| *affiliate).collect::<Vec<_>>(), ["9", "1"]);
    assert_eq!(told[0].1, told[1].1, "they were due in one look");
}

#[test]
fn new_alerts_of_a_batch_keep_their_distance() {
    let mut world = World::calm(policy(vec![per_affiliate()]));
    fail_of(&mut world, "a", 1);
    world.pass(150);
    let first_at = world.notices[0].created_at;
    fail_of(&mut world, "b", 2);
    world.pass(360);
    assert_eq!(world.told()[1..], ["ops: new_alerts [failing critical, failing critical]"]);
    assert!(world.notices[1].created_at >= first_at + seconds(300));
}

#[test]
fn an_escalation_goes_out_at_once() {
    let mut levels = failing("levels");
    levels.levels = vec![
        Level { severity: Severity::Warning, conditions: vec![at_least(Measure::Failures, 2.0)] },
        Level { severity: Severity::Critical, conditions: vec![at_least(Measure::Failures, 9.0)] },
    ];
    let mut world = World::calm(policy(vec![levels]));
    world.fail_many("a", 3);
    world.pass(180);
    world.fail_many("b", 9);
    world.pass(120);
    assert_eq!(world.told(), ["ops: first [levels warning]", "ops: escalated [levels critical]"]);
}

#[test]
fn reminders_count_from_the_last_message_that_arrived() {
    let mut open = rule("open", 300, vec![at_least(Measure::Open, 2.0)]);
    open.keep_firing_for = seconds(600);
    let mut world = World::calm(policy(vec![open]));
    world.fail_many("bad", 3);
    world.pass(4 * HOUR);
    assert_eq!(world.told().len(), 1);
    world.restart();
    world.pass(600);
    assert_eq!(world.told()[1..], ["ops: reminder [open critical]"]);
    world.pass(4 * HOUR);
    assert_eq!(world.told().len(), 3);
}

#[test]
fn what_ended_within_batch_wait_is_not_told() {
    let mut policy = policy(vec![rule("short", 10, vec![at_least(Measure::Failures, 2.0)])]);
    policy.routes[0].timing.batch_wait = seconds(180);
    let mut world = World::calm(policy);
    world.fail_many("bad", 3);
    world.now += 5;
    world.succeed("cured");
    world.now -= 5;
    world.pass(HOUR);
    assert_eq!(world.told(), Vec::<String>::new());
    assert!(world.state.batches.is_empty() && world.state.alerts.is_empty());
}

#[test]
fn an_end_is_told_though_the_alert_was_pending_again_for_a_moment() {
    let mut held = rule("held", 60, vec![at_least(Measure::Failures, 2.0)]);
    held.hold_for = seconds(20);
    let mut policy = policy(vec![held]);
    policy.routes[0].timing.min_gap = seconds(HOUR);
    let mut world = World::calm(policy);
    world.fail_many("bad", 3);
    world.pass(60);
    world.succeed("cured");
    world.pass(240);
    assert_eq!(world.shows("held"), "ended", "its end waits for min_gap");
    // One moment in which it holds: two failures leave the window ten seconds apart.
    world.fail("one");
    world.now += 50;
    world.fail("two");
    world.now += 10;
    world.pass(600);
    world.restart();
    world.pass(2 * HOUR);
    assert_eq!(world.told(), ["ops: first [held critical]", "ops: resolved [held resolved]"]);
}

#[test]
fn a_thread_stays_a_quarter_of_an_hour_longer_than_its_batch() {
    let mut world = World::calm(policy(vec![failing("failing")]));
    world.fail_many("a", 3);
    world.pass(180);
    world.succeed("cured");
    while world.notices.len() < 2 {
        world.pass(10);
    }
    world.pass(10);
    let finished_at = |world: &World| {
        world.state.threads.values().next().map(|thread| thread.finished_at.map(|at| at.0))
    };
    let told_at = world.notices[1].created_at.0;
    let finished = finished_at(&world).flatten().expect("its batch is over");
    assert!((told_at..told_at + 20).contains(&finished), "{finished} {told_at}");
    world.restart();
    assert_eq!(finished_at(&world), Some(Some(finished)), "it is kept");
    world.pass(finished + 890 - world.now);
    assert_eq!(finished_at(&world), Some(Some(finished)));
    world.pass(20);
    assert_eq!(finished_at(&world), None);
}

#[test]
fn a_refused_message_goes_to_the_fallback_to_the_last_one() {
    let mut policy = policy(vec![failing("failing")]);
    policy.routes[0].fallback = vec!["partners".into()];
    let mut world = World::calm(policy);
    world.refusing = vec!["ops".into()];
    world.fail_many("bad", 3);
    world.pass(120);
    world.policy.routes.insert(0, route(&["others"]));
    world.restart_changed();
    world.succeed("cured");
    world.pass(900);
    assert_eq!(
        world.told(),
        [
            "ops: first [failing critical]",
            "partners: first [failing critical]",
            "ops: resolved [failing resolved]",
            "partners: resolved [failing resolved]",
        ]
    );
    assert!(world.notices[1].instead_of.as_deref() == Some("ops"));
}

#[test]
fn a_dead_channel_hands_all_that_waits_to_the_fallback_at_once() {
    let mut policy = policy(vec![failing("one"), failing("two")]);
    policy.routes[0].fallback = vec!["partners".into()];
    let mut world = World::calm(policy);
    world.fail_many("bad", 3);
    world.now += 60;
    world.poll();
    world.now += 60;
    world.tick();
    let first = *world.state.outbox.keys().next().expect("two notices wait");
    for tries in 1..=5 {
        let waiting = |world: &World, receiver: &str| {
            let waits = world.state.outbox.values().filter(|one| one.given_up.is_none());
            waits.filter(|one| one.notice.receiver == receiver).count()
        };
        assert_eq!((waiting(&world, "ops"), waiting(&world, "partners")), (2, 0), "try {tries}");
        let message = "no answer".to_owned();
        let outcome =
            Outcome::Failed { retry_after: None, message, chance: 0.0, is_answer_lost: false };
        world.turn(News::Settled { number: first, outcome });
        world.restart();
        if tries == 5 {
            assert_eq!((waiting(&world, "ops"), waiting(&world, "partners")), (0, 2));
        }
    }
}

#[test]
fn a_clock_that_was_set_back_holds_no_message() {
    let mut world = World::calm(policy(vec![per_affiliate()]));
    fail_of(&mut world, "a", 1);
    world.pass(150);
    assert_eq!(world.told().len(), 1);
    for batch in world.state.batches.values_mut() {
        batch.planned_at = Some(batch.opened_at + seconds(7 * DAY));
    }
    fail_of(&mut world, "b", 2);
    world.pass(150);
    assert_eq!(world.told()[1..], ["ops: new_alerts [failing critical, failing critical]"]);
}

/// What is told over two hours in which it fails, is cured, and fails again;
/// `crash` says before which turns the process dies.
fn story(crash: impl Fn(u32) -> bool) -> Vec<String> {
    let mut world = World::calm(policy(vec![failing("failing")]));
    let mut turns = 0;
    for minute in 0..120 {
        if minute % 60 == 5 {
            world.fail_many(&format!("bad{minute}-"), 4);
        }
        if minute % 60 == 15 {
            world.succeed(&format!("good{minute}"));
        }
        for _ in 0..6 {
            turns += 1;
            if crash(turns) {
                world.restart();
            }
            world.pass(10);
        }
    }
    world.told()
}

#[test]
fn a_crash_between_any_two_turns_changes_nothing_that_is_told() {
    let expected = story(|_| false);
    assert_eq!(expected.len(), 4, "{expected:?}");
    assert_eq!(story(|_| true), expected);
    for every in 2..6 {
        assert_eq!(story(|turn| turn % every == 0), expected, "every {every}");
    }
}

#[test]
fn a_failed_commit_tells_nothing_and_the_next_turn_tells_it() {
    let mut world = World::calm(policy(vec![failing("failing")]));
    world.fail_many("bad", 4);
    for _ in 0..12 {
        world.failing_commits = 1;
        world.pass(10);
        world.failing_commits = 0;
    }
    world.pass(120);
    assert_eq!(world.told(), ["ops: first [failing critical]"]);
}

#[test]
fn reminders_go_on_though_the_clock_is_set_back() {
    let mut world =
        World::calm(policy(vec![rule("open", 300, vec![at_least(Measure::Open, 2.0)])]));
    world.fail_many("bad", 3);
    world.now += 60;
    world.poll();
    while world.state.outbox.is_empty() {
        world.now += 10;
        world.tick();
    }
    world.skew = -HOUR;
    world.send();
    world.pass(6 * HOUR);
    assert_eq!(world.told()[..2], ["ops: first [open critical]", "ops: reminder [open critical]"]);
}
