//! Live and backtest agree on the same rows, where these arrived before their moment.
//!
//! To the second for everything that is counted over a window, with proofs of a cure by
//! clean successes. What is known from a retry (`open`, a cure by a recovered delivery)
//! a poll may see up to a poll and `settle` ahead of the moment that it judges; a
//! backtest knows it from its own moment on.

use std::collections::BTreeMap;

use postwatch::domain::alert::{AlertEnd, AlertKey, Status};
use postwatch::domain::policy::Policy;
use postwatch::domain::rules::{Label, Level, Measure, Rule, Severity};
use postwatch::domain::time::Timestamp;
use postwatch::replay::backtest::backtest;
use postwatch::replay::history::History;

use super::world::{World, at_least, policy, rule, seconds};

const SEEDS: u64 = 20;

/// Rule, group, severity, began, fired, ended.
type Life = (String, String, Severity, i64, i64, Option<(AlertEnd, i64)>);

fn rules() -> Policy {
    let mut failing = rule("failing", 300, vec![at_least(Measure::Failures, 7.0)]);
    failing.per = vec![Label::Affiliate];
    let warning = vec![at_least(Measure::Failures, 3.0)];
    failing.levels.insert(0, Level { severity: Severity::Warning, conditions: warning });
    let mut rate = rule(
        "rate",
        600,
        vec![at_least(Measure::FailureRate, 0.4), at_least(Measure::Deliveries, 5.0)],
    );
    rate.hold_for = seconds(90);
    rate.per = vec![Label::Host];
    let conversions = rule("conversions", 120, vec![at_least(Measure::Conversions, 6.0)]);
    let mut hosts = rule("hosts", 240, vec![at_least(Measure::Hosts, 3.0)]);
    hosts.hold_for = seconds(30);
    let kept = |rule: Rule| Rule { keep_firing_for: seconds(120), ..rule };
    policy([failing, rate, conversions, hosts].map(kept).to_vec())
}

/// Six hours of random traffic in which servers fail for a while, watched live.
fn live(seed: u64) -> World {
    let mut chance = fastrand::Rng::with_seed(seed);
    let mut world = World::new(rules());
    world.poll();
    let mut share = [0.0; 4];
    for number in 0..1_000 {
        if chance.u8(..40) == 0 {
            share[chance.usize(..4)] = [0.0, 0.1, 0.5, 0.9][chance.usize(..4)];
        }
        let partner = chance.usize(..4);
        let id = format!("{number}");
        let row = match chance.f64() < share[partner] {
            true => world.fail(&id),
            false => world.succeed(&id),
        };
        row.affiliate = partner as u64;
        row.postback = partner as u64;
        row.payload = format!("https://h{}.example/p", partner).into();
        // Never more than a second at a time, or rows would come in clumps of a poll.
        for _ in 0..chance.u8(1..40) {
            world.pass(1);
        }
    }
    world.pass(300);
    world
}

fn lives(world: &World, end: i64) -> Vec<Life> {
    let mut lives: BTreeMap<(AlertKey, i64), Life> = BTreeMap::new();
    for (_, alert) in &world.transitions {
        let key = &alert.key;
        let (severity, began, fired, ended) = match alert.status {
            Status::Pending => continue,
            Status::Firing { severity, began_at, fired_at, .. }
            | Status::Quiet { severity, began_at, fired_at, .. } => {
                (severity, began_at.0, fired_at.0, None)
            }
            Status::Ended { severity, began_at, fired_at, how, ended_at, .. } => {
                (severity, began_at.0, fired_at.0, Some((how, ended_at.0)))
            }
        };
        let group = format!("{:?}", key.group);
        let life = (key.rule.clone(), group, severity, began, fired, None);
        let life = lives.entry((key.clone(), fired)).or_insert(life);
        life.2 = life.2.max(severity);
        life.5 = ended;
    }
    cut(lives.into_values(), end)
}

/// What a history that ends then can tell.
fn cut(lives: impl Iterator<Item = Life>, end: i64) -> Vec<Life> {
    let known = lives.filter(|life| life.4 <= end).map(|life| {
        let ended = life.5.filter(|(_, at)| *at <= end);
        Life::from((life.0, life.1, life.2, life.3, life.4, ended))
    });
    let mut known: Vec<Life> = known.collect();
    known.sort_by(|one, other| (&one.0, &one.1, one.4).cmp(&(&other.0, &other.1, other.4)));
    known
}

#[test]
fn live_and_backtest_agree_on_the_same_rows() {
    let mut told_in_all = 0;
    for seed in 0..SEEDS {
        let world = live(seed);
        let mut history = History::default();
        world.rows.values().for_each(|row| history.add(row));
        history.sort();
        let (_, last) = history.span().expect("there are rows");
        // Short of the end: a severity that is reached after it is not to be compared.
        let end = last.0 - 3_600;
        let told = backtest(&world.policy, &world.policy.sources[0], &history, &mut |_| {});
        let told = told.alerts.iter().map(|alert| {
            let ended = alert.ended.zip(alert.resolved_at.map(|at: Timestamp| at.0));
            let group = format!("{:?}", alert.key.group);
            let (began, fired) = (alert.began_at.0, alert.fired_at.0);
            (alert.rule.clone(), group, alert.severity, began, fired, ended)
        });
        let told = cut(told, end);
        told_in_all += told.len();
        let live = lives(&world, end);
        assert_eq!(live, told, "seed {seed}");
    }
    assert!(told_in_all as u64 > SEEDS * 5, "only {told_in_all} alerts were compared");
}
