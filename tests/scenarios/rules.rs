//! Rules: three answers, clocks of each level, reasons, streaks, ages.

use postwatch::domain::policy::{DeactivationCounts, Scope};
use postwatch::domain::rules::{Glob, Label, Level, Measure, Severity};

use postwatch::domain::turn::News;

use super::world::{HOUR, SOURCE, World, at_least, policy, rule, seconds};

#[test]
fn a_rate_is_unknown_until_its_window_was_read() {
    let mut rate = rule("rate", 2 * HOUR, vec![at_least(Measure::FailureRate, 0.5)]);
    rate.keep_firing_for = seconds(HOUR);
    let mut world = World::new(policy(vec![rate]));
    world.fail_many("bad", 4);
    // A scope that is added later counts its successes from then on.
    let only = |affiliate: u64| Scope { affiliates: vec![affiliate], ..Scope::default() };
    world.policy.sources[0].scopes = vec![only(7), only(8)];
    world.restart_changed();
    world.pass(300);
    assert_eq!(world.shows("rate"), "critical", "all of the window was read at the start");

    world.policy.sources[0].scopes = vec![only(7), only(9)];
    world.restart_changed();
    world.succeed_many("good", 40);
    world.pass(HOUR);
    assert_eq!(world.shows("rate"), "critical", "unknown resolves nothing");
    assert!(world.unknown > 0);
}

#[test]
fn a_burst_that_was_unknown_is_judged_once_it_is_known() {
    let mut world =
        World::calm(policy(vec![rule("rate", 900, vec![at_least(Measure::FailureRate, 0.5)])]));
    let only = |affiliate: u64| Scope { affiliates: vec![affiliate], ..Scope::default() };
    world.policy.sources[0].scopes = vec![only(7), only(8)];
    world.restart_changed();
    world.pass(240);
    world.fail_many("bad", 4);
    world.pass(300);
    assert_eq!(world.shows("rate"), "inactive", "not known yet");
    world.pass(480);
    assert_eq!(world.shows("rate"), "critical", "known, though no row came since");
}

#[test]
fn successes_off_leave_rates_unknown_and_counts_known() {
    let mut policy = policy(vec![
        rule("rate", 600, vec![at_least(Measure::FailureRate, 0.1)]),
        rule("count", 600, vec![at_least(Measure::Failures, 2.0)]),
        rule(
            "both",
            600,
            vec![at_least(Measure::Failures, 9.0), at_least(Measure::FailureRate, 0.1)],
        ),
    ]);
    policy.sources[0].successes = false;
    let mut world = World::calm(policy);
    world.fail_many("bad", 3);
    world.pass(120);
    let shown = ["rate", "count", "both"].map(|rule| world.shows(rule));
    assert_eq!(shown, ["inactive", "critical", "inactive"]);
    // The clear condition is enough there, and the message says so.
    world.pass(900);
    assert_eq!(world.shows("count"), "inactive");
    assert!(world.told().last().is_some_and(|told| told.contains("resolved")));
    assert!(world.notices.iter().all(|n| n.alerts[0].notes.iter().any(|t| t.contains("no proof"))));
}

#[test]
fn levels_have_clocks_of_their_own_and_escalate_and_come_down() {
    let mut levels = rule("levels", 300, vec![at_least(Measure::Failures, 6.0)]);
    levels.levels.insert(
        0,
        Level { severity: Severity::Warning, conditions: vec![at_least(Measure::Failures, 2.0)] },
    );
    levels.hold_for = seconds(120);
    levels.keep_firing_for = seconds(60);
    let mut world = World::calm(policy(vec![levels]));
    let mut shown = Vec::new();
    let mut show = |world: &World| {
        if shown.last() != Some(&world.shows("levels")) {
            shown.push(world.shows("levels"));
        }
    };
    // Two, then six, then two failures in each five minutes, then none.
    for (round, count) in [2, 2, 2, 6, 6, 6, 2, 2, 2, 2].into_iter().enumerate() {
        world.fail_many(&format!("f{round}-"), count);
        for _ in 0..5 {
            world.pass(60);
            show(&world);
            world.restart();
        }
    }
    world.succeed("cured");
    for _ in 0..12 {
        world.pass(60);
        show(&world);
    }
    assert_eq!(shown, ["pending", "warning", "critical", "warning", "inactive"]);
    let told = world.told();
    assert_eq!(told.iter().filter(|t| t.contains("escalated")).count(), 1, "{told:?}");
}

#[test]
fn a_miss_while_pending_begins_for_anew() {
    let mut held = rule("held", 60, vec![at_least(Measure::Failures, 1.0)]);
    held.hold_for = seconds(120);
    let mut world = World::calm(policy(vec![held]));
    for round in 0..5 {
        world.fail(&format!("f{round}"));
        world.pass(180);
    }
    assert!(world.notices.is_empty(), "{:?}", world.told());
}

#[test]
fn reasons_can_be_matched_and_grouped_by() {
    let mut matching = rule("tls", 600, vec![at_least(Measure::Failures, 2.0)]);
    matching.matches = [(Label::Reason, vec![Glob("tls".into()), Glob("http_4*".into())])].into();
    let mut grouped = rule("each", 600, vec![at_least(Measure::Failures, 2.0)]);
    grouped.per = vec![Label::Reason];
    let mut world = World::calm(policy(vec![matching, grouped]));
    world.fail_many("a", 3);
    world.fail("b").debug_information = "x509: certificate has expired".into();
    world.fail("c").debug_information = "Status: 404".into();
    world.pass(120);
    let groups: Vec<String> = world
        .keys()
        .into_iter()
        .map(|key| format!("{} {:?}", key.rule, key.group.iter().map(|g| &g.1).collect::<Vec<_>>()))
        .collect();
    assert_eq!(groups, ["each [\"http_500\"]", "tls []"]);
}

/// Fails and succeeds as `x` and `.`; whether a streak of five is known to fire.
fn check_streak(change: impl FnOnce(&mut World), traffic: &str, expected: &str) {
    let mut streak = rule("streak", 600, vec![at_least(Measure::Streak, 5.0)]);
    streak.per = vec![Label::Postback];
    let mut world = World::calm(policy(vec![streak]));
    change(&mut world);
    for (number, one) in traffic.chars().enumerate() {
        match one {
            'x' => world.fail(&format!("{number}")),
            _ => world.succeed(&format!("{number}")),
        };
        world.pass(20);
    }
    world.pass(120);
    assert_eq!(world.shows("streak"), expected, "of {traffic}");
}

#[test]
fn a_streak_counts_failures_in_a_row() {
    check_streak(|_| {}, "xxxx", "inactive");
    check_streak(|_| {}, ".xxxxx", "critical");
    check_streak(|_| {}, ".xxxx.xxxx", "inactive");
    check_streak(|world| world.policy.sources[0].successes = false, "xxxxxxxx", "inactive");
    let cut = |world: &mut World| {
        world.policy.sources[0].scopes = vec![Scope { offers: vec![11], ..Scope::default() }];
        world.restart_changed();
        world.pass(60);
    };
    // A specific postback fires for one offer: the scope cuts nothing of it.
    check_streak(cut, ".xxxxxx", "critical");
}

#[test]
fn a_streak_that_a_scope_cuts_is_unknown() {
    let mut streak = rule("streak", 600, vec![at_least(Measure::Streak, 5.0)]);
    streak.per = vec![Label::Postback];
    let mut policy = policy(vec![streak]);
    policy.sources[0].scopes = vec![Scope { offers: vec![11], ..Scope::default() }];
    let mut world = World::calm(policy);
    for number in 0..8 {
        world.fail(&format!("{number}")).postback_level = "global".into();
        world.pass(20);
    }
    world.pass(120);
    assert_eq!(world.shows("streak"), "inactive");
    assert!(world.unknown > 0);
}

#[test]
fn a_streak_can_count_tries() {
    let mut streak = rule("streak", 600, vec![at_least(Measure::Streak, 5.0)]);
    streak.per = vec![Label::Postback];
    let mut policy = policy(vec![streak]);
    policy.sources[0].deactivation_counts = DeactivationCounts::Attempts;
    let mut world = World::calm(policy);
    world.succeed("first");
    world.pass(60);
    for _ in 0..3 {
        world.fail_many("f", 2);
        world.pass(20);
    }
    world.pass(120);
    assert_eq!(world.shows("streak"), "critical");
}

#[test]
fn an_age_fires_by_waiting() {
    let mut world = World::calm(policy(vec![rule(
        "old",
        600,
        vec![at_least(Measure::OldestOpen, HOUR as f64)],
    )]));
    world.fail("x");
    world.pass(HOUR - 60);
    assert_eq!(world.shows("old"), "inactive");
    world.restart();
    world.pass(300);
    assert_eq!(world.shows("old"), "critical");
}

#[test]
fn a_rate_counts_deliveries_of_every_reason() {
    let mut rate = rule("rate", 600, vec![at_least(Measure::FailureRate, 0.5)]);
    rate.matches = [(Label::Reason, vec![Glob("tls".into())])].into();
    let mut world = World::calm(policy(vec![rate]));
    world.fail_many("http", 6);
    world.fail("tls").debug_information = "x509: certificate has expired".into();
    world.pass(120);
    assert_eq!(world.shows("rate"), "inactive", "one of seven");
}

#[test]
fn what_cannot_have_worked_is_suspect_and_no_failure() {
    let mut suspect = rule("suspect", 600, vec![at_least(Measure::Suspect, 3.0)]);
    suspect.per = vec![Label::Postback];
    let failures = rule("failures", 600, vec![at_least(Measure::Failures, 1.0)]);
    let mut world = World::calm(policy(vec![suspect, failures]));
    let of = [(1, vec!["cid".to_owned()])];
    world.turn(News::ClickParameters { source: SOURCE, of: &of });
    world.succeed("macro").payload = "https://a.example/p?cid=1&s5={sub5}".into();
    world.succeed("encoded").payload = "https://a.example/p?cid=1&s5=%7Bsub5%7D".into();
    world.pass(120);
    assert_eq!(world.shows("suspect"), "inactive");
    world.succeed("empty").payload = "https://a.example/p?cid=".into();
    world.succeed("fine").payload = "https://a.example/p?cid=1".into();
    world.pass(120);
    assert_eq!(world.shows("suspect"), "critical");
    world.restart();
    world.pass(60);
    assert_eq!((world.shows("suspect"), world.shows("failures")), ("critical", "inactive"));
    world.pass(1200);
    assert_eq!(world.shows("suspect"), "inactive", "it needs no proof: nothing failed");
}
