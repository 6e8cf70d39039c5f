//! Slack, against a fake that refuses what Slack refuses.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use postwatch::channel::{Channel, SendError, Sent, Slack, SlackOptions, Thread};
use postwatch::domain::notify::{AlertStatus, Notice, NoticeReason};
use postwatch::domain::rules::Severity;
use serde_json::json;

use crate::page;
use crate::support::notices;
use crate::support::slack::{CHANNEL, CHANNEL_ID, FakeSlack, Fault, TOKEN};
use crate::support::tls;

fn channel(fake: &FakeSlack, token: &str, name: &str) -> Channel {
    tls();
    let options = SlackOptions {
        token: token.to_owned(),
        channel: name.to_owned(),
        api_url: Some(fake.api_url.clone()),
    };
    Channel::Slack(Slack::new(options).expect("the options are good"))
}

async fn send(
    fake: &FakeSlack,
    notice: &Notice,
    thread: Option<&Thread>,
) -> Result<Sent, SendError> {
    channel(fake, TOKEN, CHANNEL).send(notice, thread, &page()).await
}

/// Posts a first notice and returns its thread.
async fn posted(fake: &FakeSlack) -> Option<Thread> {
    send(fake, &notices::critical(), None).await.expect("it is taken").thread
}

#[tokio::test]
async fn the_first_notice_is_posted_with_its_id() {
    let fake = FakeSlack::start().await;
    let thread = posted(&fake).await;
    let ts = "1772331120.000001".to_owned();
    assert_eq!(thread, Some(Thread::Slack { channel: CHANNEL_ID.to_owned(), ts }));
    let calls = fake.calls();
    let body = &calls[0].body;
    assert_eq!(calls.len(), 1);
    assert_eq!(body["channel"], CHANNEL);
    assert_eq!(body["metadata"]["event_type"], "postwatch_notice");
    assert_eq!(body["metadata"]["event_payload"]["id"], "n-first-1");
    assert_eq!(
        body["text"],
        "🔴 CRITICAL: Acme Media (7): trk.acme.example fails 83 % of postbacks (tls)"
    );
    assert_eq!(body["unfurl_links"], false);
    assert_eq!(fake.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn a_later_notice_edits_the_root_and_replies_in_its_thread() {
    for (reason, broadcast) in [(NoticeReason::Resolved, false), (NoticeReason::Escalated, true)] {
        let fake = FakeSlack::start().await;
        let thread = posted(&fake).await;
        let notice = Notice { reason, ..notices::resolved() };
        let sent = send(&fake, &notice, thread.as_ref()).await.expect("it is taken");
        assert_eq!(sent.thread, thread);
        let calls = fake.calls();
        let methods: Vec<&str> = calls.iter().map(|call| call.method.as_str()).collect();
        assert_eq!(methods, ["chat.postMessage", "chat.update", "chat.postMessage"]);
        assert_eq!(calls[1].body["ts"], "1772331120.000001");
        let text = calls[1].body["text"].as_str().unwrap_or_default();
        assert!(text.starts_with("✅ RESOLVED: ") && text.ends_with("after 25 min"), "{text}");
        assert_eq!(calls[2].body["thread_ts"], "1772331120.000001");
        assert_eq!(calls[2].body["reply_broadcast"], json!(broadcast));
    }
}

#[tokio::test]
async fn a_root_that_somebody_deleted_is_posted_anew() {
    let fake = FakeSlack::start().await;
    let thread = posted(&fake).await;
    fake.forget_messages();
    let sent = send(&fake, &notices::resolved(), thread.as_ref()).await.expect("it is taken");
    assert!(sent.thread.is_some());
    let calls = fake.calls();
    assert_eq!(calls.len(), 2);
    assert_eq!(
        (calls[1].method.as_str(), &calls[1].body["thread_ts"]),
        ("chat.postMessage", &json!(null))
    );
}

#[tokio::test]
async fn a_root_in_a_channel_that_was_left_is_posted_anew_in_the_present_one() {
    let fake = FakeSlack::start().await;
    let old = Thread::Slack { channel: "C0OLD".to_owned(), ts: "1.000001".to_owned() };
    let sent = send(&fake, &notices::resolved(), Some(&old)).await.expect("it is taken");
    assert!(matches!(sent.thread, Some(Thread::Slack { channel, .. }) if channel == CHANNEL_ID));
}

#[tokio::test]
async fn a_root_too_old_to_edit_still_gets_the_reply() {
    let fake = FakeSlack::start().await;
    let thread = posted(&fake).await;
    fake.then([Fault::Error("edit_window_closed")]);
    send(&fake, &notices::resolved(), thread.as_ref()).await.expect("it is taken");
    assert_eq!(fake.calls().len(), 2);
}

#[tokio::test]
async fn what_was_posted_is_never_sent_again() {
    for fault in [Fault::WithoutMessage, Fault::CutShort] {
        let fake = FakeSlack::start().await;
        fake.then([fault.clone()]);
        let sent = send(&fake, &notices::critical(), None).await;
        let sent = sent.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        // Where the answer says where the message is, it is used.
        assert_eq!(sent.thread.is_some(), matches!(fault, Fault::WithoutMessage));
        assert_eq!(fake.calls().len(), 1);
    }
}

#[tokio::test]
async fn what_may_pass_is_temporary() {
    let check = async |fault: Fault, expected: &str, after: Option<Duration>| {
        let fake = FakeSlack::start().await;
        fake.then([fault]);
        match send(&fake, &notices::critical(), None).await {
            Err(SendError::Temporary { retry_after, reason, .. }) => {
                assert_eq!((reason, retry_after), (expected, after));
            }
            other => panic!("{expected}: {other:?}"),
        }
    };
    check(Fault::RateLimited(31), "ratelimited", Some(Duration::from_secs(31))).await;
    check(Fault::Status(503), "http_5xx", None).await;
    check(Fault::Error("fatal_error"), "slack_internal", None).await;
    check(Fault::Portal, "bad_answer", None).await;
    check(Fault::ResetAfterAccepting, "connection_lost", None).await;
}

#[tokio::test(start_paused = true)]
async fn a_slack_that_never_answers_is_given_up() {
    let fake = FakeSlack::start().await;
    fake.then([Fault::Hang]);
    let error = send(&fake, &notices::critical(), None).await.expect_err("nobody answers");
    assert_eq!(error.reason(), "timeout");
}

#[tokio::test]
async fn nobody_there_is_temporary() {
    let mut fake = FakeSlack::start().await;
    fake.api_url = "http://127.0.0.1:1/api".to_owned();
    let error = send(&fake, &notices::critical(), None).await.expect_err("nobody is there");
    assert_eq!(error.reason(), "connect");
}

#[tokio::test]
async fn a_refusal_says_what_to_do() {
    let check = async |code: &'static str, words: &str| {
        let fake = FakeSlack::start().await;
        fake.then([Fault::Error(code)]);
        match send(&fake, &notices::critical(), None).await {
            Err(SendError::Permanent { message, .. }) => {
                assert!(message.contains(words) && message.contains(code), "{message}");
            }
            other => panic!("{code}: {other:?}"),
        }
    };
    check("not_in_channel", "/invite @postwatch in #postbacks").await;
    check("channel_not_found", "/invite @postwatch in #postbacks").await;
    check("is_archived", "unarchive it").await;
    check("account_inactive", "new bot token").await;
    check("token_revoked", "new bot token").await;
    check("missing_scope", "chat:write").await;
    check("msg_too_long", "report it").await;
    check("some_new_error", "Slack refuses it").await;
}

#[tokio::test]
async fn a_wrong_token_and_a_wrong_channel_are_told_apart() {
    let fake = FakeSlack::start().await;
    let check = async |token: &str, name: &str, reason: &str| {
        let sent = channel(&fake, token, name).send(&notices::critical(), None, &page()).await;
        assert_eq!(sent.expect_err("it is refused").reason(), reason);
    };
    check("xoxb-wrong", CHANNEL, "invalid_auth").await;
    check(TOKEN, "#elsewhere", "channel_not_found").await;
    let probed = channel(&fake, TOKEN, CHANNEL).probe().await.expect("the token is good");
    assert!(probed.contains("postwatch"), "{probed}");
}

#[tokio::test]
async fn no_name_and_no_batch_breaks_a_limit() {
    let fake = FakeSlack::start().await;
    let long = ["<!channel>&`".repeat(1_000), "👩‍👩‍👧‍👦".repeat(2_500), "x".repeat(10_000)];
    for text in notices::nasty().chain(long) {
        for reason in [NoticeReason::First, NoticeReason::Escalated, NoticeReason::Resolved] {
            let thread = posted(&fake).await;
            let notice = Notice { reason, ..notices::hostile(&text) };
            let sent = send(&fake, &notice, thread.as_ref()).await;
            assert!(sent.is_ok(), "{text:?}: {:?}", fake.refusals());
        }
    }
    send(&fake, &notices::many(40), None).await.expect("it is taken");
    send(&fake, &notices::many(1_000), None).await.expect("it is taken");
    assert_eq!(fake.refusals(), Vec::<String>::new());
}

#[tokio::test]
async fn what_matters_is_in_the_message_and_the_rest_beside_a_colour() {
    let fake = FakeSlack::start().await;
    posted(&fake).await;
    let body = &fake.calls()[0].body;
    let kinds = |blocks: &serde_json::Value| -> Vec<String> {
        let blocks = blocks.as_array().cloned().unwrap_or_default();
        blocks.iter().map(|block| block["type"].as_str().unwrap_or_default().to_owned()).collect()
    };
    // The headline; how much; why; a note; the buttons.
    assert_eq!(kinds(&body["blocks"]), ["header", "section", "section", "section", "actions"]);
    assert_eq!(body["blocks"][1]["fields"][0]["text"], "failures\n*41*  (rule: &gt;= 20)");
    assert_eq!(body["blocks"][4]["elements"][0]["url"], "http://127.0.0.1:9467/");
    assert_eq!(body["blocks"][4]["elements"][1]["url"], "https://wiki.example.com/postbacks#tls");
    let beside = &body["attachments"][0];
    assert_eq!(beside["color"], "#c62828");
    // The examples; the rule; the footer.
    assert_eq!(kinds(&beside["blocks"]), ["section", "context", "context"]);
    let code = beside["blocks"][0]["text"]["text"].as_str().unwrap_or_default();
    assert!(code.starts_with("*Examples*\n```2026-03-01 03:12:00 CET") && code.ends_with("```"));
    assert!(code.contains("https://trk.acme.example/postback?click_id=…&amp;payout=…"), "{code}");
}

#[tokio::test]
async fn each_of_several_alerts_has_the_colour_of_its_own_severity() {
    let fake = FakeSlack::start().await;
    let mut alerts = notices::many(3).alerts;
    alerts[1].severity = Severity::Warning;
    alerts[2].status = AlertStatus::Resolved { resolved_at: notices::BEGAN };
    let notice = notices::notice(NoticeReason::NewAlerts, alerts);
    send(&fake, &notice, None).await.expect("it is taken");
    let attachments = fake.calls()[0].body["attachments"].as_array().cloned().unwrap_or_default();
    let colours: Vec<_> = attachments.iter().filter_map(|one| one["color"].as_str()).collect();
    assert_eq!(colours, ["#c62828", "#b45f06", "#1f7a3d"]);
}

/// `@slack/types` and a compiler for them, as `.ci/deploy-tools` fetches both.
#[tokio::test]
async fn slack_s_own_types_take_every_kind_of_message() {
    let tools = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools");
    let compiler = tools.join("node_modules/typescript/lib/tsc.js");
    if !tools.join("node_modules/@slack/types").is_dir() {
        assert!(std::env::var("CI").is_err(), "@slack/types is missing: .ci/deploy-tools");
        println!("skipped: @slack/types is missing, .ci/deploy-tools fetches it");
        return;
    }
    let fake = FakeSlack::start().await;
    let thread = posted(&fake).await;
    send(&fake, &notices::resolved(), thread.as_ref()).await.expect("it is taken");
    send(&fake, &notices::many(40), None).await.expect("it is taken");
    send(&fake, &notices::hostile("<!channel>&`"), None).await.expect("it is taken");
    let mut source = "import type {KnownBlock, MessageAttachment, MessageMetadata} from '@slack/types';\n\
        interface Beside extends Omit<MessageAttachment, 'blocks'> { blocks: KnownBlock[] }\n\
        interface Message { text: string; blocks: KnownBlock[]; attachments: Beside[]; metadata: MessageMetadata;\n\
        channel: string; ts?: string; thread_ts?: string; reply_broadcast?: boolean; unfurl_links?: boolean; unfurl_media?: boolean }\n"
        .to_owned();
    for call in fake.calls() {
        source.push_str(&format!("({}) satisfies Message;\n", call.body));
    }
    let folder = tempfile::tempdir_in(&tools).expect("the tools' folder can be written");
    let file = folder.path().join("messages.ts");
    std::fs::write(&file, source).expect("it can be written");
    let compiled = Command::new("node")
        .arg(compiler)
        .args(["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"])
        .args(["--module", "esnext", "--moduleResolution", "bundler"])
        .arg(&file)
        .output()
        .expect("node runs");
    let said = String::from_utf8_lossy(&compiled.stdout);
    assert!(compiled.status.success(), "{said}");
}

#[test]
fn a_token_never_shows() {
    tls();
    let options =
        SlackOptions { token: TOKEN.to_owned(), channel: CHANNEL.to_owned(), api_url: None };
    assert!(!format!("{options:?}").contains(TOKEN));
    let slack = Slack::new(options).expect("the options are good");
    assert!(!format!("{slack:?}").contains(TOKEN));
}
