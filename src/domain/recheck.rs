//! Older questions that can prove something: what became of failures that are no
//! longer shown, and whether a success broke a streak before what was read.
//! Decides what is worth asking; never asks.

use std::collections::BTreeSet;
use std::time::Duration;

use super::coverage::Span;
use super::delivery::Delivery;
use super::facts::Facts;
use super::policy::{Policy, Scope, SourcePolicy};
use super::rules::{Measure, Rule};
use super::state::SourceState;
use super::time::Timestamp;
use super::window::Windows;
use super::window::in_a_row;

/// Failures by age: how old they are at most, and every how many intervals those
/// are asked for again. The last reach as far as the look-back.
///
/// A recovery is seen at the latest when its age is asked for again.
pub const AGES: [(Duration, u32); 3] =
    [(Duration::from_secs(3600), 5), (Duration::from_secs(6 * 3600), 15), (Duration::MAX, 60)];

/// Questions for proof in one sweep: with more open deliveries their spans grow
/// together.
const MOST_QUESTIONS: usize = 40;

/// Moments this close share a question.
const CLOSE: Duration = Duration::from_secs(4);

/// More ids than this are not narrowed to.
const MOST_FILTERS: usize = 50;

/// Streaks that are looked into in one poll, the longest first.
const MOST_STREAKS: usize = 5;

/// The first look into a streak reaches this far back, each further one as far
/// as all before it.
const FIRST_LOOK: Duration = Duration::from_secs(3600);

/// Successes to ask for: a span and the part of the network.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub span: Span,
    pub scope: Scope,
}

/// The span of an age of [`AGES`]; the ages overlap by a minute, so that nothing
/// falls between two of them.
pub fn age_span(now: Timestamp, lookback: Duration, age: usize) -> Span {
    let oldest = |age: usize| AGES[age].0.min(lookback);
    let to = match age {
        0 => now,
        _ => now - oldest(age - 1) + Duration::from_secs(60),
    };
    Span { from: now - oldest(age), to }
}

/// Where the successes of open deliveries of `scope` would be, whose failures of
/// `span` were read by `read`: of those that it did not show, and of all where the
/// network shows a row for each attempt.
pub fn proofs(source: &SourceState, scope: &Scope, read: u32, span: Span) -> Vec<Question> {
    let facts = &source.facts;
    let is_asked = |slot| {
        let delivery = facts.deliveries.get(slot);
        let dims = facts.dims.get(delivery.dims);
        let shown_at = delivery.newest.timestamp;
        let is_shown = facts.deliveries.was_seen(slot, read) && !source.shows_attempts;
        span.from < shown_at
            && shown_at < span.to
            && !is_shown
            && scope.contains(dims.offer, dims.affiliate)
    };
    let open = facts.deliveries.open().map(|(_, slot)| slot).filter(|&slot| is_asked(slot));
    let mut places: Vec<(Timestamp, Delivery)> = Vec::new();
    for slot in open {
        let delivery = facts.deliveries.get(slot);
        // Whether a later row bears the first one's time is not documented.
        let times = BTreeSet::from([delivery.timestamp, delivery.newest.timestamp]);
        places.extend(times.into_iter().map(|at| (at, delivery)));
    }
    places.sort_by_key(|(at, _)| *at);
    let times: Vec<Timestamp> = places.iter().map(|(at, _)| *at).collect();
    let mut questions = Vec::new();
    let mut rest = places.as_slice();
    for length in lengths(&times) {
        let (cluster, others) = rest.split_at(length);
        questions.extend(question(facts, scope, cluster));
        rest = others;
    }
    questions
}

/// How sorted moments fall into clusters, by their lengths: cut at the widest
/// distances, never at narrow ones.
fn lengths(times: &[Timestamp]) -> Vec<usize> {
    let mut cuts: Vec<(Duration, usize)> = times
        .windows(2)
        .zip(1..)
        .map(|(pair, place)| (pair[1].since(pair[0]), place))
        .filter(|(distance, _)| *distance > CLOSE)
        .collect();
    cuts.sort_unstable_by(|one, other| other.cmp(one));
    let mut places: Vec<usize> =
        cuts.into_iter().take(MOST_QUESTIONS - 1).map(|(_, place)| place).collect();
    places.extend([0, times.len()]);
    places.sort_unstable();
    let lengths = places.windows(2).map(|pair| pair[1] - pair[0]);
    lengths.filter(|&length| length > 0).collect()
}

fn question(facts: &Facts, scope: &Scope, cluster: &[(Timestamp, Delivery)]) -> Option<Question> {
    let (first, last) = (cluster.first()?.0, cluster.last()?.0);
    let dims = || cluster.iter().map(|(_, delivery)| facts.dims.get(delivery.dims));
    let narrow = |all: &[u64], ids: BTreeSet<u64>| match ids.len() <= MOST_FILTERS {
        true => ids.into_iter().collect(),
        false => all.to_vec(),
    };
    let scope = Scope {
        offers: narrow(&scope.offers, dims().map(|dims| dims.offer).collect()),
        affiliates: narrow(&scope.affiliates, dims().map(|dims| dims.affiliate).collect()),
        ..scope.clone()
    };
    // Ends a second wider: whether the network includes them is not documented.
    let second = Duration::from_secs(1);
    Some(Question { span: Span { from: first - second, to: last + second }, scope })
}

/// A look further back into the successes of a postback whose streak is not known.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    pub postback: u64,
    pub question: Question,
}

/// The streaks near a rule's threshold that a success before what was read may
/// have broken, and how much further back to look.
pub fn looks(policy: &Policy, source: &SourcePolicy, state: &SourceState) -> Vec<Look> {
    let conditions = policy.rules.iter().flat_map(Rule::conditions);
    let streaks = conditions.filter(|condition| condition.measure == Measure::Streak);
    let thresholds = streaks.filter_map(|condition| condition.threshold.number());
    let least = thresholds.min_by(f64::total_cmp);
    let (Some(least), Some(windows), true) = (least, &state.windows, source.successes) else {
        return Vec::new();
    };
    let mut undecided: Vec<(u64, f64)> = windows
        .streaks
        .failing()
        .map(|postback| (postback, windows.streaks.of(&state.facts, source, postback, windows.at)))
        .filter(|(_, bounds)| bounds.least < bounds.most && bounds.most >= least)
        .map(|(postback, bounds)| (postback, bounds.most))
        .collect();
    undecided.sort_by(|(id, most), (other_id, other)| other.total_cmp(most).then(id.cmp(other_id)));
    let looks = undecided.into_iter().filter_map(|(id, _)| look(source, &state.facts, windows, id));
    looks.take(MOST_STREAKS).collect()
}

fn look(source: &SourcePolicy, facts: &Facts, windows: &Windows, postback: u64) -> Option<Look> {
    let known_since = facts.successes_known_since(postback);
    if known_since > windows.at {
        return None;
    }
    let length = windows.at.since(known_since).max(FIRST_LOOK);
    let first_failure = windows.streaks.oldest_failure(postback)? - Duration::from_secs(1);
    let from = (known_since - length).max(windows.at - in_a_row::SPAN).max(first_failure);
    let scope = traffic_of(source, facts, postback)?;
    let span = Span { from, to: known_since };
    (from < known_since).then_some(Look { postback, question: Question { span, scope } })
}

/// The part of the network for which the postback fires; `None` where its level is
/// not known, or the scopes do not read all of it.
fn traffic_of(source: &SourcePolicy, facts: &Facts, postback: u64) -> Option<Scope> {
    let dims = facts.dims.of_postback(postback).next()?;
    let level = facts.dims.symbols.text(dims.postback_level);
    let (offers, affiliates) = match level {
        "specific" => (vec![dims.offer], vec![dims.affiliate]),
        "global" => (Vec::new(), vec![dims.affiliate]),
        "global_offer" => (vec![dims.offer], Vec::new()),
        _ => return None,
    };
    let is_read = source.reads_whole(level, dims.offer, dims.affiliate);
    is_read.then(|| Scope { offers, affiliates, ..Scope::default() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(times: &[i64], expected: &[usize]) {
        let times: Vec<Timestamp> = times.iter().copied().map(Timestamp).collect();
        assert_eq!(lengths(&times), expected, "{times:?}");
    }

    #[test]
    fn what_lies_close_together_shares_a_question() {
        check(&[], &[]);
        check(&[5], &[1]);
        check(&[5, 6, 9, 100, 200, 201], &[3, 1, 2]);
    }

    #[test]
    fn many_moments_grow_together_where_they_are_closest() {
        let mut times: Vec<i64> = (0..60).map(|place| place * 100).collect();
        times.extend((0..60).map(|place| 6_000 + place * 10));
        let times: Vec<Timestamp> = times.into_iter().map(Timestamp).collect();
        let lengths = lengths(&times);
        assert_eq!((lengths.len(), lengths.iter().sum::<usize>()), (MOST_QUESTIONS, 120));
        assert!(lengths.last().is_some_and(|last| *last >= 60), "{lengths:?}");
    }

    #[test]
    fn the_ages_together_are_the_look_back() {
        for hours in [1, 3, 72] {
            let lookback = Duration::from_secs(hours * 3600);
            let spans: Vec<Span> =
                (0..AGES.len()).map(|age| age_span(Timestamp(1_000_000), lookback, age)).collect();
            assert_eq!(spans[0].to, Timestamp(1_000_000));
            assert!(spans.windows(2).all(|pair| pair[1].to >= pair[0].from), "{spans:?}");
            assert_eq!(spans[2].from, Timestamp(1_000_000) - lookback);
        }
    }
}
