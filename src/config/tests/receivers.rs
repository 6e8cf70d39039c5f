//! Who is told, and by what: receivers, their channels, routes.

use super::*;

#[test]
fn webhooks_alertmanagers_and_the_heartbeat_are_read() {
    let text = r##"
sources: [{ name: a, api_key: k }]
receivers:
  - { name: hook, webhook: { url: "https://u:p@hook.example/x?y=1", secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw" } }
  - { name: plain, webhook: { url: "http://127.0.0.1:1/" } }
  - { name: am, alertmanager: { url: ["http://am-0:9093", "http://am-1:9093"] } }
  - { name: one, alertmanager: { url: http://am:9093 } }
  - { name: chat, slack: { token: t, channel: "#a" }, title: "[x] {{ title }}" }
routes: [{ to: [hook, plain, am, one, chat] }]
heartbeat: { url: "https://hc.example/ping/1" }
"##;
    let (config, report) = read(text);
    assert_eq!(lines(&report.mistakes), Vec::<String>::new());
    assert!(!lines(&report.warnings).concat().contains("plain http"), "{report:?}");
    let config = config.expect("no mistake");
    let members = |place: usize| match &config.receivers[place].channel {
        ChannelConfig::Alertmanager { urls } => urls.len(),
        _ => 0,
    };
    assert_eq!((members(2), members(3)), (2, 1));
    assert_eq!(config.receivers[4].words.title.as_deref(), Some("[x] {{ title }}"));
    assert_eq!(config.heartbeat.map(|heartbeat| heartbeat.every), Some(Duration::from_secs(60)));
    assert!(!format!("{:?}", config.receivers).contains("hook.example"));
}

#[test]
fn what_a_channel_cannot_be_is_said_without_its_secrets() {
    let check = |receiver: &str, expected: &str| {
        let text = format!(
            "sources: [{{ name: a, api_key: k }}]\nreceivers:\n  - {{ name: r, {receiver} }}\n"
        );
        let (_, report) = read(&text);
        let told = lines(&report.mistakes).join("\n");
        assert!(told.contains(expected), "no {expected:?} in {told}");
        assert!(!told.contains("hunter2"), "{told}");
    };
    check("webhook: {}", "`url` is missing");
    check("webhook: { url: \"ftp://x/hunter2\" }", "`url` is no web address");
    check("webhook: { url: \"http://u:hunter2@x/\" }", "would send the password unencrypted");
    check(
        "webhook: { url: \"https://x/\", secret: hunter2 }",
        "`secret` is no secret for signing; write `whsec_`",
    );
    check("webhook: { url: \"https://x/\", sekret: hunter2 }", "did you mean `secret`?");
    check("webhook: { url: \"https://x/\" }, slack: { token: t, channel: c }", "this one has two");
    check("alertmanager: { url: [] }", "`url` is empty");
    check(
        "alertmanager: { url: [\"https://x/\", \"nonsense/hunter2\"] }",
        "`url` is no web address",
    );
    check(
        "alertmanager: { url: \"https://x/\" }, title: t",
        "`title` has no place beside `alertmanager`",
    );
    check(
        "slack: { token: t, channel: c }, body: \"{{ nothing }}\"",
        "`body` cannot be rendered: `nothing` is undefined; it may use `title`",
    );
    let clear = "sources: [{ name: a, api_key: k }]\nreceivers: [{ name: r, webhook: { url: \"http://x/\" } }]\nroutes: [{ to: [r] }]\n";
    let warned = lines(&read(clear).1.warnings).join("\n");
    assert!(warned.contains("`url` is plain http: messages travel unencrypted"), "{warned}");
    let told = read("sources: [{ name: a, api_key: k }]\nheartbeat: { every: 5 }\n").1;
    let told = lines(&told.mistakes).join("\n");
    for needed in ["`url` is missing", "`every: 5` has no unit"] {
        assert!(told.contains(needed), "no {needed:?} in {told}");
    }
}

#[test]
fn receivers_make_sense() {
    let sources = "sources: [{ name: a, api_key: k }]\nreceivers:\n";
    check(
        &format!(
            "{sources}  - {{ name: a }}\n  - {{ name: b, slack: {{ token: t, channel: }} }}\n  - {{ name: c, email: {{ smtp: \"http://x\", from: no, to: [] }} }}\n  - {{ name: d, slack: {{}}, email: {{}} }}\n"
        ),
        [
            "3:5: receiver \"a\": the receiver has no channel; write `slack: { token: \"${SLACK_BOT_TOKEN}\", channel: \"#postbacks\" }` or `email: …`",
            "4:35: receiver \"b\": `channel` is empty; write text; text after a `#` is a comment unless quoted",
            "5:31: receiver \"c\": `smtp` is no address of a mail server; write `smtps://user:password@host:465` or `smtp://host:587?tls=required`",
            "5:49: receiver \"c\": `no` in `from` is no e-mail address; write `name@example.com` or \"Name <name@example.com>\"",
            "5:57: receiver \"c\": `to` is empty; name one, or remove it",
            "6:34: receiver \"d\": a receiver has one channel, this one has two; write two receivers, and both names in the route's `to`",
        ],
    );
}

#[test]
fn a_mail_server_gets_no_password_in_the_clear() {
    for (smtp, expected) in [
        ("smtps://u:p@h:465", ""),
        ("smtps://u:p@h?ca=/etc/ca.pem", ""),
        ("smtp://u:p@h:587?tls=required", ""),
        ("smtp://u:p@h:587", ""),
        ("smtp://h:25?tls=none", ""),
        ("smtp://u:p@h?tls=none", "would send the password unencrypted"),
        ("smtp://u:p@h?tls=opportunistic", "would send the password unencrypted"),
        ("smtps://h?tls=none", "has a `tls` that does not fit `smtps`"),
        ("smtp://h?tls=on", "has an unknown `tls`"),
        ("smtp://h?x=1", "has an unknown option"),
        ("smtp:h", "names no host"),
    ] {
        let (_, report) = read(&format!(
            "sources: [{{ name: a, api_key: k }}]\nreceivers: [{{ name: m, email: {{ smtp: \"{smtp}\", from: a@b.c, to: a@b.c }} }}]"
        ));
        let found = lines(&report.mistakes).join(" ");
        assert!(
            found.contains(expected) && found.is_empty() == expected.is_empty(),
            "{smtp}: {found}"
        );
    }
}

#[test]
fn routes_make_sense() {
    let file = "sources: [{ name: a, api_key: k }]\nreceivers: [{ name: on-call, slack: { token: t, channel: c } }]\nroutes:\n";
    check(
        &format!(
            "{file}  - {{ match: {{ severty: x, severity: critcal, rule: source-blind }}, to: on-cal }}\n  - {{ to: [on-call, on-call], fallback: on-call, continue: yes }}\n  - {{ batch_by: [team], timezone: Mars }}\n"
        ),
        [
            "4:16: route 1: `match`: no alert has a label `severty`; did you mean `severity`?",
            "4:38: route 1: `critcal` fits no severity that there is; did you mean `critical`?",
            "4:73: route 1: `to`: there is no receiver `on-cal`; did you mean `on-call`?",
            "5:21: route 2: `to` names `on-call` twice; remove one of them",
            "5:41: route 2: `on-call` is its own fallback; name another receiver, or remove it from `fallback`",
            "5:60: route 2: `continue` is `yes`; write `true` or `false`, without quotes",
            "6:5: route 3: `to` is missing; write `to: [on-call]`",
            "6:18: route 3: `batch_by`: no alert has a label `team`; write one of `rule`, `severity`, `source`, `offer`, `affiliate`, `postback`, `host`, `event`, `delivery_method`, `postback_level`, `postback_type` or `reason`",
            "6:35: route 3: `timezone: Mars` is no time zone; write its IANA name, as in `Europe/Berlin` or `UTC`",
        ],
    );
}
