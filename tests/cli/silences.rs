//! Silences by our own commands, by the page, and by Alertmanager's `amtool`.

use std::process::Command;

use crate::program::{Place, Program, network, rules, to_slack};
use crate::support::slack::FakeSlack;

async fn serve() -> (Place, Program) {
    let slack = FakeSlack::start().await;
    let network = network(100, 40).await;
    let place = Place::new(&rules(&network.base_url(), &to_slack(&slack)));
    let program = place.serve();
    program.shows("", "exactly 40 fail").await;
    // Both must outlive the test.
    std::mem::forget((network, slack));
    (place, program)
}

/// A command against that service: exit code, and everything that it says.
async fn ask(program: &Program, words: &str) -> (Option<i32>, String) {
    let url = program.page();
    let other = Place::new("");
    let environment = [("POSTWATCH_URL", url.as_str()), ("USER", "ann")];
    let ended = other.start_with(words, &environment).ends().await;
    (ended.code, format!("{}{}", ended.out, ended.err))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_silences_looks_and_ends_it() {
    let (_place, program) = serve().await;
    let check = async |words: &str, code: i32, expected: &[&str]| -> String {
        let (ended, shown) = ask(&program, words).await;
        assert_eq!(ended, Some(code), "{words}: {shown}");
        for text in expected {
            assert!(shown.contains(text), "{words}: no {text:?} in\n{shown}");
        }
        shown
    };
    let add = "silence add rule=some-fail severity=~crit.* --for 2h --comment moves";
    check("silence list", 0, &["Nothing is silenced."]).await;
    check(&format!("{add} --dry-run"), 0, &["Would hide 1 alert:", "exactly 40 fail"]).await;
    check("silence list", 0, &["Nothing is silenced."]).await;
    check("alerts", 0, &["FIRING critical", "exactly 40 fail", "some-fail source=acme"]).await;
    check("alerts rule=other", 0, &["No alert stands."]).await;

    let shown = check(add, 0, &["Hides 1 alert:"]).await;
    let id = shown.lines().last().expect("it ends with the id").to_owned();
    let listed = ["ACTIVE", r#"severity=~"crit.*""#, "ann: moves", "hides", "some-fail of acme"];
    check("silence list", 0, &listed).await;
    check("silence list --json", 0, &[&format!("\"id\":\"{id}\""), "\"stage\":\"active\""]).await;
    check("alerts", 0, &["held", &format!("the silence {id} of ann is on until")]).await;
    check("explain some-fail", 0, &[&format!("gate: the silence {id} of ann")]).await;
    let page = program.get("").await;
    assert!(page.contains("Not told: ") && page.contains(&id), "{page}");

    check(&format!("silence expire {id}"), 0, &["It is over"]).await;
    check("silence list", 0, &["Nothing is silenced."]).await;
    check("silence list --all", 0, &["EXPIRED", &id]).await;
    check(&format!("silence expire {id}"), 2, &["ended already"]).await;
    check("silence expire nobody", 1, &["there is no silence nobody"]).await;
    check("silence expire ../alerts", 2, &["is no id"]).await;
    check("silence add a= --for 2h --comment x", 2, &["it would hide every alert"]).await;
    check("silence add a=~( --for 2h --comment x", 2, &["no regular expression"]).await;
    check("silence add a=1 --comment x", 2, &["--for"]).await;
    check("silence add a=1 --for 2 --comment x", 2, &["2"]).await;
    check("alerts --url http://127.0.0.1:9", 3, &["no postwatch answers"]).await;
    check("alerts nonsense", 2, &["NAME=VALUE"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_button_of_the_page_works_and_none_of_another_page() {
    let (_place, program) = serve().await;
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let client = client.build().expect("a client");
    let url = program.page();
    let press = async |form: &str, origin: &str| {
        let pressed = client.post(format!("{url}silences")).header("origin", origin);
        pressed.body(form.to_owned()).send().await.expect("it answers").status().as_u16()
    };
    let own = url.trim_end_matches('/');
    let form = "matcher=rule%3D%22some-fail%22&matcher=source%3D%22acme%22";
    assert!(program.get("").await.contains(r#"value="rule=&quot;some-fail&quot;""#));
    assert_eq!(press(form, "https://evil.example").await, 403);
    assert_eq!(press(form, "null").await, 403);
    assert!(program.get("").await.contains("Nothing is silenced."));
    assert_eq!(press("", own).await, 400, "a silence of everything");
    assert_eq!(press(form, own).await, 303);
    let page = program.get("").await;
    assert!(page.contains("the status page") && !page.contains("silence for 1 h"), "{page}");
    let id = page.split("name=\"expire\" value=\"").nth(1).and_then(|rest| rest.split('"').next());
    let expire = format!("expire={}", id.expect("it can be ended"));
    assert_eq!(press(&expire, own).await, 303);
    assert!(program.get("").await.contains("Nothing is silenced."));
    let large = "x".repeat(100_000);
    assert_eq!(press(&large, own).await, 413);
}

/// `amtool` against that service: whether it is content, and everything that it says.
fn amtool(program: &Program, words: &[&str]) -> (bool, String) {
    let url = format!("--alertmanager.url={}", program.page());
    let output = Command::new("amtool").arg(url).args(words).output().expect("it is there");
    let said = [output.stdout, output.stderr].map(|out| String::from_utf8_lossy(&out).into_owned());
    (output.status.success(), said.concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_finds_silences_and_alerts_where_it_expects_them() {
    if Command::new("amtool").arg("--version").output().is_err() {
        println!("skipped: amtool is not on PATH (Debian: prometheus-alertmanager)");
        return;
    }
    let (place, program) = serve().await;
    let check = |words: &[&str], expected: &[&str]| -> String {
        let (is_content, said) = amtool(&program, words);
        assert!(is_content, "{words:?}: {said}");
        for text in expected {
            assert!(said.contains(text), "{words:?}: no {text:?} in\n{said}");
        }
        assert!(!said.contains("Warning"), "{said}");
        said
    };
    check(&["alert", "query"], &["some-fail", "exactly 40 fail", "active"]);
    check(&["alert", "query", "alertname=some-fail", "severity=~crit.*"], &["some-fail"]);
    let none = check(&["alert", "query", "alertname!=some-fail"], &[]);
    assert!(!none.contains("some-fail"), "{none}");
    check(&["alert", "query", "-o", "extended"], &["source=\"acme\"", "Generator URL"]);
    check(&["config", "show"], &["chat"]);

    let add =
        ["silence", "add", "some-fail", "source=acme", "-d", "1h", "-c", "moves", "-a", "ann"];
    let id = check(&add, &[]).trim().to_owned();
    let none = check(&["alert", "query"], &[]);
    assert!(!none.contains("some-fail"), "{none}");
    check(&["alert", "query", "--silenced"], &["some-fail", "suppressed"]);
    check(&["silence", "query"], &[&id, "moves", "ann", "alertname=\"some-fail\""]);
    check(&["silence", "query", "alertname=some-fail"], &[&id]);
    let none = check(&["silence", "query", "alertname=other"], &[]);
    assert!(!none.contains(&id), "{none}");

    let updated = check(&["silence", "update", "-d", "3h", "-c", "moves on", &id], &[&id]);
    assert!(updated.contains("moves on"), "{updated}");
    let json = check(&["silence", "query", "-o", "json"], &[&id]);
    std::fs::write(place.path("silences.json"), &json).expect("there is room");
    check(&["silence", "expire", &id], &[]);
    let none = check(&["silence", "query"], &[]);
    assert!(!none.contains(&id), "{none}");
    check(&["silence", "query", "--expired"], &[&id]);

    let file = place.path("silences.json");
    check(&["silence", "import", "--force", file.to_str().expect("a path")], &[]);
    check(&["silence", "query"], &["moves on"]);

    let (is_content, said) = amtool(&program, &["silence", "expire", &id]);
    assert!(!is_content && said.contains("400"), "{said}");
    let (is_content, said) = amtool(&program, &["silence", "add", "a=~.*", "-d", "1h", "-c", "x"]);
    assert!(!is_content && said.contains("it would hide every alert"), "{said}");
}
