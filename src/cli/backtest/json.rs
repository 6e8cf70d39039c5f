//! A replay as scripts read it: the names are a contract.

use serde_json::{Map, Value, json};

use super::compare::{Change, Difference};
use super::{CANNOT_SHOW, Played, Summary};
use crate::cli::past::Past;
use crate::replay::{ToldAlert, ToldMessage};

pub fn json(played: &Played, past: &Past, against: Option<(&Played, &Difference)>) -> String {
    let mut shown = json!({
        "alerts": played.told.alerts.iter().map(alert).collect::<Vec<_>>(),
        "messages": played.told.messages.iter().map(message).collect::<Vec<_>>(),
        "summary": summary(played, past),
    });
    if let Some((other, difference)) = against {
        shown["against"] = json!({
            "alerts": other.told.alerts.iter().map(alert).collect::<Vec<_>>(),
            "messages": other.told.messages.iter().map(message).collect::<Vec<_>>(),
            "summary": summary(other, past),
            "difference": self::difference(difference),
        });
    }
    format!("{shown:#}\n")
}

fn alert(alert: &ToldAlert) -> Value {
    let cause = alert.cause.as_ref().map(|cause| {
        json!({ "by": cause.part.by, "value": cause.part.value, "share": cause.part.share })
    });
    json!({
        "rule": alert.rule,
        "severity": alert.severity.as_str(),
        "labels": alert.labels,
        "began_at": alert.began_at.to_string(),
        "fired_at": alert.fired_at.to_string(),
        "resolved_at": alert.resolved_at.map(|at| at.to_string()),
        "ended": alert.ended_word(),
        "value": alert.value.map(number),
        "cause": cause,
        "summary": alert.summary,
    })
}

/// A count as a whole number.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => json!(value as i64),
        false => json!(value),
    }
}

fn message(message: &ToldMessage) -> Value {
    json!({
        "at": message.at.to_string(),
        "receiver": message.receiver,
        "reason": message.reason.as_str(),
        "alerts": message.alerts,
    })
}

fn summary(played: &Played, past: &Past) -> Value {
    let Summary { span, rows, deliveries, messages, .. } = &played.summary;
    let waits = played.summary.waits();
    let receivers: Map<String, Value> = messages
        .iter()
        .map(|(receiver, days)| {
            let total: usize = days.iter().sum();
            (receiver.clone(), json!({ "total": total, "per_day": days }))
        })
        .collect();
    json!({
        "rules": played.file,
        "past": past.name,
        "from": span.0.to_string(),
        "to": span.1.to_string(),
        "rows": rows,
        "rows_outside_scopes": deliveries.rows_outside,
        "deliveries": deliveries.all,
        "failures": deliveries.failed,
        "failing_at_end": deliveries.failing,
        "rejected_rows": past.reading.rejected,
        "first_rejected_line": past.reading.first_rejected.as_ref().map(|(line, _)| line),
        "is_cut": past.reading.is_cut,
        "alerts": played.told.alerts.len(),
        "messages": played.told.messages.len(),
        "receivers": receivers,
        "first_message_after_seconds": waits.map(|(median, worst)| {
            json!({ "median": median.as_secs(), "worst": worst.as_secs() })
        }),
        "history_cannot_show": CANNOT_SHOW,
    })
}

fn difference(difference: &Difference) -> Value {
    let changed = |change: &Change| json!({ "alert": change.this, "other": change.other });
    json!({
        "alerts_only_here": difference.only_this,
        "alerts_only_there": difference.only_other,
        "alerts_changed": difference.changed.iter().map(changed).collect::<Vec<_>>(),
        "messages_only_here": difference.messages_only_this,
        "messages_only_there": difference.messages_only_other,
    })
}
