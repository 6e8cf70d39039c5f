//! Each channel fails in turn while 200 alerts in 10 batches fire and end: everything
//! arrives, in order, once; again, with the same id, only where an answer was lost;
//! and nobody else waits for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use postwatch::domain::policy::Route;

use crate::support::proxy::Fault;
use crate::support::sender::Place;
use crate::world::{RECEIVERS, SPEED, STAND_IN, Servers, Told, World, route_by_affiliate, until};

const BATCHES: u64 = 10;
const ALERTS_OF_ONE: u64 = 20;

const BUSY: Fault =
    Fault::Answers("HTTP/1.1 500 Oh\r\nconnection: close\r\ncontent-length: 4\r\n\r\nSorry");
const TOO_MANY: Fault = Fault::Answers(
    "HTTP/1.1 429 Slowly\r\nretry-after: 120\r\nconnection: close\r\n\
     content-type: application/json\r\ncontent-length: 37\r\n\r\n{\"ok\": false, \"error\": \"ratelimited\"}",
);
const RETRY_AFTER: f64 = 120.0;

/// What goes wrong, and how often it must be met before it is mended.
const OVER_HTTP: [(&str, Fault, usize); 5] = [
    ("500", BUSY, 3),
    ("429", TOO_MANY, 3),
    ("hang", Fault::Hangs, 1),
    ("reset", Fault::LosesAnswers, 2),
    ("dead", Fault::Dead, 0),
];
const OVER_SMTP: [(&str, Fault, usize); 4] = [
    ("421", Fault::Greets("421 4.7.0 too many connections, come later\r\n"), 3),
    ("hang", Fault::Hangs, 1),
    ("reset", Fault::LosesAnswers, 2),
    ("dead", Fault::Dead, 0),
];

/// How long a dead channel is dead.
const DEAD_FOR: Duration = Duration::from_secs(10 * 60);

fn places(batches: std::ops::RangeInclusive<u64>) -> impl Iterator<Item = Place> {
    batches.flat_map(|affiliate| (1..=ALERTS_OF_ONE).map(move |offer| (affiliate, offer)))
}

/// Has the channel fail until it was met often enough, and everybody else has heard.
async fn under(
    world: &World,
    channel: &'static str,
    (_, fault, met): (&str, Fault, usize),
    sent: u64,
) {
    let proxy = &world.proxies[channel];
    let before = proxy.met().len();
    let others: Vec<&str> = RECEIVERS.into_iter().filter(|&one| one != channel).collect();
    world.until_sent(&others, sent + BATCHES).await;
    assert_eq!(world.sender.sent(channel), sent, "{}: it fails", world.name);
    assert_eq!(world.sender.waiting(channel) as u64, BATCHES, "{}", world.name);
    until("the fault is met", || proxy.met().len() >= before + met).await;
    if fault == Fault::Dead {
        world.pass(DEAD_FOR).await;
    }
    assert_eq!(world.sender.sent(channel), sent, "{}: it failed all the time", world.name);
    proxy.set(Fault::Fine);
    world.until_sent(&[channel], sent + BATCHES).await;
}

/// The second half fires some seconds after the first: what fires together has no order.
async fn fail_half_by_half(world: &mut World) {
    world.sender.fail(places(1..=BATCHES / 2)).await;
    world.pass(Duration::from_secs(2)).await;
    world.sender.fail(places(BATCHES / 2 + 1..=BATCHES)).await;
}

/// How many messages came twice.
async fn one_fails(
    servers: Arc<Servers>,
    channel: &'static str,
    case: (&'static str, Fault, usize),
) -> usize {
    let (name, fault, _) = case;
    let mut world =
        World::start(&servers, &format!("{channel}-{name}"), route_by_affiliate()).await;
    world.proxies[channel].set(fault);
    fail_half_by_half(&mut world).await;
    under(&world, channel, case, 0).await;
    if fault == TOO_MANY {
        assert_retry_after_is_kept_to(&world, channel);
    }
    assert_eq!(world.firing_there().await as u64, BATCHES * ALERTS_OF_ONE, "{}", world.name);
    // A hang takes half a minute; the beginnings showed what comes of it.
    let fails_again = fault != Fault::Hangs;
    world.proxies[channel].set(if fails_again { fault } else { Fault::Fine });
    world.sender.cure(places(1..=BATCHES)).await;
    match fails_again {
        true => under(&world, channel, case, BATCHES).await,
        false => world.until_sent(&RECEIVERS, 2 * BATCHES).await,
    }
    assert_eq!(world.firing_there().await, 0, "{}", world.name);
    world.until_delivered(2 * BATCHES).await;
    let mut repeated = 0;
    for receiver in RECEIVERS {
        let is_lossy = receiver == channel && fault == Fault::LosesAnswers;
        let (told, repeats) = once(world.told(receiver));
        assert!(repeats == 0 || is_lossy, "{}: {receiver} is told twice", world.name);
        assert_all_in_order(&world, receiver, &told);
        repeated += repeats;
    }
    assert_eq!(world.slack.refusals(), Vec::<String>::new());
    world.sender.stop().await;
    repeated
}

/// The messages without those that bear the id of an earlier one, which must be the
/// same message; and how many those are.
fn once(told: Vec<Told>) -> (Vec<Told>, usize) {
    let all = told.len();
    let mut seen: Vec<Told> = Vec::new();
    for message in told {
        let known = seen.iter().find(|one| !one.id.is_empty() && one.id == message.id);
        match known {
            Some(known) => assert_eq!(known, &message, "another message has its id"),
            None => seen.push(message),
        }
    }
    let repeats = all - seen.len();
    (seen, repeats)
}

/// Each alert is told firing and then over, once; the batches come in the order in which
/// they fired, the same for every receiver.
fn assert_all_in_order(world: &World, receiver: &str, told: &[Told]) {
    let name = format!("{}: {receiver}", world.name);
    let (expected, _) =
        once(world.told(if world.name.starts_with("hook") { "slack" } else { "hook" }));
    let order = |told: &[Told]| told.iter().map(|one| (one.batch, one.is_over)).collect::<Vec<_>>();
    assert_eq!(order(told), order(&expected), "{name}");
    let (firing, over) = told.split_at(told.len() / 2);
    assert!(firing.iter().all(|one| !one.is_over) && over.iter().all(|one| one.is_over), "{name}");
    let (first, second) = firing.split_at(firing.len() / 2);
    let batches = |told: &[Told]| told.iter().map(|one| one.batch).collect::<BTreeSet<_>>();
    assert_eq!(batches(first), (1..=BATCHES / 2).collect(), "{name}");
    assert_eq!(batches(second), (BATCHES / 2 + 1..=BATCHES).collect(), "{name}");
    assert_eq!(batches(over), (1..=BATCHES).collect(), "{name}");
    let offers: Vec<u64> = (1..=ALERTS_OF_ONE).collect();
    assert!(told.iter().all(|one| one.offers == offers), "{name}: {told:?}");
}

fn assert_retry_after_is_kept_to(world: &World, channel: &str) {
    let met = world.proxies[channel].met();
    for pair in met.windows(2) {
        let waited = (pair[1] - pair[0]).as_secs_f64() * SPEED;
        // Our clock tells whole seconds.
        assert!(waited > RETRY_AFTER - 2.0, "{}: tried after {waited} s", world.name);
    }
}

/// What it says to somebody whom it does not know; mail is asked of the server itself.
fn no_login(channel: &str) -> Fault {
    match channel {
        "slack" => Fault::Answers(
            "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: 36\r\n\r\n{\"ok\":false, \"error\":\"invalid_auth\"}",
        ),
        "mail" => Fault::Fine,
        _ => Fault::Answers("HTTP/1.1 401 No\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"),
    }
}

/// The fallback has it at once, and once the login is good the channel has it too.
async fn one_refuses_the_login(servers: Arc<Servers>, channel: &'static str) {
    let fallback = vec![STAND_IN.to_owned()];
    let route = Route { fallback, ..route_by_affiliate() };
    let mut world = World::start(&servers, &format!("{channel}-login"), route).await;
    world.proxies[channel].set(no_login(channel));
    let refuses = |refuses| {
        if channel == "mail" {
            servers.exim.refuse_logins(refuses)
        }
    };
    refuses(true);
    fail_half_by_half(&mut world).await;
    let others: Vec<&str> = RECEIVERS.into_iter().filter(|&one| one != channel).collect();
    world.until_sent(&others, BATCHES).await;
    world.until_sent(&[STAND_IN], BATCHES).await;
    assert_eq!(world.told(channel), [], "{}: it refused", world.name);
    for request in world.stand_in.requests() {
        assert_eq!(request.json()["commonAnnotations"]["instead_of"], channel);
    }
    let tries = world.sender.tries_of_dead_letters(channel);
    assert_eq!(tries, [0; BATCHES as usize], "{}: refused for good is not tried again", world.name);
    world.proxies[channel].set(Fault::Fine);
    refuses(false);
    assert_eq!(world.sender.resend().await as u64, BATCHES);
    world.until_sent(&[channel], BATCHES).await;
    world.sender.cure(places(1..=BATCHES)).await;
    world.until_sent(&RECEIVERS, 2 * BATCHES).await;
    world.until_delivered(2 * BATCHES).await;
    for receiver in RECEIVERS {
        let (told, repeats) = once(world.told(receiver));
        assert_eq!(repeats, 0, "{}: {receiver}", world.name);
        assert_all_in_order(&world, receiver, &told);
    }
    // Who heard the beginning hears the end, though the channel has it too.
    world.until_sent(&[STAND_IN], 2 * BATCHES).await;
    for request in world.stand_in.requests().split_off(BATCHES as usize) {
        let payload = request.json();
        assert_eq!(payload["status"], "resolved");
        assert_eq!(payload["commonAnnotations"]["instead_of_is_back"], "true");
    }
    world.sender.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_channel_that_refuses_the_login_is_stood_in_for_and_gets_everything_later() {
    let Some(servers) = Servers::start().await else { return };
    let mut worlds = tokio::task::JoinSet::new();
    for channel in RECEIVERS.into_iter().filter(|&one| one != "mail") {
        worlds.spawn(one_refuses_the_login(Arc::clone(&servers), channel));
    }
    let Some(alone) = Servers::start().await else { return };
    worlds.spawn(one_refuses_the_login(alone, "mail"));
    while let Some(ended) = worlds.join_next().await {
        ended.expect("everything arrives");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_channel_does_everything_arrives_once_and_in_order() {
    let Some(servers) = Servers::start().await else { return };
    let mut worlds = tokio::task::JoinSet::new();
    for channel in RECEIVERS {
        let cases = if channel == "mail" { &OVER_SMTP[..] } else { &OVER_HTTP[..] };
        for &case in cases {
            worlds.spawn(one_fails(Arc::clone(&servers), channel, case));
        }
    }
    let (mut count, mut repeated) = (0, 0);
    while let Some(ended) = worlds.join_next().await {
        repeated += ended.expect("everything arrives");
        count += 1;
    }
    let messages = count * 2 * BATCHES * RECEIVERS.len() as u64;
    println!("{count} channels failed: {messages} messages arrived, {repeated} of them twice");
    assert!(repeated > 0, "no answer was lost");
}
