//! Whether each source can be read at all, by the wall clock.

use std::time::Duration;

use super::Turn;
use crate::domain::alert::builtin::{self, SOURCE_BLIND};

/// Ticks come every second; this far apart, time itself took a step.
const LONGEST_TICK: Duration = Duration::from_secs(60);

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
    pub(super) fn note_step(&mut self) {
        let before = self.state.ticked_at.replace(self.now).unwrap_or(self.now);
        if self.now < before || self.now.since(before) > LONGEST_TICK {
            for source in self.state.sources.values_mut() {
                source.sight.stepped_at = self.now;
            }
        }
    }
}
