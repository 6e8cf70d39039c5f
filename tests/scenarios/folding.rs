//! Identity and folding: which rows are one delivery, and which is its newest.

use postwatch::domain::delivery::Row;
use postwatch::domain::rules::Measure;
use proptest::prelude::*;

use super::world::{NOON, World, at_least, known, policy, row, rule};

fn world() -> World {
    World::calm(policy(vec![rule("failing", 600, vec![at_least(Measure::Failures, 3.0)])]))
}

#[test]
fn one_conversion_that_fires_two_postbacks_is_two_deliveries() {
    let mut world = world();
    world.fail("first").conversion_id = "same".into();
    let other = world.fail("second");
    other.conversion_id = "same".into();
    other.postback = 2;
    world.pass(120);
    assert_eq!((world.failures_total(), world.deliveries_total()), (2, 2));
}

#[test]
fn without_a_conversion_id_transaction_and_event_tell_deliveries_apart() {
    let mut world = world();
    for (name, transaction, event) in
        [("a", "t1", 0), ("b", "t1", 1), ("c", "t2", 0), ("d", "t1", 0)]
    {
        let row = world.fail(name);
        row.conversion_id = "".into();
        row.transaction_id = transaction.into();
        row.event = event;
    }
    world.pass(120);
    assert_eq!(world.failures_total(), 3, "a and d are one");
}

/// Rows of one delivery as `(counter, last attempt, success)`; what it comes to.
fn check(rows: &[(u32, i64, bool)], failures: u64, life: &str) {
    let mut world = world();
    let begin = world.now;
    world.rows.insert("x".into(), row("x", begin, 0, 0, false));
    for &(counter, tried_after, is_success) in rows {
        world.rows.insert("x".into(), row("x", begin, counter, begin + tried_after, is_success));
        world.pass(300);
    }
    assert_eq!((world.failures_total(), world.life("x")), (failures, life), "of {rows:?}");
}

#[test]
fn a_new_episode_needs_a_lower_counter_and_a_later_time() {
    check(&[(1, 0, false)], 1, "failing");
    check(&[(3, 50, false), (1, 100, false)], 2, "failing");
    check(&[(3, 50, false), (1, 40, false)], 1, "failing");
    check(&[(3, 50, false), (4, 100, false)], 1, "failing");
    check(&[(3, 50, false), (3, 100, true), (1, 150, false)], 2, "failing");
}

#[test]
fn a_success_wins_ties_and_a_failure_does_not_undo_it() {
    check(&[(2, 50, false), (2, 50, true)], 1, "recovered");
    check(&[(2, 50, true), (2, 50, false)], 1, "recovered");
}

#[test]
fn what_failed_and_recovered_between_two_polls_counts_as_both() {
    let mut world = world();
    world.fail("x");
    world.succeed("x");
    world.pass(120);
    assert_eq!((world.failures_total(), world.life("x")), (1, "recovered"));
    assert!(world.counters().failures.keys().any(|(_, reason)| reason.to_string() == "unseen"));
}

#[test]
fn a_success_that_was_over_before_the_first_start_is_no_failure() {
    let mut world =
        World::new(policy(vec![rule("r", 600, vec![at_least(Measure::Failures, 1.0)])]));
    let before = row("old", NOON - 100, 2, NOON - 50, true);
    let across = row("across", NOON - 100, 2, NOON + 11, true);
    world.rows.insert("old".into(), before);
    world.rows.insert("across".into(), across);
    world.now += 10;
    world.poll();
    world.pass(120);
    assert_eq!((world.life("old"), world.life("across")), ("unknown", "recovered"));
    assert_eq!(world.shows("r"), "critical");
}

#[test]
fn rows_first_shown_together_tell_the_reason_of_the_earliest_in_any_order() {
    let begin = NOON + 3_600 + 10;
    let tries = [(1, "Status: 503"), (2, "Status: 404"), (3, "Status: 500")];
    let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let mut world = world();
        world.now += 60;
        let rows = order.map(|place| {
            let (attempt, answer) = tries[place];
            let tried_at = begin + attempt * 5;
            let mut row = row("x", begin, attempt as u32, tried_at, false);
            row.debug_information = answer.into();
            row
        });
        world.rows.insert("x".into(), rows[0].clone());
        let read = world.begin_read();
        world.page(read, rows.to_vec());
        let delivery = world.delivery("x").expect("it failed");
        let told = (delivery.reason.to_string(), delivery.newest.failed_attempts);
        assert_eq!(told, ("http_503".to_owned(), 3), "{order:?}");
    }
}

#[test]
fn two_episodes_on_one_page_are_two_failures_in_any_order() {
    let begin = NOON + 3_600 + 10;
    let episodes = [row("x", begin, 3, begin + 5, false), row("x", begin, 1, begin + 20, false)];
    for order in [[0, 1], [1, 0]] {
        let mut world = world();
        world.now += 60;
        let read = world.begin_read();
        world.page(read, order.map(|place| episodes[place].clone()).to_vec());
        assert_eq!(world.failures_total(), 2, "{order:?}");
    }
}

/// Tries of a delivery: `(name, failed tries, whether it recovered)`.
fn tries() -> impl Strategy<Value = Vec<(u8, u32, bool)>> {
    prop::collection::vec((0u8..4, 1u32..5, any::<bool>()), 1..6)
}

/// The rows of `tries`, one for each attempt, failures first.
fn attempts(begin: i64, tries: &[(u8, u32, bool)]) -> (Vec<Row<'static>>, Vec<Row<'static>>) {
    let (mut failures, mut successes) = (Vec::new(), Vec::new());
    let mut seen = Vec::new();
    for &(name, count, recovers) in tries {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        let id = format!("c{name}");
        for attempt in 1..=count {
            let at = begin + i64::from(attempt) * 5;
            failures.push(row(&id, begin, attempt, at, false));
        }
        if recovers {
            successes.push(row(&id, begin, count, begin + i64::from(count) * 5 + 3, true));
        }
    }
    (failures, successes)
}

/// Reads rows in this order, and lets the watermark pass them.
fn read_in_order(failures: Vec<Row<'static>>, successes: Vec<Row<'static>>) -> Vec<String> {
    let mut world = world();
    world.now += 60;
    let scope = world.policy.sources[0].scopes[0].clone();
    let rows: Vec<_> = failures.into_iter().chain(successes).collect();
    let front = world.facts().coverage[&scope.key()].front.expect("polled");
    let span = postwatch::domain::turn::WholeSpan::Recent {
        failures_from: front - super::world::seconds(80),
        successes_from: front - super::world::seconds(80),
        to: postwatch::domain::time::Timestamp(world.now),
    };
    world.read(&scope, rows.clone(), span);
    world.now += 40;
    world.read(&scope, rows, span);
    world.restart();
    // The commit that holds a text, and when its end was seen, follow the pages.
    let lines = known(&world.state).into_iter().filter(|line| !line.contains("text:"));
    // The commits differ in number, and a batch is named by that which opened it.
    let ids: Vec<&str> = world.state.batches.values().map(|batch| batch.id.as_str()).collect();
    lines.map(|line| ids.iter().fold(line, |line, id| line.replace(id, "batch"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_repetition_and_pages_make_no_difference(
        tries in tries(),
        order in any::<u64>(),
        repeats in 0usize..4,
    ) {
        let begin = NOON + 3_600 + 10;
        let (failures, successes) = attempts(begin, &tries);
        let expected = read_in_order(failures.clone(), successes.clone());
        let mut chance = fastrand::Rng::with_seed(order);
        let mut shuffled = failures.clone();
        for _ in 0..repeats {
            shuffled.push(failures[chance.usize(..failures.len())].clone());
        }
        chance.shuffle(&mut shuffled);
        prop_assert_eq!(read_in_order(shuffled, successes), expected);
    }

    #[test]
    fn a_row_for_each_attempt_is_as_good_as_one_row_that_changes(tries in tries()) {
        let begin = NOON + 3_600 + 10;
        let (failures, successes) = attempts(begin, &tries);
        let expected = read_in_order(failures.clone(), successes.clone());
        let is_last = |row: &&Row<'static>| {
            let newer = |other: &Row<'static>| {
                other.conversion_id == row.conversion_id && other.failed_attempts > row.failed_attempts
            };
            !failures.iter().any(newer)
        };
        let changing: Vec<_> = failures.iter().filter(is_last).cloned().collect();
        prop_assert_eq!(read_in_order(changing, successes), expected);
    }
}
