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
    assert!(page.contains("Held back now: ") && page.contains(&id), "{page}");

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
    let secret = "http://ann:hunter2@127.0.0.1:9/";
    let shown = check(&format!("alerts --url {secret}"), 3, &["at http://127.0.0.1:9:"]).await;
    assert!(!shown.contains("hunter2"), "{shown}");
    let other = Place::new("");
    let helped = other.start_with("alerts --help", &[("POSTWATCH_URL", secret)]).ends().await;
    assert!(helped.out.contains("POSTWATCH_URL") && !helped.out.contains("hunter2"), "{helped:?}");
    check("alerts nonsense", 2, &["NAME=VALUE"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_wrote_into_a_silence_commands_no_terminal() {
    let (_place, program) = serve().await;
    let silence = serde_json::json!({
        "matchers": [{ "name": "rule", "value": "some-fail|\u{1b}x", "isRegex": true }],
        "startsAt": "2026-01-01T00:00:00Z", "endsAt": "2096-01-01T00:00:00Z",
        "createdBy": "ann\u{1b}]0;title\u{7}", "comment": "\u{202E}moves\r\u{9b}31m",
    });
    let url = format!("{}api/v2/silences", program.page());
    let put = reqwest::Client::new().post(url).json(&silence).send().await.expect("it answers");
    assert_eq!(put.status().as_u16(), 200);
    for words in ["silence list", "alerts", "explain some-fail"] {
        let (code, shown) = ask(&program, words).await;
        assert!(code == Some(0) && shown.contains("ann\u{fffd}"), "{words}: {shown}");
        let is_bad = |c: char| c.is_control() && c != '\n' || c == '\u{202E}';
        assert!(!shown.contains(is_bad), "{words}: {shown:?}");
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_shapes_of_alertmanager() {
    let (_place, program) = serve().await;
    let keys = async |path: &str, expected: &str| {
        let told: serde_json::Value =
            serde_json::from_str(&program.get(path).await).expect("it is JSON");
        let one = told.get(0).unwrap_or(&told);
        let keys: Vec<&str> =
            one.as_object().expect("an object").keys().map(String::as_str).collect();
        let mut expected: Vec<&str> = expected.split(' ').collect();
        expected.sort_unstable();
        assert_eq!(keys, expected, "{path}: {told}");
        one.clone()
    };
    let post = async |body: serde_json::Value| -> (u16, serde_json::Value) {
        let url = format!("{}api/v2/silences", program.page());
        let answer = reqwest::Client::new().post(url).json(&body).send().await;
        let answer = answer.expect("it answers");
        let status = answer.status().as_u16();
        (status, answer.json().await.expect("it is JSON"))
    };
    let alert =
        "annotations endsAt fingerprint generatorURL labels receivers startsAt status updatedAt";
    let told = keys("api/v2/alerts", alert).await;
    assert_eq!(told["labels"]["alertname"], "some-fail");
    let active = serde_json::json!({ "inhibitedBy": [], "silencedBy": [], "state": "active" });
    assert_eq!(told["status"], active);
    assert_eq!(told["receivers"], serde_json::json!([{ "name": "chat" }]));
    keys("api/v2/alerts/groups", "alerts labels receiver").await;
    keys("api/v2/status", "cluster config uptime versionInfo").await;
    keys("api/v2/receivers", "name").await;

    let refused = reqwest::Client::new().post(format!("{}api/v2/alerts", program.page()));
    let refused = refused.json(&serde_json::json!([])).send().await.expect("it answers");
    let (status, why) = (refused.status().as_u16(), refused.json::<String>().await);
    let why = why.expect("it is a string");
    assert!(status == 405 && why.contains("/api/v2/alerts does not take POST"), "{status} {why}");

    let matcher = serde_json::json!({ "name": "rule", "value": "some-.*", "isRegex": true });
    let (starts_at, ends_at) = ("2026-01-01T00:00:00.123Z", "2096-01-01T00:00:00+02:00");
    let silence = |ends_at: &str, matchers: serde_json::Value| {
        serde_json::json!({
            "matchers": matchers, "startsAt": starts_at, "endsAt": ends_at,
            "createdBy": "ann", "comment": "x",
        })
    };
    let (status, answer) = post(silence(ends_at, serde_json::json!([matcher]))).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["silenceID"].as_str().expect("it has an id").to_owned();
    let shape = "comment createdBy endsAt id matchers startsAt status updatedAt";
    let told = keys("api/v2/silences", shape).await;
    assert_eq!(told["endsAt"], "2095-12-31T22:00:00Z");
    let matcher = serde_json::json!(
        { "name": "rule", "value": "some-.*", "isRegex": true, "isEqual": true }
    );
    assert_eq!(told["matchers"], serde_json::json!([matcher]));
    assert_eq!(keys(&format!("api/v2/silence/{id}"), shape).await["id"], id.as_str());
    let told = keys("api/v2/alerts", alert).await;
    assert_eq!(told["status"]["silencedBy"], serde_json::json!([id]));
    for hidden in ["silenced=false", "filter=rule%21%3D%22some-fail%22", "receiver=cha"] {
        assert_eq!(program.get(&format!("api/v2/alerts?{hidden}")).await, "[]", "{hidden}");
    }
    assert_ne!(program.get("api/v2/alerts?active=false&receiver=ch.t").await, "[]");

    let (status, why) = post(silence("2026-01-02T00:00:00Z", serde_json::json!([matcher]))).await;
    assert!(status == 400 && why.to_string().contains("would have ended"), "{status} {why}");
    let (status, why) = post(silence(ends_at, serde_json::json!([]))).await;
    assert!(status == 400 && why.to_string().contains("every alert"), "{status} {why}");
    let (status, why) = post(serde_json::json!({})).await;
    assert!(status == 400 && why.to_string().contains("this is no silence"), "{status} {why}");
    let why = program.get("api/v2/alerts?filter=bad").await;
    assert!(why.contains("write NAME=VALUE"), "{why}");
    let why = program.get("api/v2/silence/nobody").await;
    assert!(why.contains("there is no silence nobody"), "{why}");
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
