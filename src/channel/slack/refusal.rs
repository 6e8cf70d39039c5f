//! What Slack's errors mean for the outbox, and what a person does about them.

use slack_morphism::errors::{SlackClientApiError, SlackClientError, SlackClientHttpProtocolError};

use super::SendError;

/// The root cannot be reached any more: it was deleted, or it stands in a
/// channel that the configuration has left since. Posting anew either works or
/// gives the error that is about the channel of today.
pub(super) fn is_gone(error: &SlackClientError) -> bool {
    let gone = [
        "message_not_found",
        "thread_not_found",
        "channel_not_found",
        "not_in_channel",
        "is_archived",
    ];
    code(error).is_some_and(|code| gone.contains(&code))
}

/// The message is there and may not be edited: its thread still takes replies.
pub(super) fn is_frozen(error: &SlackClientError) -> bool {
    code(error).is_some_and(|code| matches!(code, "edit_window_closed" | "cant_update_message"))
}

/// The answer could not be read whole and yet says that the message was taken:
/// a blind retry would post it twice.
pub(super) fn was_taken(error: &SlackClientError) -> bool {
    let SlackClientError::ProtocolError(protocol) = error else { return false };
    let body = protocol.json_body.as_deref().unwrap_or_default();
    let head: String = body.chars().filter(|c| !c.is_whitespace()).take(10).collect();
    head == r#"{"ok":true"#
}

/// `ok: false` without a name for it.
pub(super) fn unnamed() -> SlackClientError {
    SlackClientError::ApiError(SlackClientApiError::new("internal_error".to_owned()))
}

/// Never repeats Slack's body: it may quote the message.
pub(super) fn explain(error: SlackClientError, channel: &str) -> SendError {
    match error {
        SlackClientError::ApiError(api) => refused(&api.code, channel),
        SlackClientError::RateLimitError(limit) => SendError::Temporary {
            retry_after: limit.retry_after,
            reason: "ratelimited",
            message: "Slack takes no more messages for a while (429)".to_owned(),
        },
        SlackClientError::HttpError(http) => by_status(http.status_code.as_u16()),
        SlackClientError::HttpProtocolError(http) => unreachable_host(&http),
        SlackClientError::ProtocolError(_) => SendError::temporary(
            "bad_answer",
            "the answer was not Slack's: is there a proxy or a login page in between?",
        ),
        SlackClientError::SystemError(_)
        | SlackClientError::EndOfStream(_)
        | SlackClientError::SocketModeProtocolError(_) => SendError::temporary(
            "connection_lost",
            "the connection to Slack broke before its answer was read",
        ),
    }
}

fn by_status(status: u16) -> SendError {
    match status {
        500..=599 => SendError::temporary("http_5xx", format!("Slack answered {status}")),
        408 => SendError::temporary("timeout", "Slack answered 408: the request took too long"),
        _ => SendError::permanent(
            "http_4xx",
            format!("Slack answered {status}: check `api_url`, and any proxy in between"),
        ),
    }
}

fn unreachable_host(error: &SlackClientHttpProtocolError) -> SendError {
    let cause = error.cause.as_ref();
    let hyper = cause.and_then(|cause| cause.downcast_ref::<hyper_util::client::legacy::Error>());
    match hyper {
        Some(hyper) if hyper.is_connect() => SendError::temporary(
            "connect",
            "cannot connect to Slack: check the network, DNS and certificates of this machine",
        ),
        _ => SendError::temporary(
            "connection_lost",
            "the connection to Slack broke before its answer was read",
        ),
    }
}

/// By the name that Slack gives the error. One that is not known here is
/// permanent: Slack refused this very message, so the fallback should get it
/// at once instead of after hours of repeating it.
fn refused(code: &str, channel: &str) -> SendError {
    if let Some(reason) = passing(code) {
        return SendError::temporary(reason, format!("Slack cannot take the message now ({code})"));
    }
    let (reason, advice) = match code {
        "channel_not_found" => (
            "channel_not_found",
            format!("there is no channel {channel}, or it is private: check its name, and invite the bot: /invite @postwatch in {channel}"),
        ),
        "not_in_channel" => (
            "not_in_channel",
            format!("the bot is not in {channel}; invite the bot: /invite @postwatch in {channel}"),
        ),
        "is_archived" => (
            "is_archived",
            format!("the channel {channel} is archived: unarchive it, or name another one in `channel`"),
        ),
        "restricted_action" | "restricted_action_read_only_channel" | "restricted_action_thread_only_channel" => (
            "restricted_action",
            format!("the workspace's settings keep the bot from posting in {channel}: ask an admin, or choose another channel"),
        ),
        "invalid_auth" | "not_authed" | "token_expired" | "token_revoked" | "account_inactive" => (
            login_label(code),
            "Slack does not accept the token: install the app again and put the new bot token (xoxb-…) into `token`".to_owned(),
        ),
        "missing_scope" | "not_allowed_token_type" | "no_permission" => (
            "missing_scope",
            "the token may not post: add the scope chat:write to the app, install it again, and use its bot token".to_owned(),
        ),
        "msg_too_long" | "msg_blocks_too_long" | "invalid_blocks" | "invalid_blocks_format" | "no_text" => (
            "bad_message",
            "Slack refuses the message's form; this is a mistake of postwatch's: please report it".to_owned(),
        ),
        _ => ("slack_other", "Slack refuses it; see https://api.slack.com/methods/chat.postMessage#errors".to_owned()),
    };
    SendError::permanent(reason, format!("{advice} ({})", known_form(code)))
}

/// Errors that pass by themselves.
fn passing(code: &str) -> Option<&'static str> {
    match code {
        "ratelimited" | "rate_limited" | "message_limit_exceeded" | "accesslimited" => {
            Some("ratelimited")
        }
        "request_timeout" => Some("timeout"),
        "internal_error" | "fatal_error" | "service_unavailable" | "team_added_to_org" => {
            Some("slack_internal")
        }
        _ => None,
    }
}

fn login_label(code: &str) -> &'static str {
    match code {
        "account_inactive" => "account_inactive",
        "token_revoked" => "token_revoked",
        "token_expired" => "token_expired",
        _ => "invalid_auth",
    }
}

/// An error's name is a word; whatever else comes in its place is not repeated.
fn known_form(code: &str) -> &str {
    let is_word = code.len() <= 64 && code.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    if is_word { code } else { "an error without a name" }
}

fn code(error: &SlackClientError) -> Option<&str> {
    match error {
        SlackClientError::ApiError(api) => Some(&api.code),
        _ => None,
    }
}
