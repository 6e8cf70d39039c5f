//! `postwatch run`: the service.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::logs::LogArgs;
use super::{CANNOT_START, WRONG_USAGE};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError};
use crate::metrics::Metrics;
use crate::pipeline::InForce;
use crate::service::{Parts, Service};
use crate::store::sled::SledStore;

mod arriving;
mod connect;
mod looks;
mod reload;

pub use connect::{channel, everflow, everflow_within, heartbeat};
use connect::{channels, connect};
use reload::RulesFile;

/// Watch the networks of a rules file until it is stopped
///
/// Polls each network, keeps what it saw in the data folder, and tells the receivers of the
/// rules file. A network or a channel that does not answer does not stop it: it asks again.
/// SIGTERM and Ctrl-C stop it within 5 seconds; what was not told by then is told at the next
/// start. A change of the rules file is taken up at once; SIGHUP and POST /api/v1/reload have
/// it read again too. A file with mistakes changes nothing. Logs go to standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// The rules file
    #[arg(long, env = "POSTWATCH_RULES", default_value = "rules.yaml", value_name = "FILE")]
    rules: PathBuf,
    /// Where state is kept; made with mode 0700 where it is missing
    #[arg(long, env = "POSTWATCH_DATA", default_value = "postwatch-data", value_name = "DIR")]
    data: PathBuf,
    /// Where the page and /metrics are served; port 0 takes a free one and logs it
    #[arg(long, env = "POSTWATCH_LISTEN", default_value = "127.0.0.1:9467", value_name = "ADDR")]
    listen: SocketAddr,
}

const EXAMPLES: &str = "\
Examples:
  postwatch run
  postwatch run --rules /etc/postwatch/rules.yaml --data /var/lib/postwatch
  POSTWATCH_LOG_FORMAT=json postwatch run --listen 0.0.0.0:9467

Try it without an account: `postwatch simulate` prints a source to put into rules.yaml.

Exit codes: 0 it was stopped · 1 the rules are invalid (see `postwatch check`) · 2 wrong
usage, or the rules file cannot be read · 3 it cannot start: the port is taken, the data
folder is locked, not writable or of a newer version, or the network refuses the key. A damaged
store is set aside and rebuilt.";

/// Runs until SIGTERM or SIGINT, which also end a start that takes long.
pub async fn run(args: RunArgs, logs: &LogArgs) -> anyhow::Result<ExitCode> {
    // Before anything starts: a signal must find somebody who listens.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let hangup = signal(SignalKind::hangup())?;
    let started = tokio::select! {
        started = start(&args) => started,
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    let (mut service, mut rules, address) = match started {
        Ok(started) => started,
        Err(refusal) => {
            logs.complain(&refusal.text);
            return Ok(ExitCode::from(refusal.code));
        }
    };
    tracing::info!(page = %format!("http://{address}/"), "postwatch watches");
    sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).ok();
    let looking_back = tokio::spawn(arriving::look_back(service.view()));
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        part = rules.follow(hangup, &mut service) => {
            // Whoever started us starts us anew: nothing that was committed is lost.
            eprintln!("postwatch: {part} ended; the log above says why");
            return Ok(ExitCode::from(CANNOT_START));
        }
    }
    looking_back.abort();
    tracing::info!("stopping");
    sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]).ok();
    if let Err(error) = service.stop().await {
        tracing::error!(error, "the last commit did not succeed; the next start reads it again");
    }
    Ok(ExitCode::SUCCESS)
}

/// Why it does not start, and the exit code.
struct Refusal {
    code: u8,
    text: String,
}

fn cannot_start(why: impl std::fmt::Display) -> Refusal {
    Refusal { code: CANNOT_START, text: format!("postwatch: {why}") }
}

async fn start(args: &RunArgs) -> Result<(Service, RulesFile, SocketAddr), Refusal> {
    let config = read_config(args)?;
    let clock = Clock::System;
    let metrics = Metrics::new();
    let listener = TcpListener::bind(args.listen).await.map_err(|error| {
        cannot_start(format!(
            "cannot listen on {} ({error}): stop what listens there, or choose another address \
             with --listen",
            args.listen
        ))
    })?;
    let address = listener.local_addr().map_err(cannot_start)?;
    let channels = channels(&config.receivers).map_err(cannot_start)?;
    let heartbeat = heartbeat(config.heartbeat.as_ref()).map_err(cannot_start)?;
    let folder = args.data.clone();
    let opening = blocking(move || SledStore::open(&folder));
    let store = arriving::shown("opening the store", opening).await?.map_err(cannot_start)?;
    let connecting = config.sources.iter().map(|source| connect(source, clock, metrics.clone()));
    let clients = futures_util::future::try_join_all(connecting).await.map_err(cannot_start)?;
    let sources = config.policy.sources.iter().cloned().zip(clients).collect();
    let (rules, reloads) = RulesFile::new(args.rules.clone(), &config, clock, metrics.clone());
    let rules_in_force = InForce { policy: Arc::new(config.policy), hash: config.hash };
    let parts = Parts {
        rules: rules_in_force,
        sources,
        channels,
        heartbeat,
        access: config.access,
        store,
        clock,
        metrics,
        listener,
        reloads,
    };
    let starting = blocking(move || Service::start(parts));
    let service = arriving::shown("reading the store", starting).await?.map_err(cannot_start)?;
    Ok((service, rules, address))
}

/// Reading a large store takes a while, in which a signal must still be heard.
async fn blocking<T: Send + 'static>(
    reading: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    tokio::task::spawn_blocking(reading).await.map_err(cannot_start)
}

fn read_config(args: &RunArgs) -> Result<Config, Refusal> {
    let (config, report) = config::load(&args.rules).map_err(|error| match error {
        ConfigError::Unreadable { .. } => {
            Refusal { code: WRONG_USAGE, text: format!("postwatch: {error}") }
        }
        ConfigError::Invalid { .. } => {
            let file = args.rules.display();
            let text = format!("{error}\n`postwatch check {file}` shows each with its line");
            Refusal { code: 1, text }
        }
    })?;
    for warning in &report.warnings {
        tracing::warn!("{}:{warning}", args.rules.display());
    }
    Ok(config)
}
