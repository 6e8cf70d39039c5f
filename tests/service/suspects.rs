//! Successes that cannot have worked, through the whole service: from the network's
//! list of postbacks and its success rows to an alert.

use std::collections::BTreeMap;
use std::time::Duration;

use postwatch::domain::rules::{Condition, Label, Level, Measure, Op, Rule, Severity, Threshold};
use postwatch::simulate::{Incident, IncidentKind, Scenario, Target};

use crate::watched::{SPEED, begin_with};

const MINUTE: Duration = Duration::from_secs(60);

fn suspects() -> Rule {
    let condition =
        Condition { measure: Measure::Suspect, op: Op::Ge, threshold: Threshold::Number(3.0) };
    Rule {
        name: "suspect".into(),
        summary: None,
        matches: BTreeMap::new(),
        per: vec![Label::Affiliate],
        over: MINUTE * 10,
        levels: vec![Level { severity: Severity::Warning, conditions: vec![condition] }],
        hold_for: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        labels: BTreeMap::new(),
        runbook: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partner_whose_click_ids_are_lost_is_told_though_every_postback_succeeds() {
    let incident = Incident {
        kind: IncidentKind::WrongMacro,
        starts: MINUTE * 10,
        lasts: Some(MINUTE * 30),
        target: Target::Affiliate(1),
        share: 1.0,
    };
    let scenario =
        Scenario { deliveries_per_day: 30_000.0, incidents: vec![incident], ..Scenario::default() };
    let mut watched = begin_with(vec![suspects()], scenario, SPEED).await;
    watched.network.hold(false);
    watched.pass(MINUTE * 5).await;
    assert_eq!(watched.firing(), Vec::<String>::new(), "nothing is wrong yet");
    watched.pass(MINUTE * 25).await;
    assert_eq!(watched.firing(), ["suspect 1"]);
    // Gone from the window, it is over: it was no alert on failures.
    watched.pass(MINUTE * 30).await;
    assert_eq!(watched.firing(), Vec::<String>::new());
    watched.stop_service().await;
}
