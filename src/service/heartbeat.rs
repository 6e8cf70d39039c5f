//! Lets somebody outside hear that postwatch lives and sees: who watches us need
//! not be told when we die. Never stops anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::channel::{Heartbeat, SendError};
use crate::clock::Clock;
use crate::domain::heartbeat::{Beat, due, seen_at};
use crate::metrics::Metrics;
use crate::pipeline::View;

/// What the rules in force say of it.
pub type Told = Option<Arc<Heartbeat>>;

/// Sends each heartbeat that is due, for as long as the service lives.
pub async fn run(view: View, told: watch::Receiver<Told>, clock: Clock, metrics: Arc<Metrics>) {
    let second = clock.real(Duration::from_secs(1)).max(Duration::from_millis(20));
    let mut looks = tokio::time::interval(second);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut last: Option<(Arc<Heartbeat>, Beat)> = None;
    let mut is_failing = false;
    loop {
        looks.tick().await;
        let Some(heartbeat) = told.borrow().clone() else { continue };
        // One that a reload put in its place begins anew.
        let before = last.take_if(|(known, _)| !Arc::ptr_eq(known, &heartbeat));
        drop(before);
        let seen_at = seen_at(&view.policy(), &view.state());
        let last_beat = last.as_ref().map(|(_, beat)| *beat);
        let Some(beat) = due(clock.now(), heartbeat.every, last_beat, seen_at) else { continue };
        let sent = heartbeat.beat().await;
        note(&metrics, &sent, &mut is_failing);
        last = Some((heartbeat, beat));
    }
}

fn note(metrics: &Metrics, sent: &Result<(), SendError>, is_failing: &mut bool) {
    let was_failing = std::mem::replace(is_failing, sent.is_err());
    let outcome = sent.as_ref().map_or_else(SendError::reason, |()| "sent");
    metrics.heartbeats.with_label_values(&[outcome]).inc();
    match sent {
        Err(error) if !was_failing => {
            tracing::warn!(%error, "the heartbeat is not heard; it is tried again after each whole poll");
        }
        Ok(()) if was_failing => tracing::info!("the heartbeat is heard again"),
        Ok(()) | Err(_) => {}
    }
}
