//! Messages while the past is being read after an outage: they wait for it, but
//! not for ever, and nobody reads that all is well before it is.

use std::time::Duration;

use postwatch::domain::policy::Scope;
use postwatch::domain::rules::Measure;
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::{News, WholeSpan};

use super::world::{HOUR, SOURCE, World, at_least, policy, rule, seconds, told};

/// Nothing was read for so many hours, at whose beginning five deliveries failed.
fn back_after(hours: i64, scopes: Vec<Scope>) -> World {
    let mut policy = policy(vec![rule("r", 600, vec![at_least(Measure::Failures, 3.0)])]);
    policy.sources[0].scopes = scopes;
    policy.routes[0].timing.batch_by = vec!["severity".into()];
    let mut world = World::calm(policy);
    world.list = Some([(1, true)].into());
    world.poll();
    world.is_network_down = true;
    world.pass(600);
    world.fail_many("bad", 5);
    world.pass(hours * HOUR);
    (world.is_network_down, world.parts) = (false, 1);
    world.notices.clear();
    world
}

/// After how many minutes, at most so many, a message tells of the rule.
fn told_after(world: &World, began: i64, rule: &str) -> Option<i64> {
    let tells = world.notices.iter().find(|notice| notice.alerts.iter().any(|a| a.rule == rule));
    tells.map(|notice| (notice.created_at.0 - began) / 60)
}

#[test]
fn however_long_the_past_takes_messages_wait_half_an_hour_at_most() {
    for (hours, expected) in [(5, 4..=10), (12, 10..=15), (48, 30..=33), (80, 30..=33)] {
        let mut world = back_after(hours, vec![Scope::default()]);
        let began = world.now;
        world.pass(2 * HOUR);
        let after = told_after(&world, began, "r").expect("it is told");
        assert!(expected.contains(&after), "{hours} h: after {after} minutes");
        let alert = world.notices.iter().flat_map(|notice| &notice.alerts).find(|a| a.rule == "r");
        let is_late = alert.is_some_and(|alert| alert.notes[0].starts_with("Detected late"));
        assert!(is_late, "{hours} h: {:?}", world.told());
    }
}

#[test]
fn where_one_scope_gets_no_further_nothing_waits_for_it() {
    let only = Scope { offers: vec![12], ..Scope::default() };
    let others = Scope { exclude_offers: vec![12], ..Scope::default() };
    let mut world = back_after(5, vec![only.clone(), others.clone()]);
    let began = world.now;
    let read = |world: &mut World, scope: &Scope, from: i64, to: i64| {
        let mut rows = world.asked(scope, false, from);
        rows.retain(|row| row.timestamp.0 <= to);
        let (from, to) = (Timestamp(from), Timestamp(to));
        world.read(
            scope,
            rows,
            WholeSpan::Recent { failures_from: from, successes_from: from, to },
        );
    };
    for scope in [&only, &others] {
        read(&mut world, scope, began - 600, began);
    }
    let blind_at = began - 5 * HOUR - 600;
    read(&mut world, &only, blind_at - 600, began - 600);
    read(&mut world, &others, blind_at - 600, blind_at + HOUR);
    for _ in 0..20 {
        world.now += 60;
        world.tick();
        let now = world.now;
        for scope in [&only, &others] {
            read(&mut world, scope, now - 140, now);
        }
        world.turn(News::Failed { source: SOURCE, trouble: "a part of the past: 503".into() });
        world.send();
    }
    let after = told_after(&world, began, "r").expect("it is told");
    assert!((3..=6).contains(&after), "after {after} minutes: {:?}", world.told());
}

#[test]
fn who_waits_holds_up_no_other_alert_of_the_batch() {
    let mut world = back_after(5, vec![Scope::default()]);
    world.pass(60);
    assert_eq!((world.shows("r"), world.told()), ("quiet", vec![]));
    world.list = Some([(1, false)].into());
    world.pass(120);
    let first: Vec<String> = world.notices.iter().map(told).collect();
    assert!(first.iter().any(|told| told.contains("postback-deactivated critical")), "{first:?}");
    assert!(!first.iter().any(|told| told.contains("[r ") || told.contains(" r ")), "{first:?}");
    world.pass(HOUR);
    assert!(told_after(&world, 0, "r").is_some(), "{:?}", world.told());
}

#[test]
fn a_source_is_blind_until_what_is_judged_is_the_present() {
    let mut world = back_after(12, vec![Scope::default()]);
    let before = world.policy.sources[0].settle + Duration::from_secs(600 + 60);
    while world.shows("source-blind") == "critical" {
        assert!(world.told().iter().all(|told| !told.contains("source-blind resolved")));
        world.pass(60);
    }
    let watermark = world.facts().watermark.expect("it reads");
    assert!(Timestamp(world.now).since(watermark) <= before, "{watermark:?}");
    world.pass(600);
    assert!(world.told().iter().any(|told| told.contains("source-blind resolved")));
    assert_eq!(world.facts().gap(), seconds(0));
}
