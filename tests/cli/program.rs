//! Runs the binary in a folder of its own, reads along, and holds it to its
//! promise that no secret is shown.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use postwatch::clock::Clock;
use postwatch::domain::time::Timestamp;
use postwatch::simulate::{self, Running, Scenario};
use tempfile::TempDir;

use crate::support::slack::{FakeSlack, TOKEN};

pub const KEY: &str = "hunter2-everflow-key";
pub const AUTH_TOKEN: &str = "hunter2-auth-token";
pub const SMTP_PASSWORD: &str = "hunter2-smtp";

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with a rules file, which is also where the program runs.
pub struct Place {
    folder: TempDir,
    pub smtp_url: String,
}

impl Place {
    pub fn new(rules: &str) -> Place {
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(folder.path().join("rules.yaml"), rules).expect("the folder is new");
        Place { folder, smtp_url: format!("smtps://u:{SMTP_PASSWORD}@127.0.0.1:9") }
    }

    /// Replaces the rules file as editors do.
    pub fn write(&self, rules: &str) {
        let new = self.path("rules.yaml~");
        std::fs::write(&new, rules).expect("the folder is ours");
        std::fs::rename(&new, self.path("rules.yaml")).expect("the folder is ours");
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What lies in the folder beside what the test itself put there.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).expect("the folder is ours");
        let mut names: Vec<String> =
            entries.flatten().map(|entry| entry.file_name().to_string_lossy().into()).collect();
        names.retain(|name| !["rules.yaml", "out", "err"].contains(&name.as_str()));
        names
    }

    /// The command line in words, and nothing of this environment but the secrets.
    pub fn start(&self, words: &str) -> Program {
        self.start_with(words, &[])
    }

    pub fn start_with(&self, words: &str, environment: &[(&str, &str)]) -> Program {
        let file = |name| File::create(self.path(name)).expect("the folder is ours");
        let mut command = Command::new(env!("CARGO_BIN_EXE_postwatch"));
        command
            .args(words.split_whitespace())
            .current_dir(self.folder.path())
            .env_clear()
            .env("EVERFLOW_API_KEY", KEY)
            .env("SLACK_BOT_TOKEN", TOKEN)
            .env("SMTP_URL", &self.smtp_url)
            .envs(environment.iter().copied())
            .stdout(file("out"))
            .stderr(file("err"));
        // An empty one stands for one that is not set.
        for (name, _) in environment.iter().filter(|(_, value)| value.is_empty()) {
            command.env_remove(name);
        }
        let child = command.spawn().expect("the binary was built");
        Program { child, out: self.path("out"), err: self.path("err") }
    }

    /// Runs a command to its end: exit code, standard output, standard error.
    pub async fn run(&self, words: &str) -> Ended {
        self.start(words).ends().await
    }

    /// `run` on a free port, with its data in this folder.
    pub fn serve(&self) -> Program {
        self.start("run --listen 127.0.0.1:0")
    }
}

/// The program while it runs; killed when the test is over.
pub struct Program {
    child: Child,
    out: PathBuf,
    err: PathBuf,
}

#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Program {
    pub fn out(&self) -> String {
        read(&self.out)
    }

    pub fn err(&self) -> String {
        read(&self.err)
    }

    /// Waits until standard error holds `text`.
    pub async fn says(&self, text: &str) {
        let said = || self.err().contains(text);
        assert!(becomes(said).await, "waited in vain for {text:?} in:\n{}", self.err());
    }

    /// Waits until it serves `text` at `path`.
    pub async fn shows(&self, path: &str, text: &str) {
        self.says("postwatch watches").await;
        let deadline = Instant::now() + PATIENCE;
        let mut interval = tokio::time::interval(Duration::from_millis(100));
        loop {
            let shown = self.get(path).await;
            if shown.contains(text) {
                return;
            }
            let told = self.err();
            assert!(Instant::now() < deadline, "no {text:?} at /{path}:\n{shown}\n{told}");
            interval.tick().await;
        }
    }

    pub async fn get(&self, path: &str) -> String {
        let answer = reqwest::get(format!("{}{path}", self.page())).await.expect("it listens");
        answer.text().await.expect("it answers whole")
    }

    /// Posts nothing to `path`, as a page of `origin` where there is one: status and body.
    pub async fn post(&self, path: &str, origin: Option<&str>) -> (u16, String) {
        let mut request = reqwest::Client::new().post(format!("{}{path}", self.page()));
        if let Some(origin) = origin {
            request = request.header("Origin", origin);
        }
        let answer = request.send().await.expect("it listens");
        (answer.status().as_u16(), answer.text().await.expect("it answers whole"))
    }

    /// Where it serves, with a slash at the end.
    pub fn page(&self) -> String {
        let told = self.err();
        let page = told.split("page=").nth(1).and_then(|rest| rest.split_whitespace().next());
        page.expect("it says where its page is").to_owned()
    }

    /// The sum of a metric over its labels.
    pub async fn metric(&self, name: &str) -> f64 {
        // What has begun since the last scrape shows a zero in the first one.
        self.get("metrics").await;
        let shown = self.get("metrics").await;
        let is_of =
            |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
        let values = shown.lines().filter(is_of);
        values.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).sum()
    }

    pub fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(kill.expect("there is a kill").success());
    }

    pub fn is_running(&mut self) -> bool {
        self.status().is_none()
    }

    /// Sends SIGTERM and waits for the end; how long that took.
    pub async fn terminate(self) -> (Ended, Duration) {
        self.signal("-TERM");
        let since = Instant::now();
        let ended = self.ends().await;
        (ended, since.elapsed())
    }

    pub async fn ends(mut self) -> Ended {
        assert!(becomes(|| self.status().is_some()).await, "it does not end:\n{}", self.err());
        let code = self.status().and_then(|status| status.code());
        let ended = Ended { code, out: self.out(), err: self.err() };
        shows_no_secret(&ended);
        ended
    }

    fn status(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("it is our child")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It has mostly ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

fn shows_no_secret(ended: &Ended) {
    let shown = format!("{}{}", ended.out, ended.err);
    // In base64, SMTP's login ends in one of these, by its place.
    for secret in
        [KEY, TOKEN, AUTH_TOKEN, "hunter2", "aHVudGVyM", "h1bnRlcj", "odW50ZXIy", "cid=", "sub1="]
    {
        assert!(!shown.contains(secret) || is_masked(&shown, secret), "{secret}: {shown}");
    }
    assert!(!shown.contains("panicked"), "{shown}");
}

/// A query's keys may be shown, its values may not.
fn is_masked(shown: &str, key: &str) -> bool {
    key.ends_with('=')
        && shown.match_indices(key).all(|(at, _)| shown[at + key.len()..].starts_with('…'))
}

/// Whether it comes true before everybody's patience ends.
pub async fn becomes(mut is_so: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    let mut interval = tokio::time::interval(Duration::from_millis(20));
    while Instant::now() < deadline {
        interval.tick().await;
        if is_so() {
            return true;
        }
    }
    false
}

/// A network that does not age: `failing` of its deliveries fail for ever.
pub async fn network(deliveries: usize, failing: usize) -> Running {
    crate::support::tls();
    let clock = Clock::scaled(Timestamp(jiff::Timestamp::now().as_second()), 0.0);
    let scenario = Scenario { api_key: KEY.to_owned(), ..Scenario::fixed(1, deliveries, failing) };
    simulate::start(([127, 0, 0, 1], 0).into(), scenario, clock).await.expect("loopback is free")
}

/// Rules that tell at once how many deliveries fail; `receivers` and `routes` as given.
pub fn rules(base_url: &str, rest: &str) -> String {
    format!(
        "sources:\n  - {{ name: acme, api_key: \"${{EVERFLOW_API_KEY}}\", base_url: \"{base_url}\", \
         poll_every: 1s, settle: 1s }}\nrules:\n  - name: some-fail\n    summary: \"exactly \
         {{{{ open }}}} fail\"\n    per: []\n    when: {{ open: 1 }}\n    severity: critical\n{rest}\n\
         notify: {{ batch_wait: 0s }}\n"
    )
}

pub fn slack_receiver(slack: &FakeSlack, channel: &str) -> String {
    format!(
        "{{ name: chat, slack: {{ token: \"${{SLACK_BOT_TOKEN}}\", channel: \"{channel}\", api_url: \"{}\" }} }}",
        slack.api_url
    )
}

/// One Slack receiver that gets everything.
pub fn to_slack(slack: &FakeSlack) -> String {
    format!("receivers: [{}]\nroutes: [{{ to: [chat] }}]", slack_receiver(slack, "#postbacks"))
}
