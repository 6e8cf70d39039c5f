//! Watches a simulated world from outside and holds it to the promises: who was
//! told what, by which transition, and what proved it.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use postwatch::domain::alert::{Alert, AlertEnd, AlertKey, Status};
use postwatch::domain::notify::{AlertFacts, AlertStatus, Notice, NoticeReason};
use postwatch::domain::rules::{Measure, Severity};
use postwatch::domain::time::Timestamp;

use super::world::{Event, Evidence, NOON, World, told};

/// One firing of an alert: rule, group, when it fired.
type Firing = (String, String, Timestamp);

/// A short-lived alert may end before its first message is due.
const MAY_BE_UNTOLD: i64 = 60 + 60;

#[derive(Debug, Default)]
pub struct Witness {
    /// The network's time of the commit that fired it, and of the one that ended it.
    fired: BTreeMap<Firing, i64>,
    ended: BTreeMap<Firing, i64>,
    /// Those that somebody was told of, or believed to fire already.
    told: BTreeSet<Firing>,
    /// What each receiver was written last of a rule's group.
    written: BTreeMap<(String, String, String), Written>,
    /// When an alert of this rule and group was last forgotten.
    gone: BTreeMap<(String, String), i64>,
    ids: BTreeSet<String>,
    /// As of the last commit that ended an alert.
    evidence: Rc<Evidence>,
    events: usize,
}

#[derive(Debug, Clone, Copy)]
struct Written {
    fired_at: Timestamp,
    severity: Severity,
    is_over: bool,
}

impl Witness {
    /// Takes up what happened since the last call.
    pub fn watch(&mut self, world: &World) {
        for (at, event) in &world.events[self.events..] {
            match event {
                Event::Alert(_, Some(alert)) => self.note_alert(world, *at, alert),
                Event::Alert(key, None) => self.note_gone(*at, key),
                Event::Evidence(evidence) => self.evidence = evidence.clone(),
                Event::Notice(notice) => self.note_notice(world, *at, notice),
            }
        }
        self.events = world.events.len();
    }

    /// It ended, and whoever had to hear of it was written to in the same commit.
    fn note_gone(&mut self, at: i64, key: &AlertKey) {
        let (rule, group) = (&key.rule, group_of(key));
        self.gone.insert((rule.clone(), group.clone()), at);
        let is_of = |(r, g, _): &Firing| r == rule && *g == group;
        for firing in self.fired.keys().filter(|firing| is_of(firing)) {
            self.ended.entry(firing.clone()).or_insert(at);
        }
    }

    fn note_alert(&mut self, world: &World, at: i64, alert: &Alert) {
        let group = group_of(&alert.key);
        let firing = |fired_at| (alert.key.rule.clone(), group.clone(), fired_at);
        match alert.status {
            Status::Pending => {}
            Status::Firing { fired_at, .. } | Status::Quiet { fired_at, .. } => {
                self.note_fired(at, firing(fired_at));
            }
            Status::Ended { fired_at, how, ended_at, .. } => {
                // It may fire and end while one commit judges many moments.
                self.note_fired(at, firing(fired_at));
                let is_new = !self.ended.contains_key(&firing(fired_at));
                self.ended.entry(firing(fired_at)).or_insert(at);
                if is_new && how == AlertEnd::Resolved {
                    check_proof(world, &self.evidence, &firing(fired_at), ended_at);
                }
            }
        }
    }

    fn note_fired(&mut self, at: i64, firing: Firing) {
        let mut of_alert = self.written.iter().filter(|((_, rule, group), written)| {
            (rule, group) == (&firing.0, &firing.1) && !written.is_over
        });
        if of_alert.next().is_some() {
            self.told.insert(firing.clone());
        }
        self.fired.entry(firing).or_insert(at);
    }

    fn note_notice(&mut self, world: &World, at: i64, notice: &Notice) {
        assert!(self.ids.insert(notice.id.clone()), "two messages are called {}", notice.id);
        assert!(!notice.alerts.is_empty(), "nothing to tell: {notice:?}");
        let mut is_caused = notice.reason == NoticeReason::Reminder;
        for alert in &notice.alerts {
            let firing = firing_of(alert);
            // It fired and ended within this one commit.
            if is_over(alert) && self.gone.get(&(firing.0.clone(), firing.1.clone())) == Some(&at) {
                self.fired.entry(firing.clone()).or_insert(at);
                self.ended.entry(firing.clone()).or_insert(at);
            }
            assert!(self.fired.contains_key(&firing), "told, but never fired: {firing:?}");
            let is_over = is_over(alert);
            assert!(!is_over || self.ended.contains_key(&firing), "never ended: {firing:?}");
            if let AlertStatus::Resolved { resolved_at } = alert.status
                && self.ended.get(&firing) == Some(&at)
            {
                check_proof(world, &self.evidence, &firing, resolved_at);
            }
            let key = (notice.receiver.clone(), firing.0.clone(), firing.1.clone());
            let before = self.written.get(&key).copied();
            let is_repeat = before.is_some_and(|b| b.is_over && b.fired_at == firing.2);
            assert!(!is_repeat, "told after its end: {firing:?} in {notice:?}");
            let before = before.filter(|before| !before.is_over);
            is_caused |= match notice.reason {
                NoticeReason::First | NoticeReason::NewAlerts => before.is_none(),
                NoticeReason::Escalated => before.is_some_and(|b| b.severity < alert.severity),
                NoticeReason::Resolved => is_over,
                NoticeReason::Reminder => true,
            };
            let (fired_at, severity) = (firing.2, alert.severity);
            self.written.insert(key, Written { fired_at, severity, is_over });
            if !world.refusing.contains(&notice.receiver) {
                self.told.insert(firing);
            }
        }
        assert!(is_caused, "a message without a transition: {notice:?}");
    }

    /// Once all is calm: everything that fired was told, everybody who was told
    /// heard of the end, and every message arrived. `deaf`: receivers that were
    /// taken out of the configuration at some time.
    pub fn check_end(&self, world: &World, deaf: &BTreeSet<String>) {
        for (firing, fired) in &self.fired {
            let ended = self.ended.get(firing).copied().unwrap_or(i64::MAX);
            let is_told = self.told.contains(firing) || ended - fired <= MAY_BE_UNTOLD;
            assert!(
                is_told,
                "nobody was told of {firing:?}, from {} to {}",
                fired - NOON,
                ended - NOON
            );
        }
        let taken: BTreeSet<&String> = world.delivered.iter().map(|notice| &notice.id).collect();
        let to_hearing = |notice: &&Notice| !deaf.contains(&notice.receiver);
        for notice in world.notices.iter().filter(to_hearing) {
            assert!(taken.contains(&notice.id), "never arrived: {notice:?}");
        }
        let mut believes: BTreeMap<(String, String, String), bool> = BTreeMap::new();
        for notice in world.delivered.iter().filter(to_hearing) {
            for alert in &notice.alerts {
                let (rule, group, _) = firing_of(alert);
                believes.insert((notice.receiver.clone(), rule, group), is_over(alert));
            }
        }
        let still: Vec<_> = believes.iter().filter(|(_, is_over)| !**is_over).collect();
        let told: Vec<String> = world.notices.iter().map(told).collect();
        assert!(
            still.is_empty(),
            "{}\ntold that it fires, never that it ended: {still:?}",
            told.join("\n")
        );
    }
}

fn firing_of(alert: &AlertFacts) -> Firing {
    let by = match alert.rule.as_str() {
        "failing" => "affiliate",
        "streak" | "postback-deactivated" => "postback",
        _ => "",
    };
    let group = alert.labels.iter().find(|(name, _)| name == by);
    (alert.rule.clone(), group.map_or(String::new(), |(_, value)| value.clone()), alert.fired_at)
}

fn is_over(alert: &AlertFacts) -> bool {
    match alert.status {
        AlertStatus::Firing | AlertStatus::Quiet => false,
        AlertStatus::Resolved { .. }
        | AlertStatus::Expired { .. }
        | AlertStatus::Removed { .. } => true,
    }
}

/// A success later than every failure that was counted, and a condition whose
/// answer was known.
fn check_proof(world: &World, evidence: &Evidence, firing: &Firing, ended_at: Timestamp) {
    let Some(rule) = world.policy.rules.iter().find(|rule| rule.name == firing.0) else {
        return;
    };
    let is_rate = rule.measures().any(|measure| measure == Measure::FailureRate);
    let is_known = !is_rate || evidence.known_since <= ended_at - rule.over;
    assert!(is_known, "unknown, yet resolved: {firing:?}");
    // An affiliate's postback bears its number here.
    let is_in = |affiliate: u64| firing.1.is_empty() || firing.1 == affiliate.to_string();
    let newest = |of: &[(u64, Timestamp)]| {
        of.iter().filter(|(affiliate, _)| is_in(*affiliate)).map(|(_, at)| *at).max()
    };
    let failed: Vec<_> =
        evidence.failed.iter().copied().filter(|(_, at)| *at <= ended_at).collect();
    let (failed, succeeded) = (newest(&failed), newest(&evidence.succeeded));
    assert!(
        evidence.was_ahead || succeeded > failed,
        "resolved at {ended_at} without proof: {firing:?}, failed at {failed:?}, \
         succeeded at {succeeded:?}"
    );
}

fn group_of(key: &AlertKey) -> String {
    key.group.first().map_or(String::new(), |(_, value)| value.clone())
}
