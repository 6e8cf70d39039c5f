//! The rules change: in one turn of their own, or not at all.

use super::{Adopt, InForce, Keeper};
use crate::domain::policy::Policy;
use crate::domain::turn::News;
use crate::store::Store;

impl<S: Store + 'static> Keeper<S> {
    /// Puts `rules` in force. After an error those before still are.
    pub(super) fn reload(&mut self, rules: InForce, adopt: Adopt) -> Result<(), String> {
        let before = self.policy.clone();
        // A state that has yet to be built is built by the rules it was made by.
        if !self.is_loaded
            && let Err(error) = self.load()
        {
            return Err(self.note_trouble(&error));
        }
        let (policy, view) = (rules.policy.clone(), self.view.clone());
        self.turn_under(&policy, News::Reloaded { before: &before }, || {
            view.put_in_force(rules);
            adopt();
        })?;
        self.policy = policy;
        // Counters that were made under another limit are kept as they are.
        if self.policy.max_series != before.max_series {
            self.checkpoint();
        }
        self.committed.notify_one();
        self.show_rules(Some(&before));
        Ok(())
    }

    /// A counter shows a zero first, so that its first step is seen; the series of
    /// rules that are gone go with them.
    pub(super) fn show_rules(&self, before: Option<&Policy>) {
        for rule in &self.policy.rules {
            self.metrics.rule_unknown.with_label_values(&[&rule.name]).inc_by(0);
        }
        let is_gone = |name: &str| self.policy.rules.iter().all(|rule| rule.name != name);
        for rule in before.iter().flat_map(|before| &before.rules) {
            if is_gone(&rule.name) {
                let labels = [rule.name.as_str()];
                self.metrics.rule_unknown.remove_label_values(&labels).ok();
                self.metrics.rule_evaluation_seconds.remove_label_values(&labels).ok();
            }
        }
    }
}
