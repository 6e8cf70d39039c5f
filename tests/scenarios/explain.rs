//! Why an alert fires or does not, and what stands between it and its messages.

use postwatch::domain::explain::{
    Conversion, Explanation, GroupExplained, Question, Unknown, Which, explain_deliveries,
    explain_rule,
};
use postwatch::domain::policy::{Inhibition, Mute, Scope};
use postwatch::domain::rules::{Glob, Label, Level, Measure, Rule, Severity};
use postwatch::domain::time::Timestamp;

use super::world::{HOUR, World, at_least, policy, rule, seconds};

fn ask(world: &World, rule: &str, labels: &[(&str, &str)]) -> Result<Explanation, Unknown> {
    let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let question = Question { rule: rule.into(), labels };
    explain_rule(Timestamp(world.clock()), &world.policy, &world.state, &question)
}

fn group(world: &World, rule: &str) -> GroupExplained {
    ask(world, rule, &[]).expect("it is known").groups.remove(0)
}

/// The gates to the first receiver, by their names.
fn gates(world: &World, rule: &str) -> Vec<String> {
    let group = group(world, rule);
    let gates = group.messages.first().map(|messages| &messages.gates);
    let name = |gate: &postwatch::domain::explain::GateExplained| {
        let gate = serde_json::to_value(gate).expect("it is JSON");
        gate["gate"].as_str().expect("it is named").to_owned()
    };
    gates.into_iter().flatten().map(name).collect()
}

fn failing(name: &str) -> Rule {
    let mut rule = rule(name, 600, vec![at_least(Measure::Failures, 3.0)]);
    rule.keep_firing_for = seconds(120);
    rule
}

#[test]
fn every_gate_between_an_alert_and_its_message_is_named() {
    let mut world = World::calm(policy(vec![failing("burst")]));
    assert_eq!(gates(&world, "burst"), ["not_firing"]);
    world.fail_many("a", 4);
    while world.shows("burst") != "critical" {
        world.pass(10);
    }
    assert_eq!(gates(&world, "burst"), ["batched"]);
    world.refusing = vec!["nobody".into()];
    world.now += 40;
    world.tick();
    assert_eq!(gates(&world, "burst"), ["waiting"], "{:?}", group(&world, "burst").messages);
    world.send();
    assert_eq!(gates(&world, "burst"), ["reminder_due"]);
    assert_eq!(group(&world, "burst").messages[0].told, "firing, critical");
    // Clear for long enough, and nothing proves a cure.
    world.pass(900);
    assert_eq!(gates(&world, "burst"), ["quiet"]);
    let ends = group(&world, "burst").ends_when.join("; ");
    assert!(ends.contains("a success later than the newest failure"), "{ends}");
    world.refusing = vec!["ops".into()];
    world.succeed("cured");
    world.pass(120);
    assert!(
        gates(&world, "burst").contains(&"given_up".to_owned()) || world.alert("burst").is_none()
    );
}

#[test]
fn what_another_alert_explains_and_what_a_mute_holds_back_says_so() {
    let all = |name: &str, value: &str| [(name.to_owned(), vec![Glob(value.to_owned())])].into();
    let mut policy = policy(vec![failing("network"), failing("partner")]);
    policy.inhibitions = vec![Inhibition {
        when: all("rule", "network"),
        mute: all("rule", "partner"),
        equal: vec![],
    }];
    let mut world = World::calm(policy.clone());
    world.fail_many("a", 4);
    world.pass(60);
    assert_eq!(gates(&world, "partner")[0], "inhibited");
    let says = &group(&world, "partner").messages[0].gates[0].says;
    assert_eq!(says, "network of acme explains it (inhibit)");

    policy.inhibitions.clear();
    policy.mutes = vec![Mute {
        name: "works".into(),
        days: vec![],
        times: vec![],
        timezone: jiff::tz::TimeZone::UTC,
        matches: all("rule", "partner"),
    }];
    assert!(world.reload(policy));
    assert_eq!(gates(&world, "partner")[0], "muted");
    assert_eq!(group(&world, "partner").messages[0].gates[0].says, "the mute \"works\" is on");
}

/// The first level's first condition of the group: value, verdict, what it misses or why
/// it is unknown.
fn check_condition(world: &World, rule: &str, expected: [&str; 3]) {
    let group = group(world, rule);
    let condition = &group.levels[0].conditions[0];
    let why = condition.misses_by.as_ref().or(condition.unknown_because.as_ref());
    let why = why.map_or("", String::as_str);
    let verdict = format!("{:?}", condition.verdict);
    assert_eq!((condition.value.as_str(), verdict.as_str()), (expected[0], expected[1]), "{rule}");
    assert!(why.contains(expected[2]) && why.is_empty() == expected[2].is_empty(), "{rule}: {why}");
}

#[test]
fn a_condition_says_what_it_misses_and_why_it_is_unknown() {
    let with = |name: &str, over, condition| rule(name, over, vec![condition]);
    let mut streak = with("streak", 600, at_least(Measure::Streak, 5.0));
    streak.per = vec![Label::Postback];
    let mut policy = policy(vec![
        with("few", 600, at_least(Measure::Failures, 3.0)),
        with("many", 600, at_least(Measure::Failures, 9.0)),
        with("rate", 600, at_least(Measure::FailureRate, 0.5)),
        streak,
    ]);
    policy.sources[0].scopes = vec![Scope { offers: vec![11], ..Scope::default() }];
    let mut world = World::calm(policy.clone());
    for number in 0..4 {
        world.fail(&format!("{number}")).postback_level = "global".into();
    }
    world.succeed_many("good", 12);
    world.pass(120);
    check_condition(&world, "few", ["4", "True", ""]);
    check_condition(&world, "many", ["4", "False", "5 more"]);
    check_condition(&world, "rate", ["25 %", "False", "25 % more"]);
    policy.rules.push(with("long", 30 * HOUR, at_least(Measure::FailureRate, 0.5)));
    assert!(world.reload(policy.clone()));
    check_condition(&world, "long", ["unknown", "Unknown", "the window is covered from"]);
    check_condition(&world, "streak", ["at least 0", "Unknown", "scopes cut the traffic"]);
    policy.sources[0].successes = false;
    assert!(world.reload(policy));
    check_condition(&world, "rate", ["unknown", "Unknown", "successes: off"]);
    let sees = group(&world, "few").sees;
    assert_eq!((sees.failures, sees.deliveries), (4, None));
    assert_eq!(sees.reasons, [("http_500".to_owned(), 4)]);
}

#[test]
fn levels_show_their_clocks_and_the_worst_group_comes_first() {
    let mut levels = failing("levels");
    levels.per = vec![Label::Affiliate];
    let (severity, conditions) = (Severity::Warning, vec![at_least(Measure::Failures, 1.0)]);
    levels.levels.insert(0, Level { severity, conditions });
    levels.hold_for = seconds(300);
    let mut world = World::calm(policy(vec![levels]));
    world.fail("one").affiliate = 1;
    for number in 0..4 {
        world.fail(&format!("{number}")).affiliate = 2;
    }
    world.succeed("calm").affiliate = 3;
    world.pass(180);
    let told = ask(&world, "levels", &[]).expect("it is known");
    let affiliates: Vec<_> =
        told.groups.iter().map(|group| group.labels["affiliate"].as_str()).collect();
    assert_eq!(affiliates, ["2", "1", "3"]);
    let clocks: Vec<_> = told.groups[0].levels.iter().map(|level| level.clock.as_str()).collect();
    assert!(clocks.iter().all(|clock| clock.contains("of 5 min")), "{clocks:?}");
    let one = ask(&world, "levels", &[("affiliate", "1")]).expect("it is known");
    assert_eq!(one.groups.len(), 1);
    let any = ask(&world, "levels", &[("affiliate", "?"), ("source", "ac*")]);
    assert_eq!(any.expect("it is known").groups.len(), 3);
    for (rule, label) in [("level", "affiliate"), ("levels", "host"), ("levels", "affiliate")] {
        let unknown = ask(&world, rule, &[(label, "999")]).expect_err("nobody has it");
        assert!(!unknown.known().1.is_empty(), "{unknown}");
    }
}

#[test]
fn a_source_in_the_dark_says_why_nothing_is_known() {
    let mut world = World::calm(policy(vec![failing("burst")]));
    world.is_network_down = true;
    world.pass(20 * 60);
    let troubles = group(&world, "burst").sees.troubles.join("; ");
    assert!(troubles.contains("the last poll failed: 503"), "{troubles}");
    assert!(troubles.contains("nothing was read whole for 20 min"), "{troubles}");
    let blind = group(&world, "source-blind");
    assert_eq!(blind.severity, Some(Severity::Warning));
    assert_eq!(blind.levels[0].conditions[0].value, "20 min");
}

#[test]
fn a_conversion_has_a_life() {
    let mut world = World::calm(policy(vec![failing("burst")]));
    world.fail_many("a", 4);
    let click = world.fail("click");
    (click.conversion_id, click.transaction_id) = ("".into(), "t-9".into());
    world.pass(120);
    let find = |world: &World, which| -> Result<Conversion, Unknown> {
        explain_deliveries(Timestamp(world.clock()), &world.policy, &world.state, which)
    };
    let told = find(&world, Which::Conversion("a0")).expect("it failed").deliveries.remove(0);
    assert_eq!((told.state.as_str(), told.reason.as_str()), ("failing", "http_500"));
    assert_eq!((told.affiliate.as_str(), told.failed_attempts), ("Acme Media (7)", 1));
    assert_eq!(told.groups[0].severity, Some(Severity::Critical));
    assert!(find(&world, Which::Transaction("t-9")).is_ok());
    assert!(find(&world, Which::Transaction("t-a0")).is_ok(), "it has a conversion id too");
    assert!(find(&world, Which::Transaction("t-b0")).is_err());
    assert!(find(&world, Which::Conversion("")).is_err());
    world.succeed("a0");
    world.pass(120);
    let told = find(&world, Which::Conversion("a0")).expect("it failed").deliveries.remove(0);
    assert_eq!(told.state, "recovered");
    let text = serde_json::to_string(&told).expect("it is JSON");
    assert!(!text.contains("cid="), "{text}");
}
