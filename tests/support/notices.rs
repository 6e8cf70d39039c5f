//! Notices as the planner writes them, realistic ones and nasty ones.

use postwatch::domain::delivery::Identity;
use postwatch::domain::notify::{
    AlertFacts, AlertStatus, Cause, Notice, NoticeReason, Part, Reading, Sample, SampleText,
};
use postwatch::domain::rules::Severity;
use postwatch::domain::time::Timestamp;

use super::suites;

/// 2026-03-01 03:12:00 in Berlin.
pub const BEGAN: Timestamp = Timestamp(1_772_331_120);

/// Strings that try to break out of a line, a header, a mark-up or a limit.
pub const NASTY: &[&str] = &[
    "<!channel> <!here|x> <@U123> <#C1|x>",
    "@channel @here @everyone",
    "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>",
    "</td></tr></table></body></html>",
    "Acme\r\nBcc: victim@example.com\r\n\r\nbody",
    "\u{202E}reversed\u{2066}\u{200F}",
    "`code` *bold* ~gone~ _it_ > quote &amp; &lt;!channel&gt;",
    "<https://evil.example|postwatch> | <mailto:x@y.z>",
    "\0\u{1b}[31mred\u{7}\u{8}",
    "{{7*7}} ${jndi:ldap://x} %s %n",
    "\u{2028}\u{2029}\u{85}\u{b}\u{c}",
    "👩‍👩‍👧‍👦🏳️‍🌈",
    "Z̸̧͇͎̪̳̺͌͒a̴̧̲͓̐̅l̷͕͗g̶̱̈́o̷",
    "=?utf-8?q?hello?=",
    ".\r\n.\r\nQUIT\r\n",
    "",
    " ",
];

/// [`NASTY`], and what others collected.
pub fn nasty() -> impl Iterator<Item = String> {
    NASTY.iter().map(|&text| text.to_owned()).chain(suites::naughty_strings())
}

/// One critical alert with everything that an alert can have.
pub fn critical() -> Notice {
    notice(NoticeReason::First, vec![failing()])
}

/// The same, cured 25 minutes after it began.
pub fn resolved() -> Notice {
    let mut alert = failing();
    alert.status = AlertStatus::Resolved { resolved_at: Timestamp(BEGAN.0 + 1500) };
    Notice { created_at: Timestamp(BEGAN.0 + 1530), ..notice(NoticeReason::Resolved, vec![alert]) }
}

/// `count` alerts, the first three critical.
pub fn many(count: u64) -> Notice {
    let alerts = (0..count).map(|n| AlertFacts {
        id: Identity(u128::from(n)),
        severity: if n < 3 { Severity::Critical } else { Severity::Warning },
        summary: format!(
            "Partner {n} ({n}): trk{n}.example fails {} % of postbacks (dns)",
            90_u64.saturating_sub(n)
        ),
        samples: failing().samples.into_iter().take(1).collect(),
        ..failing()
    });
    notice(NoticeReason::First, alerts.collect())
}

pub fn notice(reason: NoticeReason, alerts: Vec<AlertFacts>) -> Notice {
    Notice {
        id: format!("n-{reason:?}-1").to_lowercase(),
        receiver: "on-call".to_owned(),
        batch: "acme/partner-endpoint-failing".to_owned(),
        group: pairs(&[("source", "acme"), ("rule", "partner-endpoint-failing")]),
        reason,
        created_at: Timestamp(BEGAN.0 + 480),
        timezone: "Europe/Berlin".to_owned(),
        instead_of: None,
        is_back: false,
        late_since: None,
        alerts,
    }
}

pub fn failing() -> AlertFacts {
    AlertFacts {
        id: Identity(0x9c1f_0e6a_53d2_b847),
        rule: "partner-endpoint-failing".to_owned(),
        severity: Severity::Critical,
        status: AlertStatus::Firing,
        labels: pairs(&[
            ("source", "acme"),
            ("affiliate", "7"),
            ("host", "trk.acme.example"),
            ("team", "partners"),
        ]),
        summary: "Acme Media (7): trk.acme.example fails 83 % of postbacks (tls)".to_owned(),
        began_at: BEGAN,
        fired_at: Timestamp(BEGAN.0 + 120),
        readings: vec![
            reading("failures", "41", ">= 20"),
            reading("failure_rate", "83 %", ">= 50 %"),
        ],
        in_a_row: None,
        cause: Some(Cause {
            part: Part {
                by: "host".to_owned(),
                value: "trk.acme.example".to_owned(),
                shown: "trk.acme.example".to_owned(),
                share: 0.94,
                usual: Some(0.06),
            },
            hosts: 1,
            affiliates: 9,
            within: None,
            reason: "tls".to_owned(),
            advice: "The partner's certificate is not accepted. The network's retries cannot cure it: ask the partner to renew the certificate.".to_owned(),
        }),
        samples: (0..3).map(sample).collect(),
        notes: vec!["Postback 1201 fails 7 deliveries in a row: after 10 the network switches it off.".to_owned()],
        runbook: Some("https://wiki.example.com/postbacks#tls".to_owned()),
        held_back: None,
    }
}

/// Every text of the alert is `text`.
pub fn hostile(text: &str) -> Notice {
    let s = || text.to_owned();
    let mut alert = failing();
    (alert.rule, alert.summary, alert.runbook) = (s(), s(), Some(s()));
    alert.labels = vec![(s(), s())];
    alert.notes = vec![s(), s()];
    alert.readings = vec![Reading { measure: s(), value: s(), number: 1.0, threshold: s() }];
    let part = Part { by: s(), value: s(), shown: s(), share: f64::NAN, usual: Some(f64::NAN) };
    alert.cause = Some(Cause {
        part: part.clone(),
        hosts: usize::MAX,
        affiliates: usize::MAX,
        within: Some(part),
        reason: s(),
        advice: s(),
    });
    for sample in &mut alert.samples {
        (sample.reason, sample.offer, sample.affiliate) = (s(), s(), s());
        sample.text = Some(SampleText { conversion_id: s(), url: s(), answer: s() });
    }
    let alerts = vec![alert; 30];
    let mut notice = notice(NoticeReason::First, alerts);
    (notice.receiver, notice.batch, notice.id) = (s(), s(), s());
    (notice.instead_of, notice.timezone) = (Some(s()), s());
    notice.group = vec![(s(), s())];
    notice
}

fn sample(n: u32) -> Sample {
    Sample {
        text_commit: 1,
        delivery: Identity(u128::from(n)),
        timestamp: Timestamp(BEGAN.0 + 97 * i64::from(n)),
        failed_attempts: n + 1,
        reason: "tls".to_owned(),
        offer: "Summer Sale DE (11)".to_owned(),
        affiliate: "Acme Media (7)".to_owned(),
        text: Some(SampleText {
            conversion_id: format!("4f1c9be07ad24a1e8d{n:02}b3c2"),
            url: "https://trk.acme.example/postback?click_id=…&payout=…&txid=…".to_owned(),
            answer: "x509: certificate has expired or is not yet valid".to_owned(),
        }),
    }
}

fn reading(measure: &str, value: &str, threshold: &str) -> Reading {
    Reading {
        measure: measure.into(),
        value: value.into(),
        number: 1.0,
        threshold: threshold.into(),
    }
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
