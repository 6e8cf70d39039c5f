//! Kills at the four moments that decide whether a page comes twice or never: the
//! alert is committed and nobody was told; the receiver has the page and has not
//! answered; it answered and that is not kept; that is kept. `PAGE_KILLS` says how
//! many of each.
//!
//! After each kill the test reads the dead process's store, and counts the kill only
//! where a message was under way.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use postwatch::clock::Clock;
use postwatch::domain::notify::AlertFacts;
use postwatch::domain::outgoing::Outgoing;
use postwatch::domain::state::State;
use postwatch::failpoint::Step;
use postwatch::simulate::{self, Running, Scenario};
use postwatch::store::Store;
use postwatch::store::sled::SledStore;
use tokio::time::Instant;

use crate::postwatch::Postwatch;
use crate::support;
use crate::support::sink::{Meets, Sink};
use crate::truth::until;

/// A page for each offer of each affiliate that has a failing delivery, and its end.
const RULES: &str = r##"
sources:
  - { name: acme, api_key: simulated-key, base_url: BASE_URL, poll_every: 1s, settle: 1s }
evaluate_every: 1s
rules:
  - name: failing
    per: [affiliate, offer]
    over: 1m
    when: { open: ">= 1" }
    severity: critical
    keep_firing_for: 0s
receivers:
  - name: on-call
    webhook: { url: "SINK_URL/hook" }
routes:
  - to: [on-call]
    match: { rule: failing }
    batch_by: [source, rule, affiliate, offer]
    batch_wait: 0s
    min_gap: 0s
    remind_every: 3d
"##;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    AlertCommitted,
    /// By SIGKILL, when the receiver has read the page.
    PageRead,
    PageAnswered,
    AnswerKept,
}

/// An alert as it was told: its fingerprint, when it began, and whether it was over.
type Page = (String, i64, bool);

/// The messages that arrived, by id: how often, and what they told.
type Taken = BTreeMap<String, (u32, Vec<Page>)>;

/// One postwatch that is killed again and again, its network and its receiver.
struct Ward {
    network: Running,
    sink: Sink,
    postwatch: Postwatch,
}

/// What is known of the kills.
#[derive(Default)]
struct Kills {
    all: u32,
    /// Those at which a message was under way.
    under_way: u32,
    /// What was durable and not told yet at some kill.
    committed: BTreeSet<Page>,
    /// Messages that were begun, and whose answer was not kept.
    in_doubt: BTreeSet<String>,
    /// Those that had arrived.
    unanswered: BTreeSet<String>,
    /// How many messages had arrived at the last kill.
    arrived_before: usize,
}

impl Ward {
    async fn start(seed: u64) -> Ward {
        let scenario = Scenario {
            deliveries_per_day: 400_000.0,
            base_failure_rate: 0.4,
            ends_after: None,
            retry_schedule: [1, 2, 4].map(Duration::from_secs).into(),
            ..Scenario::fixed(seed, 300, 30)
        };
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let network = simulate::start(anywhere, scenario, Clock::System).await.expect("it starts");
        let sink = Sink::start().await;
        let postwatch = Postwatch::with_rules(&RULES.replace("SINK_URL", &sink.url), &network);
        Ward { network, sink, postwatch }
    }

    /// Starts it and ends it at that moment, after `more` like it; what its store knows then.
    async fn kill_at(&mut self, moment: Moment, more: u32) -> State {
        match moment {
            Moment::AlertCommitted => self.kill_at_step(Step::AlertCommitted, more + 1).await,
            // The first is the one that the former kill left in doubt.
            Moment::PageAnswered => self.kill_at_step(Step::SendAnswered, more + 2).await,
            Moment::AnswerKept => self.kill_at_step(Step::SendSettled, more + 1).await,
            Moment::PageRead => self.kill_when_read(more + 2).await,
        }
        kept(&self.postwatch.data())
    }

    async fn kill_at_step(&mut self, step: Step, time: u32) {
        self.postwatch.start_under(&[], &format!("{}:{time}", step.as_str()));
        let deadline = Instant::now() + Duration::from_secs(60);
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        while self.postwatch.ended().is_none() {
            assert!(Instant::now() < deadline, "{step:?} is not reached: {}", self.postwatch.log());
            looks.tick().await;
        }
    }

    async fn kill_when_read(&mut self, pages: u32) {
        let last = self.sink.requests().len() + pages as usize;
        self.sink.then((1..pages).map(|_| Meets::Answer("200 OK")).chain([Meets::Hang]));
        self.postwatch.start();
        until("the page is read", || async { self.sink.requests().len() >= last }).await;
        self.postwatch.kill().await;
    }

    fn taken(&self) -> Taken {
        let mut taken = Taken::new();
        for request in self.sink.requests() {
            let entry = taken.entry(request.header("webhook-id").to_owned()).or_default();
            let body = request.json();
            let alerts = body["alerts"].as_array().cloned().unwrap_or_default();
            (entry.0, entry.1) = (entry.0 + 1, alerts.iter().map(page_of).collect());
        }
        taken
    }

    /// Lets it come to rest: nothing more happens, and everything is told.
    async fn rest(&mut self) {
        self.postwatch.start();
        self.network.hold(true);
        let pending = || async { self.postwatch.sum("postwatch_outbox_pending").await == 0.0 };
        until("it answers", || async { self.postwatch.get("metrics").await.is_some() }).await;
        until("everything is told", pending).await;
        self.postwatch.kill().await;
    }
}

impl Kills {
    /// Counts a kill at which `kept` was durable and `taken` had arrived.
    fn note(&mut self, moment: Moment, kept: &State, taken: &Taken) {
        let is_taken = |one: &&Outgoing| taken.contains_key(&one.notice.id);
        let (arrived, untold): (Vec<&Outgoing>, Vec<&Outgoing>) =
            kept.outbox.values().partition(is_taken);
        let untold = untold.into_iter().flat_map(|one| &one.notice.alerts).map(page_in);
        let untold: Vec<Page> = untold.collect();
        self.all += 1;
        self.under_way += u32::from(match moment {
            Moment::AlertCommitted => !untold.is_empty(),
            Moment::PageRead | Moment::PageAnswered => !arrived.is_empty(),
            Moment::AnswerKept => arrived.is_empty() && taken.len() > self.arrived_before,
        });
        self.arrived_before = taken.len();
        self.unanswered.extend(arrived.into_iter().map(|one| one.notice.id.clone()));
        let in_doubt = kept.outbox.values().filter(|one| one.is_in_doubt);
        self.in_doubt.extend(in_doubt.map(|one| one.notice.id.clone()));
        self.committed.extend(untold);
    }
}

fn page_in(alert: &AlertFacts) -> Page {
    (format!("{:016x}", alert.id.0 as u64), alert.began_at.0, alert.status.is_over())
}

fn page_of(alert: &serde_json::Value) -> Page {
    let text = |name: &str| alert[name].as_str().unwrap_or_default().to_owned();
    let began_at: jiff::Timestamp = text("startsAt").parse().expect("a moment");
    (text("fingerprint"), began_at.as_second(), text("status") == "resolved")
}

/// What the store of a dead process knows, read from a copy: to open it may change it.
fn kept(data: &Path) -> State {
    let copy = tempfile::tempdir().expect("a folder for the test");
    copy_folder(data, copy.path());
    let mut store = SledStore::open(copy.path()).expect("a copy of a good store");
    let mut state = State::default();
    let three_days = Duration::from_secs(3 * 86_400);
    store.load(three_days, &mut |stored| state.restore(stored)).expect("it is whole");
    state
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the folder is ours");
    for entry in std::fs::read_dir(from).expect("it is there").flatten() {
        let target = to.join(entry.file_name());
        match entry.path().is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("nobody uses it")),
        }
    }
}

async fn killed(moment: Moment, count: u32) -> (Kills, Taken) {
    let mut ward = Ward::start(moment as u64 + 1).await;
    let mut kills = Kills::default();
    while kills.under_way < count {
        let kept = ward.kill_at(moment, kills.all % 3).await;
        kills.note(moment, &kept, &ward.taken());
        assert!(kills.all < 3 * count + 10, "{moment:?}: no message is under way");
    }
    ward.rest().await;
    let taken = ward.taken();
    ward.network.stop().await;
    (kills, taken)
}

/// Whatever was durable was told, firing or over; each page once; a message again only
/// where its answer was lost.
fn assert_told_once(moment: Moment, kills: &Kills, taken: &Taken) {
    let told: BTreeSet<&Page> = taken.values().flat_map(|(_, pages)| pages).collect();
    for (fingerprint, began_at, is_over) in &kills.committed {
        let is_told = |is_over| told.contains(&(fingerprint.clone(), *began_at, is_over));
        // What ended before anybody heard of it is told once, as over.
        assert!(is_told(true) || !is_over && is_told(false), "{moment:?}: {fingerprint} is lost");
    }
    let mut pages: BTreeMap<&Page, u32> = BTreeMap::new();
    taken
        .values()
        .flat_map(|(_, pages)| pages)
        .for_each(|page| *pages.entry(page).or_default() += 1);
    let doubles = pages.iter().filter(|(_, times)| **times > 1).count();
    let repeated: BTreeSet<&String> =
        taken.iter().filter(|(_, (times, _))| *times > 1).map(|(id, _)| id).collect();
    println!(
        "{moment:?}: {} kills, {} while a message was under way; {} messages, {} alerts that \
         waited, 0 lost, {doubles} told by two messages, {} messages repeated with their id",
        kills.all,
        kills.under_way,
        taken.len(),
        kills.committed.len(),
        repeated.len(),
    );
    assert_eq!(doubles, 0, "{moment:?}: a page comes as two messages");
    assert!(repeated.iter().all(|id| kills.in_doubt.contains(*id)), "{moment:?}: {repeated:?}");
    assert!(kills.unanswered.iter().all(|id| repeated.contains(id)), "{moment:?}: not repeated");
    assert!(moment != Moment::AnswerKept || repeated.is_empty(), "{moment:?}: {repeated:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_kill_loses_a_page_and_none_doubles_one_whose_answer_was_kept() {
    support::tls();
    let count = std::env::var("PAGE_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(4);
    let moments =
        [Moment::AlertCommitted, Moment::PageRead, Moment::PageAnswered, Moment::AnswerKept];
    let all = moments.map(|moment| tokio::spawn(killed(moment, count)));
    for (moment, killed) in moments.into_iter().zip(all) {
        let (kills, taken) = killed.await.expect("it goes on after each kill");
        assert_told_once(moment, &kills, &taken);
    }
}
