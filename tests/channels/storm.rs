//! One outage, and thousands of alerts within a minute: each receiver hears of it in
//! one message that says what it is, and of its end in one.

use std::time::Duration;

use crate::world::{RECEIVERS, Servers, World, mails, route};

const AFFILIATES: u64 = 50;
const OFFERS: u64 = 40;

/// Longer than `min_gap` by default: whatever else is to be told is told by then.
const A_WHILE: Duration = Duration::from_secs(6 * 60);

fn places() -> impl Iterator<Item = (u64, u64)> {
    (1..=AFFILIATES).flat_map(|affiliate| (1..=OFFERS).map(move |offer| (affiliate, offer)))
}

/// What people read of the `n`th message, by receiver.
async fn texts(world: &World, n: usize) -> [String; 2] {
    let posts = || {
        let calls = world.slack.calls().into_iter();
        calls.filter(|call| call.method == "chat.postMessage").collect::<Vec<_>>()
    };
    world.until_delivered(n as u64 + 1).await;
    let mail = mails(&world.servers.exim, &world.name).swap_remove(n);
    let mail = format!("{}\n{}", mail.header("subject"), mail.parts()[0].1);
    [posts()[n].body.to_string(), mail]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_alerts_of_one_outage_are_one_message_and_one_end() {
    let Some(servers) = Servers::start().await else { return };
    let mut world = World::start(&servers, "storm", route()).await;
    world.sender.fail(places()).await;
    world.until_sent(&RECEIVERS, 1).await;
    assert_eq!(world.firing_there().await as u64, AFFILIATES * OFFERS);
    for text in texts(&world, 0).await {
        assert!(text.contains("(+1999 more)"), "{text}");
        assert!(text.contains("host trk.hosting.example"), "{text}");
        assert!(text.contains("+1977 more"), "{text}");
    }
    world.pass(A_WHILE).await;
    world.sender.cure(places()).await;
    world.until_sent(&RECEIVERS, 2).await;
    for text in texts(&world, 1).await {
        assert!(text.contains("RESOLVED") && text.contains("(+1999 more)"), "{text}");
    }
    world.pass(A_WHILE).await;
    assert_eq!(world.firing_there().await, 0);
    let sent = RECEIVERS.map(|receiver| world.sender.sent(receiver));
    assert_eq!(sent, [2; 4], "nobody hears more");
    let hook: Vec<serde_json::Value> = world.hook.requests().iter().map(|one| one.json()).collect();
    let told = hook.iter().map(|body| {
        let listed = body["alerts"].as_array().map_or(0, Vec::len);
        (listed, body["truncatedAlerts"].as_u64(), body["status"].as_str())
    });
    let told: Vec<_> = told.collect();
    assert_eq!(told, [(500, Some(1_500), Some("firing")), (500, Some(1_500), Some("resolved"))]);
    assert_eq!(world.slack.refusals(), Vec::<String>::new());
    world.sender.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_next_poll_adds_to_an_outage_is_one_more_message_and_no_new_thread() {
    let Some(servers) = Servers::start().await else { return };
    let mut world = World::start(&servers, "growing", route()).await;
    let half = (AFFILIATES * OFFERS / 2) as usize;
    world.sender.fail(places().take(half)).await;
    world.until_sent(&RECEIVERS, 1).await;
    world.sender.fail(places().skip(half)).await;
    world.until_sent(&RECEIVERS, 2).await;
    for text in texts(&world, 1).await {
        assert!(text.contains("2000 alerts now") && text.contains("+1977 more"), "{text}");
    }
    world.pass(A_WHILE).await;
    world.sender.cure(places()).await;
    world.until_sent(&RECEIVERS, 3).await;
    world.pass(A_WHILE).await;
    let sent = RECEIVERS.map(|receiver| world.sender.sent(receiver));
    assert_eq!(sent, [3; 4], "nobody hears more");
    let posts = world.slack.calls().into_iter().filter(|call| call.method == "chat.postMessage");
    assert_eq!(posts.filter(|call| call.body["thread_ts"].is_null()).count(), 1);
    assert_eq!(world.slack.refusals(), Vec::<String>::new());
    world.sender.stop().await;
}
