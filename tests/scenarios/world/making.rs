//! Rules, routes and rows with nothing special about them: a test changes what it is about.

use std::collections::BTreeMap;
use std::time::Duration;

use postwatch::domain::delivery::Row;
use postwatch::domain::policy::{Policy, Route, SourcePolicy, Timing};
use postwatch::domain::rules::{Condition, Level, Measure, Op, Rule, Severity, Threshold};
use postwatch::domain::time::Timestamp;

use super::{SOURCE, World};

pub fn seconds(s: i64) -> Duration {
    Duration::from_secs(s as u64)
}

/// `measure >= threshold`.
pub fn at_least(measure: Measure, threshold: f64) -> Condition {
    Condition { measure, op: Op::Ge, threshold: Threshold::Number(threshold) }
}

/// A critical rule without delays.
pub fn rule(name: &str, over: i64, conditions: Vec<Condition>) -> Rule {
    Rule {
        name: name.into(),
        summary: None,
        matches: BTreeMap::new(),
        per: Vec::new(),
        over: seconds(over),
        levels: vec![Level { severity: Severity::Critical, conditions }],
        hold_for: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        labels: BTreeMap::new(),
        runbook: None,
    }
}

pub fn route(to: &[&str]) -> Route {
    Route {
        matches: BTreeMap::new(),
        to: to.iter().map(|&name| name.to_owned()).collect(),
        fallback: Vec::new(),
        continue_: false,
        timing: Timing::default(),
    }
}

pub fn policy(rules: Vec<Rule>) -> Policy {
    let sources = vec![SourcePolicy::named(SOURCE)];
    Policy {
        sources,
        evaluate_every: seconds(10),
        rules,
        routes: vec![route(&["ops"])],
        ..Policy::default()
    }
}

/// A row of postback 1 whose conversion is `id`.
pub fn row(
    id: &str,
    at: i64,
    failed_attempts: u32,
    last_attempt: i64,
    is_success: bool,
) -> Row<'static> {
    let answer = if is_success { "Status: 200" } else { "Status: 500" };
    Row {
        offer: 11,
        offer_name: "Offer".into(),
        affiliate: 7,
        affiliate_name: "Acme Media".into(),
        postback: 1,
        event: 0,
        conversion_id: id.to_owned().into(),
        transaction_id: format!("t-{id}").into(),
        timestamp: Timestamp(at),
        last_attempt: Timestamp(last_attempt),
        failed_attempts,
        is_success,
        delivery_method: "postback".into(),
        postback_level: "specific".into(),
        postback_type: "conversion".into(),
        postback_status: "active".into(),
        payload: "https://a.example/p?cid=1".into(),
        debug_information: answer.into(),
    }
}

impl World {
    /// Three deliveries of one affiliate fail.
    pub fn fail_of(&mut self, affiliate: u64) {
        for number in 0..3 {
            self.fail(&format!("{affiliate}-{number}-{}", self.now)).affiliate = affiliate;
        }
    }

    /// One of its deliveries succeeds.
    pub fn cure_of(&mut self, affiliate: u64) {
        self.succeed(&format!("cure{affiliate}-{}", self.now)).affiliate = affiliate;
    }
}
