//! The life of an alert: inactive → pending → firing → ended, each level of a
//! rule by clocks of its own. Time without data moves no clock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::delivery::Identity;
use super::notify::{Cause, Reading, Sample};
use super::rules::evaluate::Verdict;
use super::rules::{Label, Rule, Severity};
use super::summary::Vars;
use super::time::Timestamp;
use super::window::in_a_row::InARow;

pub mod builtin;
mod cause;
pub mod headline;
mod phase;
pub mod shown;
pub mod story;

pub use phase::Phase;

/// Without any delivery for this long, an alert that nothing proves cured ends.
pub const EXPIRES_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Which alert: one rule on one group.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertKey {
    pub source: String,
    pub rule: String,
    /// The values of the rule's `per`, without `source`.
    pub group: Vec<(Label, String)>,
}

impl AlertKey {
    /// A short name of the alert, the same each time that it fires.
    pub fn identity(&self) -> Identity {
        let mut parts = vec![self.source.as_str(), self.rule.as_str()];
        parts.extend(self.group.iter().flat_map(|(label, value)| [label.as_str(), value.as_str()]));
        Identity::of_parts(&parts)
    }
}

/// An alert that is at least pending at one level.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    pub key: AlertKey,
    /// As in the rule, lowest severity first.
    pub levels: Vec<(Severity, Phase)>,
    pub status: Status,
    /// The newest failure that it counted: a cure needs a later success.
    pub newest_failure: Timestamp,
    /// What it tells: written when it fires or escalates. Shared: an alert is copied with
    /// each change of its clocks, and its texts are not.
    pub story: Option<Arc<Story>>,
}

/// Where an alert stands as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Status {
    Pending,
    /// `is_late`: found in data that an outage had kept back.
    Firing {
        severity: Severity,
        began_at: Timestamp,
        fired_at: Timestamp,
        is_late: bool,
    },
    /// Clear, but nothing proves a cure.
    Quiet {
        severity: Severity,
        began_at: Timestamp,
        fired_at: Timestamp,
        is_late: bool,
    },
    Ended {
        severity: Severity,
        began_at: Timestamp,
        fired_at: Timestamp,
        is_late: bool,
        how: AlertEnd,
        ended_at: Timestamp,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertEnd {
    Resolved,
    /// No traffic for a day: not proven cured.
    Expired,
    /// Its rule or source is no longer configured.
    Removed,
}

/// What an alert tells of itself, as of the moment it fired or escalated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Story {
    /// Every label that is constant in the group, and the rule's own.
    pub labels: BTreeMap<String, String>,
    /// The built-in headline, for where the rule has none or its template fails.
    pub summary: String,
    /// What the rule's template may tell.
    pub vars: Vars,
    /// The failures in a row that it is about, kept up to date while it lasts.
    pub in_a_row: Option<InARow>,
    pub readings: Vec<Reading>,
    pub cause: Option<Cause>,
    pub samples: Vec<Sample>,
    /// What the reader needs to know or do while it lasts.
    pub notes: Vec<String>,
    /// What holds to its end, and then all the more.
    pub caveats: Vec<String>,
}

/// What may end an alert whose condition is clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    /// A success later than the newest failure, or none is needed.
    Cured,
    /// Not one delivery for [`EXPIRES_AFTER`].
    NoTraffic,
    /// Neither; or a postback of the group is switched off.
    None,
}

/// What happened to an alert at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transition {
    Unchanged,
    /// A clock moved on, nothing to tell.
    Waiting,
    Fired,
    Escalated,
    Deescalated,
    /// Firing ↔ quiet.
    Quieted,
    Resumed,
    Ended,
    /// It was pending and the condition did not hold.
    Forgotten,
}

impl Transition {
    /// This one, or that something small changed.
    pub fn or_waiting(self) -> Transition {
        if self == Transition::Unchanged { Transition::Waiting } else { self }
    }
}

impl Alert {
    pub fn new(key: AlertKey, rule: &Rule) -> Alert {
        let levels = rule.levels.iter().map(|level| (level.severity, Phase::Inactive)).collect();
        Alert {
            key,
            levels,
            status: Status::Pending,
            newest_failure: Timestamp::default(),
            story: None,
        }
    }

    /// One that is over may begin anew under a rule that has other levels by now.
    pub fn take_levels_of(&mut self, rule: &Rule) {
        let severities = rule.levels.iter().map(|level| level.severity);
        if self.is_over() && !self.levels.iter().map(|(severity, _)| *severity).eq(severities) {
            self.levels = Alert::new(self.key.clone(), rule).levels;
        }
    }

    /// Moves every level's clock and the alert as a whole. `proof` is asked only
    /// where the alert is clear and might end.
    pub fn advance(
        &mut self,
        at: Timestamp,
        step: Duration,
        rule: &Rule,
        verdicts: &[Verdict],
        is_late: bool,
        proof: impl FnOnce(&Alert) -> Proof,
    ) -> Transition {
        let before = self.clone_clocks();
        for ((_, phase), verdict) in self.levels.iter_mut().zip(verdicts) {
            *phase = phase.advance(at, step, *verdict, rule.hold_for);
        }
        // What was clear when it was last known may hold again by now.
        let mut fired =
            self.levels.iter().zip(verdicts).filter(|((_, phase), _)| phase.has_fired());
        let is_known = fired.all(|(_, verdict)| *verdict != Verdict::Unknown);
        let proof = |alert: &Alert| match proof(alert) {
            Proof::Cured if !is_known => Proof::None,
            proof => proof,
        };
        let transition = self.settle(at, rule, is_late, proof);
        match transition {
            Transition::Unchanged if before != self.clone_clocks() => Transition::Waiting,
            Transition::Forgotten if before == self.clone_clocks() => Transition::Unchanged,
            other => other,
        }
    }

    /// The severity that has fired; `None` while pending.
    pub fn severity(&self) -> Option<Severity> {
        match self.status {
            Status::Pending => None,
            Status::Firing { severity, .. }
            | Status::Quiet { severity, .. }
            | Status::Ended { severity, .. } => Some(severity),
        }
    }

    /// Whether its condition held when it was last known.
    pub fn holds(&self) -> bool {
        self.levels.iter().any(|(_, phase)| matches!(phase, Phase::Firing { .. }))
    }

    /// `None` while pending.
    pub fn fired_at(&self) -> Option<Timestamp> {
        match self.status {
            Status::Pending => None,
            Status::Firing { fired_at, .. }
            | Status::Quiet { fired_at, .. }
            | Status::Ended { fired_at, .. } => Some(fired_at),
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.status, Status::Ended { .. })
    }

    /// Ended, and nothing of it begins anew.
    pub fn is_over(&self) -> bool {
        self.has_ended() && self.levels.iter().all(|(_, phase)| *phase == Phase::Inactive)
    }

    /// Ends the alert whatever its clocks say.
    pub fn end(&mut self, how: AlertEnd, ended_at: Timestamp) {
        if let Status::Firing { severity, began_at, fired_at, is_late }
        | Status::Quiet { severity, began_at, fired_at, is_late } = self.status
        {
            self.status = Status::Ended { severity, began_at, fired_at, is_late, how, ended_at };
        }
        for (_, phase) in &mut self.levels {
            *phase = Phase::Inactive;
        }
    }

    fn clone_clocks(&self) -> Vec<Phase> {
        self.levels.iter().map(|(_, phase)| *phase).collect()
    }

    fn settle(
        &mut self,
        at: Timestamp,
        rule: &Rule,
        is_late: bool,
        proof: impl FnOnce(&Alert) -> Proof,
    ) -> Transition {
        self.drop_outlasted_levels(rule.keep_firing_for);
        let fired = self.levels.iter().filter(|(_, phase)| phase.has_fired());
        let Some(highest) = fired.clone().map(|(severity, _)| *severity).max() else {
            return self.while_pending();
        };
        let is_clear = fired.clone().all(|(_, phase)| phase.is_ripe(rule.keep_firing_for));
        let began_at = self.levels.iter().filter_map(|(_, phase)| phase.active_at()).min();
        match self.status {
            Status::Pending | Status::Ended { .. } => {
                let began_at = began_at.unwrap_or(at);
                self.status = Status::Firing { severity: highest, began_at, fired_at: at, is_late };
                Transition::Fired
            }
            Status::Firing { severity, began_at, fired_at, is_late } if !is_clear => {
                self.status = Status::Firing { severity: highest, began_at, fired_at, is_late };
                change_of_severity(severity, highest, Transition::Unchanged)
            }
            Status::Quiet { severity, began_at, fired_at, is_late } if !is_clear => {
                self.status = Status::Firing { severity: highest, began_at, fired_at, is_late };
                change_of_severity(severity, highest, Transition::Resumed)
            }
            Status::Firing { severity, began_at, fired_at, is_late } => match proof(self) {
                Proof::None => {
                    self.status = Status::Quiet { severity, began_at, fired_at, is_late };
                    Transition::Quieted
                }
                proof => self.end_by(proof, at),
            },
            Status::Quiet { .. } => match proof(self) {
                Proof::None => Transition::Unchanged,
                proof => self.end_by(proof, at),
            },
        }
    }

    /// A level that was clear for long enough goes as soon as another still
    /// stands; the last one stays until a cure is proven.
    fn drop_outlasted_levels(&mut self, keep_firing_for: Duration) {
        let stands = |phase: &Phase| phase.has_fired() && !phase.is_ripe(keep_firing_for);
        if !self.levels.iter().any(|(_, phase)| stands(phase)) {
            return;
        }
        for (_, phase) in &mut self.levels {
            if phase.is_ripe(keep_firing_for) {
                *phase = Phase::Inactive;
            }
        }
    }

    fn while_pending(&mut self) -> Transition {
        match self.levels.iter().all(|(_, phase)| *phase == Phase::Inactive) {
            true => Transition::Forgotten,
            false => Transition::Unchanged,
        }
    }

    fn end_by(&mut self, proof: Proof, at: Timestamp) -> Transition {
        let how = match proof {
            Proof::NoTraffic => AlertEnd::Expired,
            Proof::Cured | Proof::None => AlertEnd::Resolved,
        };
        self.end(how, at);
        Transition::Ended
    }
}

fn change_of_severity(before: Severity, now: Severity, same: Transition) -> Transition {
    match now.cmp(&before) {
        std::cmp::Ordering::Greater => Transition::Escalated,
        std::cmp::Ordering::Less => Transition::Deescalated,
        std::cmp::Ordering::Equal => same,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: Duration = Duration::from_secs(10);

    fn rule(hold_steps: u32, keep_steps: u32) -> Rule {
        Rule {
            name: "r".into(),
            summary: None,
            matches: BTreeMap::new(),
            per: Vec::new(),
            over: STEP,
            levels: vec![super::super::rules::Level {
                severity: Severity::Critical,
                conditions: Vec::new(),
            }],
            hold_for: STEP * hold_steps,
            keep_firing_for: STEP * keep_steps,
            labels: BTreeMap::new(),
            runbook: None,
        }
    }

    fn new(rule: &Rule) -> Alert {
        let key = AlertKey { source: "s".into(), rule: "r".into(), group: Vec::new() };
        Alert::new(key, rule)
    }

    /// `x` the condition holds, `.` it does not, `?` it is unknown; P pending,
    /// F firing, Q quiet, R resolved at this moment, `.` nothing.
    fn check(rule: Rule, proof: Proof, verdicts: &str, expected: &str) {
        let mut alert = new(&rule);
        let shown: String = verdicts
            .chars()
            .enumerate()
            .map(|(i, verdict)| {
                let verdict = match verdict {
                    'x' => Verdict::True,
                    '?' => Verdict::Unknown,
                    _ => Verdict::False,
                };
                let at = Timestamp(10 * i as i64);
                let transition = alert.advance(at, STEP, &rule, &[verdict], false, |_| proof);
                let letter = letter(&alert);
                if transition == Transition::Ended {
                    alert = new(&rule);
                }
                letter
            })
            .collect();
        assert_eq!(shown, expected, "of {verdicts}");
    }

    fn letter(alert: &Alert) -> char {
        let is_inactive = alert.levels.iter().all(|(_, phase)| *phase == Phase::Inactive);
        match alert.status {
            Status::Pending if is_inactive => '.',
            Status::Pending => 'P',
            Status::Firing { .. } => 'F',
            Status::Quiet { .. } => 'Q',
            Status::Ended { .. } => 'R',
        }
    }

    #[test]
    fn an_alert_fires_after_for_and_ends_after_keep_firing_for() {
        check(rule(0, 0), Proof::Cured, "..xxx..", "..FFFR.");
        check(rule(2, 0), Proof::Cured, "..xxxx..", "..PPFFR.");
        check(rule(2, 0), Proof::Cured, "..xx.xxx", "..PP.PPF");
        check(rule(0, 2), Proof::Cured, "x...x.....", "FFFRFFFR..");
        check(rule(0, 2), Proof::Cured, "x..x...", "FFFFFFR");
    }

    #[test]
    fn unknown_moves_no_clock_and_resolves_nothing() {
        check(rule(2, 0), Proof::Cured, "x??x?x", "PPPPPF");
        check(rule(0, 0), Proof::Cured, "x???", "FFFF");
        check(rule(0, 2), Proof::Cured, "x.??..", "FFFFFR");
    }

    #[test]
    fn proof_that_comes_while_the_condition_is_unknown_waits_for_it_to_be_known() {
        let rule = rule(0, 0);
        let mut alert = new(&rule);
        let steps = [
            (Verdict::True, Proof::None, 'F'),
            (Verdict::False, Proof::None, 'Q'),
            (Verdict::Unknown, Proof::Cured, 'Q'),
            (Verdict::False, Proof::Cured, 'R'),
        ];
        for (place, (verdict, proof, expected)) in steps.into_iter().enumerate() {
            let at = Timestamp(10 * place as i64);
            alert.advance(at, STEP, &rule, &[verdict], false, |_| proof);
            assert_eq!(letter(&alert), expected, "step {place}");
        }
    }

    #[test]
    fn without_proof_an_alert_stays_and_is_quiet() {
        check(rule(0, 0), Proof::None, "x...x.", "FQQQFQ");
        check(rule(0, 0), Proof::NoTraffic, "x.", "FR");
    }
}
