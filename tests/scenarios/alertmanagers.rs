//! What an Alertmanager is made to believe over the life of an alert: nothing that is
//! over fires there, and nothing that fires ends there. Its threads are real ones.

use postwatch::domain::rules::{Label, Level, Measure, Rule, Severity};
use postwatch::domain::turn::News;

use super::world::{HOUR, World, at_least, policy, rule};

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
    let mut levels = rule("levels", 300, vec![]);
    levels.levels = vec![
        Level { severity: Severity::Warning, conditions: vec![at_least(Measure::Open, 2.0)] },
        Level { severity: Severity::Critical, conditions: vec![at_least(Measure::Open, 9.0)] },
    ];
    let mut world = world_of(levels);
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
