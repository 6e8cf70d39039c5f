//! The bare reader: asks for one export, reads each of its rows and keeps
//! nothing but the set of their identities. What it costs, every reader costs.
//! Run by `just bench`, on one thread.

use std::collections::HashSet;
use std::time::Duration;

use anyhow::Context;
use postwatch::clock::Clock;
use postwatch::domain::delivery::Identity;
use postwatch::domain::policy::Scope;
use postwatch::metrics::Metrics;
use postwatch::source::everflow::{ApiKey, Everflow, EverflowOptions};
use postwatch::source::{Ask, Budget, Page, PageSink, ReportApi, Status};

const SOURCE: &str = "acme";
/// As far back as postwatch looks.
const LOOKBACK: Duration = Duration::from_secs(72 * 3600);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [base_url, api_key, status] = &arguments[..] else {
        anyhow::bail!("usage: reader BASE_URL API_KEY failure|success");
    };
    let status = match &**status {
        "failure" => Status::Failure,
        "success" => Status::Success,
        other => anyhow::bail!("\"{other}\" is neither failure nor success"),
    };
    rustls::crypto::ring::default_provider().install_default().ok().context("a second provider")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let seen = runtime.block_on(read(base_url, api_key, status))?;
    println!("{{\"rows\": {}, \"kept\": {}}}", seen.rows, seen.identities.len());
    Ok(())
}

async fn read(base_url: &str, api_key: &str, status: Status) -> anyhow::Result<Seen> {
    let options = EverflowOptions {
        source: SOURCE.to_owned(),
        base_url: base_url.to_owned(),
        api_key: ApiKey::new(api_key),
        timezone_id: None,
        budget: Budget::default(),
    };
    let api = Everflow::new(options, Clock::System, Metrics::new())?;
    let to = Clock::System.now();
    let ask = Ask { status, from: to - LOOKBACK, to, scope: Scope::default() };
    let mut seen = Seen::default();
    api.export(&ask, &mut seen).await?;
    Ok(seen)
}

#[derive(Default)]
struct Seen {
    rows: u64,
    identities: HashSet<Identity>,
}

impl PageSink for Seen {
    async fn page(&mut self, page: Page) -> bool {
        for row in page.rows().flatten() {
            self.rows += 1;
            self.identities.insert(Identity::of(SOURCE, &row));
        }
        true
    }
}
