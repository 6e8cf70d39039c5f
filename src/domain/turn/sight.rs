//! Whether each source can be read at all, by the wall clock.

use std::time::Duration;

use super::Turn;
use crate::domain::alert::builtin::{self, SOURCE_BLIND};

/// Where the wall clock went further astray than this between two ticks, it took a step.
const SMALLEST_STEP: Duration = Duration::from_secs(60);

impl Turn<'_> {
    /// `source-blind`, by the wall clock.
    pub(super) fn judge_sights(&mut self) {
        let Some(rule) = builtin::rule(SOURCE_BLIND) else { return };
        for policy in &self.policy.sources {
            let Some(source) = self.state.sources.get(&policy.name) else { continue };
            let sight = source.sight(self.policy, &policy.name);
            let trouble = source.sight.trouble.clone();
            let verdicts = builtin::judge_sight(self.now, policy, &sight);
            let key = builtin::key(SOURCE_BLIND, &policy.name, None);
            self.advance_builtin(&rule, key, &verdicts, |_| {
                builtin::tell_blind(policy, &sight, trouble.as_deref())
            });
        }
    }

    /// A wall clock that was set, or a machine that slept, says nothing about how
    /// long a source could not be read.
    pub(super) fn note_step(&mut self, uptime: Duration) {
        let tick = (self.now, uptime);
        let (then, uptime_then) = self.state.ticked_at.replace(tick).unwrap_or(tick);
        let expected = then + uptime.saturating_sub(uptime_then);
        if self.now.0.abs_diff(expected.0) > SMALLEST_STEP.as_secs() {
            for source in self.state.sources.values_mut() {
                source.sight.stepped_at = self.now;
            }
        }
    }
}
