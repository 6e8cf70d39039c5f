//! The real binary against the simulated network, killed again and again: what
//! it counts is the network's truth, and nobody is told twice.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use postwatch::clock::Clock;
use postwatch::simulate::{self, Running, Scenario};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use crate::support;
use crate::support::slack::FakeSlack;

const KILLS: u32 = 20;

/// By (offer, affiliate).
type Counts = BTreeMap<(u64, u64), u64>;

const RULES: &str = r##"
sources:
  - name: acme
    api_key: simulated-key
    base_url: BASE_URL
    poll_every: 1s
    settle: 1s
    scopes:
      - { affiliates: [1, 2, 3] }
      - { exclude_affiliates: [1, 2, 3] }
evaluate_every: 1s
rules:
  - name: many-open
    per: [affiliate]
    over: 1m
    when: { open: ">= 100" }
    severity: warning
    keep_firing_for: 2s
receivers:
  - name: on-call
    slack: { token: xoxb-test-token, channel: "#postbacks", api_url: "SLACK_URL" }
routes:
  - { to: [on-call], batch_by: [source, rule, affiliate], batch_wait: 1s, min_gap: 1s }
"##;

/// One postwatch, restarted on the same folder and the same port.
struct Postwatch {
    folder: tempfile::TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl Postwatch {
    fn new(network: &Running, slack: &FakeSlack) -> Postwatch {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let rules =
            RULES.replace("BASE_URL", &network.base_url()).replace("SLACK_URL", &slack.api_url);
        std::fs::write(folder.path().join("rules.yaml"), rules).expect("the folder is ours");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is free");
        let address = port.local_addr().expect("it is bound");
        Postwatch { folder, address, child: None }
    }

    fn start(&mut self) {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .expect("the folder is ours");
        let child = Command::new(env!("CARGO_BIN_EXE_postwatch"))
            .args(["run", "--data", "data", "--rules", "rules.yaml", "--listen"])
            .arg(self.address.to_string())
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the binary is built");
        self.child = Some(child);
    }

    async fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().await.expect("it runs");
        }
    }

    /// The values of one metric by (offer, affiliate), summed over other labels
    /// and kept where `select` says so.
    async fn counts(&self, name: &str, select: impl Fn(&str) -> bool) -> Option<Counts> {
        let url = format!("http://{}/metrics", self.address);
        let text = reqwest::get(url).await.ok()?.text().await.ok()?;
        let mut counts = Counts::new();
        for line in text.lines().filter(|line| line.starts_with(&format!("{name}{{"))) {
            let (labels, value) = line.rsplit_once(' ')?;
            if !select(labels) {
                continue;
            }
            let key = (label(labels, "offer")?, label(labels, "affiliate")?);
            *counts.entry(key).or_default() += value.parse::<f64>().ok()? as u64;
        }
        counts.retain(|_, count| *count > 0);
        Some(counts)
    }
}

fn label(labels: &str, name: &str) -> Option<u64> {
    let rest = labels.split(&format!("{name}=\"")).nth(1)?;
    rest.split('"').next()?.parse().ok()
}

fn truth(network: &Running, select: impl Fn(&simulate::TruthRow) -> bool) -> Counts {
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
async fn agree(postwatch: &Postwatch, network: &Running, when: &str) {
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
            let log = std::fs::read_to_string(postwatch.folder.path().join("log"));
            eprintln!("{}", log.unwrap_or_default());
            assert_eq!(counted.as_ref(), Some(&failures), "failures, {when}");
            assert_eq!(counted_open.as_ref(), Some(&open), "open, {when}");
        }
    }
}

async fn agree_on_reasons(postwatch: &Postwatch, network: &Running) {
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

/// Every message that Slack took has an id of its own, save where a kill may
/// have cost us Slack's answer.
fn nobody_is_told_twice(slack: &FakeSlack, kills: u32) {
    let mut posted: HashMap<String, u32> = HashMap::new();
    for call in slack.calls().iter().filter(|call| call.method == "chat.postMessage") {
        let id =
            call.body["metadata"]["event_payload"]["id"].as_str().expect("every one has an id");
        *posted.entry(id.to_owned()).or_default() += 1;
    }
    let repeats: u32 = posted.values().map(|times| times - 1).sum();
    assert!(repeats <= kills, "{repeats} repeats in {kills} kills");
    assert!(posted.len() >= 2, "alerts were told: {posted:?}");
    let refused = slack.refusals();
    assert!(refused.is_empty(), "Slack refused: {refused:?}");
}

fn path_exists(folder: &Path, name: &str) -> bool {
    folder.join(name).exists()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_equal_the_truth_after_every_kill_and_nobody_is_told_twice() {
    support::tls();
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
    for kill in 1..=KILLS {
        network.hold(false);
        let runs_for = Duration::from_millis(chance.u64(50..4_000));
        tokio::time::timeout(runs_for, std::future::pending::<()>()).await.ok();
        postwatch.kill().await;
        postwatch.start();
        network.hold(true);
        agree(&postwatch, &network, &format!("after kill {kill}")).await;
    }
    assert!(path_exists(postwatch.folder.path(), "data/db"));
    postwatch.kill().await;
    nobody_is_told_twice(&slack, KILLS);
    network.stop().await;
}
