//! Deliveries of the network, compared with what the rules match: a rule that
//! matches none of them is probably mistyped.

use std::time::Duration;

use crate::domain::alert::shown::shown_duration;
use crate::domain::facts::Facts;
use crate::domain::policy::{Scope, SourcePolicy};
use crate::domain::reason::Reason;
use crate::domain::rules::Rule;
use crate::domain::time::Timestamp;
use crate::domain::window::group::Grouping;
use crate::source::{Ask, Report, ReportApi, Status};

/// A report that was cut is asked again for half of its span, so often at most.
const MOST_HALVES: u32 = 12;

/// Fewer deliveries prove nothing.
const FEWEST: usize = 20;

/// Says which rules match none of the deliveries that the report shows; `None` where
/// it cannot be read, or shows too few.
pub async fn unmatched(
    api: &impl ReportApi,
    policy: &SourcePolicy,
    rules: &[Rule],
    now: Timestamp,
) -> Option<Vec<String>> {
    let rules: Vec<&Rule> = rules.iter().filter(|rule| !rule.matches.is_empty()).collect();
    if rules.is_empty() {
        return Some(Vec::new());
    }
    let (mut facts, mut has_match) = (Facts::default(), vec![false; rules.len()]);
    let (mut count, mut spans) = (0, Vec::new());
    for status in [Status::Failure, Status::Success] {
        let (span, report) = newest(api, policy, status, now).await?;
        spans.push(span);
        let groupings: Vec<Grouping> = rules.iter().map(|rule| Grouping::new(rule)).collect();
        for row in report.rows().filter_map(Result::ok) {
            count += 1;
            let (dims, _) = facts.dims.of_row(&row, &[]);
            let reason = Reason::classify(&row.debug_information, &row.payload);
            for (grouping, has_match) in groupings.iter().zip(&mut has_match) {
                let is_selected = row.is_success || grouping.selects(reason);
                *has_match |= is_selected && grouping.labels(&facts, dims).is_some();
            }
        }
    }
    let span = shown_duration(spans.into_iter().min().unwrap_or_default());
    let without = rules.iter().zip(&has_match).filter(|(_, has_match)| !**has_match);
    let doubts = without.map(|(rule, _)| {
        let name = &rule.name;
        format!(
            "rule \"{name}\" matches none of the {count} deliveries that the report shows for the \
             last {span} and more: check its `match`"
        )
    });
    (count >= FEWEST).then(|| doubts.collect())
}

/// The newest deliveries of this status: of the look-back, or of as much of it as one
/// report holds.
async fn newest(
    api: &impl ReportApi,
    policy: &SourcePolicy,
    status: Status,
    now: Timestamp,
) -> Option<(Duration, crate::source::Page)> {
    let mut span = policy.lookback;
    for _ in 0..MOST_HALVES {
        let scope = Scope::default();
        let ask = Ask { status, from: now - span, to: now, scope };
        match api.report(&ask).await.ok()? {
            Report::Whole(page) => return Some((span, page)),
            Report::Truncated => span /= 2,
        }
    }
    None
}
