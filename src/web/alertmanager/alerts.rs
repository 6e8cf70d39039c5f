//! The alerts that stand, as Alertmanager shows them.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::tz::TimeZone;
use serde::Serialize;

use super::{Pairs, Receiver, filters, refuse};
use crate::domain::alert::Alert;
use crate::domain::explain::{At, receivers, standing_alerts};
use crate::domain::notify::gate::{Gate, Gates};
use crate::domain::notify::labels::routing_labels;
use crate::domain::notify::plan::{Batch, BatchKey, alert_facts};
use crate::domain::policy::Policy;
use crate::domain::silence::matcher::{Matcher, Op};
use crate::domain::state::State;
use crate::domain::time::Timestamp;
use crate::web::{Web, broken, build};

/// An alert that stands is said to last this long from now, as Alertmanager does with
/// one that is sent to it without an end.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5 * 60);

type Labels = BTreeMap<String, String>;

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct GettableAlert {
    labels: Labels,
    annotations: BTreeMap<&'static str, String>,
    starts_at: At,
    ends_at: At,
    updated_at: At,
    fingerprint: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
    receivers: Vec<Receiver>,
    status: AlertStatus,
}

#[derive(Clone, Serialize)]
#[serde(rename_all = "camelCase")]
struct AlertStatus {
    state: &'static str,
    silenced_by: Vec<String>,
    inhibited_by: Vec<String>,
}

#[derive(Serialize)]
struct AlertGroup {
    labels: Labels,
    receiver: Receiver,
    alerts: Vec<GettableAlert>,
}

/// What a question leaves out.
struct Wanted {
    matchers: Vec<Matcher>,
    receiver: Option<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
}

/// Alerts that stand, and what is told of each.
type Alerts<'a> = Vec<(&'a Alert, GettableAlert)>;

pub async fn list(Shared(web): Shared<Web>, Query(pairs): Pairs) -> Response {
    tell(web, &pairs, |wanted, _, alerts| {
        let told = alerts.into_iter().map(|(_, told)| told);
        told.filter(|told| wanted.wants(told)).collect::<Vec<_>>()
    })
    .await
}

/// The batches, each with those of its alerts that stand.
pub async fn groups(Shared(web): Shared<Web>, Query(pairs): Pairs) -> Response {
    tell(web, &pairs, |wanted, state, alerts| {
        let group = |(key, batch): (&BatchKey, &Batch)| {
            let of = alerts.iter().filter(|(alert, told)| {
                batch.members.contains_key(&alert.key) && wanted.wants(told)
            });
            AlertGroup {
                labels: key.labels.iter().cloned().collect(),
                receiver: Receiver { name: key.receiver.clone() },
                alerts: of.map(|(_, told)| told.clone()).collect(),
            }
        };
        let groups = state.batches.iter().map(group).filter(|group| {
            !group.alerts.is_empty() && wanted.wants_receiver(&group.receiver.name)
        });
        groups.collect::<Vec<_>>()
    })
    .await
}

/// What `answer` makes of the alerts that stand, as JSON.
async fn tell<T: Serialize + Send + 'static>(
    web: Web,
    pairs: &[(String, String)],
    answer: impl FnOnce(&Wanted, &State, Alerts<'_>) -> T + Send + 'static,
) -> Response {
    let wanted = match Wanted::read(pairs) {
        Ok(wanted) => wanted,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let told = build(web, move |web| {
        let (now, state) = (web.clock.now(), web.view.state());
        let alerts = alerts(now, &web.view.policy(), &state, &web.page);
        answer(&wanted, &state, alerts)
    });
    told.await.map_or_else(broken, |told| Json(told).into_response())
}

impl Wanted {
    fn read(pairs: &[(String, String)]) -> Result<Wanted, String> {
        let named = |wanted: &str| pairs.iter().rev().find(|(name, _)| name == wanted);
        let flag = |name: &str| match named(name).map(|(_, value)| value.as_str()) {
            None | Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("{name} is true or false, not `{other}`")),
        };
        flag("unprocessed")?;
        let receiver = named("receiver").filter(|(_, value)| !value.is_empty());
        Ok(Wanted {
            matchers: filters(pairs)?,
            receiver: receiver
                .map(|(name, value)| Matcher::new(name, Op::Match, value))
                .transpose()?,
            active: flag("active")?,
            silenced: flag("silenced")?,
            inhibited: flag("inhibited")?,
        })
    }

    fn wants(&self, alert: &GettableAlert) -> bool {
        let AlertStatus { state, silenced_by, inhibited_by } = &alert.status;
        (self.active || *state != "active")
            && (self.silenced || silenced_by.is_empty())
            && (self.inhibited || inhibited_by.is_empty())
            && self.matchers.iter().all(|matcher| matcher.matches(&alert.labels))
            && (self.receiver.is_none()
                || alert.receivers.iter().any(|receiver| self.wants_receiver(&receiver.name)))
    }

    fn wants_receiver(&self, name: &str) -> bool {
        let named = || Labels::from([("receiver".to_owned(), name.to_owned())]);
        self.receiver.as_ref().is_none_or(|wanted| wanted.matches(&named()))
    }
}

fn alerts<'a>(now: Timestamp, policy: &Policy, state: &'a State, page: &str) -> Alerts<'a> {
    let gates = Gates::new(now, policy, &state.alerts, &state.silences);
    let told = standing_alerts(state).filter_map(|alert| {
        let facts = alert_facts(policy, alert, &TimeZone::UTC)?;
        let labels = routing_labels(alert);
        let known = state.sources.get(&alert.key.source);
        let judged_at = known.and_then(|source| source.facts.watermark).unwrap_or_default();
        let advice = facts.cause.map(|cause| cause.advice);
        let annotations = [
            ("summary", Some(facts.summary)),
            ("description", advice),
            ("runbook_url", facts.runbook),
        ];
        let told = GettableAlert {
            annotations: annotations.into_iter().filter_map(|(name, t)| Some((name, t?))).collect(),
            starts_at: At(facts.fired_at),
            ends_at: At(now + RESOLVE_TIMEOUT),
            updated_at: At(judged_at.max(facts.fired_at)),
            fingerprint: fingerprint(&labels),
            generator_url: page.to_owned(),
            receivers: receivers(policy, state, alert)
                .into_iter()
                .map(|name| Receiver { name })
                .collect(),
            status: status(state, gates.all_closed_to(alert)),
            labels,
        };
        Some((alert, told))
    });
    told.collect()
}

/// A mute is a time, and leaves an alert active, as in Alertmanager.
fn status(state: &State, closed: Vec<Gate>) -> AlertStatus {
    let (mut silenced_by, mut inhibited_by) = (Vec::new(), Vec::new());
    for gate in closed {
        match gate {
            Gate::Silenced { by } => silenced_by.push(by.0),
            Gate::Inhibited { by } => {
                let by = state.alerts.get(&by).map(routing_labels);
                inhibited_by.extend(by.map(|labels| fingerprint(&labels)));
            }
            Gate::Muted { .. } => {}
        }
    }
    let is_active = silenced_by.is_empty() && inhibited_by.is_empty();
    let state = if is_active { "active" } else { "suppressed" };
    AlertStatus { state, silenced_by, inhibited_by }
}

/// As Prometheus and Alertmanager know an alert: FNV-1a over its labels in their order.
fn fingerprint(labels: &Labels) -> String {
    let parts = labels.iter().flat_map(|(name, value)| [name, value]);
    let bytes = parts.flat_map(|part| part.bytes().chain([0xff]));
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_that_of_alertmanager() {
        let check = |labels: &[(&str, &str)], expected: &str| {
            let labels = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
            assert_eq!(fingerprint(&labels.collect()), expected);
        };
        check(&[], "cbf29ce484222325");
        // As Alertmanager 0.25 answers for an alert with these labels.
        let labels = [("host", "ü.example"), ("alertname", "some-fail"), ("affiliate", "7")];
        check(&labels, "b3f937fdfb771cdc");
    }
}
