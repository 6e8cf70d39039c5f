//! Slack by its Web API: one message for each batch, edited as the batch
//! changes, with the history in its thread. Keeps to no rate limit itself and
//! never waits for one: the outbox does.

use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::*;
use url::Url;

use crate::domain::notify::wording::Wording;
use crate::domain::notify::{Notice, NoticeReason};

use super::render::Letter;
use super::render::blocks::{self, Message};
use super::{SendError, Sent, Thread};

mod refusal;

type Connector = SlackClientHyperConnector<
    hyper_rustls::HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>,
>;

/// What `slack:` of a receiver says.
#[derive(Clone)]
pub struct SlackOptions {
    /// A bot's token, `xoxb-…`.
    pub token: String,
    /// `#name` or an id.
    pub channel: String,
    /// Base for a proxy or a test server; `/chat.postMessage` is appended.
    pub api_url: Option<String>,
}

/// A Slack channel that a bot writes to.
pub struct Slack {
    client: SlackClient<Connector>,
    token: SlackApiToken,
    channel: String,
    pub(super) words: Wording,
}

/// What is read of an answer. The crate's own types also want the posted
/// message; where it is missing they call a post that happened an error, and a
/// retry would post twice.
#[derive(Debug, serde::Deserialize)]
struct Posted {
    ok: bool,
    channel: Option<String>,
    ts: Option<String>,
}

/// The same of `auth.test`, for the same reason: a token is good where it is called so.
#[derive(Debug, serde::Deserialize)]
struct Bot {
    ok: bool,
    user: Option<String>,
    team: Option<String>,
}

impl Slack {
    /// Checks the options; nothing is asked over the network.
    pub fn new(options: SlackOptions) -> Result<Slack, String> {
        let token = SlackApiToken::new(options.token.trim().to_owned().into());
        if options.token.trim().is_empty() || options.token.chars().any(char::is_control) {
            return Err("`token` is empty or broken; write the bot's token, `xoxb-…`".to_owned());
        }
        if options.channel.trim().is_empty() {
            return Err(
                "`channel` is empty; write a name such as `#postbacks`, or its id".to_owned()
            );
        }
        let connector = connector(options.api_url.as_deref())?;
        let client = SlackClient::new(connector);
        Ok(Slack { client, token, channel: options.channel, words: Wording::default() })
    }

    /// The same with the receiver's own words.
    pub fn with_words(self, words: Wording) -> Slack {
        Slack { words, ..self }
    }

    pub(super) async fn send(
        &self,
        notice: &Notice,
        letter: &Letter,
        thread: Option<&Thread>,
    ) -> Result<Sent, SendError> {
        let Some(Thread::Slack { channel, ts }) = thread else {
            return self.post_root(notice, letter).await;
        };
        // The root first: it can be repeated without harm if the reply then fails.
        match self.update_root(notice, letter, channel, ts).await {
            Ok(()) => {}
            Err(error) if refusal::is_gone(&error) => return self.post_root(notice, letter).await,
            Err(error) if refusal::is_frozen(&error) => {}
            // An edit is worth less than the news: whatever refuses it for good, the
            // reply is tried, and says what is wrong where that is refused too.
            Err(error) => match refusal::explain(error, &self.channel) {
                error @ SendError::Temporary { .. } => return Err(error),
                SendError::Permanent { .. } => {}
            },
        }
        match self.reply(notice, letter, channel, ts).await {
            Ok(()) => Ok(Sent { thread: thread.cloned(), ..Sent::default() }),
            Err(error) if refusal::is_gone(&error) => self.post_root(notice, letter).await,
            Err(error) => Err(refusal::explain(error, &self.channel)),
        }
    }

    /// Asks who the token belongs to.
    pub(super) async fn probe(&self) -> Result<String, SendError> {
        let session = self.client.open_session(&self.token);
        let nothing = serde_json::json!({});
        let asked = session.http_session_api.http_post::<_, Bot>("auth.test", &nothing, None);
        let bot = match asked.await {
            Ok(bot) if bot.ok => Ok(bot),
            Ok(_) => Err(refusal::unnamed()),
            Err(error) => Err(error),
        };
        let bot = bot.map_err(|error| refusal::explain(error, &self.channel))?;
        let name = bot.user.unwrap_or_else(|| "the bot".to_owned());
        let team = bot.team.map(|team| format!(" in {team}")).unwrap_or_default();
        Ok(format!("the token is good: it posts as {name}{team}"))
    }

    async fn post_root(&self, notice: &Notice, letter: &Letter) -> Result<Sent, SendError> {
        // A root that is posted late says what happened, not only how it stands.
        let content = content(notice, letter, &letter.headline, blocks::reply(letter));
        let request = SlackApiChatPostMessageRequest::new(self.channel.clone().into(), content)
            .with_unfurl_links(false)
            .with_unfurl_media(false);
        let posted = self.call("chat.postMessage", &request).await;
        let posted = posted.map_err(|error| refusal::explain(error, &self.channel))?;
        let thread = posted.ts.map(|ts| Thread::Slack {
            channel: posted.channel.unwrap_or_else(|| self.channel.clone()),
            ts,
        });
        Ok(Sent { thread, ..Sent::default() })
    }

    async fn update_root(
        &self,
        notice: &Notice,
        letter: &Letter,
        channel: &str,
        ts: &str,
    ) -> Result<(), SlackClientError> {
        let content = content(notice, letter, &letter.state, blocks::root(letter));
        let request = SlackApiChatUpdateRequest::new(channel.into(), content, ts.into());
        self.call("chat.update", &request).await.map(drop)
    }

    async fn reply(
        &self,
        notice: &Notice,
        letter: &Letter,
        channel: &str,
        ts: &str,
    ) -> Result<(), SlackClientError> {
        let content = content(notice, letter, &letter.headline, blocks::reply(letter));
        let request = SlackApiChatPostMessageRequest::new(channel.into(), content)
            .with_thread_ts(ts.into())
            // What got worse must be seen by those who do not follow the thread.
            .with_reply_broadcast(notice.reason == NoticeReason::Escalated)
            .with_unfurl_links(false)
            .with_unfurl_media(false);
        self.call("chat.postMessage", &request).await.map(drop)
    }

    async fn call<Request: serde::Serialize + Send + Sync>(
        &self,
        method: &str,
        request: &Request,
    ) -> Result<Posted, SlackClientError> {
        let session = self.client.open_session(&self.token);
        match session.http_session_api.http_post::<_, Posted>(method, request, None).await {
            Ok(posted) if posted.ok => Ok(posted),
            Ok(_) => Err(refusal::unnamed()),
            Err(error) if refusal::was_taken(&error) => {
                Ok(Posted { ok: true, channel: None, ts: None })
            }
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for Slack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slack").field("channel", &self.channel).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for SlackOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SlackOptions").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// Blocks, the text that a phone shows, and the id by which a repeat is known.
fn content(
    notice: &Notice,
    letter: &Letter,
    headline: &str,
    message: Message,
) -> SlackMessageContent {
    let id = [("id".to_owned(), notice.id.clone())].into();
    let metadata = SlackMessageMetadata::new("postwatch_notice".to_owned()).with_event_payload(id);
    SlackMessageContent::new()
        .with_text(blocks::fallback(letter, headline))
        .with_blocks(message.blocks)
        .with_attachments(message.attachments)
        .with_metadata(metadata)
}

/// The stock connector refuses `http://`, which a proxy or a test server on
/// this machine may speak; beyond it a token must not travel in the clear.
fn connector(api_url: Option<&str>) -> Result<Connector, String> {
    let https = hyper_rustls::HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
        .map_err(|e| format!("cannot read this machine's certificate authorities: {e}"))?
        .https_or_http()
        .enable_all_versions()
        .build();
    let connector = SlackClientHyperConnector::with_connector(https);
    let Some(api_url) = api_url else { return Ok(connector) };
    let url = Url::parse(api_url)
        .map_err(|e| format!("`api_url` is no address ({e}); write `https://host/api`"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => {
            return Err("`api_url` would send the token in the clear; write `https://…`".to_owned());
        }
        _ => return Err("`api_url` must begin with `https://`".to_owned()),
    }
    Ok(connector.with_slack_api_url(api_url.trim_end_matches('/')))
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_cannot_work_are_refused_in_words() {
        let check = |token: &str, channel: &str, api_url: Option<&str>, expected: &str| {
            let options = SlackOptions {
                token: token.to_owned(),
                channel: channel.to_owned(),
                api_url: api_url.map(str::to_owned),
            };
            let error = Slack::new(options).map(|_| String::new()).unwrap_or_else(|e| e);
            assert!(error.contains(expected), "{error}");
        };
        check("", "#a", None, "`token` is empty");
        check("xoxb-1", " ", None, "`channel` is empty");
        check("xoxb-1", "#a", Some("slack"), "is no address");
        check("xoxb-1", "#a", Some("ftp://x/"), "https://");
        check("xoxb-1", "#a", Some("http://proxy.example/api"), "in the clear");
        check("xoxb-1", "#a", Some("http://127.0.0.1:1/api/"), "");
        check("xoxb-1", "#a", None, "");
    }
}
