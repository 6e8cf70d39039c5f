//! Files and what is said of them.

use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;

use crate::domain::rules::{Label, Severity, Threshold};

mod broken;

fn read(text: &str) -> (Option<Config>, Report) {
    let env = |name: &str| match name {
        "KEY" | "EVERFLOW_API_KEY" => Some("everflow-secret".to_string()),
        "SLACK_BOT_TOKEN" => Some("xoxb-slack-secret".to_string()),
        "SMTP_URL" => Some("smtps://user:mail-secret@mail.example.com:465".to_string()),
        "NUMBER" => Some("67".to_string()),
        _ => None,
    };
    parse(text, &env, &|path| match path {
        "/run/secrets/key" => Ok("file-secret\n".into()),
        "/run/secrets/empty" => Ok("\n".into()),
        _ => Err(ErrorKind::NotFound.into()),
    })
}

fn lines(found: &[Mistake]) -> Vec<String> {
    found.iter().map(Mistake::to_string).collect()
}

/// `text` has exactly these mistakes.
fn check<const N: usize>(text: &str, expected: [&str; N]) {
    let (config, report) = read(text);
    assert_eq!(lines(&report.mistakes), expected, "\n{text}");
    assert_eq!(config.is_none(), N > 0);
}

/// A rule with `body`, in a file that is otherwise fine; its lines count from 5.
fn rule(body: &str) -> String {
    format!("sources: [{{ name: a, api_key: k }}]\nrules:\n  - name: r\n    per: [host]\n{body}\n")
}

fn check_rule<const N: usize>(body: &str, expected: [&str; N]) {
    check(&rule(body), expected);
}

fn check_warnings<const N: usize>(text: &str, expected: [&str; N]) {
    let (_, report) = read(text);
    assert_eq!(lines(&report.mistakes), Vec::<String>::new(), "\n{text}");
    assert_eq!(lines(&report.warnings), expected, "\n{text}");
}

const SHIPPED: &str = include_str!("../../rules.yaml");

const EXAMPLE: &str = r##"
sources:
  - name: acme
    api_key: ${EVERFLOW_API_KEY}
    base_url: https://api.eflow.team/v1
    timezone_id: ${NUMBER}
    poll_every: 60s
    settle: 20s
    lookback: 72h
    successes: read
    max_attempts: 10
    give_up_after: 24h
    deactivates_after: 10
    deactivation_counts: attempts
    scopes:
      - { offers: [11, 15], affiliates: [7] }
      - { exclude_offers: [11, 15] }
evaluate_every: 10s
rules:
  - name: partner-endpoint-failing
    summary: "{{ affiliate }}: {{ host }} fails {{ failure_rate }} of postbacks ({{ reason }}, {{ team }})"
    match: { reason: ["http_5*", timeout] }
    per: [source, affiliate, host]
    over: 15m
    levels:
      critical: { failures: ">= 20", failure_rate: ">= 50%" }
      warning:  { failures: 5,  failure_rate: 20% }
    for: 2m
    keep_firing_for: 10m
    labels: { team: partners }
    runbook: https://wiki.example.com/postbacks
  - name: postback-near-deactivation
    per: [postback]
    when: { streak: 5 }
    severity: critical
receivers:
  - name: on-call
    slack: { token: "${SLACK_BOT_TOKEN}", channel: "#postbacks", api_url: "http://127.0.0.1:9/api/" }
  - name: partners
    email: { smtp: "${SMTP_URL}", from: "postwatch <alerts@example.com>", to: partners@example.com }
routes:
  - { match: { severity: critical, team: part* }, to: on-call, fallback: [partners], min_gap: 1m }
  - { to: [partners] }
notify: { batch_by: [source, rule], batch_wait: 30s, min_gap: 5m, remind_every: 4h, timezone: Europe/Berlin }
"##;

#[test]
fn the_shipped_rules_are_clean() {
    let (config, report) = read(SHIPPED);
    assert_eq!(lines(&report.mistakes), Vec::<String>::new());
    assert_eq!(lines(&report.warnings), Vec::<String>::new());
    assert!(config.is_some());
    // Its comments are an offer: taken up, they are as clean.
    let email = SHIPPED
        .replace("  # - name: email", "  - name: email")
        .replace("  #   email:", "    email:")
        .replace("# fallback:", "fallback:");
    assert_ne!(email, SHIPPED);
    check_warnings(&email, []);
}

#[test]
fn the_example_is_understood_to_the_last_key() {
    check_warnings(EXAMPLE, []);
    let config = read(EXAMPLE).0.expect("no mistake, so a config");
    let rule = &config.policy.rules[0];
    assert_eq!(rule.per, [Label::Affiliate, Label::Host]);
    assert_eq!(rule.levels[0].severity, Severity::Warning);
    assert_eq!(rule.levels[1].conditions[1].threshold, Threshold::Number(0.5));
    assert_eq!(config.sources[0].timezone_id, Some(67));
    assert_eq!(config.sources[0].api_key.expose(), "everflow-secret");
    assert_eq!(config.policy.sources[0].scopes.len(), 2);
    let timing = &config.policy.routes[0].timing;
    assert_eq!((timing.min_gap.as_secs(), timing.timezone.as_str()), (60, "Europe/Berlin"));
    assert_eq!(config.policy.routes[0].to, ["on-call"]);
    let ChannelConfig::Slack { api_url, .. } = &config.receivers[0].channel else { panic!() };
    assert_eq!(api_url.as_deref(), Some("http://127.0.0.1:9/api"));
    let shown = format!("{config:?}");
    assert!(!shown.contains("-secret"), "{shown}");
}

#[test]
fn every_mistake_is_told_at_once() {
    check(
        "sources:\n  - nam: acme\n    api_key: k\n    poll_every: 60\nevaluate_evry: 10s\nrules: x\n",
        [
            "2:5: `name` is missing; write `name: …`",
            "2:5: a source has no key `nam`; did you mean `name`?",
            "4:17: `poll_every: 60` has no unit; write `60s` or `60m`",
            "5:1: the file has no key `evaluate_evry`; did you mean `evaluate_every`?",
            "6:8: `rules` is `x`; write a map: a rule is written as `key: value` lines",
        ],
    );
}

#[test]
fn yaml_that_is_none_is_one_mistake() {
    check("", ["1:1: the file is empty; write at least one entry under `sources:`"]);
    check(
        "rules:\n  - when: { failures: >= 5 }\n",
        ["2:23: this is not YAML: unexpected character: `>'; put comparisons in quotes: \">= 5\""],
    );
    check(
        "a: 1\n---\nb: 2\n",
        ["2:1: the file holds more than one YAML document; remove the `---`"],
    );
}

#[test]
fn what_yaml_allows_and_we_do_not() {
    check(
        "sources: [{ name: a, api_key: k }]\nrules: []\nrules: []\n",
        ["3:1: `rules` is here twice; remove one of them; the first is on line 2"],
    );
    check(
        "sources: [{ name: a, api_key: k, max_attempts: !!int 3, settle: *x }]\n",
        [
            "1:48: a value begins with `!`, which is a YAML tag; put the value in quotes, as in \"!= 5\"",
            "1:65: YAML aliases are not allowed; write the value out, or in quotes if it is meant to begin with `*`",
        ],
    );
}

#[test]
fn what_is_not_built_yet_is_refused() {
    check(
        "sources: [{ name: a, api_key: k }]\nretain: 5d\nreceivers:\n  - { name: h, teams: {} }\n",
        [
            "2:1: `retain` is not available in this version yet; remove it",
            "4:16: receiver \"h\": `teams` is not available in this version yet; remove it",
        ],
    );
}

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

const TOLD: &str =
    "receivers: [{ name: x, slack: { token: t, channel: c } }]\nroutes: [{ to: x }]\n";

#[test]
fn a_window_before_must_be_read_and_needs_a_floor() {
    check_rule(
        "    when: { suspect: 1, failures: 3 x previous }\n    severity: info\n    over: 36h",
        [],
    );
    check_rule(
        "    when: { failures: 3 x previous }\n    severity: info\n    over: 40h",
        [
            "7:11: rule \"r\": `over: 40h` reaches, with the window before it, beyond the look-back; write `over: 36h` at most",
        ],
    );
    check_warnings(
        &format!(
            "{}{TOLD}",
            rule("    when: { failures: \"> 3 x previous\" }\n    severity: info\n    over: 15m")
        ),
        [
            "3:5: rule \"r\": level `info` compares `failures` with the window before alone: after a quiet window one failure is a spike; add `failures: \">= 5\"` or `deliveries: \">= 20\"`",
        ],
    );
    check_warnings(
        &format!("{}{TOLD}", rule("    when: { since_delivery: 4d }\n    severity: info")),
        ["3:5: rule \"r\": `since_delivery` is not known beyond the look-back; write `3d` at most"],
    );
}

#[test]
fn a_template_may_calculate_and_an_own_label_may_not_hide_its_names() {
    let text = "{{ percent(values.failures / values.deliveries) }} {{ time(fired_at) }}";
    check_rule(
        &format!("    summary: \"{text}\"\n    when: {{ open: 5 }}\n    severity: info"),
        [],
    );
    check_rule(
        "    when: { open: 5 }\n    severity: info\n    labels: { values: a }",
        ["7:15: rule \"r\": `values` has a meaning already; choose another name for the label"],
    );
}

#[test]
fn what_holds_messages_back_is_checked() {
    check(
        "sources: [{ name: a, api_key: k }]
inhibit:
  - { if: { rule: source-blin }, mute: { severity: warning }, equal: [sauce] }
  - { if: { rule: source-blind } }
mute:
  - { name: m, days: [sat, sunday], times: \"8:00-24:00\", timezone: Mars }
  - { name: m }
",
        [
            "3:19: inhibition 1: `source-blin` fits no rule that there is; did you mean `source-blind`?",
            "3:71: inhibition 1: `equal`: no alert has a label `sauce`; write one of `rule`, `severity`, `source`, `offer`, `affiliate`, `postback`, `host`, `event`, `delivery_method`, `postback_level`, `postback_type` or `reason`",
            "4:5: inhibition 2: `mute` is missing; write `mute: { severity: warning }`",
            "6:28: mute \"m\": `days` knows no `sunday`; write one of `mon`, `tue`, `wed`, `thu`, `fri`, `sat` or `sun`",
            "6:44: mute \"m\": `times: 8:00-24:00` is no span of a day; write \"22:00-06:00\", from 00:00 to 24:00",
            "6:68: mute \"m\": `timezone: Mars` is no time zone; write its IANA name, as in `Europe/Berlin` or `UTC`",
            "7:5: mute \"m\": the mute would last for ever; write `days: [sat, sun]` or `times: \"22:00-06:00\"`",
            "7:13: mute \"m\": another mute has this name; give it another name",
        ],
    );
}

#[test]
fn variables_come_from_the_environment() {
    check(
        "sources: [{ name: a, api_key: \"x${MISSING}${ALSO}\", base_url: \"${\" }]\n",
        [
            "1:31: the variable `ALSO` is not set in the environment; set it: `export ALSO=…`",
            "1:31: the variable `MISSING` is not set in the environment; set it: `export MISSING=…`",
            "1:63: `${` does not begin a variable's name and `}`; write `${NAME}`, or `$${` for a literal `${`",
        ],
    );
    let text = "sources: [{ name: a, api_key: \"$$a$${KEY}-${KEY}$\" }]";
    let config = read(text).0.expect("no mistake, so a config");
    assert_eq!(config.sources[0].api_key.expose(), "$$a${KEY}-everflow-secret$");
}

#[test]
fn secrets_may_come_from_files() {
    let config = read("sources: [{ name: a, api_key_file: /run/secrets/key }]").0;
    assert_eq!(config.expect("no mistake").sources[0].api_key.expose(), "file-secret");
    check(
        "sources:\n  - { name: a, api_key: k, api_key_file: f }\n  - { name: b, api_key_file: f }\n  - { name: c, api_key_file: /run/secrets/empty }\n  - { name: d }\n",
        [
            "2:42: source \"a\": both `api_key` and `api_key_file` are here; remove one of them",
            "3:30: source \"b\": the file of `api_key_file` cannot be read: entity not found; check its path and who may read it",
            "4:30: source \"c\": the file of `api_key_file` is empty or too large; write the secret, and nothing else, into it",
            "5:5: source \"d\": `api_key` is missing; write `api_key: ${EVERFLOW_API_KEY}` or `api_key_file: …`",
        ],
    );
}

#[test]
fn sources_make_sense() {
    check(
        "rules: []",
        [
            "1:1: `sources` is missing; write `sources: [{ name: acme, api_key: \"${EVERFLOW_API_KEY}\" }]`",
        ],
    );
    check("sources: []", ["1:10: `sources` is empty; name one, or remove it"]);
    check(
        "sources:\n  - { name: A b, api_key: k, base_url: ftp://x, successes: of }\n  - { name: b, api_key: k, base_url: http://example.com, poll_every: 0s }\n  - { name: b, api_key: k, base_url: \"https://u:p@x\", lookback: 12h, timezone_id: \"67\" }\n",
        [
            "2:13: source \"A b\": `name: A b` is no name for a source; write a-z, 0-9, `_` and `-`, up to 64 characters, as in `eu-network`",
            "2:40: source \"A b\": `base_url` is no http address; write `base_url: https://api.eflow.team/v1` or the like",
            "2:60: source \"A b\": `successes` knows no `of`; did you mean `off`?",
            "3:38: source \"b\": `base_url` would send the secret unencrypted; write `https://…`; plain http is for 127.0.0.1 only",
            "3:70: source \"b\": `poll_every: 0s` is too short; write `1s` or more",
            "4:13: source \"b\": there is a source `b` already; give each its own name",
            "4:38: source \"b\": `base_url` holds a user or password; remove them",
            "4:65: source \"b\": `give_up_after: 1d` is longer than `lookback: 12h`; write `lookback: 1d` or more, or a shorter `give_up_after`",
            "4:83: source \"b\": `timezone_id` is `67`; write a whole number, without quotes",
        ],
    );
}

#[test]
fn scopes_may_not_overlap() {
    let check = |scopes: &str, overlaps: bool| {
        let text = format!("sources: [{{ name: a, api_key: k, scopes: [{scopes}] }}]");
        let (_, report) = read(&text);
        let found = lines(&report.mistakes);
        assert_eq!(
            found.iter().any(|line| line.contains("overlaps")),
            overlaps,
            "{scopes} {found:?}"
        );
    };
    check("{ offers: [11] }, { exclude_offers: [11] }", false);
    check("{ offers: [11] }, { offers: [15] }", false);
    check("{ offers: [11, 15] }, { offers: [15] }", true);
    check("{ offers: [11], affiliates: [7] }, { offers: [11], affiliates: [8] }", false);
    check("{ offers: [11], affiliates: [7] }, { exclude_offers: [11] }", false);
    check("{ offers: [11] }, { affiliates: [7] }", true);
    check("{ exclude_offers: [1] }, { exclude_offers: [2] }", true);
    check("{}, { offers: [1] }", true);
}

#[test]
fn rules_make_sense() {
    check_rule(
        "    over: 15s\n    when: { falures: 5, failure_rate: 20, open: 5% }\n    levels: {}\n    for: 5",
        [
            "5:11: rule \"r\": `over: 15s` is no multiple of `evaluate_every: 10s`; write `over: 20s`",
            "6:11: rule \"r\": both `levels` and `when` are here; `levels` stands alone; `when` goes with `severity`",
            "8:10: rule \"r\": `for: 5` has no unit; write `5s` or `5m`",
        ],
    );
    check_rule(
        "    over: 15m\n    levels: { critcal: { failures: 1 }, warning: {}, info: { falures: 5, failure_rate: 20 } }",
        [
            "6:15: rule \"r\": `critcal` is no severity; did you mean `critical`?",
            "6:50: rule \"r\": `warning` compares nothing; write `failures: \">= 5\"`, say",
            "6:62: rule \"r\": `falures` is no measure; did you mean `failures`?",
            "6:88: rule \"r\": `failure_rate: 20` is no percentage; write `20%`",
        ],
    );
    check_rule(
        "    when: { failures: 1 }\n    match: { host: [], hots: x, reason: timout, source: b }\n    labels: { severity: x, a-b: y }\n    runbook: wiki",
        [
            "3:5: rule \"r\": `over` is missing, and `failures` counts over a window; write `over: 15m`",
            "5:11: rule \"r\": `severity` is missing; write `severity: warning`",
            "6:20: rule \"r\": `host` is empty; name one, or remove it",
            "6:24: rule \"r\": `match`: `hots` is no label; did you mean `host`?",
            "6:41: rule \"r\": `timout` fits no reason that there is; did you mean `timeout`?",
            "6:57: rule \"r\": `b` fits no source that there is; did you mean `a`?",
            "7:15: rule \"r\": `severity` has a meaning already; choose another name for the label",
            "7:28: rule \"r\": `a-b` is no name for a label; write letters, digits and `_`, as in `team`",
            "8:14: rule \"r\": `runbook: wiki` is no web address; write `https://…`",
        ],
    );
}

#[test]
fn a_summary_that_cannot_be_rendered_names_what_it_may_use() {
    let (_, report) =
        read(&rule("    when: { open: 1 }\n    severity: info\n    summary: \"{{ hots }}\""));
    let found = lines(&report.mistakes);
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("7:14: rule \"r\": `summary` cannot be rendered: `hots` is undefined; it may use `rule`, `severity`, `source`"), "{found:?}");
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

#[test]
fn what_cannot_work_is_a_warning() {
    let told = "receivers: [{ name: x, slack: { token: t, channel: c } }, { name: y, slack: { token: t, channel: c } }]\nroutes:\n  - { match: { severity: critical }, to: x, remind_every: 30s }\n  - { match: { severity: warning }, to: x }\n";
    let rules =
        rule("    over: 1m\n    levels: { info: { failure_rate: 20% }, critical: { streak: 11 } }");
    check_warnings(
        &format!("{rules}{told}"),
        [
            "3:5: rule \"r\": `streak` does not get so far: the network switches the postback off before; write a number below `deactivates_after`",
            "3:5: rule \"r\": level `info` compares `failure_rate` alone: one failure of one delivery is 100 %; add `failures: \">= 5\"` or `deliveries: \">= 20\"`",
            "5:11: rule \"r\": `over: 1m` is shorter than two polls; write `over: 2m` or more",
            "7:67: no route leads to the receiver `y`; name it in the `to` of a route, or remove it",
            "9:3: nobody is told of `r` at severity `info`; add a last route without `match`",
            "9:5: reminders come more often than polls; write `remind_every: 4h`, say",
        ],
    );
    check_warnings(
        "sources: [{ name: a, api_key: k }]\nrules: []\nreceivers: [{ name: x, slack: { token: t, channel: c } }]\nroutes:\n  - { to: x }\n  - { to: x }\n",
        [
            "6:5: no alert gets to this route: the one on line 5 takes all; move it up, or write `continue: true` at the other",
        ],
    );
    let twice = "    over: 5m\n    when: { failures: 3 }\n    severity: info\n";
    let also =
        format!("  - name: s\n    per: [host]\n    match: {{ reason: \"http_5*\" }}\n{twice}");
    let same = format!("{also}{}", also.replace("name: s", "name: t"));
    let told = "receivers: [{ name: x, slack: { token: t, channel: c } }]\nroutes:\n  - { match: { rule: [\"s*\", t] }, to: x }\n  - { match: { rule: s, severity: info }, to: x }\n  - { to: x }\n";
    check_warnings(
        &format!("sources: [{{ name: a, api_key: k }}]\nrules:\n{same}{told}"),
        [
            "9:5: rule \"t\": `s` says the same; remove one of them",
            "18:5: no alert gets to this route: the one on line 17 takes all; move it up, or write `continue: true` at the other",
        ],
    );
    let told = "receivers: [{ name: x, slack: { token: t, channel: c } }]\nroutes: [{ to: x }]\n";
    check_warnings(
        &format!(
            "sources: [{{ name: a, api_key: k }}]\nrules: []\n{told}inhibit:
  - {{ if: {{ severity: [critical, warning] }}, mute: {{ severity: [warning, critical] }}, equal: [host] }}
  - {{ if: {{ severity: critical }}, mute: {{ severity: [warning, critical] }} }}
  - {{ if: {{}}, mute: {{ severity: warning }} }}
"
        ),
        [
            "6:5: inhibition 1: `if` and `mute` mean the same alerts: it holds back nothing; name in `if` the rule that explains: `if: { rule: host-down }`, and in `mute` what it explains",
        ],
    );
}

#[test]
fn a_missing_file_says_what_to_do() {
    let error = load(Path::new("no/such/rules.yaml")).expect_err("there is no such file");
    assert_eq!(
        error.to_string(),
        "no/such/rules.yaml cannot be read (No such file or directory (os error 2)): name your rules file (`check FILE`, `run --rules FILE`), or go to its folder"
    );
}

#[test]
fn a_file_without_bounds_is_refused() {
    let deep = "[".repeat(5_000);
    let wide = format!("sources: [{}]", "1,".repeat(200_000));
    let large = "# x\n".repeat(400_000);
    let many = format!("sources: [{}]", "*x,".repeat(5_000));
    let numbered = |what: &str| (0..40_000).map(|n| what.replace('N', &n.to_string())).collect();
    let rules =
        |body: String| rule(&format!("    when: {{ open: 1 }}\n    severity: info\n{body}"));
    let globs: String = numbered("xN,");
    let own: String = numbered("aN: b,");
    let by: String = numbered("bN,");
    let keys: String = numbered("api_key_N: hunterN-hunterN,");
    let globs = rules(format!("    match: {{ reason: [{globs}] }}"));
    let labels =
        rules(format!("    labels: {{ {own} }}")) + &format!("notify: {{ batch_by: [{by}] }}");
    let keys = format!("sources: [{{ {keys} }}]");
    for text in [deep, wide, large, many, globs, labels, keys] {
        let (config, report) = read(&text);
        assert!(config.is_none() && !report.mistakes.is_empty());
        assert!(report.mistakes.len() <= 201);
        report.line(&text, report.mistakes[0].at);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_gets_an_answer(text in "\\PC{0,200}|[-:\\[\\]{}>|&*!%#'\"$ \\na-c]{0,200}") {
        let (config, report) = read(&text);
        prop_assert_eq!(config.is_none(), !report.mistakes.is_empty());
        for mistake in &report.mistakes {
            report.line(&text, mistake.at);
        }
    }

    #[test]
    fn any_slip_in_the_shipped_rules_gets_an_answer(
        at in 0..SHIPPED.len(), length in 0..40_usize, put in "[-:\\[\\]{}>|&*!%#'\"$ \\na-z0-9é]{0,6}"
    ) {
        let mut text: Vec<char> = SHIPPED.chars().collect();
        let at = at.min(text.len());
        let end = (at + length).min(text.len());
        text.splice(at..end, put.chars());
        let text: String = text.into_iter().collect();
        let (config, report) = read(&text);
        prop_assert_eq!(config.is_none(), !report.mistakes.is_empty());
        for mistake in report.mistakes.iter().chain(&report.warnings) {
            let shown = report.line(&text, mistake.at);
            prop_assert!(shown.is_none_or(|(line, column)| column <= line.chars().count() + 1));
            prop_assert!(!mistake.to_string().contains("-secret"));
        }
    }
}
