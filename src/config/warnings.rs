//! What is allowed and yet cannot work as its author may think.

use std::time::Duration;

use crate::domain::policy::{Inhibition, Matches, Route, SourcePolicy};
use crate::domain::rules::{Condition, Glob, Level, Measure, Op, Rule, Threshold};

use super::decode::{Decoder, Fields};
use super::duration::write_duration;
use super::receivers::Placed;
use super::report::Place;
use super::rules::{Around, BUILT_IN};

/// A rule on its own, and against the sources.
pub fn of_rule(d: &mut Decoder<'_>, fields: &Fields<'_>, rule: &Rule, around: &Around<'_>) {
    let at = fields.at;
    let conditions = || rule.levels.iter().flat_map(|level| &level.conditions);
    for level in &rule.levels {
        rate_without_floor(d, at, level);
        spike_without_floor(d, at, level);
    }
    conditions().for_each(|condition| never_or_always(d, at, condition, around.sources));
    let slowest = around.sources.iter().map(|source| source.poll_every).max();
    let two = slowest.map(|slowest| slowest * 2);
    if let Some(two) = two.filter(|two| rule.over < *two)
        && conditions().any(|condition| condition.measure.is_windowed())
    {
        let at = fields.get("over").map_or(at, |entry| entry.at);
        let message = format!("`over: {}` is shorter than two polls", write_duration(rule.over));
        d.warn(at, message, format!("write `over: {}` or more", write_duration(two)));
    }
    blind_measures(d, at, rule, around.sources);
}

fn rate_without_floor(d: &mut Decoder<'_>, at: Place, level: &Level) {
    let mut conditions = level.conditions.iter();
    let is_rate = conditions.any(|one| one.measure == Measure::FailureRate && is_rising(one.op));
    if is_rate && !has_floor(level) {
        let message = format!(
            "level `{}` compares `failure_rate` alone: one failure of one delivery is 100 %",
            level.severity
        );
        d.warn(at, message, "add `failures: \">= 5\"` or `deliveries: \">= 20\"`");
    }
}

/// Three times next to nothing is next to nothing.
fn spike_without_floor(d: &mut Decoder<'_>, at: Place, level: &Level) {
    let mut conditions = level.conditions.iter();
    let spike = conditions.find(|one| is_rising(one.op) && one.threshold.number().is_none());
    if let Some(spike) = spike.filter(|_| !has_floor(level)) {
        let name = spike.measure.as_str();
        let message = format!(
            "level `{}` compares `{name}` with the window before alone: after a quiet window \
             one failure is a spike",
            level.severity
        );
        d.warn(at, message, "add `failures: \">= 5\"` or `deliveries: \">= 20\"`");
    }
}

fn is_rising(op: Op) -> bool {
    matches!(op, Op::Gt | Op::Ge | Op::Eq)
}

/// Whether a count must reach a number of its own.
fn has_floor(level: &Level) -> bool {
    level.conditions.iter().any(|condition| {
        let is_number = condition.threshold.number().is_some_and(|number| number > 0.0);
        let is_count = matches!(
            condition.measure,
            Measure::Deliveries
                | Measure::Failures
                | Measure::Suspect
                | Measure::Conversions
                | Measure::Recovered
                | Measure::Exhausted
                | Measure::Abandoned
                | Measure::Open
        );
        is_number && is_count && is_rising(condition.op)
    })
}

fn never_or_always(
    d: &mut Decoder<'_>,
    at: Place,
    condition: &Condition,
    sources: &[SourcePolicy],
) {
    let name = condition.measure.as_str();
    let Threshold::Number(threshold) = condition.threshold else { return };
    if threshold == 0.0 && condition.op == Op::Ge {
        let message = format!("`{name}` is always at least 0");
        d.warn(at, message, format!("write `{name}: \"> 0\"`, or remove it"));
    }
    if threshold == 0.0 && condition.op == Op::Lt {
        d.warn(at, format!("`{name}` is never below 0"), "remove the rule, or compare otherwise");
    }
    let off = sources.iter().map(|source| f64::from(source.deactivates_after)).reduce(f64::max);
    let beyond =
        off.is_some_and(|off| threshold > off || threshold == off && condition.op == Op::Gt);
    if condition.measure == Measure::Streak && is_rising(condition.op) && beyond {
        let message = "`streak` does not get so far: the network switches the postback off before";
        d.warn(at, message, "write a number below `deactivates_after`");
    }
    let lookback = sources.iter().map(|source| source.lookback).min();
    let is_since = matches!(condition.measure, Measure::SinceSuccess | Measure::SinceDelivery);
    if let Some(lookback) = lookback.filter(|lookback| threshold > lookback.as_secs_f64())
        && is_since
    {
        let message = format!("`{name}` is not known beyond the look-back");
        d.warn(at, message, format!("write `{}` at most", write_duration(lookback)));
    }
}

/// Measures that no source of the file can give.
fn blind_measures(d: &mut Decoder<'_>, at: Place, rule: &Rule, sources: &[SourcePolicy]) {
    let conditions = || rule.levels.iter().flat_map(|level| &level.conditions);
    let uses = |measure| conditions().any(|condition| condition.measure == measure);
    for measure in Measure::ALL.into_iter().filter(|measure| measure.needs_successes()) {
        if uses(measure) && !sources.is_empty() && sources.iter().all(|source| !source.successes) {
            let message = format!("`{}` is unknown where successes are off", measure.as_str());
            d.warn(at, message, "write `successes: read` at the source, or remove the rule");
        }
    }
}

/// Who is told, and who is not.
pub fn of_routes(
    d: &mut Decoder<'_>,
    root: &Fields<'_>,
    (routes, receivers): (&[Route], &[Placed]),
    rules: &[Rule],
    sources: &[SourcePolicy],
) {
    if routes.is_empty() || receivers.is_empty() {
        let hint = "add `receivers:` and `routes:`, or use the page and the metrics alone";
        return d.warn(root.at, "nobody is told of any alert", hint);
    }
    for placed in receivers {
        let used =
            |route: &Route| route.to.iter().chain(&route.fallback).any(|to| *to == placed.name);
        if !routes.iter().any(used) {
            let message = format!("no route leads to the receiver `{}`", placed.name);
            d.warn(placed.at, message, "name it in the `to` of a route, or remove it");
        }
    }
    let places = places(root, "routes");
    unreached(d, routes, &places);
    untold(d, root, routes, rules);
    let slowest = sources.iter().map(|source| source.poll_every).max().unwrap_or(Duration::ZERO);
    if let Some(index) = routes.iter().position(|route| route.timing.remind_every < slowest) {
        let at = places.get(index).copied().unwrap_or(root.at);
        d.warn(at, "reminders come more often than polls", "write `remind_every: 4h`, say");
    }
}

/// Where the entries of a list of the file stand.
fn places(root: &Fields<'_>, list: &str) -> Vec<Place> {
    match root.get(list).map(|entry| &entry.node.kind) {
        Some(super::yaml::Kind::List(items)) => items.iter().map(|item| item.at).collect(),
        Some(_) | None => Vec::new(),
    }
}

/// Two rules that say the same, under two names.
pub fn of_rules(d: &mut Decoder<'_>, root: &Fields<'_>, rules: &[Rule]) {
    let places = places(root, "rules");
    for (place, rule) in rules.iter().enumerate() {
        let says_the_same = |other: &&Rule| {
            let (mut per, mut others) = (rule.per.clone(), other.per.clone());
            per.sort_unstable();
            others.sort_unstable();
            per == others
                && (rule.over, rule.hold_for) == (other.over, other.hold_for)
                && rule.matches == other.matches
                && rule.levels == other.levels
        };
        if let (Some(at), Some(other)) =
            (places.get(place), rules[..place].iter().find(says_the_same))
        {
            let message = format!("rule \"{}\": `{}` says the same", rule.name, other.name);
            d.warn(*at, message, "remove one of them");
        }
    }
}

/// Of two alerts that an inhibition means both ways neither explains the other.
pub fn of_inhibition(d: &mut Decoder<'_>, at: Place, inhibition: &Inhibition) {
    let Inhibition { when, mute, .. } = inhibition;
    if covers(when, mute) && covers(mute, when) {
        let hint = "name in `if` the rule that explains: `if: { rule: host-down }`, and in `mute` \
                    what it explains";
        d.warn(at, "`if` and `mute` mean the same alerts: it holds back nothing", hint);
    }
}

/// Routes that an earlier one leaves nothing to.
fn unreached(d: &mut Decoder<'_>, routes: &[Route], places: &[Place]) {
    for (place, route) in routes.iter().enumerate() {
        let takes_all =
            |before: &Route| !before.continue_ && covers(&before.matches, &route.matches);
        let Some(before) = routes[..place].iter().position(takes_all) else { continue };
        if let (Some(at), Some(before)) = (places.get(place), places.get(before)) {
            let message =
                format!("no alert gets to this route: the one on line {} takes all", before.line);
            d.warn(*at, message, "move it up, or write `continue: true` at the other");
        }
    }
}

/// Whether everything that `narrow` means is meant by `wide` too; false where it is
/// not certain.
fn covers(wide: &Matches, narrow: &Matches) -> bool {
    let is_plain = |glob: &Glob| !glob.0.contains(['*', '?']);
    wide.iter().all(|(label, globs)| {
        let fits = |own: &Glob| {
            globs.iter().any(|glob| glob == own || is_plain(own) && glob.matches(&own.0))
        };
        narrow.get(label).is_some_and(|own| own.iter().all(fits))
    })
}

/// Rules at a severity that no route could ever match.
fn untold(d: &mut Decoder<'_>, root: &Fields<'_>, routes: &[Route], rules: &[Rule]) {
    let own = rules.iter().flat_map(|rule| {
        rule.levels
            .iter()
            .map(move |level| (rule.name.as_str(), level.severity.as_str(), Some(rule)))
    });
    let built_in = BUILT_IN.iter().map(|name| (*name, "critical", None));
    let at = root.get("routes").map_or(root.at, |entry| entry.at);
    for (name, severity, rule) in own.chain(built_in) {
        let could = |route: &Route| could_match(route, name, severity, rule);
        if !routes.iter().any(could) {
            let message = format!("nobody is told of `{name}` at severity `{severity}`");
            d.warn(at, message, "add a last route without `match`");
        }
    }
}

/// False only where the route surely does not match.
fn could_match(route: &Route, name: &str, severity: &str, rule: Option<&Rule>) -> bool {
    route.matches.iter().all(|(label, globs)| {
        let value = match label.as_str() {
            "rule" => Some(name),
            "severity" => Some(severity),
            label if super::labels::is_built_in(label) => None,
            label => Some(rule.and_then(|rule| rule.labels.get(label)).map_or("", String::as_str)),
        };
        value.is_none_or(|value| globs.iter().any(|glob| glob.matches(value)))
    })
}
