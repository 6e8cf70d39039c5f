//! What postwatch must come to: the simulated network's truth, told once.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use postwatch::simulate::{self, Running};
use tokio::time::Instant;

use crate::postwatch::Postwatch;
use crate::support::slack::FakeSlack;

/// By (offer, affiliate).
pub type Counts = BTreeMap<(u64, u64), u64>;

pub fn truth(network: &Running, select: impl Fn(&simulate::TruthRow) -> bool) -> Counts {
    let mut counts = Counts::new();
    for row in network.truth().iter().filter(|row| select(row)) {
        *counts.entry((row.offer, row.affiliate)).or_default() += 1;
    }
    counts
}

/// Failing now, as product.md counts it: not given up by the network.
fn is_open(row: &simulate::TruthRow) -> bool {
    !row.is_success && row.failed_attempts < 10 && row.postback_active
}

/// Waits until what postwatch counts is the truth; the network's time is held.
pub async fn agree(postwatch: &Postwatch, network: &Running, when: &str) {
    let failures = truth(network, |_| true);
    let open = truth(network, is_open);
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut looks = tokio::time::interval(Duration::from_millis(100));
    loop {
        looks.tick().await;
        let counted = postwatch.counts("postwatch_delivery_failures_total", |_| true).await;
        let counted_open = postwatch.counts("postwatch_deliveries_open", |_| true).await;
        if counted.as_ref() == Some(&failures) && counted_open.as_ref() == Some(&open) {
            return;
        }
        if Instant::now() > deadline {
            eprintln!("{}", postwatch.log());
            assert_eq!(counted.as_ref(), Some(&failures), "failures, {when}");
            assert_eq!(counted_open.as_ref(), Some(&open), "open, {when}");
        }
    }
}

pub async fn agree_on_reasons(postwatch: &Postwatch, network: &Running) {
    let mut reasons: Vec<String> =
        network.truth().into_iter().filter_map(|row| row.reason).collect();
    reasons.sort();
    reasons.dedup();
    for reason in reasons {
        let expected = truth(network, |row| row.reason.as_ref() == Some(&reason));
        let counted = postwatch
            .counts("postwatch_delivery_failures_total", |labels| {
                labels.contains(&format!("reason=\"{reason}\""))
            })
            .await;
        assert_eq!(counted, Some(expected), "failures of reason {reason}");
    }
}

/// How many times Slack took a message that it had taken already; each has an id
/// of its own.
pub fn repeats(slack: &FakeSlack) -> u32 {
    let mut posted: HashMap<String, u32> = HashMap::new();
    for call in slack.calls().iter().filter(|call| call.method == "chat.postMessage") {
        let id =
            call.body["metadata"]["event_payload"]["id"].as_str().expect("every one has an id");
        *posted.entry(id.to_owned()).or_default() += 1;
    }
    assert!(!posted.is_empty(), "nothing was told");
    let refused = slack.refusals();
    assert!(refused.is_empty(), "Slack refused: {refused:?}");
    posted.values().map(|times| times - 1).sum()
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, is_so: impl Fn() -> F) {
    let deadline = Instant::now() + Duration::from_secs(60);
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    while !is_so().await {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        looks.tick().await;
    }
}
