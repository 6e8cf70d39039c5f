//! Open batches under a changed rules file: they keep their alerts and their
//! thread, and take up the rhythm and the fallback that their route has now.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::routing_labels;
use super::plan::{Batch, BatchKey, routes};
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::policy::{Policy, Route, Timing};

/// Batches that changed are added to `touched`. One that no route leads to any more
/// stays as it is until it has told the end.
pub fn refresh(
    policy: &Policy,
    alerts: &BTreeMap<AlertKey, Alert>,
    batches: &mut BTreeMap<BatchKey, Batch>,
    touched: &mut BTreeSet<BatchKey>,
) {
    for (key, batch) in batches {
        let members = batch.members.keys().filter_map(|member| alerts.get(member));
        let Some(route) = members.filter_map(|alert| route_to(policy, alert, key)).next() else {
            continue;
        };
        // What it was gathered by is its name.
        let batch_by = batch.timing.batch_by.clone();
        let timing = Timing { batch_by, ..route.timing.clone() };
        if batch.timing != timing || batch.fallback != route.fallback {
            (batch.timing, batch.fallback) = (timing, route.fallback.clone());
            touched.insert(key.clone());
        }
    }
}

fn route_to<'a>(policy: &'a Policy, alert: &Alert, key: &BatchKey) -> Option<&'a Route> {
    let routes = routes(policy, &routing_labels(alert));
    routes.into_iter().find(|(receiver, _)| **receiver == key.receiver).map(|(_, route)| route)
}
