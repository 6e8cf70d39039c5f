//! A policy comes into force: at a start, and when the rules file changed.

use std::time::Duration;

use super::Turn;
use crate::domain::notify::{plan, reroute};
use crate::domain::policy::Policy;
use crate::domain::state::{Record, SightState, SourceState};

impl Turn<'_> {
    pub(super) fn start(&mut self) {
        self.add_sources();
        for source in self.state.sources.values_mut() {
            source.sight.started_at = self.now;
            source.facts.deliveries.pack();
        }
        self.adopt_policy();
    }

    /// Takes up what changed since `before`, and nothing else: alerts of the same
    /// rules keep their state and clocks. What changed is judged at once, at the moment
    /// that was judged last, so that no clock moves.
    pub(super) fn reload(&mut self, before: &Policy) {
        self.add_sources();
        let sight = SightState { started_at: self.now, ..SightState::default() };
        for (name, source) in &mut self.state.sources {
            let policy = self.policy.source(name);
            if policy != before.source(name) {
                // Its poller begins anew: what the one before began to read proves nothing.
                source.reads.clear();
                source.sight = sight.clone();
            }
            if policy.is_none() {
                source.windows = None;
                source.gap_since = None;
            }
        }
        self.adopt_policy();
        self.judge_changed_rules(before);
    }

    fn add_sources(&mut self) {
        for source in &self.policy.sources {
            if !self.state.sources.contains_key(&source.name) {
                self.state.sources.insert(source.name.clone(), SourceState::default());
                let source = source.name.clone();
                self.changes.records.push(Record::Source { source, first_read_at: None });
            }
        }
    }

    fn adopt_policy(&mut self) {
        let now = self.now;
        for policy in &self.policy.sources {
            let Some(source) = self.state.sources.get_mut(&policy.name) else { continue };
            let at = source.facts.watermark.map(|at| at.floor_to(self.policy.evaluate_every));
            let back = self.policy.longest_window().max(policy.lookback);
            if let Some(at) = at {
                source.facts.evict(at - back);
            }
        }
        for source in &self.policy.sources {
            self.leave_scopes(source);
        }
        self.recount_windows();
        let state = &mut *self.state;
        reroute::refresh(self.policy, &state.alerts, &mut state.batches, &mut self.batches);
        let commit = self.changes.commit;
        plan::adopt(now, commit, self.policy, &state.alerts, &mut state.batches, &mut self.batches);
    }

    fn judge_changed_rules(&mut self, before: &Policy) {
        for source in &self.policy.sources {
            for (place, rule) in self.policy.rules.iter().enumerate() {
                if !before.rules.contains(rule) {
                    self.judge_rule(source, place, Duration::ZERO);
                }
            }
        }
    }
}
