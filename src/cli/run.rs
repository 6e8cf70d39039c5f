//! `postwatch run`: the service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::logs::LogArgs;
use super::{CANNOT_START, WRONG_USAGE};
use crate::channel::{Channel, Email, EmailOptions, Slack, SlackOptions};
use crate::clock::Clock;
use crate::config::{self, ChannelConfig, Config, ConfigError, Receiver, SourceConfig};
use crate::domain::policy::Scope;
use crate::metrics::Metrics;
use crate::service::{Parts, Service};
use crate::source::everflow::{ApiKey, Everflow, EverflowOptions};
use crate::source::{ApiError, Ask, Budget, Report, ReportApi, Status};
use crate::store::sled::SledStore;

/// Watch the networks of a rules file until it is stopped
///
/// Polls each network, keeps what it saw in the data folder, and tells the receivers of the
/// rules file. A network or a channel that does not answer does not stop it: it asks again.
/// SIGTERM and Ctrl-C stop it within 5 seconds; what was not told by then is told at the next
/// start. Logs go to standard error.
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

/// At a start a network that is slow to answer gets this long: then the service
/// begins without it, and asks again at every interval.
const CONNECT_WITHIN: Duration = Duration::from_secs(15);

/// Runs until SIGTERM or SIGINT, which also end a start that takes long.
pub async fn run(args: RunArgs, logs: &LogArgs) -> anyhow::Result<ExitCode> {
    // Before anything starts: a signal must find somebody who listens.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let started = tokio::select! {
        started = start(&args) => started,
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
        _ = terminate.recv() => return Ok(ExitCode::SUCCESS),
    };
    let (mut service, address) = match started {
        Ok(started) => started,
        Err(refusal) => {
            logs.complain(&refusal.text);
            return Ok(ExitCode::from(refusal.code));
        }
    };
    tracing::info!(page = %format!("http://{address}/"), "postwatch watches");
    sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).ok();
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        () = ignore(&mut hangup) => {}
        part = service.broken() => {
            // Whoever started us starts us anew: nothing that was committed is lost.
            eprintln!("postwatch: {part} ended; the log above says why");
            return Ok(ExitCode::from(CANNOT_START));
        }
    }
    tracing::info!("stopping");
    sd_notify::notify(false, &[sd_notify::NotifyState::Stopping]).ok();
    if let Err(error) = service.stop().await {
        tracing::error!(error, "the last commit did not succeed; the next start reads it again");
    }
    Ok(ExitCode::SUCCESS)
}

/// A lost terminal must not end the watch, nor may an early attempt to reload.
async fn ignore(hangup: &mut Signal) {
    while hangup.recv().await.is_some() {
        tracing::warn!("SIGHUP: the rules are read at a start only; restart to take up changes");
    }
    std::future::pending().await
}

/// Why it does not start, and the exit code.
struct Refusal {
    code: u8,
    text: String,
}

fn cannot_start(why: impl std::fmt::Display) -> Refusal {
    Refusal { code: CANNOT_START, text: format!("postwatch: {why}") }
}

async fn start(args: &RunArgs) -> Result<(Service, SocketAddr), Refusal> {
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
    let folder = args.data.clone();
    let store = blocking(move || SledStore::open(&folder)).await?.map_err(cannot_start)?;
    let connecting = config.sources.iter().map(|source| connect(source, clock, metrics.clone()));
    let clients = futures_util::future::try_join_all(connecting).await?;
    let sources = config.policy.sources.iter().cloned().zip(clients).collect();
    metrics.config_last_reload_successful.set(1);
    metrics.config_last_reload_timestamp_seconds.set(clock.now().0);
    let parts = Parts {
        policy: Arc::new(config.policy),
        config_hash: config.hash,
        sources,
        channels,
        store,
        clock,
        metrics,
        listener,
    };
    let service = blocking(move || Service::start(parts)).await?.map_err(cannot_start)?;
    Ok((service, address))
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

/// A client whose key works. A network that does not answer now is asked again
/// at every interval; a key that is refused is a mistake to mend first.
async fn connect(
    source: &SourceConfig,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<Everflow, Refusal> {
    let api = everflow(source, clock, metrics).map_err(cannot_start)?;
    let Ok(connected) = tokio::time::timeout(CONNECT_WITHIN, api.connect()).await else {
        tracing::warn!(source = source.name, "{NOT_YET}");
        return Ok(api);
    };
    match connected {
        Ok(network) => {
            tracing::info!(source = source.name, network = network.name, "connected");
        }
        // Who the key belongs to may be hidden from it: the report itself decides.
        Err(error @ (ApiError::Refused { .. } | ApiError::Rejected { .. })) => {
            match try_report(&api, clock).await {
                Err(ApiError::Refused { .. }) => return Err(cannot_start(error)),
                Ok(_) | Err(_) => tracing::warn!(source = source.name, %error, "{NOT_SAID}"),
            }
        }
        Err(error @ (ApiError::Unavailable { .. } | ApiError::Incomplete { .. })) => {
            tracing::warn!(source = source.name, %error, "{NOT_YET}");
        }
    }
    Ok(api)
}

/// Asks the report for one second, as every poll will.
async fn try_report(api: &Everflow, clock: Clock) -> Result<Report, ApiError> {
    let to = clock.now();
    let from = to - Duration::from_secs(1);
    api.report(&Ask { status: Status::Failure, from, to, scope: Scope::default() }).await
}

const NOT_SAID: &str = "the network does not say who the key belongs to; it is polled all the same";
const NOT_YET: &str = "the network does not answer yet; it is asked again at every interval";

/// The client of one source.
pub fn everflow(
    source: &SourceConfig,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<Everflow, ApiError> {
    everflow_within(Budget::default(), source, clock, metrics)
}

/// A client that may take no more than `budget`.
pub fn everflow_within(
    budget: Budget,
    source: &SourceConfig,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<Everflow, ApiError> {
    let options = EverflowOptions {
        source: source.name.clone(),
        base_url: source.base_url.clone(),
        api_key: ApiKey::new(source.api_key.expose()),
        timezone_id: source.timezone_id,
        budget,
    };
    Everflow::new(options, clock, metrics)
}

/// A channel for each receiver.
pub fn channels(receivers: &[Receiver]) -> Result<BTreeMap<String, Channel>, String> {
    let mut channels = BTreeMap::new();
    for receiver in receivers {
        let made = channel(&receiver.channel);
        let made = made.map_err(|error| format!("receiver \"{}\": {error}", receiver.name))?;
        channels.insert(receiver.name.clone(), made);
    }
    Ok(channels)
}

/// The channel that a receiver's configuration describes.
pub fn channel(config: &ChannelConfig) -> Result<Channel, String> {
    Ok(match config {
        ChannelConfig::Slack { token, channel, api_url } => {
            Channel::Slack(Slack::new(SlackOptions {
                token: token.expose().to_owned(),
                channel: channel.clone(),
                api_url: api_url.clone(),
            })?)
        }
        ChannelConfig::Email { smtp, from, to } => Channel::Email(Email::new(EmailOptions {
            smtp: smtp.expose().to_owned(),
            from: from.clone(),
            to: to.clone(),
        })?),
    })
}
