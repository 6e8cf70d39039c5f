//! SIGKILL at random moments: `KILLS` says how many.

use std::net::SocketAddr;
use std::time::Duration;

use postwatch::clock::Clock;
use postwatch::simulate::{self, Scenario};

use crate::postwatch::Postwatch;
use crate::support;
use crate::support::slack::FakeSlack;
use crate::truth::{agree, agree_on_reasons, repeats, until};

/// Counts what this process sent again; one that is killed takes its count along,
/// so it is read just before.
const REPEATED: &str = "postwatch_notifications_repeated_total";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_equal_the_truth_after_every_kill_and_nobody_is_told_twice() {
    support::tls();
    let kills = std::env::var("KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(12);
    let mut chance = fastrand::Rng::with_seed(7);
    let slack = FakeSlack::start().await;
    let scenario = Scenario {
        deliveries_per_day: 400_000.0,
        ends_after: None,
        ..Scenario::fixed(7, 50_000, 5_000)
    };
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let network = simulate::start(anywhere, scenario, Clock::System).await.expect("it starts");
    network.hold(true);
    let mut postwatch = Postwatch::new(&network, &slack);
    postwatch.start();
    agree(&postwatch, &network, "after the first look-back").await;
    agree_on_reasons(&postwatch, &network).await;
    let mut repeated = 0.0;
    for kill in 1..=kills {
        network.hold(false);
        let runs_for = Duration::from_millis(chance.u64(20..1_500));
        tokio::time::timeout(runs_for, std::future::pending::<()>()).await.ok();
        repeated += postwatch.sum(REPEATED).await;
        postwatch.kill().await;
        postwatch.start();
        network.hold(true);
        agree(&postwatch, &network, &format!("after kill {kill}")).await;
    }
    until("everything is told", || async {
        postwatch.sum("postwatch_outbox_pending").await == 0.0
    })
    .await;
    repeated += postwatch.sum(REPEATED).await;
    postwatch.kill().await;
    let repeats = f64::from(repeats(&slack));
    println!("{kills} kills: 0 lost, {repeats} told twice, {repeated} known to be in doubt");
    assert!(repeats <= repeated, "{repeats} repeats, {repeated} counted: {}", postwatch.log());
    network.stop().await;
}
