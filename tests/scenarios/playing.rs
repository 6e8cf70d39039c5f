//! A history that is played again: every moment knows what had happened by then,
//! whenever the polls fell.

use postwatch::domain::delivery::Row;
use postwatch::domain::policy::Policy;
use postwatch::domain::rules::{Label, Measure, Rule};
use postwatch::domain::time::Timestamp;
use postwatch::replay::backtest::backtest;
use postwatch::replay::history::History;
use postwatch::replay::{Player, Told};

use super::world::{HOUR, NOON, SOURCE, at_least, policy, row, rule, seconds};

/// Plays rows, each to be seen from its `timestamp` on, with a poll every minute.
fn play(policy: Policy, rows: &[Row<'static>], length: i64) -> Told {
    let mut player = Player::begin(policy, Timestamp(NOON));
    let mut rows: Vec<&Row<'static>> = rows.iter().collect();
    rows.sort_by_key(|row| row.timestamp);
    for now in (NOON + 60..=NOON + length).step_by(60) {
        let seen = rows.partition_point(|row| row.timestamp.0 <= now);
        let rest = rows.split_off(seen);
        let shown = std::mem::replace(&mut rows, rest);
        player.poll(SOURCE, Timestamp(now), shown.into_iter().cloned());
    }
    player.finish()
}

fn shown(told: &Told) -> Vec<String> {
    let at = |at: Timestamp| at.0 - NOON;
    let alerts = told.alerts.iter().map(|alert| {
        let end = alert.resolved_at.map(at);
        format!(
            "{} began {} fired {} ended {end:?}",
            alert.rule,
            at(alert.began_at),
            at(alert.fired_at)
        )
    });
    let messages = told.messages.iter().map(|message| {
        format!("{} at {} of {:?}", message.reason.as_str(), at(message.at), message.alerts)
    });
    alerts.chain(messages).collect()
}

fn failures(over: i64, threshold: f64) -> Rule {
    let mut rule = rule("failures", over, vec![at_least(Measure::Failures, threshold)]);
    rule.per = vec![Label::Affiliate];
    rule
}

#[test]
fn an_alert_fires_and_ends_at_the_moments_of_the_data() {
    let mut rows: Vec<Row<'static>> =
        (0..3).map(|n| row(&format!("f{n}"), NOON + 601 + n, 1, NOON + 601 + n, false)).collect();
    rows.push(row("good", NOON + 1_000, 0, 0, true));
    let told = play(policy(vec![failures(300, 3.0)]), &rows, HOUR);
    assert_eq!(
        shown(&told),
        [
            // 601, 602 and 603 are in the window of 610; 601 leaves that of 910.
            "failures began 610 fired 610 ended Some(1000)",
            "first at 690 of [0]",
            "resolved at 1020 of [0]",
        ]
    );
}

#[test]
fn a_recovery_is_known_from_the_moment_at_which_it_happened() {
    // Failing at 600, recovered at 1,433: the row shows only that.
    let mut open = rule("open", 300, vec![at_least(Measure::Open, 1.0)]);
    open.keep_firing_for = seconds(60);
    let rows = [row("late", NOON + 600, 3, NOON + 1_433, true)];
    let told = play(policy(vec![open]), &rows, HOUR);
    assert_eq!(shown(&told)[0], "open began 600 fired 600 ended Some(1500)");
    assert_eq!(told.alerts[0].cause.as_ref().map(|cause| cause.reason.as_str()), Some("unseen"));
}

#[test]
fn a_rate_is_known_from_the_first_row_on() {
    let rate = rule("rate", HOUR, vec![at_least(Measure::FailureRate, 0.5)]);
    let rows = [row("bad", NOON + 65, 1, NOON + 65, false), row("good", NOON + 62, 0, 0, true)];
    let told = play(policy(vec![rate]), &rows, 600);
    assert_eq!(shown(&told)[0], "rate began 70 fired 70 ended None");
    assert_eq!(told.alerts[0].value, Some(0.5));
}

#[test]
fn what_began_and_ended_while_nothing_could_be_read_is_told_once() {
    let policy = policy(vec![failures(300, 3.0)]);
    let mut player = Player::begin(policy, Timestamp(NOON));
    let mut rows: Vec<Row<'static>> =
        (0..9).map(|n| row(&format!("f{n}"), NOON + 601, 1, NOON + 601, false)).collect();
    rows.push(row("good", NOON + 1_000, 0, 0, true));
    for now in (60..=2 * HOUR).step_by(60) {
        let now = Timestamp(NOON + now);
        match now.0 - NOON {
            540..HOUR => player.miss(SOURCE, now, "503"),
            HOUR => player.poll(SOURCE, now, rows.drain(..)),
            _ => player.poll(SOURCE, now, []),
        }
    }
    let told = player.finish();
    let of_rule = told.alerts.iter().position(|alert| alert.rule == "failures");
    let messages = told.messages.iter().filter(|m| m.alerts.iter().any(|&a| Some(a) == of_rule));
    let reasons: Vec<_> = messages.map(|message| message.reason.as_str()).collect();
    let alert = &told.alerts[of_rule.expect("it fired")];
    assert_eq!((reasons, alert.is_late), (vec!["first"], true), "{:?}", shown(&told));
    assert_eq!(alert.resolved_at, Some(Timestamp(NOON + 1_000)));
}

#[test]
fn a_success_that_comes_late_counts_from_then_on() {
    let mut rate = rule("rate", 600, vec![at_least(Measure::FailureRate, 0.6)]);
    rate.keep_firing_for = seconds(HOUR);
    let mut player = Player::begin(policy(vec![rate]), Timestamp(NOON));
    let good = |n: i64| row(&format!("g{n}"), NOON + 60 + n, 0, 0, true);
    let bad = |n: i64, at| row(&format!("b{n}"), NOON + at, 1, NOON + at, false);
    player.poll(SOURCE, Timestamp(NOON + 120), (0..2).map(good).chain([bad(0, 60), bad(1, 61)]));
    // Two more of the same seconds, seen minutes later: 2 failures of 6 deliveries.
    player.poll(SOURCE, Timestamp(NOON + 240), (10..12).map(good));
    player.poll(SOURCE, Timestamp(NOON + 300), (2..5).map(|n| bad(n, 245)));
    player.poll(SOURCE, Timestamp(NOON + 360), [bad(5, 310)]);
    let told = player.finish();
    assert_eq!(shown(&told), ["rate began 310 fired 310 ended None"]);
}

fn history(rows: &[Row<'static>]) -> History {
    let mut history = History::default();
    rows.iter().for_each(|row| history.add(row));
    history.sort();
    history
}

#[test]
fn after_the_end_of_a_history_what_was_decided_is_told_and_nothing_else() {
    let bad = |n: i64, at: i64| row(&format!("f{n}"), NOON + at, 1, NOON + at, false);
    let check = |batch_wait: i64, remind_every: i64, last: i64, expected: &[&str]| {
        let mut policy = policy(vec![failures(300, 3.0)]);
        let timing = &mut policy.routes[0].timing;
        (timing.batch_wait, timing.remind_every) = (seconds(batch_wait), seconds(remind_every));
        timing.min_gap = seconds(300);
        let mut rows: Vec<Row<'static>> = (0..3).map(|n| bad(n, 601 + n)).collect();
        rows.extend((661..=last).step_by(60).map(|at| bad(at, at)));
        let told = backtest(&policy, &policy.sources[0], &history(&rows), &mut |_| {});
        let told = shown(&told);
        let (alerts, messages) = told.split_at(1);
        assert_eq!(alerts[0], "failures began 610 fired 610 ended None");
        assert_eq!(messages, expected, "{batch_wait} {remind_every} {last}");
    };
    // The poll that judged it came at 660.
    check(600, 600, 603, &["first at 1260 of [0]"]);
    check(30, 600, 603, &["first at 690 of [0]"]);
    // While there is something to look at, it is reminded of.
    check(30, 600, 1_400, &["first at 690 of [0]", "reminder at 1290 of [0]"]);
}

/// Two partners fail in the same seconds, a third renames itself.
#[test]
fn the_order_of_rows_makes_no_difference() {
    let mut rows = Vec::new();
    for number in 0..400_i64 {
        let (at, partner) = (number / 4 * 7, number % 4);
        let (failed, last) = if partner < 2 { (1, at + number % 3 * 40) } else { (0, -NOON) };
        let mut row = row(
            &format!("c{number}"),
            NOON + at,
            failed,
            NOON + last,
            partner > 1 || number % 5 == 0,
        );
        (row.affiliate, row.postback) = (partner as u64, partner as u64);
        row.affiliate_name = format!("Partner {partner} of {}", number / 100).into();
        row.payload = format!("https://h{partner}.example/p?cid={number}").into();
        rows.push(row);
    }
    // What was read twice counts once.
    rows.extend_from_within(100..200);
    let mut policy = policy(vec![
        failures(300, 3.0),
        rule(
            "all",
            600,
            vec![at_least(Measure::FailureRate, 0.3), at_least(Measure::Deliveries, 20.0)],
        ),
    ]);
    policy.rules[1].per = vec![Label::Host];
    policy.routes[0].timing.batch_by = Vec::new();
    let play = |rows: &[Row<'static>]| {
        let history = history(rows);
        let told = backtest(&policy, &policy.sources[0], &history, &mut |_| {});
        (format!("{told:#?}"), history.deliveries(&policy.sources[0].scopes))
    };
    let (expected, counted) = play(&rows);
    assert!(expected.contains("Partner 1 of 3"), "{expected}");
    assert_eq!((counted.all, counted.rows_outside), (400, 0));
    let mut chance = fastrand::Rng::with_seed(4);
    for _ in 0..20 {
        chance.shuffle(&mut rows);
        assert_eq!(play(&rows), (expected.clone(), counted));
    }
}
