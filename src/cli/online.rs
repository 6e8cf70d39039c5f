//! `postwatch check --online`: tries what a rules file names. Sends nothing to
//! anybody.

use super::check::Trial;
use super::run::{channel, everflow};
use crate::clock::Clock;
use crate::config::{Config, Receiver, SourceConfig};
use crate::metrics::Metrics;
use crate::source::ReportApi;

/// Asks each network who the key belongs to, and each channel whether it would
/// take a message.
pub async fn try_all(config: &Config) -> Vec<Trial> {
    let mut trials = Vec::new();
    for source in &config.sources {
        let what = format!("source \"{}\"", source.name);
        trials.push(Trial { what, outcome: try_source(source).await });
    }
    for receiver in &config.receivers {
        let what = format!("receiver \"{}\"", receiver.name);
        trials.push(Trial { what, outcome: try_receiver(receiver).await });
    }
    trials
}

async fn try_source(source: &SourceConfig) -> Result<String, String> {
    let api = everflow(source, Clock::System, Metrics::new()).map_err(|e| e.to_string())?;
    let network = api.connect().await.map_err(|error| error.to_string())?;
    Ok(format!("the key works: network {} ({})", network.name, network.id))
}

async fn try_receiver(receiver: &Receiver) -> Result<String, String> {
    let channel = channel(&receiver.channel)?;
    channel.probe().await.map_err(|error| error.to_string())
}
