//! The gates between an alert and each receiver that hears of it, or would.

use std::collections::BTreeSet;

use super::{At, Gate, GateExplained, Messages};
use crate::domain::alert::shown::shown_duration;
use crate::domain::alert::{Alert, AlertKey, Status, builtin};
use crate::domain::notify::gate::{self, Gates};
use crate::domain::notify::labels::routing_labels;
use crate::domain::notify::plan::{Batch, Told, routes};
use crate::domain::policy::{Policy, Route};
use crate::domain::silence::SilenceId;
use crate::domain::state::State;
use crate::domain::time::Timestamp;

/// Where messages are made: asked once for all groups of a question.
pub struct Desk<'a> {
    now: Timestamp,
    policy: &'a Policy,
    state: &'a State,
    gates: Gates<'a>,
    catching_up: BTreeSet<String>,
}

impl<'a> Desk<'a> {
    pub fn new(now: Timestamp, policy: &'a Policy, state: &'a State) -> Desk<'a> {
        let gates = Gates::new(now, policy, &state.alerts, &state.silences);
        Desk { now, policy, state, gates, catching_up: state.catching_up(now, policy) }
    }

    /// One entry for each receiver. `told` is the alert as routes see it; `alert` is
    /// what there really is of it.
    pub fn messages(&self, told: &Alert, alert: Option<&Alert>) -> Vec<Messages> {
        let routes = routes(self.policy, &routing_labels(told));
        let mut all: Vec<Messages> = Vec::new();
        let stands = alert.filter(|alert| alert.severity().is_some());
        for (key, batch) in &self.state.batches {
            if let Some(known) = batch.members.get(&told.key) {
                let route = routes.iter().find(|(receiver, _)| **receiver == key.receiver);
                all.push(Messages {
                    receiver: key.receiver.clone(),
                    route: route.map(|(_, route)| self.name(route)),
                    told: self.words(batch, *known),
                    last_told_at: batch.planned_at.filter(|_| !known.is_nothing()).map(At),
                    gates: self.gates(told, stands, batch, *known),
                });
            }
        }
        for (receiver, route) in routes {
            if !all.iter().any(|messages| messages.receiver == *receiver) {
                let mut gates = self.closed_to(told);
                if stands.is_none() {
                    gates.insert(0, say(Gate::NotFiring, "it does not fire".to_owned()));
                }
                all.push(Messages {
                    receiver: receiver.clone(),
                    route: Some(self.name(route)),
                    told: "nothing".to_owned(),
                    last_told_at: None,
                    gates,
                });
            }
        }
        all
    }

    /// What the receiver knows, as far as its channel took it.
    fn words(&self, batch: &Batch, known: Told) -> String {
        let told = match known {
            Told::Nothing | Told::Inhibited => return "nothing".to_owned(),
            Told::Firing(severity) => format!("firing, {severity}"),
            Told::Ended => "its end".to_owned(),
        };
        match batch.settled_at {
            Some(_) => told,
            None => format!("{told} (written; its channel has not taken it yet)"),
        }
    }

    fn name(&self, route: &Route) -> String {
        let number = self.policy.routes.iter().position(|known| known == route).unwrap_or(0) + 1;
        let matches = route.matches.iter().map(|(label, globs)| {
            let globs: Vec<&str> = globs.iter().map(|glob| glob.0.as_str()).collect();
            format!("{label}: {}", globs.join(", "))
        });
        let matches = matches.collect::<Vec<_>>().join(", ");
        match matches.is_empty() {
            true => format!("route {number} (takes all)"),
            false => format!("route {number} ({matches})"),
        }
    }

    fn gates(
        &self,
        told: &Alert,
        stands: Option<&Alert>,
        batch: &Batch,
        known: Told,
    ) -> Vec<GateExplained> {
        let mut gates = Vec::new();
        if stands.is_none() {
            gates.push(say(Gate::NotFiring, "it does not fire".to_owned()));
        }
        gates.extend(self.closed_to(told));
        gates.extend(self.timing(stands, batch, known));
        gates.extend(self.outbox(batch));
        gates
    }

    /// What holds back the alert wherever it goes.
    pub fn closed_to(&self, told: &Alert) -> Vec<GateExplained> {
        let mut gates = Vec::new();
        if self.catching_up.contains(&told.key.source) && builtin::rule(&told.key.rule).is_none() {
            let says = "the source's past is being read after an outage: what is over by then \
                        is told once";
            gates.push(say(Gate::CatchingUp, says.to_owned()));
        }
        gates.extend(self.gates.all_closed_to(told).into_iter().map(|closed| match closed {
            gate::Gate::Inhibited { by } => {
                let by = name(&by);
                say(Gate::Inhibited { by: by.clone() }, format!("{by} explains it (inhibit)"))
            }
            gate::Gate::Silenced { by } => self.silenced(&by),
            gate::Gate::Muted { by } => {
                let says = format!("the mute \"{by}\" is on");
                say(Gate::Muted { by }, says)
            }
        }));
        gates
    }

    fn silenced(&self, id: &SilenceId) -> GateExplained {
        let draft = self.state.silences.get(id).map(|silence| &silence.draft);
        let until = draft.map_or(self.now, |draft| draft.ends_at);
        let of = draft.map_or("", |draft| draft.created_by.as_str());
        let of = if of.is_empty() { String::new() } else { format!(" of {of}") };
        let why = draft.map_or("", |draft| draft.comment.as_str());
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        let says = format!("the silence {id}{of} is on until {until}{why}");
        say(Gate::Silenced { by: id.to_string(), until: At(until) }, says)
    }

    fn timing(&self, stands: Option<&Alert>, batch: &Batch, known: Told) -> Vec<GateExplained> {
        let (timing, mut gates) = (&batch.timing, Vec::new());
        let Some(alert) = stands else { return gates };
        let Some(planned_at) = batch.planned_at else {
            let until = batch.opened_at + timing.batch_wait;
            if until > self.now {
                let says = format!("the batch's first message waits for others until {until}");
                gates.push(say(Gate::Batched { until: At(until) }, says));
            }
            return gates;
        };
        let has_news = known.is_nothing() || alert.has_ended() && known != Told::Ended;
        let until = planned_at + timing.min_gap;
        if has_news && until > self.now {
            let says = format!("the batch's next message comes not before {until} (min_gap)");
            gates.push(say(Gate::MinGap { until: At(until) }, says));
        }
        match alert.status {
            Status::Quiet { .. } => {
                gates.push(say(Gate::Quiet, "it is quiet: no reminders".to_owned()));
            }
            Status::Firing { .. } if !has_news => {
                gates.extend(batch.settled_at.map(|settled_at| {
                    let at = settled_at + timing.remind_every;
                    let wait = shown_duration(at.since(self.now));
                    say(Gate::ReminderDue { at: At(at) }, format!("a reminder is due in {wait}"))
                }));
            }
            Status::Pending | Status::Firing { .. } | Status::Ended { .. } => {}
        }
        gates
    }

    fn outbox(&self, batch: &Batch) -> Vec<GateExplained> {
        let of_batch = self.state.outbox.values().filter(|one| one.notice.batch == batch.id);
        of_batch
            .map(|outgoing| {
                let notice = outgoing.notice.reason.as_str().to_owned();
                let to = &outgoing.notice.receiver;
                if let Some(given_up) = &outgoing.given_up {
                    let (at, error) = (At(given_up.at), given_up.message.clone());
                    let says = format!(
                        "the message \"{notice}\" to {to} was given up at {}: {error}",
                        given_up.at
                    );
                    return say(Gate::GivenUp { notice, at, error }, says);
                }
                let (tries, at) = (outgoing.tries, outgoing.next_try_at);
                let error = outgoing.trouble.clone();
                let says = match &error {
                    Some(error) => format!(
                        "the message \"{notice}\" to {to} failed ({tries} of its tries), next \
                         try at {at}: {error}"
                    ),
                    None => format!("the message \"{notice}\" to {to} is on its way"),
                };
                say(Gate::Waiting { notice, tries, next_try_at: At(at), error }, says)
            })
            .collect()
    }
}

fn say(gate: Gate, says: String) -> GateExplained {
    GateExplained { gate, says }
}

/// `rule of source label=value`.
pub fn name(key: &AlertKey) -> String {
    let labels = key.group.iter().map(|(label, value)| format!(" {}={value}", label.as_str()));
    format!("{} of {}{}", key.rule, key.source, labels.collect::<String>())
}
