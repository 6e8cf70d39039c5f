//! The rules that postwatch always has: `source-blind` watches postwatch's own
//! sight, `postback-deactivated` what looks like health and is the worst case.

use std::collections::BTreeMap;
use std::time::Duration;

use super::cause::of_failures;
use super::story::sample;
use super::{AlertKey, Story};
use crate::domain::delivery::Delivery;
use crate::domain::facts::Facts;
use crate::domain::policy::SourcePolicy;
use crate::domain::rules::evaluate::Verdict;
use crate::domain::rules::{Label, Level, Rule, Severity};
use crate::domain::summary::Vars;
use crate::domain::time::Timestamp;
use crate::domain::window::in_a_row::InARow;

pub const SOURCE_BLIND: &str = "source-blind";
pub const POSTBACK_DEACTIVATED: &str = "postback-deactivated";

pub const NAMES: [&str; 2] = [SOURCE_BLIND, POSTBACK_DEACTIVATED];

const BLIND_AT_LEAST: Duration = Duration::from_secs(10 * 60);
const BLIND_CRITICAL: Duration = Duration::from_secs(30 * 60);

/// The rule behind a built-in name; its conditions are not measures.
pub fn rule(name: &str) -> Option<Rule> {
    let severities: &[Severity] = match name {
        SOURCE_BLIND => &[Severity::Warning, Severity::Critical],
        POSTBACK_DEACTIVATED => &[Severity::Critical],
        _ => return None,
    };
    let level = |&severity: &Severity| Level { severity, conditions: Vec::new() };
    Some(Rule {
        name: name.to_owned(),
        summary: None,
        matches: BTreeMap::new(),
        per: Vec::new(),
        over: Duration::ZERO,
        levels: severities.iter().map(level).collect(),
        hold_for: Duration::ZERO,
        keep_firing_for: Duration::ZERO,
        labels: BTreeMap::new(),
        runbook: None,
    })
}

pub fn key(name: &str, source: &str, postback: Option<u64>) -> AlertKey {
    let group = postback.map(|id| (Label::Postback, id.to_string()));
    AlertKey {
        source: source.to_owned(),
        rule: name.to_owned(),
        group: group.into_iter().collect(),
    }
}

/// What is known of a source's reading, by the wall clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sight {
    /// When a whole read last moved the front, over all scopes; `None` before the first.
    pub whole_at: Option<Timestamp>,
    /// How far what can be judged lies behind what was read last, by the network's
    /// time: more than nothing while there is a gap.
    pub behind: Duration,
    /// When this process began to read.
    pub started_at: Timestamp,
    /// When the last page of a look-back still under way arrived.
    pub arriving_at: Option<Timestamp>,
}

/// How long a source may go without a whole read.
pub fn blind_after(policy: &SourcePolicy) -> Duration {
    (policy.poll_every * 5).max(BLIND_AT_LEAST)
}

/// The same for each level of `source-blind`.
pub fn blind_limits(policy: &SourcePolicy) -> [Duration; 2] {
    let warning = blind_after(policy);
    [warning, BLIND_CRITICAL.max(warning)]
}

/// Verdicts for the levels of `source-blind`. A restart neither resolves it nor
/// fires it: only a whole read, or the lack of one for long enough, does. Nor does
/// a read of the past: what happens now is not judged before all of that was.
pub fn judge_sight(now: Timestamp, policy: &SourcePolicy, sight: &Sight) -> [Verdict; 2] {
    let [warning, critical] = blind_limits(policy);
    let waits_since =
        [sight.whole_at, Some(sight.started_at), sight.arriving_at].into_iter().flatten();
    // A moment to come was told by a clock that has been set back since.
    let waits_since = waits_since.filter(|&since| since <= now).max();
    let waited = waits_since.map_or(Duration::ZERO, |since| now.since(since));
    let has_seen = sight.whole_at.is_some_and(|at| at <= now && now.since(at) <= warning)
        && sight.behind <= warning;
    [warning, critical].map(|limit| match (waited > limit, has_seen) {
        (true, _) => Verdict::True,
        (false, true) => Verdict::False,
        (false, false) => Verdict::Unknown,
    })
}

/// Tells that `source` cannot be read. `trouble` is what the last poll said.
pub fn tell_blind(policy: &SourcePolicy, sight: &Sight, trouble: Option<&str>) -> Story {
    let since = match sight.whole_at {
        Some(at) => format!("since {at}"),
        None => "since the start".to_owned(),
    };
    let trouble = trouble.unwrap_or(match sight.whole_at {
        Some(_) if !sight.behind.is_zero() => "what happened meanwhile is being read, oldest first",
        Some(_) => "it was answered, but of nothing new: was this machine's clock set back?",
        None => "no poll has ended yet",
    });
    Story {
        labels: BTreeMap::from([("source".to_owned(), policy.name.clone())]),
        summary: format!("{}: postwatch cannot read the network's report", policy.name),
        vars: Vars::default(),
        readings: Vec::new(),
        in_a_row: None,
        cause: None,
        samples: Vec::new(),
        caveats: Vec::new(),
        notes: vec![
            format!("Nothing was read whole {since}. The last poll said: {trouble}"),
            "No failure is lost: the missed span is read and judged when the network answers \
             again. This alert ends when what happens now is judged again."
                .to_owned(),
        ],
    }
}

/// Tells that the network switched a postback off, and what still failed then.
pub fn tell_deactivated(
    facts: &Facts,
    policy: &SourcePolicy,
    postback: u64,
    in_a_row: Option<InARow>,
) -> Story {
    let failures: Vec<Delivery> = newest_failures(facts, postback);
    let abandoned = failures.iter().filter(|delivery| delivery.was_abandoned()).count();
    let mut labels = BTreeMap::from([
        ("source".to_owned(), policy.name.clone()),
        ("postback".to_owned(), postback.to_string()),
    ]);
    labels.extend(constant_dims(facts, postback));
    let title = title(facts, &labels, postback);
    let waiting = match abandoned {
        0 => "No failing delivery was waiting for a retry.".to_owned(),
        1 => "1 delivery was still failing; it will not be retried.".to_owned(),
        n => format!("{n} deliveries were still failing; they will not be retried."),
    };
    Story {
        labels,
        summary: format!("{title} was switched off: nothing is delivered any more"),
        vars: Vars::default(),
        readings: Vec::new(),
        in_a_row,
        cause: of_failures(facts, &failures),
        samples: failures.iter().take(3).map(|delivery| sample(facts, delivery)).collect(),
        caveats: Vec::new(),
        notes: vec![
            waiting,
            format!(
                "The network switches a postback off after {} failures in a row within 72 h. \
                 From then on it reports no failures, which looks like health. Conversions of \
                 this time are not delivered later.",
                policy.deactivates_after
            ),
            "Have the partner mend the endpoint, then set the postback to active in Everflow. \
             This alert ends when it is active again."
                .to_owned(),
        ],
    }
}

/// Tells that the postback is active again, where `story` told that it was not.
pub fn tell_reactivated(facts: &Facts, postback: u64, story: Story) -> Story {
    let title = title(facts, &story.labels, postback);
    Story {
        summary: format!("{title} is active again"),
        caveats: vec![
            "What failed or was converted while it was switched off is not delivered later."
                .to_owned(),
            "That is no proof that the partner's endpoint works: where it does not, the network \
             will switch the postback off again."
                .to_owned(),
        ],
        ..story
    }
}

/// `Postback 5 of Acme Media (7)`.
fn title(facts: &Facts, labels: &BTreeMap<String, String>, postback: u64) -> String {
    let affiliate = labels.get("affiliate").and_then(|id| id.parse().ok());
    let of = affiliate.map_or(String::new(), |id| format!(" of {}", facts.affiliate_text(id)));
    format!("Postback {postback}{of}")
}

fn newest_failures(facts: &Facts, postback: u64) -> Vec<Delivery> {
    let mut failures: Vec<Delivery> = facts
        .deliveries
        .iter()
        .filter(|delivery| facts.dims.get(delivery.dims).postback == postback)
        .collect();
    failures.reverse();
    failures
}

/// Labels that every delivery of the postback has shown alike.
fn constant_dims(facts: &Facts, postback: u64) -> Vec<(String, String)> {
    let ids: Vec<_> = facts.dims.ids_of_postback(postback).collect();
    let labels = [Label::Affiliate, Label::Offer, Label::Host];
    let constant = labels.into_iter().filter_map(|label| {
        let mut texts = ids.iter().map(|&id| facts.dims.text(id, label));
        let first = texts.next().filter(|text| !text.is_empty())?;
        texts.all(|text| text == first).then(|| (label.as_str().to_owned(), first))
    });
    constant.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{False, True, Unknown};

    #[test]
    fn a_source_is_blind_only_after_a_long_time_without_a_whole_read() {
        let policy = SourcePolicy::named("acme");
        let minute = |m: i64| Timestamp(m * 60);
        let judge = |behind: i64, whole: Option<i64>, started, arriving: Option<i64>| {
            let sight = Sight {
                whole_at: whole.map(minute),
                behind: minute(behind).since(minute(0)),
                started_at: minute(started),
                arriving_at: arriving.map(minute),
            };
            judge_sight(minute(100), &policy, &sight)
        };
        let check = |whole, started, arriving, expected| {
            let is = judge(0, whole, started, arriving);
            assert_eq!(is, expected, "{whole:?} {started} {arriving:?}");
        };
        check(Some(99), 0, None, [False, False]);
        check(Some(80), 0, None, [True, Unknown]);
        check(Some(60), 0, None, [True, True]);
        // Just restarted after a long stop: neither resolved nor fired.
        check(Some(10), 99, None, [Unknown, Unknown]);
        check(None, 95, None, [Unknown, Unknown]);
        check(None, 80, None, [True, Unknown]);
        // A look-back of an hour whose pages still arrive.
        check(None, 30, Some(99), [Unknown, Unknown]);
        // The past is being read.
        assert_eq!(judge(10, Some(99), 0, None), [False, False]);
        assert_eq!(judge(11, Some(99), 0, None), [Unknown, Unknown]);
        assert_eq!(judge(600, Some(60), 0, None), [True, True]);
    }
}
