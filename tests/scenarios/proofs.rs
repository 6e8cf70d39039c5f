//! Older questions: asked where they can prove something, and nowhere else.

use std::time::Duration;

use postwatch::domain::coverage::Span;
use postwatch::domain::delivery::Row;
use postwatch::domain::policy::Scope;
use postwatch::domain::recheck;
use postwatch::domain::rules::Measure;
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::{News, WholeSpan};

use super::world::{HOUR, NOON, SOURCE, World, at_least, policy, row, rule, seconds};

fn begun(rows: Vec<Row<'static>>) -> World {
    let mut near = rule("near", 600, vec![at_least(Measure::Streak, 5.0)]);
    near.keep_firing_for = seconds(60);
    let mut world = World::new(policy(vec![near]));
    for row in rows {
        world.rows.insert(format!("{}", world.rows.len()), row);
    }
    world.poll();
    world
}

/// One look into each undecided streak, as the poller takes it; tells how far back.
fn look(world: &mut World) -> Vec<i64> {
    let looks = recheck::looks(&world.policy, &world.policy.sources[0], world.source());
    let mut asked = Vec::new();
    for recheck::Look { postback, question } in looks {
        let Span { from, to } = question.span;
        let read = world.begin_read();
        let at = Timestamp(world.now);
        world.turn(News::Began { source: SOURCE, read, at, counts: false });
        let rows = world.rows.values().filter(|row| {
            row.is_success
                && from <= row.timestamp
                && row.timestamp <= to
                && question.scope.contains(row.offer, row.affiliate)
        });
        let rows: Vec<Row<'static>> = rows.cloned().collect();
        world.page(read, rows);
        let span = WholeSpan::Back { postback, from };
        world.end_read(&question.scope, read, span);
        asked.push((NOON - from.0) / 60);
    }
    asked
}

/// Six failures within the hours before the start, and a success so many minutes
/// before it; how far the looks reach back, in minutes, and what the rule says then.
fn check(success_before: Option<i64>, looks: &[i64], expected: &str) {
    let fails =
        (0..6).map(|n| row(&format!("f{n}"), NOON - HOUR - n * 1800, 3, NOON - HOUR, false));
    let succeeds = success_before.map(|minutes| row("s", NOON - minutes * 60, 0, 0, true));
    let mut world = begun(fails.chain(succeeds).collect());
    assert_eq!(world.shows("near"), "inactive", "unknown at first");
    let mut asked = Vec::new();
    for _ in 0..5 {
        asked.extend(look(&mut world));
        world.pass(60);
    }
    assert_eq!(asked, looks, "success {success_before:?} min before");
    assert_eq!(world.shows("near"), expected, "success {success_before:?} min before");
    world.restart();
    assert_eq!(look(&mut world), Vec::<i64>::new(), "what was found out is kept");
}

#[test]
fn a_first_start_looks_back_as_far_as_a_streak_needs_to_be_known() {
    check(Some(50), &[70], "inactive");
    check(Some(100), &[70, 140], "inactive");
    check(None, &[70, 140, 210], "critical");
    check(Some(400), &[70, 140, 210], "critical");
}

#[test]
fn only_a_failure_that_is_no_longer_shown_is_worth_asking_for() {
    let mut world = World::calm(policy(vec![rule("r", 600, vec![at_least(Measure::Open, 99.0)])]));
    for (name, affiliate) in [("stays", 7), ("goes", 8), ("goes-too", 8), ("elsewhere", 9)] {
        world.fail(name).affiliate = affiliate;
        world.pass(120);
    }
    world.pass(HOUR);
    world.rows.get_mut("goes").expect("it failed").is_success = true;
    world.rows.get_mut("goes-too").expect("it failed").is_success = true;
    let span = Span { from: Timestamp(world.now - 2 * HOUR), to: Timestamp(world.now) };
    let asked = |world: &mut World, extra: Option<Row<'static>>| {
        let read = world.begin_read();
        let mut rows = world.asked(&Scope::default(), false, span.from.0);
        rows.extend(extra);
        world.page(read, rows);
        let questions = recheck::proofs(world.source(), &Scope::default(), read, span);
        let of = |question: &recheck::Question| {
            (
                question.span.length(),
                question.scope.offers.clone(),
                question.scope.affiliates.clone(),
            )
        };
        questions.iter().map(of).collect::<Vec<_>>()
    };
    let moment = |affiliate| (Duration::from_secs(2), vec![11], vec![affiliate]);
    assert_eq!(asked(&mut world, None), [moment(8), moment(8)]);
    // A second row of the delivery that stays: the network shows each attempt.
    let mut second = world.rows["stays"].clone();
    second.failed_attempts += 1;
    second.last_attempt = second.last_attempt + seconds(60);
    assert_eq!(asked(&mut world, Some(second)), [moment(8), moment(8)], "the row went on");
    let first = world.rows["stays"].clone();
    let all = [moment(7), moment(8), moment(8), moment(9)];
    assert_eq!(asked(&mut world, Some(first)), all);
}
