//! What holds messages back: alerts that another one explains, and mutes.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use postwatch::domain::policy::{DaySpan, Inhibition, Matches, Mute, Policy};
use postwatch::domain::rules::{Glob, Label, Level, Measure, Rule, Severity};

use super::world::{HOUR, World, at_least, policy, rule, seconds};

fn only(label: &str, value: &str) -> Matches {
    BTreeMap::from([(label.to_owned(), vec![Glob(value.to_owned())])])
}

/// Each partner's failures, and all of them, which explain the partners'.
fn network_and_partners() -> Policy {
    let mut partner: Rule = rule("partner", 300, vec![at_least(Measure::Failures, 2.0)]);
    partner.per = vec![Label::Affiliate];
    let all = rule("all", 300, vec![at_least(Measure::Failures, 9.0)]);
    let mut policy = policy(vec![partner, all]);
    policy.inhibitions = vec![Inhibition {
        when: only("rule", "all"),
        mute: only("rule", "partner"),
        equal: vec!["source".to_owned()],
    }];
    policy
}

fn fail_of(world: &mut World, name: &str, affiliate: u64, count: usize) {
    for number in 0..count {
        world.fail(&format!("{name}{number}")).affiliate = affiliate;
    }
}

fn cure(world: &mut World, affiliates: std::ops::RangeInclusive<u64>) {
    for affiliate in affiliates {
        let id = format!("cure{affiliate}-{}", world.now);
        world.succeed(&id).affiliate = affiliate;
    }
}

#[test]
fn what_another_alert_explains_is_not_told() {
    let mut world = World::calm(network_and_partners());
    (1..=3).for_each(|affiliate| fail_of(&mut world, &format!("a{affiliate}-"), affiliate, 3));
    world.pass(120);
    assert_eq!(world.told(), ["ops: first [all critical]"]);
    assert_eq!(world.state.alerts.len(), 4, "the alerts themselves stand");
    world.restart();
    world.pass(HOUR / 12);
    cure(&mut world, 1..=3);
    world.pass(900);
    assert_eq!(world.told()[1..], ["ops: resolved [all resolved]"]);
    assert!(world.state.batches.is_empty());
    world.pass(300);
    assert!(world.state.alerts.is_empty(), "what could explain others is forgotten in time");
}

#[test]
fn what_outlasts_its_explanation_is_told_when_it_holds_by_itself() {
    let mut world = World::calm(network_and_partners());
    (1..=3).for_each(|affiliate| fail_of(&mut world, &format!("a{affiliate}-"), affiliate, 3));
    world.pass(120);
    for round in 0..8 {
        fail_of(&mut world, &format!("b{round}-"), 1, 2);
        world.pass(10);
        cure(&mut world, 2..=3);
        world.pass(110);
    }
    let told = world.told();
    assert_eq!(
        told,
        [
            "ops: first [all critical]",
            "ops: resolved [all resolved]",
            "ops: first [partner critical]"
        ]
    );
    let freed = world.notices[2].created_at.since(world.notices[1].created_at);
    assert!(freed >= seconds(180), "{freed:?}");
}

#[test]
fn who_was_told_before_hears_the_end_and_no_reminder_in_between() {
    let mut policy = network_and_partners();
    policy.rules[0].levels.push(Level {
        severity: Severity::Critical,
        conditions: vec![at_least(Measure::Failures, 4.0)],
    });
    policy.rules[0].levels[0].severity = Severity::Warning;
    policy.routes[0].timing.remind_every = seconds(900);
    let mut world = World::calm(policy);
    fail_of(&mut world, "a", 1, 3);
    world.pass(120);
    for round in 0..10 {
        (1..=3).for_each(|one| fail_of(&mut world, &format!("b{round}-{one}-"), one, 2));
        world.pass(120);
    }
    cure(&mut world, 1..=3);
    world.pass(900);
    let told = world.told();
    let explained = told.iter().skip(1).take_while(|told| !told.contains("all resolved"));
    let mut heard = explained.filter(|told| told.contains("partner"));
    assert_eq!(heard.next(), None, "neither its escalation nor a reminder: {told:?}");
    assert_eq!(told.first().map(String::as_str), Some("ops: first [partner warning]"));
    assert_eq!(told.last().map(String::as_str), Some("ops: resolved [partner resolved]"));
}

#[test]
fn an_alert_explains_neither_itself_nor_one_that_explains_it() {
    let mut policy = network_and_partners();
    policy.inhibitions = vec![Inhibition {
        when: only("severity", "critical"),
        mute: only("severity", "critical"),
        equal: vec!["source".to_owned()],
    }];
    let mut world = World::calm(policy);
    (1..=3).for_each(|affiliate| fail_of(&mut world, &format!("a{affiliate}-"), affiliate, 3));
    world.pass(120);
    assert_eq!(world.told().len(), 2, "{:?}", world.told());
}

#[test]
fn a_mute_holds_messages_back_and_what_still_stands_is_told_after_it() {
    let mut policy = policy(vec![rule("r", 300, vec![at_least(Measure::Failures, 2.0)])]);
    // The world begins at noon.
    policy.mutes = vec![Mute {
        name: "afternoon".to_owned(),
        days: Vec::new(),
        times: vec![DaySpan { from: 13 * 60, to: 14 * 60 }],
        timezone: TimeZone::UTC,
        matches: Matches::new(),
    }];
    let mut world = World::calm(policy);
    world.fail_many("over", 3);
    world.pass(120);
    world.succeed("cured");
    world.pass(900);
    assert!(world.told().is_empty(), "it came and went: {:?}", world.told());
    for round in 0..50 {
        world.fail_many(&format!("on{round}-"), 1);
        world.pass(60);
    }
    assert_eq!(world.told(), ["ops: first [r critical]"]);
    let told_at = world.notices[0].created_at.0 % (24 * HOUR);
    assert!((14 * HOUR..14 * HOUR + 120).contains(&told_at), "{told_at}");
}
