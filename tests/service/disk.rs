//! A disk that is full for a while, and one that fails at a single write.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use postwatch::clock::Clock;
use postwatch::simulate::{self, Running, Scenario};
use tokio::task::JoinSet;

use crate::postwatch::Postwatch;
use crate::support;
use crate::support::slack::FakeSlack;
use crate::truth::{agree, until};

/// Faults that are tried at the same time.
const AT_ONCE: usize = 4;

async fn network(deliveries: usize, failing: usize) -> Running {
    support::tls();
    let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let scenario = Scenario { ends_after: None, ..Scenario::fixed(7, deliveries, failing) };
    let network = simulate::start(anywhere, scenario, Clock::System).await.expect("it starts");
    network.hold(true);
    network
}

/// A small disk at a place; taken away when dropped.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount<'a>(place: &'a Path, size: &str) -> Option<SmallDisk<'a>> {
        std::fs::create_dir_all(place).expect("the folder is ours");
        let options = format!("size={size}");
        let words = ["-t", "tmpfs", "-o", &options, "tmpfs"];
        let mounted = Command::new("mount").args(words).arg(place).output();
        if mounted.is_ok_and(|mounted| mounted.status.success()) {
            return Some(SmallDisk(place));
        }
        println!("skipped: mounting a small disk needs root");
        None
    }

    fn resize(&self, size: &str) {
        let resized = Command::new("mount")
            .args(["-o", &format!("remount,size={size}")])
            .arg(self.0)
            .status();
        assert!(resized.is_ok_and(|status| status.success()));
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_the_service_goes_on_by_itself_when_there_is_room() {
    let (network, slack) = (network(20_000, 12_000).await, FakeSlack::start().await);
    let mut postwatch = Postwatch::new(&network, &slack);
    let data = postwatch.data();
    let Some(disk) = SmallDisk::mount(&data, "4m") else { return };
    postwatch.start();
    until("it says so in a metric", || async {
        postwatch.sum("postwatch_store_trouble").await == 1.0
    })
    .await;
    let ready = postwatch.get("readyz").await.unwrap_or_default();
    assert!(ready.contains("free some space"), "{ready}");
    assert_eq!(postwatch.sum("postwatch_source_blind").await, 1.0, "nothing is known");
    let page = postwatch.get("").await.unwrap_or_default();
    assert!(page.contains("The store does not work"), "{page}");
    for path in ["api/v2/alerts", "api/v1/alerts"] {
        let alerts = postwatch.get(path).await.unwrap_or_default();
        assert!(alerts.contains("The store is in trouble"), "{path} tells no all-clear: {alerts}");
    }
    assert!(slack.calls().is_empty(), "what is not kept is not told");
    disk.resize("64m");
    agree(&postwatch, &network, "with room again").await;
    assert_eq!(postwatch.sum("postwatch_store_trouble").await, 0.0);
    assert!(postwatch.log().contains("the store works again"), "{}", postwatch.log());
    postwatch.kill().await;
    network.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_on_a_full_disk_waits_for_room() {
    let (network, slack) = (network(500, 100).await, FakeSlack::start().await);
    let mut postwatch = Postwatch::new(&network, &slack);
    let data = postwatch.data();
    let Some(disk) = SmallDisk::mount(&data, "2m") else { return };
    let filler = data.join("filler");
    std::fs::write(&filler, vec![1; 3 << 20]).expect_err("it fills the disk");
    postwatch.start();
    until("it says why", || async {
        postwatch.get("readyz").await.is_some_and(|ready| ready.contains("free some space"))
    })
    .await;
    disk.resize("64m");
    std::fs::remove_file(&filler).expect("it is there");
    agree(&postwatch, &network, "with room again").await;
    postwatch.kill().await;
    network.stop().await;
}

/// Each kind of write fails once, the first time and later ones: the service goes
/// on by itself, or says at its start what is wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_once_loses_nothing() {
    if Command::new("strace").arg("--version").output().is_err() {
        println!("skipped: failing single writes needs strace");
        return;
    }
    let network = Arc::new(network(2_000, 600).await);
    let calls = [
        ("pwrite64", "EIO", 9),
        ("pwrite64", "ENOSPC", 5),
        ("sync_file_range", "EIO", 4),
        ("fdatasync", "EIO", 4),
        ("fsync", "EIO", 3),
        ("ftruncate", "EIO", 1),
    ];
    let each =
        calls.iter().flat_map(|&(call, error, most)| (1..=most).map(move |n| (call, error, n)));
    let mut running = JoinSet::new();
    let mut hits = 0;
    for (call, error, number) in each {
        let network = network.clone();
        running.spawn(async move { fails_once(&network, call, error, number).await });
        if running.len() == AT_ONCE {
            let hit = running.join_next().await.expect("four run");
            hits += u32::from(hit.expect("it loses nothing"));
        }
    }
    while let Some(hit) = running.join_next().await {
        hits += u32::from(hit.expect("it loses nothing"));
    }
    println!("{hits} writes failed, nothing was lost");
    assert!(hits >= 15, "only {hits} writes failed");
}

/// Whether there was such a call to fail.
async fn fails_once(network: &Running, call: &str, error: &str, number: u32) -> bool {
    let slack = FakeSlack::start().await;
    let mut postwatch = Postwatch::new(network, &slack);
    let trace = format!("trace={call}");
    let inject = format!("inject={call}:error={error}:when={number}");
    let strace = ["strace", "-f", "-qq", "-o", "trace", "-e", &trace, "-e", &inject];
    postwatch.start_under(&strace, "");
    let fault = format!("{error} at {call} {number}");
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while postwatch.get("healthz").await.is_none() && postwatch.ended().is_none() {
        assert!(tokio::time::Instant::now() < deadline, "{fault}: {}", postwatch.log());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    if postwatch.ended().is_some() {
        let log = postwatch.log();
        assert!(log.contains("cannot be used"), "{fault}: {log}");
        postwatch.start();
    }
    agree(&postwatch, network, &fault).await;
    let log = postwatch.log();
    assert!(!log.contains("DAMAGED") && !log.contains("panicked"), "{fault}: {log}");
    postwatch.kill().await;
    // The next start finds what this one knew.
    postwatch.start();
    agree(&postwatch, network, &format!("{fault}, and a restart")).await;
    postwatch.kill().await;
    let traced = std::fs::read_to_string(postwatch.folder.path().join("trace"));
    traced.unwrap_or_default().contains("(INJECTED)")
}
