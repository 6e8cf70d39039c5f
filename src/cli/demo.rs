//! `postwatch demo`: the whole service against an embedded simulated network,
//! sixty times as fast as life. Nothing to configure, nothing left behind.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::print;
use super::run::everflow;
use crate::channel::{Channel, Print};
use crate::clock::Clock;
use crate::config::{self, AccessConfig, Config};
use crate::domain::delivery::Ended;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::pipeline::{InForce, View};
use crate::service::{Parts, Service};
use crate::simulate::{self, Running, Scenario};
use crate::store::memory::MemoryStore;
use crate::web::Reloads;

/// Simulated seconds in a real one.
const SPEED: f64 = 60.0;

/// The rules that ship with postwatch: the demo shows what they do.
const RULES: &str = include_str!("../../rules.yaml");

const USUAL_PORT: u16 = 9467;

/// Watch a simulated network with scripted incidents, an hour a minute
///
/// The whole service with the shipped rules; nothing to configure, nothing left behind. Each
/// message is printed as it would be sent. All incidents are over after 42 of its minutes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DemoArgs {
    /// End by itself after this long, in real time; 60s shows the whole hour
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    lasts: Option<Duration>,
    /// The same seed gives the same network
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

const EXAMPLES: &str = "\
Examples:
  postwatch demo                 until Ctrl-C; open the page that it names
  postwatch demo --for 60s       every incident and its cure, then the summary

Exit codes: 0 fine · 2 wrong usage · 3 cannot start";

fn duration(text: &str) -> Result<Duration, String> {
    config::parse_duration(text).map_err(|(wrong, hint)| format!("{wrong}: {hint}"))
}

/// Runs for `--for`, or until SIGINT or SIGTERM.
pub async fn run(args: DemoArgs) -> anyhow::Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let clock = Clock::scaled(Timestamp(jiff::Timestamp::now().as_second()), SPEED);
    let scenario = Scenario::demo(args.seed);
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let network = simulate::start(anywhere, scenario.clone(), clock).await?;
    let config = config(&network, &scenario.api_key)?;
    let listener = listen().await.context("no port of 127.0.0.1 is free")?;
    print(&introduction(&config, listener.local_addr()?))?;
    let service = start(config, clock, listener)?;
    let view = service.view();
    let ending = async {
        match args.lasts {
            Some(lasts) => tokio::time::sleep(lasts).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = ending => {}
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    service.stop().await.ok();
    network.stop().await;
    print(&summary(&view, clock))?;
    Ok(ExitCode::SUCCESS)
}

/// The shipped rules on the simulated network; everybody is told on this terminal.
fn config(network: &Running, api_key: &str) -> anyhow::Result<Config> {
    // Whatever secret the rules want, the simulated network's key will do.
    let env = |_: &str| Some(api_key.to_owned());
    let no_file = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let (config, report) = config::parse(RULES, &env, &no_file);
    let mut config =
        config.with_context(|| format!("the shipped rules are wrong: {:?}", report.mistakes))?;
    for source in &mut config.sources {
        source.base_url = network.base_url();
    }
    Ok(config)
}

/// The usual port where it is free: bookmarks work for the demo too.
async fn listen() -> std::io::Result<TcpListener> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, USUAL_PORT)).await {
        Ok(listener) => Ok(listener),
        Err(_) => TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await,
    }
}

fn start(config: Config, clock: Clock, listener: TcpListener) -> anyhow::Result<Service> {
    let metrics = Metrics::new();
    metrics.config_last_reload_successful.set(1);
    metrics.config_last_reload_timestamp_seconds.set(clock.now().0);
    let mut sources = Vec::new();
    for (policy, source) in config.policy.sources.iter().zip(&config.sources) {
        sources.push((policy.clone(), everflow(source, clock, metrics.clone())?));
    }
    let receivers = config.receivers.iter();
    let channels: BTreeMap<String, Channel> =
        receivers.map(|receiver| (receiver.name.clone(), Channel::Print(Print::new()))).collect();
    let parts = Parts {
        rules: InForce { policy: Arc::new(config.policy), hash: config.hash },
        sources,
        channels,
        heartbeat: None,
        access: AccessConfig::default(),
        store: MemoryStore::default(),
        clock,
        metrics,
        listener,
        reloads: Reloads::none(),
    };
    Ok(Service::start(parts)?)
}

fn introduction(config: &Config, page: SocketAddr) -> String {
    let rules = config.policy.rules.len();
    format!(
        "postwatch watches a simulated network: an hour in a minute.

  page      http://{page}/
  metrics   http://{page}/metrics
  rules     {rules} of the shipped rules.yaml

Each message stands here as it would be sent. Ctrl-C ends it; nothing is left behind.

"
    )
}

fn summary(view: &View, clock: Clock) -> String {
    let state = view.state();
    let mut text = format!("The demo is over; its clock shows {}.\n", clock.now());
    for (name, source) in &state.sources {
        let counters = &source.facts.counters;
        let ended = |how| counters.ended.get(&how).copied().unwrap_or_default();
        text += &format!(
            "  {name}: {} deliveries, {} failed, {} of them recovered, {} still failing\n",
            counters.deliveries.values().sum::<u64>(),
            counters.failures.values().sum::<u64>(),
            ended(Ended::Recovered),
            source.facts.deliveries.open().count(),
        );
    }
    text
}
