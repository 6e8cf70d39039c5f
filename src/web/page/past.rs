//! The look-back of every source, counted once for all charts of a page.

use std::collections::BTreeMap;

use super::Look;
use super::chart::Counts;
use crate::domain::alert::builtin::POSTBACK_DEACTIVATED;
use crate::domain::alert::{Alert, AlertKey};
use crate::domain::bars::{Bars, Counted, Ranked, Series};
use crate::domain::dims::DimsId;
use crate::domain::facts::Facts;
use crate::domain::rules::{Label, Measure, Rule};
use crate::domain::state::SourceState;

pub struct Past<'a> {
    pub bars: Bars,
    sources: BTreeMap<&'a str, (&'a SourceState, Counted)>,
    look: Look<'a>,
}

impl<'a> Past<'a> {
    pub fn of(look: &Look<'a>) -> Past<'a> {
        let Look { now, policy, state, .. } = *look;
        let bars = Bars::of_lookback(now, policy, state);
        let sources = policy.sources.iter().filter_map(|source| {
            let known = state.sources.get(&source.name)?;
            Some((source.name.as_str(), (known, Counted::of(bars, &known.facts))))
        });
        Past { bars, sources: sources.collect(), look: *look }
    }

    /// What the alert's group delivered, and what of it its rule counts; `None` where it is
    /// about no deliveries.
    pub fn of_alert(&self, alert: &Alert) -> Option<(Series, Counts)> {
        let (known, counted) = self.sources.get(alert.key.source.as_str())?;
        if alert.key.rule == POSTBACK_DEACTIVATED {
            let (_, id) = alert.key.group.first()?;
            let id = id.parse().ok()?;
            let series = of_value(counted, &known.facts, Label::Postback, id);
            return Some((series, Counts::Failures));
        }
        self.of_group(known, counted, &alert.key)
    }

    fn of_group(
        &self,
        known: &SourceState,
        counted: &Counted,
        key: &AlertKey,
    ) -> Option<(Series, Counts)> {
        let rules = &self.look.policy.rules;
        let place = rules.iter().position(|rule| rule.name == key.rule)?;
        let facts = &known.facts;
        let grouping = &known.windows.as_ref()?.rules.get(place)?.grouping;
        let group = grouping.find(facts, &key.group)?;
        let is_meant = |id: DimsId| grouping.contains(facts, id, &group);
        if counts_suspects(&rules[place]) {
            let is_bad = |id: DimsId| facts.dims.get(id).is_suspect;
            return Some((counted.series_of_successes(is_meant, is_bad), Counts::Suspects));
        }
        let is_counted =
            |reason| grouping.selects(reason) && group.reason.is_none_or(|wanted| wanted == reason);
        Some((counted.series(is_meant, is_counted), Counts::Failures))
    }

    /// Every value of the label with a failure, by source; the most failures first.
    pub fn ranked(&self, label: Label) -> Vec<(&'a str, &'a Facts, Ranked)> {
        let mut all: Vec<(&str, &Facts, Ranked)> = Vec::new();
        for (name, (known, counted)) in &self.sources {
            let of_source = counted.ranked(&known.facts, label);
            all.extend(of_source.into_iter().map(|one| (*name, &known.facts, one)));
        }
        all.sort_by_key(|(_, _, one)| std::cmp::Reverse((one.failures, one.open)));
        all
    }

    /// What was delivered of one value, and what failed.
    pub fn of_value(&self, source: &str, label: Label, value: u64) -> Option<Series> {
        let (known, counted) = self.sources.get(source)?;
        Some(of_value(counted, &known.facts, label, value))
    }
}

fn of_value(counted: &Counted, facts: &Facts, label: Label, value: u64) -> Series {
    counted.series(|id| facts.dims.get(id).value(label) == value, |_| true)
}

/// Whether it looks at deliveries that did not fail, and yet cannot have worked.
fn counts_suspects(rule: &Rule) -> bool {
    rule.uses(Measure::Suspect) && !rule.needs_proof()
}
