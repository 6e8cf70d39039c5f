//! Measures: how failures ended, silence, what is switched off, the window before.

use postwatch::domain::alert::{Alert, AlertKey};
use postwatch::domain::rules::{Condition, Label, Measure, Op, Rule, Threshold};
use postwatch::domain::turn::News;

use super::world::{DAY, HOUR, SOURCE, World, at_least, policy, rule, seconds};

fn by_postback(name: &str, over: i64, conditions: Vec<Condition>) -> Rule {
    Rule { per: vec![Label::Postback], ..rule(name, over, conditions) }
}

#[test]
fn failures_of_the_window_are_counted_by_how_they_ended() {
    let rules = [Measure::Recovered, Measure::Exhausted, Measure::Abandoned]
        .map(|measure| rule(measure.as_str(), HOUR, vec![at_least(measure, 2.0)]));
    let mut world = World::calm(policy(rules.to_vec()));
    let shown = |world: &World| ["recovered", "exhausted", "abandoned"].map(|r| world.shows(r));
    world.fail_many("cured", 2);
    world.pass(120);
    assert_eq!(shown(&world), ["inactive"; 3]);
    world.succeed_many("cured", 2);
    world.pass(600);
    assert_eq!(shown(&world), ["critical", "inactive", "inactive"]);
    for number in 0..2 {
        world.fail(&format!("given-up{number}")).failed_attempts = 10;
        world.fail(&format!("left{number}")).postback = 2;
    }
    world.pass(120);
    world.list.as_mut().expect("it is read").insert(2, true);
    world.pass(60);
    world.list.as_mut().expect("it is read").insert(2, false);
    world.pass(60);
    world.restart();
    world.pass(60);
    assert_eq!(shown(&world), ["critical"; 3]);
}

#[test]
fn a_headline_tells_the_age_of_the_oldest_though_the_rule_does_not_compare_it() {
    let told = |rule: Rule| {
        let mut world = World::calm(policy(vec![rule]));
        world.fail_many("waiting", 3);
        world.pass(2 * HOUR);
        world.fail("one-more");
        world.pass(120);
        let alert = world.state.alerts.values().next().expect("it fires");
        alert.story.as_ref().map(|story| story.vars.texts["oldest_open"].clone())
    };
    let open = |summary: Option<&str>| Rule {
        summary: summary.map(str::to_owned),
        ..rule("waiting", HOUR, vec![at_least(Measure::Open, 4.0)])
    };
    let age = told(open(None));
    assert!(age.as_deref().is_some_and(|age| age.starts_with("2 h")), "{age:?}");
    let fewer = rule("fails", HOUR, vec![at_least(Measure::Failures, 1.0)]);
    let late = Rule { hold_for: seconds(2 * HOUR), over: seconds(6 * HOUR), ..fewer };
    let template = Some("the oldest for {{ oldest_open }}".to_owned());
    let age = told(Rule { summary: template, ..late });
    assert!(age.as_deref().is_some_and(|age| age.starts_with("2 h")), "{age:?}");
}

#[test]
fn silence_is_told_though_nothing_touches_the_group_and_ends_with_a_delivery() {
    let hours = |h: i64| vec![at_least(Measure::SinceDelivery, (h * HOUR) as f64)];
    let mut world = World::calm(policy(vec![by_postback("silent", 600, hours(6))]));
    world.succeed("last").postback = 3;
    world.pass(60);
    let before = world.judged;
    world.pass(5 * HOUR);
    world.restart();
    world.pass(HOUR - 120);
    assert_eq!(world.shows("silent"), "inactive", "not six hours yet");
    assert!(world.judged - before < 10, "{} for nothing", world.judged - before);
    world.pass(240);
    assert_eq!(world.shows("silent"), "critical");
    // Longer than an alert without traffic may stand, and longer than the look-back.
    world.pass(4 * DAY);
    world.restart();
    world.pass(HOUR);
    assert_eq!(world.shows("silent"), "critical", "it is still true");
    // A failure is a delivery too: no success need prove anything.
    world.fail("first").postback = 3;
    world.pass(180);
    assert_eq!(world.shows("silent"), "inactive");
    assert_eq!(world.told().last().map(String::as_str), Some("ops: resolved [silent resolved]"));
}

#[test]
fn a_postback_that_never_worked_counts_from_its_first_delivery() {
    let hours = |h: i64| vec![at_least(Measure::SinceSuccess, (h * HOUR) as f64)];
    let mut world = World::calm(policy(vec![by_postback("dead", 600, hours(2))]));
    world.pass(4 * HOUR);
    for number in 0..12 {
        world.fail(&format!("f{number}")).postback = 4;
        world.succeed(&format!("s{number}"));
        assert_eq!(world.shows("dead"), "inactive", "after {number} times ten minutes");
        world.pass(600);
        world.restart();
    }
    world.pass(180);
    assert_eq!(world.shows("dead"), "critical");
    assert_eq!(world.keys().len(), 1, "the other one works");
    // What fell out of the look-back makes it unknown, and that ends nothing.
    world.pass(4 * DAY);
    world.fail("late").postback = 4;
    world.pass(HOUR);
    let of_four = |(key, _): &(&AlertKey, &Alert)| key.group[0].1 == "4";
    let fires = |(_, alert): (_, &Alert)| alert.severity().is_some() && !alert.has_ended();
    assert!(world.state.alerts.iter().filter(of_four).all(fires));
    world.succeed("works").postback = 4;
    world.pass(180);
    let is_over = |(_, alert): (_, &Alert)| alert.has_ended();
    assert!(world.state.alerts.iter().filter(of_four).all(is_over));
}

#[test]
fn switched_off_postbacks_of_a_group_are_counted() {
    let mut off = rule("off", 600, vec![at_least(Measure::Inactive, 2.0)]);
    off.per = vec![Label::Affiliate];
    let mut world = World::calm(policy(vec![off]));
    for postback in 1..4 {
        world.succeed(&format!("p{postback}")).postback = postback;
    }
    let list = |world: &mut World, off: &[u64]| {
        world.list = Some((1..4).map(|id| (id, !off.contains(&id))).collect());
        world.pass(600);
    };
    list(&mut world, &[]);
    list(&mut world, &[2]);
    assert_eq!(world.shows("off"), "inactive");
    list(&mut world, &[2, 3]);
    assert_eq!(world.shows("off"), "critical");
    // Switched off, they have no deliveries, and nobody forgets them for that.
    world.pass(4 * DAY);
    world.restart();
    list(&mut world, &[2, 3]);
    assert_eq!(world.shows("off"), "critical");
    list(&mut world, &[3]);
    assert_eq!(world.shows("off"), "inactive");
}

/// Failures in each ten minutes, a digit each; the state after each of them.
fn check_spike(pattern: &str, expected: &str) {
    let spike = Condition {
        measure: Measure::Failures,
        op: Op::Gt,
        threshold: Threshold::TimesPrevious(3.0),
    };
    let rule = rule("spike", 600, vec![spike, at_least(Measure::Failures, 4.0)]);
    let mut world = World::new(policy(vec![rule]));
    world.now += 10;
    let states: String = pattern
        .chars()
        .enumerate()
        .map(|(round, count)| {
            world.fail_many(&format!("r{round}-"), count.to_digit(10).unwrap_or(0) as usize);
            world.pass(300);
            world.succeed(&format!("s{round}"));
            world.restart();
            world.pass(300);
            if world.shows("spike") == "critical" { 'F' } else { '.' }
        })
        .collect();
    assert_eq!(states, expected, "of {pattern}");
    if expected.contains('F') {
        let reading = &world.notices[0].alerts[0].readings[0];
        assert_eq!(reading.threshold, "> 3 x previous (2)");
    }
}

#[test]
fn a_spike_is_told_against_the_window_before_once_both_are_known() {
    check_spike("22227", "....F");
    check_spike("22226", ".....");
    check_spike("222277", "....F.");
    // Of the time before the first read nobody knows what recovered.
    check_spike("79", "..");
    // A floor keeps next to nothing from being a spike.
    check_spike("00003", ".....");
}

#[test]
fn a_turn_judges_the_groups_that_it_touches() {
    let rate = by_postback("rate", 900, vec![at_least(Measure::FailureRate, 0.5)]);
    let age = by_postback("age", 900, vec![at_least(Measure::OldestOpen, (20 * HOUR) as f64)]);
    let mut policy = policy(vec![rate, age]);
    policy.sources[0].settle = seconds(0);
    let mut world = World::calm(policy);
    for postback in 1..200 {
        world.fail(&format!("f{postback}")).postback = postback;
        world.succeed(&format!("g{postback}")).postback = postback;
        world.succeed(&format!("s{postback}")).postback = postback;
    }
    // Long enough for all of them to have left the window.
    world.pass(HOUR);
    let before = world.judged;
    world.pass(HOUR);
    assert_eq!(world.judged, before, "nothing happened");
    world.fail("x").postback = 5;
    world.succeed("y").postback = 5;
    world.succeed("z").postback = 5;
    world.pass(60);
    assert_eq!(world.judged - before, 2, "one group of each rule");
}

#[test]
fn successes_that_cannot_have_worked_are_counted_apart() {
    let suspect = by_postback("suspect", HOUR, vec![at_least(Measure::Suspect, 3.0)]);
    let mut world = World::calm(policy(vec![suspect]));
    let of = [(1, vec!["cid".to_owned()])];
    world.turn(News::ClickParameters { source: SOURCE, of: &of });
    world.restart();
    let url = |query: &str| format!("https://a.example/p?{query}");
    // Postback 2 has a parameter of this name too, and no click id in it.
    for (id, postback, query) in
        [("a", 1, "cid=&s5=1"), ("b", 1, "cid=7&s5={sub5}"), ("c", 2, "cid="), ("d", 2, "cid=")]
    {
        let row = world.succeed(id);
        (row.postback, row.payload) = (postback, url(query).into());
    }
    world.succeed("well").payload = url("cid=7&s5=").into();
    world.fail("late").payload = url("cid=&x").into();
    world.pass(120);
    assert_eq!(world.shows("suspect"), "inactive", "two, and one that still fails");
    world.succeed("late");
    world.pass(600);
    assert_eq!(world.shows("suspect"), "critical", "delivered, it cannot have worked either");
    let told = &world.notices[0].alerts[0];
    assert_eq!(told.readings[0].value, "3");
    assert!(told.samples.is_empty() && told.cause.is_none());
    world.restart();
    // They leave the window: nothing need prove anything.
    world.pass(HOUR);
    assert_eq!(world.shows("suspect"), "inactive");
}

#[test]
fn a_headline_tells_numbers_and_the_receivers_time() {
    let mut rule = by_postback("r", 600, vec![at_least(Measure::Failures, 3.0)]);
    rule.labels.insert("team".into(), "partners".into());
    rule.summary = Some(
        "{{ severity }} {{ rule }} {{ team }}: {{ percent(values.failures / 4) }} of {{ affiliate }} \
         since {{ time(began_at) }}"
            .into(),
    );
    let mut failing = rule.clone();
    (failing.name, failing.summary) = ("f".into(), Some("{{ values.failures / 0 }}".into()));
    let mut policy = policy(vec![rule, failing]);
    let berlin = jiff::tz::TimeZone::get("Europe/Berlin").expect("the zone is known");
    policy.routes[0].timing.timezone = "Europe/Berlin".into();
    policy.zones.insert("Europe/Berlin".into(), berlin);
    let mut world = World::calm(policy);
    world.fail_many("x", 3);
    world.pass(180);
    let mut told: Vec<&str> =
        world.notices.iter().flat_map(|n| &n.alerts).map(|a| a.summary.as_str()).collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [
            "Acme Media (7): postback 1: 3 failures in 10 min (http_500)",
            "critical r partners: 75 % of Acme Media (7) since 2026-03-01 14:00 CET",
        ]
    );
    assert_eq!(world.failed_templates, 1);
}
