//! What becomes of messages that their channel does not take at once: fewer, later,
//! in order, and nothing of them lost.

use std::collections::BTreeSet;

use postwatch::domain::notify::{AlertStatus, Notice, NoticeReason};
use postwatch::domain::rules::{Label, Measure, Rule};
use postwatch::domain::turn::News;

use super::world::{DAY, HOUR, World, at_least, policy, rule, seconds, told};

/// An alert for each affiliate.
fn failing() -> Rule {
    let mut rule = rule("failing", 300, vec![at_least(Measure::Failures, 2.0)]);
    rule.per = vec![Label::Affiliate];
    rule
}

fn world() -> World {
    World::calm(policy(vec![failing()]))
}

#[test]
fn what_waits_for_a_failing_channel_becomes_the_newest_state_of_its_batch() {
    let mut world = world();
    world.failing = vec!["ops".into()];
    world.fail_of(1);
    world.pass(150);
    let first = world.waiting("ops")[0].notice.clone();
    world.fail_of(2);
    world.pass(240);
    world.restart();
    assert_eq!(world.waiting("ops").len(), 1, "{:?}", world.arrived());
    world.failing.clear();
    world.pass(360);
    assert_eq!(world.arrived(), ["ops: first [failing quiet, failing critical]"]);
    let sent = &world.delivered[0];
    assert_eq!((&sent.batch, sent.late_since), (&first.batch, Some(first.created_at)));
    // A receiver that knows the id of the first would take the news for a repeat.
    assert_ne!(sent.id, first.id);
}

#[test]
fn what_has_not_arrived_is_not_held_back_by_a_silence_of_later() {
    let mut world = world();
    world.failing = vec!["ops".into()];
    world.fail_of(1);
    world.pass(120);
    world.silence("s", &["affiliate=1"], 0, HOUR);
    world.fail_of(2);
    world.pass(600);
    world.failing.clear();
    world.pass(900);
    let arrived = world.arrived();
    assert_eq!(arrived[..1], ["ops: first [failing quiet, failing critical]"]);
}

#[test]
fn what_is_over_is_no_news_because_something_silenced_stands_beside_it() {
    let mut world = world();
    world.fail_of(1);
    world.pass(120);
    world.silence("s", &["affiliate=1"], 0, DAY);
    world.failing = vec!["ops".into()];
    world.fail_of(2);
    world.pass(400);
    world.cure_of(2);
    world.pass(900);
    world.failing.clear();
    world.pass(900);
    let last = "ops: resolved [failing resolved, failing held back critical]";
    assert_eq!(world.arrived(), ["ops: first [failing critical]", last]);
}

#[test]
fn what_became_a_dead_letter_is_not_held_back_by_a_silence_of_later() {
    let mut world = world();
    world.refusing = vec!["ops".into()];
    world.fail_of(1);
    world.pass(150);
    world.refusing.clear();
    world.silence("s", &["affiliate=1"], 0, DAY);
    world.fail_of(2);
    world.pass(400);
    let first = "ops: new_alerts [failing quiet, failing critical]";
    assert_eq!(world.arrived(), [first]);
    // It has arrived now, though not as what was given up.
    world.fail_of(3);
    world.pass(400);
    let second = "ops: new_alerts [failing quiet, failing critical, failing held back critical]";
    assert_eq!(world.arrived(), [first, second]);
}

#[test]
fn an_incident_that_ended_while_its_channel_was_dead_is_told_once_and_as_over() {
    let mut world = world();
    world.failing = vec!["ops".into()];
    world.fail_of(1);
    world.pass(150);
    world.cure_of(1);
    world.pass(900);
    assert!(world.state.batches.is_empty(), "its end is written");
    world.failing.clear();
    world.pass(900);
    assert_eq!(world.arrived(), ["ops: resolved [failing resolved]"]);
    let alert = &world.delivered[0].alerts[0];
    let AlertStatus::Resolved { resolved_at } = alert.status else { panic!("{alert:?}") };
    assert!(alert.began_at <= alert.fired_at && alert.fired_at < resolved_at);
    assert_eq!(world.delivered[0].late_since, Some(world.notices[0].created_at));
}

#[test]
fn a_message_whose_answer_was_lost_goes_out_again_as_it_was() {
    let mut world = world();
    world.mute = vec!["ops".into()];
    world.fail_of(1);
    world.pass(150);
    assert!(!world.delivered.is_empty());
    world.cure_of(1);
    world.pass(600);
    world.restart();
    assert_eq!(world.waiting("ops").len(), 2);
    world.mute.clear();
    world.pass(900);
    let (end, repeats) = world.delivered.split_last().expect("it was told");
    assert!(repeats.len() > 1 && repeats.iter().all(|one| one == &repeats[0]));
    assert_eq!(told(&repeats[0]), "ops: first [failing critical]");
    assert_eq!(told(end), "ops: resolved [failing resolved]");
    assert_ne!(end.id, repeats[0].id);
}

#[test]
fn an_alert_that_ended_and_fired_anew_is_told_with_both() {
    let mut world = world();
    // A second alert keeps the batch open.
    let mut open = rule("failing", 300, vec![at_least(Measure::Failures, 2.0)]);
    open.per = vec![Label::Affiliate];
    open.keep_firing_for = seconds(60);
    world.policy.rules = vec![open];
    world.restart_changed();
    world.fail_of(1);
    world.fail_of(2);
    world.pass(150);
    assert_eq!(world.arrived().len(), 1);
    world.failing = vec!["ops".into()];
    for _ in 0..3 {
        world.cure_of(1);
        for _ in 0..16 {
            world.fail_of(2);
            world.pass(60);
        }
        world.fail_of(1);
        world.pass(420);
    }
    assert_eq!(world.waiting("ops").len(), 1);
    world.failing.clear();
    world.pass(660);
    let late = &world.delivered[1];
    let of = |alert: &&postwatch::domain::notify::AlertFacts| {
        alert.labels.iter().any(|(name, value)| name == "affiliate" && value == "1")
    };
    let of_one: Vec<_> = late.alerts.iter().filter(of).collect();
    let states: Vec<bool> = of_one.iter().map(|alert| alert.status.is_over()).collect();
    assert_eq!(states, [false, true], "{}", told(late));
    let notes = of_one.iter().all(|alert| alert.notes.iter().any(|n| n.contains("came and went")));
    assert!(notes, "two of its three ends are listed no more: {of_one:?}");
}

/// After an outage of the channel with many batches.
#[test]
fn after_an_outage_a_person_gets_a_bounded_number_of_messages_that_tell_everything() {
    let mut policy = policy(vec![failing()]);
    policy.routes[0].timing.batch_by = vec!["affiliate".into()];
    let mut world = World::calm(policy);
    world.failing = vec!["ops".into()];
    for affiliate in 1..=40 {
        world.fail_of(affiliate);
        world.pass(10);
    }
    world.pass(120);
    world.restart();
    let waiting = world.waiting("ops").len();
    assert!(waiting <= 11, "{waiting} messages wait");
    world.failing.clear();
    world.pass(300);
    let told_of: Vec<&String> = world
        .delivered
        .iter()
        .flat_map(|notice| &notice.alerts)
        .flat_map(|alert| &alert.labels)
        .filter_map(|(name, value)| (name == "affiliate").then_some(value))
        .collect();
    assert_eq!(told_of.len(), 40, "nobody is told twice");
    assert_eq!(told_of.into_iter().collect::<BTreeSet<_>>().len(), 40, "nobody is left out");
    assert!(world.delivered.len() <= 12, "{:?}", world.arrived());
    let reminders = || world.state.batches.values().filter(|batch| batch.settled_at.is_none());
    assert_eq!(reminders().count(), 0, "each batch knows that it was told");
    // The end of each goes where its batch stands, and comes after what it ends.
    for affiliate in 1..=40 {
        world.cure_of(affiliate);
    }
    world.pass(900);
    let ended = world.delivered.iter().filter(|one| one.reason == NoticeReason::Resolved).count();
    assert_eq!(ended, 40);
    assert!(world.state.outbox.is_empty());
    // An Alertmanager hears of what ended for a while.
    world.pass(900);
    assert!(world.state.threads.is_empty());
}

#[test]
fn a_message_of_several_batches_bears_the_labels_that_they_share() {
    let mut policy = policy(vec![failing()]);
    policy.routes[0].timing.batch_by = vec!["source".into(), "affiliate".into()];
    let mut world = World::calm(policy);
    world.failing = vec!["ops".into()];
    for affiliate in 1..=12 {
        world.fail_of(affiliate);
        world.pass(30);
    }
    world.pass(120);
    world.failing.clear();
    world.pass(300);
    let groups = |of_many: bool| -> Vec<_> {
        let delivered = world.delivered.iter();
        let some = delivered.filter(|notice| (notice.alerts.len() > 1) == of_many);
        some.map(|notice| notice.group.len()).collect()
    };
    assert_eq!((groups(true), groups(false).len()), (vec![1], 10), "{:?}", world.arrived());
    assert!(groups(false).iter().all(|&labels| labels == 2));
    let merged = world.delivered.iter().find(|notice| notice.alerts.len() > 1).expect("one is");
    assert_eq!(merged.group, [("source".to_owned(), "acme".to_owned())]);
}

#[test]
fn a_dead_letter_is_sent_again_as_it_was() {
    let mut policy = policy(vec![failing()]);
    policy.routes[0].fallback = vec!["partners".into()];
    let mut world = World::calm(policy);
    world.refusing = vec!["ops".into()];
    world.fail_of(1);
    world.pass(150);
    let (&number, dead) = world.state.outbox.first_key_value().expect("it was given up");
    let id = dead.notice.id.clone();
    assert!(dead.given_up.is_some());
    assert_eq!(world.arrived(), ["partners: first [failing critical]"]);
    // Nothing else takes this for a dead letter.
    world.turn(News::Resend { numbers: &[number + 1] });
    world.turn(News::Resend { numbers: &[number] });
    world.restart();
    world.pass(10);
    assert!(world.state.outbox[&number].given_up.is_some(), "it is refused once more");
    assert_eq!(world.delivered.len(), 1, "its fallback had it");
    world.refusing.clear();
    world.turn(News::Resend { numbers: &[number] });
    world.restart();
    world.pass(10);
    assert!(world.state.outbox.is_empty());
    let again: &Notice = &world.delivered[1];
    assert_eq!((told(again).as_str(), &again.id), ("ops: first [failing critical]", &id));
    assert!(again.late_since.is_some());
}

#[test]
fn a_channel_that_is_dead_for_hours_gets_the_newest_state_when_it_is_back() {
    let mut world = world();
    world.failing = vec!["ops".into()];
    world.fail_of(1);
    world.pass(6 * HOUR);
    world.failing.clear();
    world.pass(900);
    assert_eq!(world.arrived().len(), 1, "{:?}", world.arrived());
    assert!(world.state.outbox.is_empty());
}

/// One outage, two thousand groups within a minute: one message, and one for the end.
#[test]
fn a_storm_is_one_message_and_one_end() {
    let mut rule = failing();
    rule.keep_firing_for = seconds(60);
    let mut policy = policy(vec![rule]);
    policy.routes[0].to = vec!["ops".into(), "night".into()];
    let mut world = World::calm(policy);
    world.page = 1_000;
    for affiliate in 1..=2_000 {
        for number in 0..3 {
            world.fail(&format!("{affiliate}-{number}")).affiliate = affiliate;
        }
    }
    world.pass(300);
    for receiver in ["ops", "night"] {
        let mut to = world.delivered.iter().filter(|notice| notice.receiver == receiver);
        let first = to.next().expect("it is told");
        assert_eq!((first.reason, first.alerts.len()), (NoticeReason::First, 2_000));
        assert!(to.next().is_none());
    }
    for affiliate in 1..=2_000 {
        world.cure_of(affiliate);
    }
    world.pass(1_200);
    assert_eq!(world.delivered.len(), 4);
    for end in &world.delivered[2..] {
        assert_eq!((end.reason, end.alerts.len()), (NoticeReason::Resolved, 2_000));
    }
}
