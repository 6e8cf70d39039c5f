//! From the checked file to what reaches the outside: a client for each source,
//! a channel for each receiver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::channel::{
    Alertmanager, AlertmanagerOptions, Channel, Email, EmailOptions, Heartbeat, Slack,
    SlackOptions, Webhook, WebhookOptions,
};
use crate::clock::Clock;
use crate::config::{ChannelConfig, HeartbeatConfig, Receiver, Secret, SourceConfig};
use crate::domain::policy::Scope;
use crate::metrics::Metrics;
use crate::source::everflow::{ApiKey, Everflow, EverflowOptions};
use crate::source::{ApiError, Ask, Budget, Report, ReportApi, Status};

/// A network that is slow to answer gets this long: then the service begins without
/// it, and asks again at every interval. Until then nobody sees its page.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A client whose key works. A network that does not answer now is asked again
/// at every interval; a key that is refused is a mistake to mend first.
pub async fn connect(
    source: &SourceConfig,
    clock: Clock,
    metrics: Arc<Metrics>,
) -> Result<Everflow, String> {
    let api = everflow(source, clock, metrics).map_err(|error| error.to_string())?;
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
                Err(ApiError::Refused { .. }) => {
                    return Err(format!("source \"{}\": {error}", source.name));
                }
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
        let made = channel(receiver);
        let made = made.map_err(|error| format!("receiver \"{}\": {error}", receiver.name))?;
        channels.insert(receiver.name.clone(), made);
    }
    Ok(channels)
}

/// Who hears that postwatch lives.
pub fn heartbeat(config: Option<&HeartbeatConfig>) -> Result<Option<Heartbeat>, String> {
    config.map(|config| Heartbeat::new(config.url.expose(), config.every)).transpose()
}

/// The channel that a receiver's configuration describes.
pub fn channel(receiver: &Receiver) -> Result<Channel, String> {
    let words = receiver.words.clone();
    Ok(match &receiver.channel {
        ChannelConfig::Slack { token, channel, api_url } => {
            let slack = Slack::new(SlackOptions {
                token: token.expose().to_owned(),
                channel: channel.clone(),
                api_url: api_url.clone(),
            })?;
            Channel::Slack(slack.with_words(words))
        }
        ChannelConfig::Email { smtp, from, to } => {
            let email = Email::new(EmailOptions {
                smtp: smtp.expose().to_owned(),
                from: from.clone(),
                to: to.clone(),
            })?;
            Channel::Email(email.with_words(words))
        }
        ChannelConfig::Webhook { url, secret } => {
            let key = secret.as_ref().and_then(Secret::signing_key);
            Channel::Webhook(Webhook::new(WebhookOptions { url: url.expose().to_owned(), key })?)
        }
        ChannelConfig::Alertmanager { urls } => {
            let urls = urls.iter().map(|url| url.expose().to_owned()).collect();
            Channel::Alertmanager(Alertmanager::new(AlertmanagerOptions { urls })?)
        }
    })
}
