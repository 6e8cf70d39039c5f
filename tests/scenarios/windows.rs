//! Windows that move on are the windows that would be counted anew.

use postwatch::domain::facts::Facts;
use postwatch::domain::policy::SourcePolicy;
use postwatch::domain::rules::evaluate::{Evaluation, Moment, measure};
use postwatch::domain::rules::{Condition, Glob, Label, Measure, Op, Rule, Threshold};
use postwatch::domain::window::Windows;
use postwatch::domain::window::counts::Part;
use postwatch::domain::window::group::Group;

use super::world::{World, at_least, policy, rule};

fn windowed() -> impl Iterator<Item = Measure> {
    Measure::ALL.into_iter().filter(|measure| measure.is_windowed())
}

fn spike(measure: Measure) -> Condition {
    Condition { measure, op: Op::Gt, threshold: Threshold::TimesPrevious(3.0) }
}

fn rules() -> Vec<Rule> {
    let all = || Measure::ALL.into_iter().map(|measure| at_least(measure, 1e9)).collect();
    let mut by_host = rule("by-host", 300, all());
    by_host.per = vec![Label::Affiliate, Label::Host];
    by_host.levels[0].conditions.extend(windowed().map(spike));
    let mut by_reason = rule("by-reason", 60, all());
    by_reason.levels[0].conditions.extend(windowed().map(spike));
    by_reason.per = vec![Label::Reason];
    let mut matching = rule("matching", 1200, all());
    matching.per = vec![Label::Postback];
    matching.matches = [
        (Label::Reason, vec![Glob("http_5*".into())]),
        (Label::Host, vec![Glob("*.example".into())]),
    ]
    .into();
    vec![rule("all", 600, all()), by_host, by_reason, matching]
}

/// Every measure of every group that there may be, written out.
fn picture(rules: &[Rule], policy: &SourcePolicy, facts: &Facts, windows: &Windows) -> Vec<String> {
    let mut lines = Vec::new();
    for (rule, window) in rules.iter().zip(&windows.rules) {
        let mut groups: Vec<Group> =
            facts.deliveries.iter().filter_map(|d| window.grouping.group(facts, &d)).collect();
        groups.sort();
        groups.dedup();
        let moment = Moment { at: windows.at, policy, facts, windows };
        let evaluation = Evaluation::new(&moment, rule, window);
        for group in groups {
            for one in Measure::ALL {
                let value = measure(&moment, rule, window, &group, one);
                let previous = evaluation.previous(window.of(&group), one);
                let previous = previous.filter(|_| rule.compares_previous());
                lines.push(format!("{} {group:?} {one:?} {value:?} {previous:?}", rule.name));
            }
            let totals = window.totals(&group.labels);
            let last = totals.map(|totals| (totals.last_success, totals.deliveries(Part::Current)));
            let last = last.unwrap_or_default();
            lines.push(format!("{} {group:?} {last:?}", rule.name));
        }
    }
    lines
}

/// Random traffic: some fails, some is retried, some recovers, some comes late.
fn events(world: &mut World, chance: &mut fastrand::Rng, round: usize) {
    for number in 0..chance.usize(..5) {
        let id = format!("c{round}-{number}");
        let row = match chance.bool() {
            true => world.fail(&id),
            false => world.succeed(&id),
        };
        row.affiliate = chance.u64(1..3);
        row.postback = chance.u64(1..4);
        row.payload = ["https://a.example/", "https://b.test/"][chance.usize(..2)].into();
        if row.affiliate == 2 && !row.is_success {
            row.debug_information = "dial tcp: connection refused".into();
        }
        if chance.u8(..5) == 0 {
            row.timestamp.0 -= chance.i64(1..200);
        }
    }
    let open: Vec<String> =
        world.rows.iter().filter(|(_, row)| !row.is_success).map(|(id, _)| id.clone()).collect();
    for id in &open {
        if chance.u8(..6) > 0 {
            continue;
        }
        match chance.bool() {
            true => world.fail(id),
            false => world.succeed(id),
        };
    }
}

#[test]
fn moving_on_gives_the_same_as_counting_anew() {
    for seed in 0..25 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut world = World::new(policy(rules()));
        for round in 0..40 {
            events(&mut world, &mut chance, round);
            if let Some(list) = &mut world.list {
                list.insert(chance.u64(1..4), chance.u8(..4) > 0);
            }
            world.pass(chance.i64(1..12) * 10);
            let Some(windows) = &world.source().windows else { continue };
            let (rules, source) = (&world.policy.rules, &world.policy.sources[0]);
            let anew = Windows::count(rules, world.facts(), windows.at);
            let moved = picture(rules, source, world.facts(), windows);
            let counted = picture(rules, source, world.facts(), &anew);
            for (moved, counted) in moved.iter().zip(&counted) {
                assert_eq!(moved, counted, "seed {seed}, round {round}");
            }
        }
    }
}

#[test]
fn a_window_as_long_as_the_look_back_lets_go() {
    let mut policy = policy(vec![rule("day", 3600, vec![at_least(Measure::Failures, 2.0)])]);
    policy.sources[0].lookback = super::world::seconds(3600);
    policy.sources[0].give_up_after = super::world::seconds(1800);
    let mut world = World::calm(policy);
    world.now += 7;
    world.fail_many("bad", 3);
    world.now += 3;
    world.pass(120);
    world.succeed("good");
    world.pass(2 * 3600);
    assert_eq!(world.shows("day"), "inactive");
}
