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

/// The store's own tests damage it at 200 places; here it is told to people, and
/// what the network still shows comes back.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_store_is_set_aside_told_and_rebuilt() {
    let (network, slack) = (network(3_000, 1_000).await, FakeSlack::start().await);
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let program = place.serve();
    assert!(becomes(|| !slack.calls().is_empty()).await, "{}", program.err());
    program.terminate().await;
    let file = place.path("postwatch-data/sled/db");
    let store = std::fs::OpenOptions::new().write(true).open(&file).expect("it is there");
    store.write_all_at(&[0; 4_096], 0).expect("nobody uses it");
    let program = place.serve();
    program.says("THE STORE WAS DAMAGED").await;
    // There was no snapshot yet: all comes from the look-back.
    program.shows("metrics", "postwatch_deliveries_open").await;
    program.shows("metrics", "postwatch_store_set_aside{store=\"sled\"} 1").await;
    program.shows("", "The store was found damaged and was rebuilt").await;
    assert_eq!(program.terminate().await.0.code, Some(0));
    let folders = std::fs::read_dir(place.path("postwatch-data")).expect("it is there");
    let names = folders.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| name.starts_with("damaged-2")).count(), 1);
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
