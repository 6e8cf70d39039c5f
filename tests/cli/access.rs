//! The service with a token, and many clients at once.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::program::{AUTH_TOKEN, Place, Program, network, rules};

const OTHER: &str = "hunter2-another-token";

/// A service that asks for the token; the network must outlive the test.
async fn serve() -> (Place, Program, String) {
    let network = network(100, 40).await;
    let rules = rules(&network.base_url(), "auth_token: \"${POSTWATCH_TOKEN}\"");
    std::mem::forget(network);
    let place = Place::new(&rules);
    let words = "run --listen 127.0.0.1:0";
    let program = place.start_with(words, &[("POSTWATCH_TOKEN", AUTH_TOKEN)]);
    program.says("postwatch watches").await;
    (place, program, rules)
}

/// Exit code and everything that a command says which knows this token, or none.
async fn ask(program: &Program, words: &str, token: &str) -> (Option<i32>, String) {
    let url = program.page();
    let place = Place::new("");
    let environment = [("POSTWATCH_URL", url.as_str()), ("POSTWATCH_TOKEN", token)];
    let ended = place.start_with(words, &environment).ends().await;
    (ended.code, format!("{}{}", ended.out, ended.err))
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_take_the_token_from_the_environment_or_a_file_and_say_what_is_missing() {
    let (place, program, _) = serve().await;
    let words = ["alerts", "outbox", "silence list", "explain source-blind"];
    for words in words {
        let (code, said) = ask(&program, words, AUTH_TOKEN).await;
        assert_eq!(code, Some(0), "{words}: {said}");
        let (code, said) = ask(&program, words, "").await;
        assert_eq!(code, Some(2), "{words}: {said}");
        assert!(said.contains("set POSTWATCH_TOKEN to auth_token"), "{words}: {said}");
    }
    let (code, said) = ask(&program, "alerts", OTHER).await;
    assert!(
        code == Some(2) && said.contains("does not take the token in POSTWATCH_TOKEN"),
        "{said}"
    );
    std::fs::write(place.path("token"), format!("{AUTH_TOKEN}\n")).expect("the folder is ours");
    let file = place.path("token").display().to_string();
    let (code, said) = ask(&program, &format!("alerts --token-file {file}"), "").await;
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = ask(&program, "alerts --token-file nowhere", "").await;
    assert!(code == Some(2) && said.contains("nowhere cannot be read"), "{said}");
    let (ended, _) = program.terminate().await;
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_shows_the_token_as_it_does_to_an_alertmanager() {
    if Command::new("amtool").arg("--version").output().is_err() {
        println!("skipped: amtool is not on PATH (Debian: prometheus-alertmanager)");
        return;
    }
    let (place, program, _) = serve().await;
    let config = format!("authorization: {{ credentials: {AUTH_TOKEN} }}\n");
    std::fs::write(place.path("http.yml"), config).expect("the folder is ours");
    let config = format!("--http.config.file={}", place.path("http.yml").display());
    let url = format!("--alertmanager.url={}", program.page());
    let ask = |words: &[&str]| {
        let output = Command::new("amtool").args(words).output().expect("it is there");
        output.status.success()
    };
    assert!(ask(&["silence", "query", &url, &config]));
    assert!(!ask(&["silence", "query", &url]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_token_counts_without_a_restart() {
    let (place, program, rules) = serve().await;
    assert_eq!(ask(&program, "alerts", AUTH_TOKEN).await.0, Some(0));
    std::fs::write(place.path("token"), OTHER).expect("the folder is ours");
    place.write(&rules.replace("auth_token: \"${POSTWATCH_TOKEN}\"", "auth_token_file: token"));
    program.signal("-HUP");
    program.says("was read again").await;
    assert_eq!(ask(&program, "alerts", OTHER).await.0, Some(0));
    assert_eq!(ask(&program, "alerts", AUTH_TOKEN).await.0, Some(2));
    // Bad rules leave the door as it is.
    place.write("sources: []\nauth_token: short\n");
    program.signal("-HUP");
    program.says("stay in force").await;
    assert_eq!(ask(&program, "alerts", OTHER).await.0, Some(0));
    assert_eq!(ask(&program, "alerts", "").await.0, Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_idle_clients_keep_nobody_out() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let may = getrlimit(Resource::Nofile);
    let most = Rlimit { current: may.maximum, maximum: may.maximum };
    setrlimit(Resource::Nofile, most).expect("a process may take what it may have");
    let (_place, program, _) = serve().await;
    let url = program.page();
    let address = url.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let mut idle = Vec::new();
    for _ in 0..1_000 {
        let stream = tokio::net::TcpStream::connect(&address).await.expect("it accepts");
        idle.push(stream);
    }
    let began = Instant::now();
    assert!(program.get("healthz").await.contains("ok"));
    assert_eq!(ask(&program, "alerts", AUTH_TOKEN).await.0, Some(0));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let open = program.metric("process_open_fds").await;
    assert!(open < 700.0, "{open} files are open");
}
