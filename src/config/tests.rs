//! Files and what is said of them.

use std::io::ErrorKind;

use proptest::prelude::*;

use super::*;

use crate::domain::rules::{Label, Severity, Threshold};

mod access;
mod broken;
mod receivers;
mod rules;

fn read(text: &str) -> (Option<Config>, Report) {
    let env = |name: &str| match name {
        "KEY" | "EVERFLOW_API_KEY" => Some("everflow-secret".to_string()),
        "SLACK_BOT_TOKEN" => Some("xoxb-slack-secret".to_string()),
        "SMTP_URL" => Some("smtps://user:mail-secret@mail.example.com:465".to_string()),
        "HOOK_SECRET" => Some("whsec_bm90LWEtc2VjcmV0LW9mLWFueWJvZHktYXQtYWxs".to_string()),
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
  - name: hook
    webhook: { url: "https://example.com/hook", secret: "${HOOK_SECRET}" }
  - name: am
    alertmanager: { url: "http://alertmanager:9093" }
routes:
  - { match: { severity: critical, team: part* }, to: on-call, fallback: [partners], min_gap: 1m }
  - { to: [partners] }
notify: { batch_by: [source, rule], batch_wait: 0, min_gap: 5m, remind_every: 4h, timezone: Europe/Berlin }
heartbeat: { url: "https://hc.example.com/ping/1", every: 1m }
inhibit:
  - { if: { rule: network-wide }, mute: { rule: partner-endpoint-failing }, equal: [source] }
mute:
  - { name: weekend, days: [sat, sun], times: "00:00-24:00", timezone: Europe/Berlin, match: { severity: warning } }
metrics: { max_series: 10 }
retain: 90d
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
    // What it leaves out is named, and stops nothing.
    check_warnings(
        EXAMPLE,
        [
            "41:11: no route leads to the receiver `hook`; name it in the `to` of a route, or remove it",
            "43:11: no route leads to the receiver `am`; name it in the `to` of a route, or remove it",
            "51:19: inhibition 1: `network-wide` fits no rule that there is; write one of `partner-endpoint-failing`, `postback-near-deactivation`, `source-blind` or `postback-deactivated`",
        ],
    );
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
    assert_eq!(
        (config.policy.max_series, config.policy.retain),
        (Some(10), Some(Duration::from_secs(90 * 86_400)))
    );
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
        "sources: [{ name: a, api_key: k }]\nstore: {}\nreceivers:\n  - { name: h, teams: {} }\n",
        [
            "2:1: `store` is not available in this version yet; remove it",
            "4:16: receiver \"h\": `teams` is not available in this version yet; remove it",
        ],
    );
}

const TOLD: &str =
    "receivers: [{ name: x, slack: { token: t, channel: c } }]\nroutes: [{ to: x }]\n";

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
