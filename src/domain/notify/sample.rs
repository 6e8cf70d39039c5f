//! A message about nothing: what `postwatch notify` sends, and what templates are
//! tried with. Says of itself that it is a test.

use super::{AlertFacts, AlertStatus, Cause, Notice, NoticeReason, Part, Reading, Sample};
use crate::domain::delivery::Identity;
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;

const RULE: &str = "postwatch-test";

/// A first message to `receiver` about one alert. Nothing in it is real.
pub fn notice(now: Timestamp, receiver: &str) -> Notice {
    let group =
        vec![("source".to_owned(), "example".to_owned()), ("rule".to_owned(), RULE.to_owned())];
    Notice {
        id: format!("test-{receiver}-{}", now.0),
        receiver: receiver.to_owned(),
        batch: format!("test-{}", now.0),
        group,
        reason: NoticeReason::First,
        created_at: now,
        late_since: None,
        timezone: "UTC".to_owned(),
        instead_of: None,
        is_back: false,
        alerts: vec![alert(now)],
    }
}

fn alert(now: Timestamp) -> AlertFacts {
    let began_at = Timestamp(now.0 - 8 * 60);
    let labels = [("source", "example"), ("affiliate", "7"), ("host", "postbacks.partner.example")];
    AlertFacts {
        id: Identity::of_parts(&[RULE, &now.0.to_string()]),
        rule: RULE.to_owned(),
        severity: Severity::Info,
        status: AlertStatus::Firing,
        labels: labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        summary: "TEST from postwatch, nothing is wrong: Example Media (7): postbacks.partner.example fails 83 % of postbacks (tls)".to_owned(),
        began_at,
        fired_at: Timestamp(now.0 - 6 * 60),
        readings: vec![reading("failures", 41.0, "41", ">= 20"), reading("failure_rate", 0.83, "83 %", ">= 50 %")],
        in_a_row: None,
        cause: Some(cause()),
        samples: vec![sample(now)],
        notes: vec!["This is a test message: no delivery failed, and there is nothing to do.".to_owned()],
        runbook: Some("https://wiki.example.com/postbacks".to_owned()),
        held_back: None,
    }
}

fn reading(measure: &str, number: f64, value: &str, threshold: &str) -> Reading {
    Reading {
        measure: measure.to_owned(),
        number,
        value: value.to_owned(),
        threshold: threshold.to_owned(),
    }
}

fn cause() -> Cause {
    let host = "postbacks.partner.example".to_owned();
    let part = Part {
        by: "host".to_owned(),
        value: host.clone(),
        shown: host,
        share: 0.94,
        usual: Some(0.06),
    };
    Cause {
        part,
        hosts: 1,
        affiliates: 1,
        within: None,
        reason: "tls".to_owned(),
        advice:
            "The partner's certificate would not be accepted: this is what a real message says."
                .to_owned(),
    }
}

fn sample(now: Timestamp) -> Sample {
    Sample {
        delivery: Identity(0),
        text_commit: 0,
        timestamp: Timestamp(now.0 - 60),
        failed_attempts: 2,
        reason: "tls".to_owned(),
        offer: "Example Offer (11)".to_owned(),
        affiliate: "Example Media (7)".to_owned(),
        text: None,
    }
}
