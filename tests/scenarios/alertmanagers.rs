//! What an Alertmanager is made to believe over the life of an alert: nothing that is
//! over fires there, and nothing that fires ends there. Its threads are real ones.

use postwatch::domain::rules::{Label, Level, Measure, Rule, Severity};
use postwatch::domain::turn::News;

use super::world::{HOUR, World, at_least, policy, rule, seconds};

fn world() -> World {
    world_of(failing())
}

fn world_of(rule: Rule) -> World {
    let mut policy = policy(vec![rule]);
    policy.routes[0].to = vec!["am".into()];
    let mut world = World::calm(policy);
    world.alertmanagers = vec!["am".into()];
    world
}

/// An alert for each affiliate, that ends soon after it is cured.
fn failing() -> Rule {
    let mut rule = rule("failing", 300, vec![at_least(Measure::Failures, 2.0)]);
    rule.per = vec![Label::Affiliate];
    rule
}

fn fail_of(world: &mut World, name: &str, affiliate: u64) {
    for number in 0..3 {
        world.fail(&format!("{name}{number}")).affiliate = affiliate;
    }
}

fn cure_of(world: &mut World, name: &str, affiliate: u64) {
    world.succeed(name).affiliate = affiliate;
}

/// One alert, a warning that becomes critical.
fn levels() -> Rule {
    let mut levels = rule("levels", 300, vec![]);
    levels.levels = vec![
        Level { severity: Severity::Warning, conditions: vec![at_least(Measure::Open, 2.0)] },
        Level { severity: Severity::Critical, conditions: vec![at_least(Measure::Open, 9.0)] },
    ];
    levels
}

/// Minute after minute the Alertmanager believes this.
fn believes(world: &mut World, minutes: i64, expected: &[&str]) {
    for minute in 1..=minutes {
        world.pass(60);
        assert_eq!(world.fires_at("am"), expected, "minute {minute}");
    }
}

fn dead_letters(world: &World) -> Vec<u64> {
    let dead = world.state.outbox.iter().filter(|(_, outgoing)| outgoing.given_up.is_some());
    dead.map(|(&number, _)| number).collect()
}

fn resend(world: &mut World) {
    let dead = dead_letters(world);
    assert!(!dead.is_empty());
    world.turn(News::Resend { numbers: &dead });
    world.pass(10);
    assert!(world.state.outbox.is_empty(), "it is done with");
}

#[test]
fn an_old_message_that_is_sent_again_fires_nothing_that_is_over() {
    let mut world = world();
    world.refusing = vec!["am".into()];
    fail_of(&mut world, "a", 1);
    world.pass(150);
    assert_eq!(dead_letters(&world).len(), 1);
    world.refusing.clear();
    cure_of(&mut world, "cured", 1);
    world.pass(HOUR);
    let told = world.delivered.len();
    resend(&mut world);
    assert_eq!((world.fires_at("am"), world.delivered.len()), (vec![], told));
}

#[test]
fn an_old_message_that_is_sent_again_tells_what_stands_still() {
    let mut open = failing();
    open.levels[0].conditions = vec![at_least(Measure::Open, 2.0)];
    let mut world = world_of(open);
    world.refusing = vec!["am".into()];
    fail_of(&mut world, "a", 1);
    fail_of(&mut world, "b", 2);
    world.pass(150);
    for number in 0..3 {
        cure_of(&mut world, &format!("a{number}"), 1);
    }
    world.pass(HOUR);
    world.refusing.clear();
    assert_eq!(world.fires_at("am"), Vec::<&str>::new(), "it never heard of them");
    resend(&mut world);
    assert_eq!(world.fires_at("am"), ["failing 2 critical"]);
    world.pass(HOUR);
    assert_eq!(world.fires_at("am"), ["failing 2 critical"], "it is told again");
}

#[test]
fn an_old_message_that_is_sent_again_brings_back_no_severity_and_no_end() {
    let mut world = world_of(levels());
    world.refusing = vec!["am".into()];
    world.fail_many("a", 3);
    world.pass(180);
    world.refusing.clear();
    world.fail_many("b", 9);
    world.pass(180);
    assert_eq!(world.fires_at("am"), ["levels 7 critical"]);
    resend(&mut world);
    assert_eq!(world.fires_at("am"), ["levels 7 critical"]);
    // The end is refused, and it fires anew before that is sent again.
    world.refusing = vec!["am".into()];
    world.succeed_many("a", 3);
    world.succeed_many("b", 9);
    world.pass(900);
    assert_eq!(dead_letters(&world).len(), 1);
    world.refusing.clear();
    world.fail_many("c", 12);
    world.pass(420);
    assert_eq!(world.fires_at("am"), ["levels 7 critical"]);
    resend(&mut world);
    assert_eq!(world.fires_at("am"), ["levels 7 critical"]);
}

/// Many batches that waited are told in one message, and each ends in its own time.
#[test]
fn what_a_merged_message_told_is_told_again_until_its_own_batch_is_over() {
    let mut open = failing();
    open.levels[0].conditions = vec![at_least(Measure::Open, 2.0)];
    let mut world = world_of(open);
    world.policy.routes[0].timing.batch_by = vec!["affiliate".into()];
    world.restart_changed();
    world.failing = vec!["am".into()];
    for affiliate in 1..=14 {
        fail_of(&mut world, &format!("{affiliate}-"), affiliate);
        world.pass(10);
    }
    world.pass(180);
    world.failing.clear();
    world.pass(600);
    assert!(world.delivered.iter().any(|notice| notice.alerts.len() > 2), "some were merged");
    assert_eq!(world.fires_at("am").len(), 14);
    for affiliate in (1..=14).filter(|affiliate| *affiliate != 13) {
        for number in 0..3 {
            cure_of(&mut world, &format!("{affiliate}-{number}"), affiliate);
        }
    }
    world.pass(900);
    world.restart();
    believes(&mut world, 60, &["failing 13 critical"]);
    for number in 0..3 {
        cure_of(&mut world, &format!("13-{number}"), 13);
    }
    world.pass(900);
    believes(&mut world, 20, &[]);
    assert!(world.state.threads.is_empty());
}

#[test]
fn an_end_that_was_given_up_leaves_nothing_firing_and_no_thread() {
    let mut world = world();
    fail_of(&mut world, "a", 1);
    world.pass(180);
    assert_eq!(world.fires_at("am"), ["failing 1 critical"]);
    world.refusing = vec!["am".into()];
    cure_of(&mut world, "cured", 1);
    while dead_letters(&world).is_empty() {
        world.pass(10);
    }
    world.pass(300);
    world.restart();
    believes(&mut world, 20, &[]);
    assert_eq!((dead_letters(&world).len(), world.state.threads.len()), (1, 0));
}

#[test]
fn an_alert_that_is_over_is_not_told_again_though_its_end_still_waits() {
    let mut world = world();
    fail_of(&mut world, "a", 1);
    world.pass(180);
    world.failing = vec!["am".into()];
    cure_of(&mut world, "cured", 1);
    while world.waiting("am").is_empty() {
        world.pass(10);
    }
    assert!(world.alert("failing").is_none_or(|alert| alert.has_ended()));
    world.pass(300);
    believes(&mut world, 30, &[]);
    assert_eq!(world.waiting("am").len(), 1);
}

#[test]
fn what_ended_and_fired_anew_while_nobody_could_be_told_fires() {
    let mut world = world();
    // A second alert keeps the batch open.
    fail_of(&mut world, "a", 1);
    fail_of(&mut world, "b", 2);
    world.pass(180);
    world.failing = vec!["am".into()];
    cure_of(&mut world, "cured", 1);
    for minute in 0..14 {
        fail_of(&mut world, &format!("b{minute}-"), 2);
        world.pass(60);
    }
    fail_of(&mut world, "anew", 1);
    world.pass(360);
    world.failing.clear();
    world.pass(660);
    let late = world.delivered.last().expect("it was told");
    let one = ("affiliate".to_owned(), "1".to_owned());
    let of_one = late.alerts.iter().filter(|alert| alert.labels.contains(&one));
    let states: Vec<bool> = of_one.map(|alert| alert.status.is_over()).collect();
    assert_eq!(states, [false, true], "people read both");
    believes(&mut world, 30, &["failing 1 critical", "failing 2 critical"]);
}

/// The end of one batch is told again while the next one fires.
#[test]
fn what_fires_anew_in_another_batch_is_not_ended_by_the_one_before() {
    let mut world = world();
    world.policy.routes[0].timing.min_gap = seconds(10);
    world.restart_changed();
    fail_of(&mut world, "a", 1);
    world.pass(180);
    cure_of(&mut world, "cured", 1);
    while !world.state.batches.is_empty() {
        world.pass(10);
    }
    assert_eq!(world.fires_at("am"), Vec::<&str>::new());
    fail_of(&mut world, "anew", 1);
    world.pass(120);
    assert_eq!(world.state.threads.len(), 2);
    believes(&mut world, 30, &["failing 1 critical"]);
}

#[test]
fn a_severity_that_may_have_been_told_ends_when_it_escalates() {
    let mut world = world_of(levels());
    world.mute = vec!["am".into()];
    world.fail_many("a", 3);
    while world.delivered.is_empty() {
        world.pass(10);
    }
    assert_eq!(world.fires_at("am"), ["levels 7 warning"]);
    // It is refused for now at the next try: that says nothing of the first one.
    (world.mute, world.failing) = (Vec::new(), vec!["am".into()]);
    world.pass(20);
    world.fail_many("b", 9);
    while world.waiting("am").len() < 2 {
        world.pass(10);
        assert!(world.waiting("am").iter().all(|one| one.notice.alerts.len() == 1));
    }
    world.failing.clear();
    while !world.state.outbox.is_empty() {
        world.pass(10);
    }
    believes(&mut world, 20, &["levels 7 critical"]);
}
