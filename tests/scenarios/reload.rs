//! The rules change while the service runs: what goes on, what ends, what is
//! judged at once, and that a disk which refuses it leaves everything as it was.

use postwatch::domain::policy::{Policy, SourcePolicy};
use postwatch::domain::rules::{Glob, Label, Level, Measure, Rule, Severity};

use super::world::{
    HOUR, SOURCE, World, assert_same, at_least, known, policy, route, rule, seconds,
};

fn failing(name: &str, threshold: f64) -> Rule {
    let mut rule = rule(name, 600, vec![at_least(Measure::Failures, threshold)]);
    rule.keep_firing_for = seconds(120);
    rule
}

fn with(policy: &Policy, change: impl FnOnce(&mut Policy)) -> Policy {
    let mut changed = policy.clone();
    change(&mut changed);
    changed
}

#[test]
fn alerts_of_rules_that_did_not_change_keep_their_state_and_their_clocks() {
    let mut held = failing("held", 3.0);
    held.hold_for = seconds(300);
    let mut world = World::calm(policy(vec![failing("fires", 3.0), held]));
    world.fail_many("a", 4);
    world.pass(240);
    let before = known(&world.state);
    let [fires, holds] = ["fires", "held"].map(|rule| world.alert(rule).cloned());
    assert_eq!((world.shows("fires"), world.shows("held")), ("critical", "pending"));

    // Another order, another rule between them.
    let changed = with(&world.policy, |policy| {
        policy.rules.reverse();
        policy.rules.insert(1, failing("new", 100.0));
    });
    assert!(world.reload(changed));
    assert_same(&before, &known(&world.state), "a reload");
    assert_eq!([fires, holds], ["fires", "held"].map(|rule| world.alert(rule).cloned()));
    let told = world.told().len();
    world.pass(180);
    assert_eq!(world.shows("held"), "critical", "`for` went on where it was");
    assert_eq!(world.told().len(), told + 1, "{:?}", world.told());
}

#[test]
fn a_threshold_is_judged_at_once_and_clears_by_its_ordinary_clocks() {
    let mut world = World::calm(policy(vec![failing("burst", 9.0)]));
    world.fail_many("a", 4);
    world.pass(120);
    assert_eq!(world.shows("burst"), "inactive");
    let at = |threshold| policy(vec![failing("burst", threshold)]);
    assert!(world.reload(at(3.0)));
    assert_eq!(world.shows("burst"), "critical", "with no poll in between");
    let alert = world.alert("burst").expect("it fires");
    assert!(format!("{:?}", alert.status).contains("is_late: false"), "{alert:?}");

    world.succeed("cured");
    assert!(world.reload(at(5.0)));
    assert_eq!(world.shows("burst"), "critical", "no clock moved");
    world.pass(60);
    assert_eq!(world.shows("burst"), "critical");
    world.pass(600);
    assert_eq!(world.shows("burst"), "inactive", "clear for long enough, and cured");
}

#[test]
fn for_of_a_changed_rule_begins_with_the_data_that_there_is() {
    let mut world = World::calm(policy(vec![]));
    world.fail_many("a", 4);
    world.pass(120);
    let mut held = failing("held", 3.0);
    held.hold_for = seconds(120);
    assert!(world.reload(policy(vec![held])));
    assert_eq!(world.shows("held"), "pending");
    world.pass(60);
    assert_eq!(world.shows("held"), "pending");
    world.pass(120);
    assert_eq!(world.shows("held"), "critical");
}

/// What is told where an alert that was told changes like this.
fn check_told(change: impl FnOnce(&mut Policy), expected: &[&str]) {
    let mut world = World::calm(policy(vec![failing("burst", 3.0)]));
    world.fail_many("a", 4);
    world.pass(120);
    assert_eq!(world.told(), ["ops: first [burst critical]"]);
    assert!(world.reload(with(&world.policy, change)));
    world.pass(400);
    assert_eq!(world.told()[1..], *expected);
}

#[test]
fn what_is_removed_ends_saying_so_and_who_was_told_hears_it() {
    check_told(|policy| policy.rules.clear(), &["ops: resolved [burst removed]"]);
    check_told(|policy| policy.sources.clear(), &["ops: resolved [burst removed]"]);
    check_told(
        |policy| policy.sources[0] = SourcePolicy::named("other"),
        &["ops: resolved [burst removed]"],
    );
    // Other groups: the old alert ends, the new one is told for itself.
    check_told(
        |policy| policy.rules[0].per = vec![Label::Affiliate],
        &["ops: new_alerts [burst critical, burst removed]"],
    );
    // Other levels, and it fires at once: the same alert, at its new severity.
    check_told(|policy| policy.rules[0].levels[0].severity = Severity::Warning, &[]);
    let both = |policy: &mut Policy| {
        let conditions = vec![at_least(Measure::Failures, 2.0)];
        policy.rules[0].levels.insert(0, Level { severity: Severity::Warning, conditions });
    };
    check_told(both, &[]);
    // Nothing that it is about.
    check_told(|policy| policy.rules[0].runbook = Some("https://wiki.example.com".into()), &[]);
    check_told(|policy| policy.evaluate_every = seconds(30), &[]);
}

#[test]
fn routes_and_their_rhythm_change_for_alerts_that_stand() {
    let to_others = |policy: &mut Policy| policy.routes = vec![route(&["others"])];
    check_told(to_others, &["others: first [burst critical]"]);
    let reminding = |policy: &mut Policy| {
        policy.routes[0].timing.remind_every = seconds(180);
    };
    check_told(reminding, &["ops: reminder [burst critical]", "ops: reminder [burst critical]"]);
    let escalating = |policy: &mut Policy| {
        let mut only = route(&["boss"]);
        only.matches = [("rule".to_owned(), vec![Glob("bur*".into())])].into();
        policy.routes.insert(0, only);
    };
    // Who has it keeps it; a route adds only when it fires or escalates.
    check_told(escalating, &[]);
}

#[test]
fn a_disk_that_refuses_it_leaves_everything_as_it_was() {
    let mut world = World::calm(policy(vec![failing("burst", 3.0)]));
    world.fail_many("a", 4);
    world.pass(120);
    let before = known(&world.state);
    world.failing_commits = 1;
    assert!(!world.reload(policy(vec![failing("other", 2.0)])));
    assert_same(&before, &known(&world.state), "a reload that failed");
    assert_eq!(world.shows("burst"), "critical");
}

#[test]
fn a_source_begins_goes_on_and_comes_back() {
    let mut world = World::calm(policy(vec![failing("burst", 3.0)]));
    let both = with(&world.policy, |policy| policy.sources.push(SourcePolicy::named("second")));
    let one = world.policy.clone();
    assert!(world.reload(both));
    assert!(world.state.sources.contains_key("second"));
    world.pass(300);
    // Gone for an hour, in which it failed.
    let none = with(&one, |policy| policy.sources.clear());
    assert!(world.reload(none));
    world.now += HOUR;
    world.uptime += seconds(HOUR);
    world.fail_many("a", 4);
    assert!(world.reload(one));
    assert_eq!(world.state.sources[SOURCE].sight.started_at.0, world.now, "not blind at once");
    world.pass(180);
    assert_eq!(world.shows("burst"), "critical");
    assert!(world.told().iter().all(|told| !told.contains("source-blind")), "{:?}", world.told());
}
