//! `postwatch run`: the service.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::{CANNOT_START, WRONG_USAGE};
use crate::channel::{Channel, Email, EmailOptions, Slack, SlackOptions};
use crate::clock::Clock;
use crate::config::{self, ChannelConfig, Config, ConfigError, Receiver, SourceConfig};
use crate::domain::policy::SourcePolicy;
use crate::metrics::Metrics;
use crate::service::{Parts, Service};
use crate::source::everflow::{ApiKey, Everflow, EverflowOptions};
use crate::source::{ApiError, Budget, ReportApi};
use crate::store::sled::SledStore;

/// Watch the networks of a rules file until it is stopped.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The rules file
    #[arg(long, env = "POSTWATCH_RULES", default_value = "rules.yaml", value_name = "FILE")]
    rules: PathBuf,
    /// Where state is kept; made with mode 0700 where it is missing
    #[arg(long, env = "POSTWATCH_DATA", default_value = "postwatch-data", value_name = "DIR")]
    data: PathBuf,
    /// Where the page and /metrics are served
    #[arg(long, env = "POSTWATCH_LISTEN", default_value = "127.0.0.1:9467", value_name = "ADDR")]
    listen: SocketAddr,
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(args: RunArgs) -> anyhow::Result<ExitCode> {
    // Before anything starts: a signal must find somebody who listens.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut service = match start(&args).await {
        Ok(service) => service,
        Err(refusal) => {
            eprintln!("{}", refusal.text);
            return Ok(ExitCode::from(refusal.code));
        }
    };
    tracing::info!(page = %format!("http://{}/", args.listen), "postwatch watches");
    sd_notify::notify(false, &[sd_notify::NotifyState::Ready]).ok();
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        part = service.broken() => {
            // Whoever started us starts us anew: nothing that was committed is lost.
            eprintln!("postwatch: {part} ended unexpectedly; this is a bug, see the log above");
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

/// Why it does not start, and the exit code.
struct Refusal {
    code: u8,
    text: String,
}

fn cannot_start(why: impl std::fmt::Display) -> Refusal {
    Refusal { code: CANNOT_START, text: format!("postwatch: {why}") }
}

async fn start(args: &RunArgs) -> Result<Service, Refusal> {
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
    let store = SledStore::open(&args.data).map_err(cannot_start)?;
    let channels = channels(&config.receivers).map_err(cannot_start)?;
    let mut sources = Vec::new();
    for (policy, source) in config.policy.sources.iter().zip(&config.sources) {
        let api = connect(source, clock, metrics.clone()).await?;
        sources.push((SourcePolicy::clone(policy), api));
    }
    metrics.config_last_reload_successful.set(1);
    metrics.config_last_reload_timestamp_seconds.set(clock.now().0);
    Service::start(Parts {
        policy: Arc::new(config.policy),
        config_hash: config.hash,
        sources,
        channels,
        store,
        clock,
        metrics,
        listener,
    })
    .map_err(cannot_start)
}

fn read_config(args: &RunArgs) -> Result<Config, Refusal> {
    let (config, report) = config::load(&args.rules).map_err(|error| match error {
        ConfigError::Unreadable { .. } => Refusal { code: WRONG_USAGE, text: error.to_string() },
        ConfigError::Invalid { .. } => Refusal { code: 1, text: error.to_string() },
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
    match api.connect().await {
        Ok(network) => {
            tracing::info!(source = source.name, network = network.name, "connected");
        }
        Err(error @ ApiError::Refused { .. }) => return Err(cannot_start(error)),
        Err(
            error @ (ApiError::Rejected { .. }
            | ApiError::Unavailable { .. }
            | ApiError::Incomplete { .. }),
        ) => {
            tracing::warn!(source = source.name, %error, "the network does not say who the key belongs to; polling all the same");
        }
    }
    Ok(api)
}

/// The client of one source.
pub fn everflow(
    source: &SourceConfig,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<Everflow, ApiError> {
    let options = EverflowOptions {
        source: source.name.clone(),
        base_url: source.base_url.clone(),
        api_key: ApiKey::new(source.api_key.expose()),
        timezone_id: source.timezone_id,
        budget: Budget::default(),
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
