//! A real Alertmanager on loopback. Tests that need it are skipped where it is
//! not installed.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::exim::{free_port, on_path};

/// The running server; it ends when this is dropped.
pub struct RealAlertmanager {
    pub url: String,
    _folder: TempDir,
    child: Child,
}

impl RealAlertmanager {
    /// None, with a printed line, where prometheus-alertmanager is not on PATH.
    pub async fn start() -> Option<RealAlertmanager> {
        let program = on_path("prometheus-alertmanager")?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let config = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";
        std::fs::write(folder.path().join("am.yml"), config).expect("the folder is ours");
        let port = free_port();
        let child = Command::new(program)
            .args(["--config.file=am.yml", "--storage.path=am", "--cluster.listen-address="])
            // By default it answers no more than eight at once.
            .arg("--web.get-concurrency=200")
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be executed");
        let url = format!("http://127.0.0.1:{port}");
        let server = RealAlertmanager { url, _folder: folder, child };
        let deadline = Instant::now() + Duration::from_secs(30);
        let mut looks = tokio::time::interval(Duration::from_millis(50));
        while reqwest::get(format!("{}/-/ready", server.url)).await.is_err() {
            assert!(Instant::now() < deadline, "Alertmanager does not listen");
            looks.tick().await;
        }
        Some(server)
    }

    /// What fires there, by its API.
    pub async fn alerts(&self) -> Vec<Value> {
        let answer = reqwest::get(format!("{}/api/v2/alerts", self.url)).await;
        let alerts = answer.expect("it answers").json().await;
        alerts.expect("alerts are JSON")
    }
}

impl Drop for RealAlertmanager {
    fn drop(&mut self) {
        // It may have ended by itself; the test is over in either case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
