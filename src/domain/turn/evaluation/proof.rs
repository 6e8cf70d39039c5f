//! What may end an alert whose condition is clear.

use std::collections::HashSet;

use crate::domain::alert::{Alert, EXPIRES_AFTER, Proof, Status};
use crate::domain::rules::Rule;
use crate::domain::rules::evaluate::Moment;
use crate::domain::time::Timestamp;
use crate::domain::window::group::Group;

/// What may end an alert: cured needs a success later than its newest failure,
/// and nothing ends while a postback of its group is switched off.
pub(in crate::domain) fn proof(
    moment: &Moment<'_>,
    rule: &Rule,
    place: usize,
    group: &Group,
    alert: &Alert,
) -> Proof {
    let window = &moment.windows.rules[place];
    if has_switched_off_postback(moment, rule, place, group, alert) {
        return Proof::None;
    }
    if !rule.needs_proof() || !moment.policy.successes {
        return Proof::Cured;
    }
    let totals = window.totals(&group.labels);
    let last_success = totals.map_or(Timestamp(0), |totals| totals.last_success);
    let last_delivery = totals.map_or(Timestamp(0), |totals| totals.last_delivery);
    if last_success > alert.newest_failure {
        Proof::Cured
    } else if moment.at.since(last_delivery.max(alert.newest_failure)) >= EXPIRES_AFTER {
        Proof::NoTraffic
    } else {
        Proof::None
    }
}

/// A postback that is switched off and has failures which the alert counted.
pub(in crate::domain) fn has_switched_off_postback(
    moment: &Moment<'_>,
    rule: &Rule,
    place: usize,
    group: &Group,
    alert: &Alert,
) -> bool {
    let began_at = match alert.status {
        Status::Firing { began_at, .. } | Status::Quiet { began_at, .. } => began_at - rule.over,
        Status::Pending | Status::Ended { .. } => return false,
    };
    let grouping = &moment.windows.rules[place].grouping;
    let facts = moment.facts;
    let switched_off: HashSet<u64> = facts
        .postbacks
        .iter()
        .filter(|(_, state)| !state.is_active)
        .filter(|(id, _)| {
            let mut dims = facts.dims.ids_of_postback(**id);
            dims.any(|dims| grouping.labels(facts, dims).as_ref() == Some(&group.labels))
        })
        .map(|(&id, _)| id)
        .collect();
    // Most groups have none: only then are their failures looked at.
    !switched_off.is_empty()
        && facts.deliveries.within(began_at, moment.at).any(|slot| {
            let delivery = facts.deliveries.get(slot);
            switched_off.contains(&facts.dims.get(delivery.dims).postback)
                && grouping.group(facts, &delivery).as_ref() == Some(group)
        })
}
