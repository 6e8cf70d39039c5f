//! Counters: each delivery once, whatever is read again, whenever it crashes.

use postwatch::domain::delivery::Ended;
use postwatch::domain::policy::Scope;
use postwatch::domain::rules::Measure;
use postwatch::domain::time::Timestamp;
use postwatch::domain::turn::WholeSpan;

use super::world::{DAY, HOUR, World, at_least, policy, row, rule};

fn world() -> World {
    World::calm(policy(vec![rule("rate", 600, vec![at_least(Measure::FailureRate, 0.5)])]))
}

#[test]
fn a_delivery_is_counted_as_the_watermark_passes_it() {
    let mut world = world();
    world.fail("bad");
    world.succeed_many("good", 3);
    world.now += 10;
    world.poll();
    assert_eq!((world.deliveries_total(), world.failures_total()), (0, 1), "not yet settled");
    world.now += 50;
    world.poll();
    assert_eq!((world.deliveries_total(), world.failures_total()), (4, 1));
}

#[test]
fn reading_a_span_again_changes_nothing() {
    let mut world = world();
    world.fail("bad");
    world.succeed_many("good", 20);
    world.pass(120);
    let before = super::world::known(&world.state);
    world.restart();
    world.poll();
    world.poll();
    assert_eq!(world.deliveries_total(), 21);
    assert_eq!(super::world::known(&world.state).len(), before.len());
}

#[test]
fn late_rows_are_counted_too() {
    let mut world = world();
    let at = world.now;
    world.pass(120);
    world.rows.insert("late".into(), row("late", at, 0, 0, true));
    world.rows.insert("late-bad".into(), row("late-bad", at, 1, at, false));
    world.pass(300);
    assert_eq!((world.deliveries_total(), world.failures_total()), (2, 1));
}

#[test]
fn a_page_read_twice_within_one_read_counts_its_successes_once() {
    let mut world = world();
    world.now += 30;
    let (at, scope) = (world.now, Scope::default());
    let rows: Vec<_> = (0..3).map(|n| row(&format!("s{n}"), at, 0, 0, true)).collect();
    let twice: Vec<_> = rows.iter().chain(&rows).cloned().collect();
    let from = Timestamp(at - 60);
    world.now += 60;
    let to = Timestamp(world.now);
    let span = WholeSpan::Recent { failures_from: from, successes_from: from, to };
    world.read(&scope, twice, span);
    assert_eq!(world.deliveries_total(), 3);
}

#[test]
fn a_delivery_whose_attempts_bear_their_own_times_is_counted_once() {
    let mut world = world();
    let begin = world.now;
    world.fail("first").conversion_id = "same".into();
    world.pass(600);
    let second = world.fail("second");
    second.conversion_id = "same".into();
    second.failed_attempts = 2;
    world.pass(71 * HOUR + 52 * 60);
    assert!(world.now - begin > 72 * HOUR, "the first attempt left the look-back");
    world.pass(HOUR);
    assert_eq!((world.failures_total(), world.deliveries_total()), (1, 1));
}

#[test]
fn a_row_that_moves_a_delivery_before_the_watermark_counts_it() {
    let mut world = world();
    world.fail("x");
    world.now += 10;
    world.poll();
    let earlier = world.now - 60;
    let row = world.rows.get_mut("x").expect("it failed");
    row.timestamp = Timestamp(earlier);
    row.failed_attempts = 2;
    row.last_attempt = Timestamp(earlier + 60);
    world.pass(180);
    assert_eq!((world.failures_total(), world.deliveries_total()), (1, 1));
}

#[test]
fn a_scope_that_comes_or_goes_counts_nothing_twice() {
    let mut world = world();
    let only = |affiliate: u64| Scope { affiliates: vec![affiliate], ..Scope::default() };
    let not = |affiliate: u64| Scope { exclude_affiliates: vec![affiliate], ..Scope::default() };
    let mut count = 0;
    let mut traffic = |world: &mut World| {
        for _ in 0..30 {
            for affiliate in [7, 8] {
                count += 1;
                world.succeed(&format!("s{count}")).affiliate = affiliate;
            }
            world.pass(10);
        }
        count
    };
    let _ = traffic(&mut world);
    for scopes in [vec![only(7), not(7)], vec![Scope::default()], vec![only(7), not(7)]] {
        world.policy.sources[0].scopes = scopes;
        world.restart_changed();
        world.restart();
        let _ = traffic(&mut world);
    }
    world.pass(120);
    let total = traffic(&mut world);
    world.pass(120);
    assert_eq!(world.deliveries_total(), total);
}

#[test]
fn counters_go_on_after_a_restart_at_any_commit_with_and_without_a_checkpoint() {
    let mut world = world();
    for minute in 0..40 {
        world.fail_many(&format!("f{minute}-"), minute % 3);
        world.succeed_many(&format!("s{minute}-"), minute % 4);
        if minute % 5 == 0 && minute > 4 {
            world.succeed(&format!("f{}-0", minute - 3));
        }
        world.pass(30);
        if minute % 7 == 0 {
            world.checkpoint();
        }
        world.restart();
        world.pass(30);
        world.restart();
    }
}

#[test]
fn a_failed_commit_loses_nothing_and_its_read_proves_nothing() {
    let mut world = world();
    world.fail_many("bad", 20);
    world.succeed_many("good", 20);
    world.now += 60;
    let front = world.facts().coverage.clone();
    for refused in 1..4 {
        let read = world.begin_read();
        world.failing_commits = 1;
        let rows = world.asked(&Scope::default(), false, world.now - 600);
        for page in rows.chunks(3) {
            world.page(read, page.to_vec());
        }
        let from = Timestamp(world.now - 600);
        let span = WholeSpan::Recent {
            failures_from: from,
            successes_from: from,
            to: Timestamp(world.now),
        };
        assert!(!world.end_read(&Scope::default(), read, span), "read {refused}");
        assert_eq!(world.facts().coverage, front);
        // What is stored of it stays; what was not is read again.
        world.rows.values_mut().next().expect("some").failed_attempts += 1;
    }
    world.pass(120);
    assert_eq!((world.failures_total(), world.deliveries_total()), (20, 40));
}

#[test]
fn a_second_look_back_of_a_known_scope_forgets_nothing() {
    let mut world = world();
    world.succeed_many("good", 3);
    world.pass(300);
    let coverage = world.facts().coverage.clone();
    let to = Timestamp(world.now);
    let since = Timestamp(world.now - 60);
    world.read(&Scope::default(), Vec::new(), WholeSpan::Lookback { to, successes_since: since });
    assert_eq!(world.facts().coverage, coverage);
}

#[test]
fn a_clock_that_goes_back_opens_no_moment_again_and_breaks_nothing() {
    let mut world = world();
    world.fail_many("bad", 3);
    world.succeed("good");
    world.pass(300);
    let (watermark, total) = (world.facts().watermark, world.deliveries_total());
    world.now -= HOUR;
    world.pass(600);
    assert_eq!((world.facts().watermark, world.deliveries_total()), (watermark, total));
    world.restart();
    world.fail("during");
    world.pass(2 * HOUR);
    assert_eq!((world.failures_total(), world.deliveries_total()), (4, 5));
}

#[test]
fn a_stop_of_days_counts_nothing_twice() {
    for days in [1, 3, 6] {
        let mut world = world();
        world.fail("x");
        world.succeed_many("good", 5);
        world.now += 10;
        world.poll();
        world.checkpoint();
        world.now += days * DAY;
        world.restart_changed();
        world.pass(300);
        let counted = (world.failures_total(), world.deliveries_total());
        assert_eq!(counted, (1, 6), "after {days} days");
        assert_eq!(world.facts().deliveries.open().count(), 0, "after {days} days");
        assert_eq!(world.ended(Ended::Exhausted), 1, "after {days} days");
    }
}
