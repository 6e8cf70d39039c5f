//! The binary on a folder and a port of its own, started and killed again.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use postwatch::simulate::Running;
use tokio::process::{Child, Command};

use crate::support::slack::FakeSlack;
use crate::truth::Counts;

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
pub struct Postwatch {
    pub folder: tempfile::TempDir,
    address: SocketAddr,
    child: Option<Child>,
}

impl Postwatch {
    pub fn new(network: &Running, slack: &FakeSlack) -> Postwatch {
        Postwatch::with_rules(&RULES.replace("SLACK_URL", &slack.api_url), network)
    }

    /// With rules of the test's own; `BASE_URL` in them is the network.
    pub fn with_rules(rules: &str, network: &Running) -> Postwatch {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let rules = rules.replace("BASE_URL", &network.base_url());
        std::fs::write(folder.path().join("rules.yaml"), rules).expect("the folder is ours");
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback is free");
        let address = port.local_addr().expect("it is bound");
        Postwatch { folder, address, child: None }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    pub fn start(&mut self) {
        self.start_under(&[], "");
    }

    /// Starts it below another program, and with a step to end at.
    pub fn start_under(&mut self, program: &[&str], kill_at: &str) {
        let log = self.folder.path().join("log");
        let log = std::fs::File::options().create(true).append(true).open(log);
        let log = log.expect("the folder is ours");
        let mut words = program.to_vec();
        words.extend([env!("CARGO_BIN_EXE_postwatch"), "run", "--data", "data"]);
        let child = Command::new(words[0])
            .args(&words[1..])
            .args(["--rules", "rules.yaml", "--listen", &self.address.to_string()])
            .current_dir(self.folder.path())
            .env("POSTWATCH_KILL_AT", kill_at)
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("the binary is built");
        self.child = Some(child);
    }

    /// SIGKILL, to whatever it was started under as well.
    pub async fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        if let Some(id) = child.id() {
            let below = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children"));
            for process in below.unwrap_or_default().split_whitespace() {
                std::process::Command::new("kill").args(["-9", process]).status().ok();
            }
        }
        child.kill().await.ok();
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while tokio::net::TcpStream::connect(self.address).await.is_ok() {
            looks.tick().await;
        }
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().expect("it is our child"))
    }

    /// What is served at `path`; `None` where nothing answers.
    pub async fn get(&self, path: &str) -> Option<String> {
        let url = format!("http://{}/{path}", self.address);
        let answer = tokio::time::timeout(Duration::from_secs(10), reqwest::get(url)).await;
        answer.ok()?.ok()?.text().await.ok()
    }

    /// The sum of a metric over its labels; 0 where it has no series.
    pub async fn sum(&self, name: &str) -> f64 {
        let text = self.get("metrics").await.unwrap_or_default();
        let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
        let values = lines.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        values.sum()
    }

    /// The values of one metric by (offer, affiliate), summed over other labels
    /// and kept where `select` says so.
    pub async fn counts(&self, name: &str, select: impl Fn(&str) -> bool) -> Option<Counts> {
        let text = self.get("metrics").await?;
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

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

fn label(labels: &str, name: &str) -> Option<u64> {
    let rest = labels.split(&format!("{name}=\"")).nth(1)?;
    rest.split('"').next()?.parse().ok()
}
