//! Rule tests, run: deliveries from a series, polled as live, and what came of them
//! beside what was expected.

use std::time::Duration;

use super::{Player, Told, ToldAlert};
use crate::config::rule_tests::{ExpectedAlert, ExpectedMessage, RuleTest, Stream};
use crate::domain::delivery::Row;
use crate::domain::policy::Policy;
use crate::domain::reason::{Reason, UNTOLD};
use crate::domain::time::{Timestamp, seconds};

/// What a test came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    pub told: Told,
    /// Expectations that do not hold.
    pub problems: Vec<Problem>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// The place of the expectation.
    pub of: usize,
    pub at: Duration,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Expected alerts that do not fire then, and places of others that do.
    Firing { missing: Vec<ExpectedAlert>, unexpected: Vec<usize> },
    /// Places of the messages since the entry before.
    Messages { expected: Vec<ExpectedMessage>, got: Vec<usize> },
}

/// Runs `test` under `policy`.
pub fn run(policy: &Policy, test: &RuleTest) -> Outcome {
    let told = play(policy, test);
    let mut problems = Vec::new();
    let mut since = test.start - policy.longest_window();
    for (of, expected) in test.expected.iter().enumerate() {
        let at = test.start + expected.at;
        let is_looked_at =
            |rule: &str| expected.of.as_ref().is_none_or(|of| of.iter().any(|known| known == rule));
        let firing = expected.firing.as_ref();
        let firing = firing.and_then(|all| wrong_alerts(&told, at, all, &is_looked_at));
        let messages = expected.messages.as_ref();
        let messages =
            messages.and_then(|all| wrong_messages(&told, (since, at), all, &is_looked_at));
        let wrong = [firing, messages].into_iter().flatten();
        problems.extend(wrong.map(|what| Problem { of, at: expected.at, what }));
        if expected.messages.is_some() {
            since = at;
        }
    }
    Outcome { told, problems }
}

fn play(policy: &Policy, test: &RuleTest) -> Told {
    let longest = policy.sources.iter().map(|source| source.poll_every + source.settle).max();
    let margin = longest.unwrap_or_default() + policy.evaluate_every;
    let begin = (test.start - margin).floor_to(margin.max(Duration::from_secs(60)));
    let mut player = Player::begin(policy.clone(), begin);
    let end = test.start + test.lasts + margin;
    let mut polls: Vec<(Timestamp, &str)> = Vec::new();
    for source in &policy.sources {
        let mut now = begin.floor_to(source.poll_every) + source.poll_every;
        while now <= end {
            polls.push((now, &source.name));
            now = now + source.poll_every;
        }
    }
    polls.sort_unstable();
    let mut rows: Vec<(Timestamp, &str, Row<'static>)> = Vec::new();
    for (place, stream) in test.streams.iter().enumerate() {
        let source = source_of(policy, stream);
        rows.extend(rows_of(test, place, stream).map(|row| (row.timestamp, source, row)));
    }
    rows.sort_by_key(|(at, _, _)| *at);
    for (now, source) in polls {
        let passed = now.since(test.start);
        let is_blind =
            |&(from, to): &(Duration, Duration)| now >= test.start && from <= passed && passed < to;
        if test.blind.iter().any(is_blind) {
            player.miss(source, now, "the test says so");
            continue;
        }
        let is_due = |row: &mut (Timestamp, &str, Row<'static>)| row.0 <= now && row.1 == source;
        let due: Vec<Row<'static>> = rows.extract_if(.., is_due).map(|(_, _, row)| row).collect();
        player.poll(source, now, due);
        player.postbacks(source, &statuses(policy, test, source, now));
    }
    player.finish()
}

fn source_of<'p>(policy: &'p Policy, stream: &'p Stream) -> &'p str {
    let first = policy.sources.first().map_or("", |source| source.name.as_str());
    stream.source.as_deref().unwrap_or(first)
}

fn statuses(policy: &Policy, test: &RuleTest, source: &str, now: Timestamp) -> Vec<(u64, bool)> {
    let of_source = test.streams.iter().filter(|stream| source_of(policy, stream) == source);
    let has_come = |at: Option<Duration>| at.is_some_and(|at| now >= test.start + at);
    let status = |stream: &Stream| {
        let is_active = !has_come(stream.deactivated) || has_come(stream.reactivated);
        (stream.postback, is_active)
    };
    // One that any line switches off is off.
    let mut statuses: Vec<(u64, bool)> = of_source.map(status).collect();
    statuses.sort_unstable();
    statuses.dedup_by_key(|(id, _)| *id);
    statuses
}

/// The deliveries of a series; those of one step are spread over it.
fn rows_of<'t>(
    test: &'t RuleTest,
    place: usize,
    stream: &'t Stream,
) -> impl Iterator<Item = Row<'static>> + 't {
    stream.series.iter().enumerate().flat_map(move |(number, step)| {
        let begin = test.start + test.every * u32::try_from(number).unwrap_or(u32::MAX);
        let all = step.failures + step.recovering + step.successes;
        (0..all).flat_map(move |one| {
            let offset = seconds(test.every) * i64::from(one) / i64::from(all);
            let at = Timestamp(begin.0 + offset);
            let id = format!("{place}-{number}-{one}");
            let fails = one < step.failures + step.recovering;
            let recovers = fails && one >= step.failures;
            let first = row(stream, &id, at, fails);
            let cured = recovers.then(|| Row {
                is_success: true,
                last_attempt: at + stream.recovers,
                debug_information: "Status: 200".into(),
                ..first.clone()
            });
            std::iter::once(first).chain(cured)
        })
    })
}

fn row(stream: &Stream, id: &str, at: Timestamp, fails: bool) -> Row<'static> {
    Row {
        offer: stream.offer,
        offer_name: "".into(),
        affiliate: stream.affiliate,
        affiliate_name: "".into(),
        postback: stream.postback,
        event: stream.event,
        conversion_id: id.to_owned().into(),
        transaction_id: "".into(),
        timestamp: at,
        last_attempt: if fails { at } else { Timestamp(0) },
        failed_attempts: u32::from(fails),
        is_success: !fails,
        delivery_method: stream.delivery_method.clone().into(),
        postback_level: stream.postback_level.clone().into(),
        postback_type: stream.postback_type.clone().into(),
        postback_status: "".into(),
        payload: format!("https://{}/postback?cid=1", stream.host).into(),
        debug_information: if fails { answer(stream.reason) } else { "Status: 200".to_owned() }
            .into(),
    }
}

/// What the network writes of a failure for this reason.
fn answer(reason: Reason) -> String {
    match reason {
        Reason::Dns => "dial tcp: lookup a.example: no such host",
        Reason::Tls => "tls: failed to verify certificate: x509: certificate has expired",
        Reason::Refused => "dial tcp 192.0.2.1:443: connect: connection refused",
        Reason::Timeout => "context deadline exceeded",
        Reason::Reset => "read: connection reset by peer",
        Reason::Challenge => "Status: 403\nHeaders: Cf-Mitigated: [challenge]",
        Reason::Redirect => "Status: 302",
        Reason::BadUrl => "unsupported protocol scheme",
        Reason::Unseen => UNTOLD,
        Reason::Other => "an answer that nobody knows",
        Reason::Http(status) => return format!("Status: {status}"),
    }
    .to_owned()
}

fn wrong_alerts(
    told: &Told,
    at: Timestamp,
    expected: &[ExpectedAlert],
    is_looked_at: &dyn Fn(&str) -> bool,
) -> Option<What> {
    let fires = |alert: &ToldAlert| alert.stand(at).is_some() && is_looked_at(&alert.rule);
    let firing = told.alerts.iter().enumerate().filter(|(_, alert)| fires(alert));
    let mut unexpected: Vec<usize> = firing.map(|(place, _)| place).collect();
    let mut missing = Vec::new();
    for one in expected {
        let found = unexpected.iter().position(|&place| is_it(one, &told.alerts[place], at));
        match found {
            Some(found) => {
                unexpected.remove(found);
            }
            None => missing.push(one.clone()),
        }
    }
    let is_right = missing.is_empty() && unexpected.is_empty();
    (!is_right).then_some(What::Firing { missing, unexpected })
}

/// Whether the alert is the expected one at that moment.
fn is_it(expected: &ExpectedAlert, alert: &ToldAlert, at: Timestamp) -> bool {
    let severity = alert.stand(at).map(|stand| stand.severity);
    expected.rule == alert.rule
        && (expected.severity.is_none() || expected.severity == severity)
        && expected.labels.iter().all(|(name, value)| alert.labels.get(name) == Some(value))
}

fn wrong_messages(
    told: &Told,
    (since, until): (Timestamp, Timestamp),
    expected: &[ExpectedMessage],
    is_looked_at: &dyn Fn(&str) -> bool,
) -> Option<What> {
    let within = |place: &usize| {
        let message = &told.messages[*place];
        let mut rules = message.alerts.iter().map(|&alert| told.alerts[alert].rule.as_str());
        since < message.at && message.at <= until && rules.any(is_looked_at)
    };
    let got: Vec<usize> = (0..told.messages.len()).filter(within).collect();
    let is_right = got.len() == expected.len()
        && got.iter().zip(expected).all(|(&place, one)| {
            let message = &told.messages[place];
            let is_about = |rule: &String| {
                message.alerts.iter().any(|&alert| told.alerts[alert].rule == *rule)
            };
            message.receiver == one.to
                && message.reason == one.reason
                && one.rule.as_ref().is_none_or(is_about)
        });
    (!is_right).then(|| What::Messages { expected: expected.to_vec(), got })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reason_is_written_as_reads_as_that_reason() {
        let named = [
            Reason::Dns,
            Reason::Tls,
            Reason::Refused,
            Reason::Timeout,
            Reason::Reset,
            Reason::Challenge,
            Reason::Redirect,
            Reason::BadUrl,
            Reason::Unseen,
            Reason::Other,
            Reason::Http(404),
            Reason::Http(503),
        ];
        for reason in named {
            let payload = "https://a.example/postback?cid=1";
            assert_eq!(Reason::classify(&answer(reason), payload), reason, "{}", answer(reason));
        }
    }
}
