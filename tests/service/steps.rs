//! One kill at each named step: before and after every durable write and every send.

use std::fs::File;
use std::net::SocketAddr;

use postwatch::clock::Clock;
use postwatch::failpoint::Step;
use postwatch::simulate::{self, Running, Scenario};

use crate::postwatch::Postwatch;
use crate::support;
use crate::support::slack::FakeSlack;
use crate::truth::{agree, repeats, until};

/// Steps that are reached with each commit and each message: the first time, and
/// later ones in the middle of the work.
const OFTEN: [u32; 2] = [1, 7];

/// Steps that are tried at the same time.
const AT_ONCE: usize = 4;

fn times(step: Step) -> &'static [u32] {
    match step {
        Step::TurnDecided
        | Step::CommitApplied
        | Step::CommitFlushed
        | Step::CommitSynced
        | Step::CommitMarked => &OFTEN,
        Step::AlertCommitted | Step::SendBegins | Step::SendAnswered | Step::SendSettled => &[1, 2],
        Step::CheckpointWritten
        | Step::SnapshotWritten
        | Step::SnapshotRenamed
        | Step::RebuildSetAside
        | Step::RebuildWritten => &OFTEN[..1],
    }
}

fn is_of_rebuilding(step: Step) -> bool {
    matches!(step, Step::RebuildSetAside | Step::RebuildWritten)
}

async fn network() -> Running {
    let scenario = Scenario {
        deliveries_per_day: 400_000.0,
        ends_after: None,
        ..Scenario::fixed(7, 3_000, 900)
    };
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let network = simulate::start(anywhere, scenario, Clock::System).await.expect("it starts");
    network.hold(true);
    network
}

/// Ends it at the step, starts it again, and looks at what is missing.
async fn kill_at(step: Step, time: u32) {
    let (network, slack) = (network().await, FakeSlack::start().await);
    let mut postwatch = Postwatch::new(&network, &slack);
    // The first time ends a first start, the others a later one, under traffic.
    if time > 1 || is_of_rebuilding(step) {
        postwatch.start();
        agree(&postwatch, &network, "before the kill").await;
        let snapshot = postwatch.data().join("snapshot");
        if is_of_rebuilding(step) {
            until("there is a snapshot", || async { snapshot.exists() }).await;
        }
        postwatch.kill().await;
        network.hold(false);
    }
    if is_of_rebuilding(step) {
        let db = File::options().write(true).open(postwatch.data().join("sled/db"));
        db.and_then(|db| db.set_len(100)).expect("nobody uses it");
    }
    let kill = format!("{}:{time}", step.as_str());
    postwatch.start_under(&[], &kill);
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
    while postwatch.ended().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "{kill} was never reached");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    postwatch.start();
    network.hold(true);
    agree(&postwatch, &network, &format!("after a kill at {kill}")).await;
    let pending = || async { postwatch.sum("postwatch_outbox_pending").await == 0.0 };
    until(&format!("everything is told after {kill}"), pending).await;
    until(&format!("something is told after {kill}"), || async { !slack.calls().is_empty() }).await;
    let doubtful = postwatch.sum("postwatch_notifications_repeated_total").await;
    let repeats = f64::from(repeats(&slack));
    assert!(repeats <= doubtful, "{kill}: {repeats} told twice, {doubtful} known to be in doubt");
    let is_in_doubt = matches!(step, Step::SendBegins | Step::SendAnswered);
    assert!(!is_in_doubt || doubtful == 1.0, "{kill}: {doubtful} known to be in doubt");
    assert!(step != Step::SendAnswered || repeats == 1.0, "{kill}: the answer was lost");
    postwatch.kill().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_at_any_step_loses_nothing_and_doubles_only_what_lost_its_answer() {
    support::tls();
    let kills = Step::ALL.into_iter().flat_map(|step| times(step).iter().map(move |&n| (step, n)));
    let mut waiting: Vec<(Step, u32)> = kills.collect();
    let mut running = tokio::task::JoinSet::new();
    while let Some((step, time)) = waiting.pop() {
        running.spawn(kill_at(step, time));
        if running.len() == AT_ONCE {
            running.join_next().await.expect("four run").expect("it loses nothing");
        }
    }
    while let Some(ended) = running.join_next().await {
        ended.expect("it loses nothing");
    }
}
