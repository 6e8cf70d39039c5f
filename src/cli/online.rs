//! `postwatch check --online`: tries what a rules file names, all of it at the
//! same time. Sends nothing to anybody.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

mod sample;

use super::check::Trial;
use super::run::{channel, everflow_within, heartbeat};
use crate::clock::Clock;
use crate::config::{Config, HeartbeatConfig, Receiver, SourceConfig};
use crate::metrics::Metrics;
use crate::source::{Budget, ReportApi};

/// A person waits for the answer: what has not answered by then does not work.
const PATIENCE: Duration = Duration::from_secs(20);

/// Of that, what the deliveries may take with which rules are compared.
const SAMPLED_WITHIN: Duration = Duration::from_secs(10);

/// One try, and one more for a connection that was unlucky.
fn budget() -> Budget {
    Budget { attempts: 2, request_timeout: Duration::from_secs(8), ..Budget::default() }
}

/// Asks each network who the key belongs to, and each channel whether it would
/// take a message.
pub async fn try_all(config: &Config) -> Vec<Trial> {
    type Trying<'a> = Pin<Box<dyn Future<Output = Trial> + 'a>>;
    let sources = config.sources.iter().map(|source| -> Trying<'_> {
        Box::pin(within(format!("source \"{}\"", source.name), try_source(config, source)))
    });
    let receivers = config.receivers.iter().map(|receiver| -> Trying<'_> {
        Box::pin(within(format!("receiver \"{}\"", receiver.name), try_receiver(receiver)))
    });
    let heartbeat = config.heartbeat.iter().map(|config| -> Trying<'_> {
        Box::pin(within("heartbeat".to_owned(), try_heartbeat(config)))
    });
    futures_util::future::join_all(sources.chain(receivers).chain(heartbeat)).await
}

/// What a try found: a sentence, and doubts.
type Found = Result<(String, Vec<String>), String>;

async fn within(what: String, trying: impl Future<Output = Found>) -> Trial {
    let outcome = tokio::time::timeout(PATIENCE, trying).await.unwrap_or_else(|_| {
        Err(format!(
            "no answer within {} s: check the address, and this machine's network and firewall",
            PATIENCE.as_secs()
        ))
    });
    match outcome {
        Ok((answer, doubts)) => Trial { what, outcome: Ok(answer), doubts },
        Err(why) => Trial { what, outcome: Err(why), doubts: Vec::new() },
    }
}

async fn try_source(config: &Config, source: &SourceConfig) -> Found {
    let api = everflow_within(budget(), source, Clock::System, Metrics::new())
        .map_err(|e| e.to_string())?;
    let network = api.connect().await.map_err(|error| error.to_string())?;
    let policy = config.policy.source(&source.name);
    let sampling = async {
        let policy = policy?;
        sample::unmatched(&api, policy, &config.policy.rules, Clock::System.now()).await
    };
    // Where the network is slow with it, the key works all the same.
    let doubts = tokio::time::timeout(SAMPLED_WITHIN, sampling).await.ok().flatten();
    let answer = format!("the key works: network {} ({})", network.name, network.id);
    Ok((answer, doubts.unwrap_or_default()))
}

async fn try_receiver(receiver: &Receiver) -> Found {
    let channel = channel(receiver)?;
    let answer = channel.probe().await.map_err(|error| error.to_string())?;
    Ok((answer, Vec::new()))
}

async fn try_heartbeat(config: &HeartbeatConfig) -> Found {
    let Some(heartbeat) = heartbeat(Some(config))? else { return Ok(Default::default()) };
    let answer = heartbeat.probe().await.map_err(|error| error.to_string())?;
    Ok((answer, Vec::new()))
}
