//! What rules would have told over a [`History`], polled as the live service would
//! have polled it. Reads no file and no clock.

use std::time::Duration;

use super::history::{History, Switch};
use super::{Player, Told};
use crate::domain::policy::{Policy, SourcePolicy};
use crate::domain::time::Timestamp;

/// A row that tells of a moment so much later than every other one is wrong.
const LONGEST_RETRY: Duration = Duration::from_secs(30 * 86_400);

/// Plays `history` as that of `source`, to its last moment and no further: what
/// fires then has not ended. `progress` gets how many rows were played.
pub fn backtest(
    policy: &Policy,
    source: &SourcePolicy,
    history: &History,
    progress: &mut dyn FnMut(usize),
) -> Told {
    let mut policy = policy.clone();
    policy.sources.retain(|known| known.name == source.name);
    let Some((first, end)) = span(&policy, history) else { return Told::default() };
    let every = source.poll_every;
    // Nothing had happened by then: the first row lies in a moment that is judged.
    let start = (first - Duration::from_secs(1)).floor_to(policy.evaluate_every);
    let (statuses, switches) = history.switches();
    let longest_wait = longest_wait(&policy);
    let step = policy.evaluate_every;
    let mut run = Run {
        player: Player::begin(policy, start),
        source: &source.name,
        history,
        statuses,
        switches: switches.into(),
        played: 0,
    };
    run.player.postbacks(run.source, &run.statuses);
    if let Some(latest) = history.rows(history.len() - 1..history.len()).next() {
        run.player.end_history(run.source, latest.timestamp);
    }
    let mut now = start.floor_to(every);
    loop {
        now = now + every;
        run.switch_until(now.min(end), step);
        let until = run.player.complete_by(run.source, now).min(end);
        run.poll(now, until);
        progress(run.played);
        if until >= end {
            break;
        }
    }
    run.player.wind_up(now + longest_wait);
    run.player.finish()
}

/// The first moment of a row, and the moment that judges the last.
pub fn span(policy: &Policy, history: &History) -> Option<(Timestamp, Timestamp)> {
    let (first, last) = history.span()?;
    let latest = history.rows(history.len() - 1..history.len()).next()?.timestamp;
    let last = last.min(latest + LONGEST_RETRY);
    Some((first, ceil(last, policy.evaluate_every)))
}

struct Run<'a> {
    player: Player,
    source: &'a str,
    history: &'a History,
    statuses: Vec<(u64, bool)>,
    switches: std::collections::VecDeque<Switch>,
    played: usize,
}

impl Run<'_> {
    fn poll(&mut self, now: Timestamp, until: Timestamp) {
        let shown = self.history.until(until).max(self.played);
        let rows = self.history.rows(self.played..shown);
        self.player.poll_until(self.source, now, until, rows);
        self.played = shown;
    }

    /// Switches postbacks off and on at the moments after their rows.
    fn switch_until(&mut self, now: Timestamp, step: Duration) {
        while let Some(switch) = self.switches.front().copied()
            && ceil(switch.at, step) <= now
        {
            self.switches.pop_front();
            let at = ceil(switch.at, step);
            self.poll(at, at);
            let known = self.statuses.iter_mut().find(|(id, _)| *id == switch.postback);
            if let Some((_, is_active)) = known {
                *is_active = switch.is_active;
            }
            self.player.postbacks(self.source, &self.statuses);
        }
    }
}

fn longest_wait(policy: &Policy) -> Duration {
    let waits = policy.routes.iter().map(|route| route.timing.batch_wait.max(route.timing.min_gap));
    waits.max().unwrap_or_default()
}

/// The first multiple of `every` that is not before `at`.
pub(super) fn ceil(at: Timestamp, every: Duration) -> Timestamp {
    let floor = at.floor_to(every);
    if floor < at { floor + every } else { floor }
}
