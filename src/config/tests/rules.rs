//! Rules, what holds their messages back, and what is warned of.

use super::*;

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
  - { if: { rule: source-blind }, mute: { severity: warnin }, equal: [sauce] }
  - { if: { rule: source-blind } }
mute:
  - { name: m, days: [sat, sunday], times: \"8:00-24:00\", timezone: Mars }
  - { name: m }
",
        [
            "3:53: inhibition 1: `warnin` fits no severity that there is; did you mean `warning`?",
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
fn a_rule_that_is_not_there_is_named_and_stops_nothing() {
    let text = "sources: [{ name: a, api_key: k }]
inhibit: [{ if: { rule: source-blin }, mute: { severity: warning } }]
mute: [{ name: m, days: [sat], match: { rule: network-wide } }]
";
    check_warnings(
        &format!("{text}{TOLD}"),
        [
            "1:1: there are no `rules`; only the built-in ones are watched",
            "2:25: inhibition 1: `source-blin` fits no rule that there is; did you mean `source-blind`?",
            "3:47: mute \"m\": `network-wide` fits no rule that there is; write one of `source-blind` or `postback-deactivated`",
        ],
    );
    // What it was to lead somewhere would go elsewhere.
    let routes = "routes: [{ match: { rule: source-blin }, to: x }, { to: x }]\n";
    check(
        &format!("{text}{}", TOLD.replace("routes: [{ to: x }]\n", routes)),
        ["5:27: route 1: `source-blin` fits no rule that there is; did you mean `source-blind`?"],
    );
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
