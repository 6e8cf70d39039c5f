//! Mail, against a real exim where there is one, and a double for what a real
//! server cannot be made to do.

use postwatch::channel::{Channel, Email, EmailOptions, SendError, Sent, Thread};
use postwatch::domain::notify::Notice;

use crate::page;
use crate::support::exim::{self, Exim};
use crate::support::mime::Mime;
use crate::support::notices;
use crate::support::smtp::{FakeSmtp, Script};
use crate::support::tls;

fn channel(smtp: &str, to: &[&str]) -> Channel {
    tls();
    let options = EmailOptions {
        smtp: smtp.to_owned(),
        from: "postwatch <alerts@example.com>".to_owned(),
        to: to.iter().map(|to| (*to).to_owned()).collect(),
    };
    Channel::Email(Email::new(options).expect("the options are good"))
}

const TO: &[&str] = &["Anna <anna@example.com>", "ben@example.com"];

async fn send_to(smtp: &str, notice: &Notice) -> Result<Sent, SendError> {
    channel(smtp, TO).send(notice, None, &page()).await
}

async fn double(script: &[(&'static str, &'static str)]) -> (FakeSmtp, String) {
    let fake = FakeSmtp::start(script.iter().copied().collect::<Script>()).await;
    let url = format!("smtp://{}", fake.address);
    (fake, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_delivers_over_starttls_after_a_login() {
    let Some(server) = Exim::start() else { return };
    let url = format!(
        "smtp://{}:p%40ss%2Fword+1@localhost:{}?ca={}",
        exim::USER,
        server.port,
        server.authority()
    );
    assert!(exim::PASSWORD.contains('@'));
    let sent = send_to(&url, &notices::critical()).await.expect("exim takes it");
    // Two recipients, one Maildir for all.
    let mails = server.mails(1);
    let mail = Mime::parse(&mails[0]);
    assert_eq!(
        mail.header("subject"),
        "CRITICAL: Acme Media (7): trk.acme.example fails 83 % of postbacks (tls)"
    );
    assert_eq!(mail.header("to"), "Anna <anna@example.com>, ben@example.com");
    assert_eq!(mail.header("message-id"), "<n-first-1@example.com>");
    assert_eq!(mail.header("date"), "Sun, 01 Mar 2026 02:20:00 +0000");
    assert_eq!(sent.thread, Some(Thread::Email { root: mail.header("references").to_owned() }));
    let received =
        &mail.headers.iter().find(|(name, _)| name == "received").expect("exim adds it").1;
    assert!(received.contains("with esmtpsa"), "{received}");
    let probed = channel(&url, TO).probe().await.expect("the login is good");
    assert!(probed.contains("encrypted, the login is good"), "{probed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_refuses_in_words() {
    let Some(server) = Exim::start() else { return };
    let (port, ca) = (server.port, server.authority());
    let check =
        async |url: String, expected: &str, words: &str| match send_to(&url, &notices::critical())
            .await
        {
            Err(SendError::Permanent { reason, message }) => {
                assert_eq!(reason, expected, "{message}");
                assert!(message.contains(words), "{message}");
                assert!(
                    !message.contains("wrong") && !message.contains("example.com"),
                    "{message}"
                );
            }
            other => panic!("{expected}: {other:?}"),
        };
    let login = format!("smtp://postwatch:wrong@localhost:{port}?ca={ca}");
    check(login, "auth", "refused the login (535): check user and password").await;
    // Nobody vouches for this certificate.
    let unknown = format!("smtp://postwatch:wrong@localhost:{port}");
    check(unknown, "tls", "certificate is not accepted").await;
    let anonymous = format!("smtp://localhost:{port}?ca={ca}");
    check(anonymous, "recipient", "refused the recipients (550)").await;
}

#[tokio::test]
async fn a_mail_has_both_texts_and_keeps_responders_quiet() {
    let (fake, url) = double(&[]).await;
    send_to(&url, &notices::critical()).await.expect("it is taken");
    let mails = fake.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].recipients, ["RCPT TO:<ANNA@EXAMPLE.COM>", "RCPT TO:<BEN@EXAMPLE.COM>"]);
    let mail = Mime::parse(&mails[0].text);
    assert!(mail.header("content-type").starts_with("multipart/alternative"));
    assert_eq!(mail.header("auto-submitted"), "auto-generated");
    assert_eq!(mail.header("list-id"), "<postwatch.example.com>");
    let parts = mail.parts();
    let [(plain_type, plain), (html_type, html)] = &parts[..] else { panic!("{}", parts.len()) };
    assert!(plain_type.starts_with("text/plain") && html_type.starts_with("text/html"));
    assert!(plain.contains("Likely cause: host trk.acme.example: 94 %"), "{plain}");
    assert!(html.contains("Likely cause: </b>host trk.acme.example: 94 %"), "{html}");
    assert!(!html.contains("<script") && !html.contains("<img"), "nothing is loaded");
}

#[tokio::test]
async fn mails_of_a_batch_share_a_thread_and_a_repeat_its_id() {
    let (fake, url) = double(&[]).await;
    for notice in [notices::critical(), notices::critical(), notices::resolved()] {
        send_to(&url, &notice).await.expect("it is taken");
    }
    let other = Notice { batch: "other".to_owned(), ..notices::critical() };
    send_to(&url, &other).await.expect("it is taken");
    let mails: Vec<Mime> = fake.mails().iter().map(|mail| Mime::parse(&mail.text)).collect();
    let ids: Vec<&str> = mails.iter().map(|mail| mail.header("message-id")).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
    let roots: Vec<&str> = mails.iter().map(|mail| mail.header("in-reply-to")).collect();
    assert_eq!((roots[0], roots[0]), (roots[1], roots[2]));
    assert_ne!(roots[0], roots[3]);
    assert_eq!(mails[2].header("references"), roots[2]);
    assert!(mails[2].header("subject").starts_with("RESOLVED: "));
}

#[tokio::test]
async fn nasty_names_add_no_header_and_end_no_message() {
    let (fake, url) = double(&[]).await;
    let long = ["x".repeat(10_000), "żółć 👩‍👩‍👧‍👦 ".repeat(1_000)];
    let nasty: Vec<String> = notices::nasty().chain(long).collect();
    for text in &nasty {
        send_to(&url, &notices::hostile(text)).await.unwrap_or_else(|e| panic!("{text:?}: {e}"));
    }
    let mails = fake.mails();
    assert_eq!(mails.len(), nasty.len());
    for mail in mails {
        let parsed = Mime::parse(&mail.text);
        assert!(parsed.headers.iter().all(|(name, _)| name != "bcc"));
        assert_eq!(parsed.parts().len(), 2);
        assert!(mail.text.lines().all(|line| line.len() <= 998), "RFC 5322's longest line");
        assert_eq!(parsed.header("message-id").matches(['<', '>']).count(), 2);
    }
}

#[tokio::test]
async fn every_refusal_says_what_the_outbox_does_next() {
    let check = async |script: &[(&'static str, &'static str)], is_temporary, expected: &str| {
        let (_fake, url) = double(script).await;
        let error = send_to(&url, &notices::critical()).await.expect_err("it is refused");
        let temporary = matches!(error, SendError::Temporary { .. });
        assert_eq!((temporary, error.reason()), (is_temporary, expected), "{error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    };
    check(&[("MAIL", "451 later, secret")], true, "smtp_4xx").await;
    check(&[("MAIL", "553 not you, secret")], false, "sender").await;
    check(&[("MAIL", "530 log in first, secret")], false, "auth").await;
    check(&[("RCPT", "550 nobody, secret")], false, "recipient").await;
    check(&[("RCPT", "450 greylisted, secret")], true, "smtp_4xx").await;
    check(&[(".", "554 spam, secret")], false, "message").await;
    check(&[(".", "452 full, secret")], true, "smtp_4xx").await;
    check(&[("GREETING", "554 go away, secret")], false, "smtp_5xx").await;
    check(&[("GREETING", "421 busy, secret")], true, "smtp_4xx").await;
}

#[tokio::test]
async fn one_address_that_is_gone_keeps_the_mail_from_nobody_else() {
    let (fake, url) = double(&[("RCPT TO:<ANNA@EXAMPLE.COM>", "550 gone")]).await;
    send_to(&url, &notices::critical()).await.expect("Ben takes it");
    assert_eq!(fake.mails()[0].recipients, ["RCPT TO:<BEN@EXAMPLE.COM>"]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_temporary() {
    let error = send_to("smtp://127.0.0.1:1", &notices::critical()).await;
    assert_eq!(error.expect_err("nobody is there").reason(), "connect");
}

#[tokio::test]
async fn a_login_is_never_sent_where_there_is_no_tls() {
    let (fake, _) = double(&[]).await;
    let url = format!("smtp://u:p@{}", fake.address);
    match send_to(&url, &notices::critical()).await {
        Err(SendError::Permanent { reason: "tls", message }) => {
            assert!(message.contains("no STARTTLS"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_given_up_at_every_step() {
    for step in ["GREETING", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        let (_fake, url) = double(&[(step, "")]).await;
        let error = send_to(&url, &notices::critical()).await.expect_err("it is silent");
        assert_eq!(error.reason(), "timeout", "{step}: {error}");
    }
}

#[tokio::test]
async fn a_server_slow_to_hang_up_has_still_taken_the_mail() {
    let (fake, url) = double(&[("QUIT", "")]).await;
    send_to(&url, &notices::critical()).await.expect("it is taken");
    assert_eq!(fake.mails().len(), 1);
}

#[test]
fn options_that_cannot_work_are_refused_in_words() {
    tls();
    let check = |smtp: &str, from: &str, to: &[&str], expected: &str| {
        let options = EmailOptions {
            smtp: smtp.to_owned(),
            from: from.to_owned(),
            to: to.iter().map(|to| (*to).to_owned()).collect(),
        };
        let error = Email::new(options).map(|_| String::new()).unwrap_or_else(|e| e);
        assert!(error.contains(expected), "{error}");
    };
    let (smtp, from) = ("smtp://h?tls=none", "postwatch <a@example.com>");
    check(smtp, from, &["b@example.com"], "");
    check(smtp, from, &[], "`to` is empty");
    check(smtp, from, &["nobody"], "`to` holds what is no address");
    check(smtp, "", &["b@example.com"], "`from` holds");
    check(smtp, from, &["żółw@example.com"], "beyond ASCII");
    check(smtp, from, &["b@example.com\r\nBcc: c@example.com"], "`to` holds");
    check("smtp://u:p@h?tls=none", from, &["b@example.com"], "in the clear");
}
