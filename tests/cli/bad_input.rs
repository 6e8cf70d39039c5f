//! Everything that can keep the service from starting, or a message from
//! arriving: a sentence that says what to do, the exit code, and nothing lost.

use std::net::TcpListener;
use std::os::unix::fs::FileExt;

use postwatch::simulate::{Fault, FaultKind};

use crate::program::{Place, SMTP_PASSWORD, becomes, network, rules, slack_receiver, to_slack};
use crate::support::exim::{self, Exim};
use crate::support::slack::{self, FakeSlack};
use crate::support::smtp::FakeSmtp;

async fn refuses_to_start(place: &Place, words: &str, code: i32, told: &[&str]) {
    let ended = place.run(words).await;
    assert_eq!(ended.code, Some(code), "{words}: {ended:?}");
    for told in told {
        assert!(ended.err.contains(told), "{words}: no {told:?} in\n{}", ended.err);
    }
}

const RUN: &str = "run --listen 127.0.0.1:0";

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_key_keeps_it_from_starting() {
    let network = network(10, 1).await;
    let place = Place::new(&rules(&network.base_url(), ""));
    for (status, told) in [
        (401, "check api_key of source \"acme\"; it may have been revoked"),
        (403, "needs a key of the network itself (not an affiliate's or advertiser's)"),
    ] {
        network.faults().clear();
        network.faults().add(Fault::always(FaultKind::Status(status)));
        refuses_to_start(&place, RUN, 3, &[told, &format!("({status})")]).await;
    }
}

#[tokio::test]
async fn an_invalid_file_ends_with_1_and_says_what_to_write() {
    let timezone =
        rules("http://127.0.0.1:9/v1", "").replace("0s }", "0s, timezone: Europe/Belrin }");
    for (text, told) in [
        (timezone.as_str(), "Belrin"),
        ("", "rules.yaml"),
        ("sources: [{ name: a, api_kye: hunter2 }]", "did you mean `api_key`?"),
        ("sources: acme", "rules.yaml:1:"),
    ] {
        let place = Place::new(text);
        let check = "`postwatch check rules.yaml` shows each with its line";
        refuses_to_start(&place, RUN, 1, &[told, check]).await;
        assert_eq!(place.names(), Vec::<String>::new(), "nothing was made");
    }
    let place = Place::new(&timezone);
    refuses_to_start(&place, RUN, 1, &["Europe/"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback is free");
    let address = taken.local_addr().expect("it is bound");
    let place = Place::new(&rules("http://127.0.0.1:9/v1", ""));
    for command in ["run", "simulate"] {
        let words = format!("{command} --listen {address}");
        refuses_to_start(
            &place,
            &words,
            3,
            &[&address.to_string(), "another address with --listen"],
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_in_use_is_told_and_left_alone() {
    let network = network(10, 1).await;
    let place = Place::new(&rules(&network.base_url(), ""));
    let mut first = place.serve();
    first.says("postwatch watches").await;
    let second = Place::new(&rules(&network.base_url(), ""));
    let words = format!("{RUN} --data {}", place.path("postwatch-data").display());
    let told = ["is in use by another postwatch", "its own folder with --data"];
    refuses_to_start(&second, &words, 3, &told).await;
    assert!(first.is_running());
    assert_eq!(first.terminate().await.0.code, Some(0));
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told() {
    let place = Place::new(&rules("http://127.0.0.1:9/v1", ""));
    for folder in ["rules.yaml", "rules.yaml/below", "/proc/postwatch"] {
        let told = [folder, "cannot be used", "--data"];
        refuses_to_start(&place, &format!("{RUN} --data {folder}"), 3, &told).await;
    }
}

/// Which damage sled mends by itself is its own affair: a start either works or
/// says what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_told_and_never_panics() {
    let (network, slack) = (network(3_000, 1_000).await, FakeSlack::start().await);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let program = place.serve();
    assert!(becomes(|| !slack.calls().is_empty()).await, "{}", program.err());
    program.terminate().await;
    let file = place.path("postwatch-data/db");
    let whole = std::fs::read(&file).expect("the store is there");
    let length = whole.len();
    let mut told = 0;
    let damages = [(0, 64), (0, length / 2), (17, 4_000), (length / 3, 9_000), (length / 2, 1)];
    for (at, count) in damages {
        std::fs::write(&file, &whole).expect("nobody uses it");
        let store = std::fs::OpenOptions::new().write(true).open(&file).expect("it is there");
        let flipped: Vec<u8> =
            whole[at..(at + count).min(length)].iter().map(|byte| !byte).collect();
        store.write_all_at(&flipped, at as u64).expect("nobody uses it");
        told += starts_or_tells(&place, &format!("{count} bytes at {at} of {length}")).await;
    }
    for kept in [1, 100, length / 2, length - 1] {
        std::fs::write(&file, &whole[..kept]).expect("nobody uses it");
        told += starts_or_tells(&place, &format!("{kept} of {length} bytes")).await;
    }
    assert!(told > 0, "no damage at all was noticed");
}

/// 1 where it refused to start, in words.
async fn starts_or_tells(place: &Place, damage: &str) -> u32 {
    let mut program = place.serve();
    let started = becomes(|| !program.is_running() || program.err().contains("postwatch watches"));
    assert!(started.await, "{damage}");
    if program.is_running() {
        let (ended, _) = program.terminate().await;
        assert_eq!(ended.code, Some(0), "{damage}: {ended:?}");
        return 0;
    }
    let ended = program.ends().await;
    assert_eq!(ended.code, Some(3), "{damage}: {ended:?}");
    assert!(ended.err.contains("is damaged"), "{damage}: {}", ended.err);
    assert!(ended.err.contains("move the folder aside and start again"), "{damage}: {}", ended.err);
    1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_channel_is_told_and_the_fallback_gets_the_message() {
    let (network, slack) = (network(100, 40).await, FakeSlack::start().await);
    let mail = FakeSmtp::start([].into()).await;
    let rest = format!(
        "receivers:\n  - {}\n  - {{ name: post, email: {{ smtp: \"${{SMTP_URL}}\", from: a@example.com, \
         to: [b@example.com] }} }}\nroutes: [{{ to: [chat], fallback: [post] }}]",
        slack_receiver(&slack, "#nowhere")
    );
    let mut place = Place::new(&rules(&network.base_url(), &rest));
    place.smtp_url = format!("smtp://{}?tls=none", mail.address);
    let program = place.serve();
    assert!(becomes(|| mail.mails().len() == 1).await, "{}", program.err());
    let text = &mail.mails()[0].text;
    assert!(text.contains("chat"), "it says whom it stands in for: {text}");
    program.says("a message was refused").await;
    let told = program.err();
    assert!(told.contains("there is no channel #nowhere"), "{told}");
    assert!(told.contains("/invite @postwatch in #nowhere"), "{told}");
    let (ended, _) = program.terminate().await;
    assert_eq!(ended.code, Some(0));
    // The dead letter is kept, and not sent again by the next start.
    let program = place.serve();
    program.says("postwatch watches").await;
    let polled = network.requests() + 6;
    assert!(becomes(|| network.requests() > polled).await);
    assert_eq!(mail.mails().len(), 1, "{}", program.err());
    assert_eq!(program.terminate().await.0.code, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mail_login_is_told_and_the_fallback_gets_the_message() {
    let Some(server) = Exim::start() else { return };
    let (network, slack) = (network(100, 40).await, FakeSlack::start().await);
    let rest = format!(
        "receivers:\n  - {}\n  - {{ name: post, email: {{ smtp: \"${{SMTP_URL}}\", from: a@example.com, \
         to: [b@example.com] }} }}\nroutes: [{{ to: [post], fallback: [chat] }}]",
        slack_receiver(&slack, slack::CHANNEL)
    );
    let mut place = Place::new(&rules(&network.base_url(), &rest));
    place.smtp_url = format!(
        "smtp://{}:{SMTP_PASSWORD}@localhost:{}?ca={}",
        exim::USER,
        server.port,
        server.authority()
    );
    // The login goes over the wire: no filter may let it into the log.
    let program = place.start(&format!("{RUN} --log trace"));
    assert!(becomes(|| !slack.calls().is_empty()).await, "{}", program.err());
    let told = program.err();
    assert!(
        told.contains("the SMTP server refused the login (535): check user and password"),
        "{told}"
    );
    assert_eq!(program.terminate().await.0.code, Some(0));
}
