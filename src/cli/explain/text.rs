//! An explanation as a person reads it at night: what is wrong first, aligned, no
//! line without a meaning.

use std::fmt::Write as _;

use crate::cli::paint::Paint;
use crate::domain::alert::shown::shown_duration;
use crate::domain::explain::{
    Answer, At, ConditionExplained, Conversion, DeliveryLife, Explanation, GroupExplained,
    LevelExplained, Messages, Sees, Stand,
};
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;

/// A rule's groups.
pub fn explanation(told: &Explanation, paint: Paint) -> String {
    let mut text = String::new();
    for (number, group) in told.groups.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        text += &one_group(told, group, paint);
    }
    if told.more > 0 {
        let more = told.more;
        writeln!(text, "\n+{more} more groups; name labels (affiliate=7) to see one").ok();
    }
    text
}

fn one_group(told: &Explanation, group: &GroupExplained, paint: Paint) -> String {
    let now = told.now.0;
    let labels = group.labels.iter().map(|(name, value)| format!(" {name}={value}"));
    let name = format!("{} source={}{}", told.rule, group.source, labels.collect::<String>());
    let mut text = format!("{}  {name}\n", state(group, paint));
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<9} {value}").ok();
    };
    if let Some(summary) = &group.summary {
        line("says", summary);
    }
    if let Some(fired_at) = group.fired_at {
        let began = group.began_at.map(|at| format!("began {}, ", when(now, at)));
        line("since", &format!("{}fired {}", began.unwrap_or_default(), when(now, fired_at)));
    }
    if let Some(ended_at) = group.ended_at {
        line("ended", &when(now, ended_at));
    }
    for row in data(now, &group.sees) {
        line("data", &row);
    }
    for trouble in &group.sees.troubles {
        line("trouble", &paint.yellow(trouble));
    }
    for level in &group.levels {
        text += &one_level(level, paint);
    }
    if !group.ends_when.is_empty() {
        writeln!(text, "  ends when {}", group.ends_when.join("\n        and ")).ok();
    }
    for messages in &group.messages {
        text += &one_receiver(now, messages, paint);
    }
    if let Some(nobody) = &group.nobody_is_told {
        writeln!(text, "  message   {}", paint.yellow(nobody)).ok();
    }
    text
}

fn state(group: &GroupExplained, paint: Paint) -> String {
    let word = group.state.as_str().to_uppercase();
    match (group.state, group.severity) {
        (Stand::Firing, Some(Severity::Critical)) => paint.red(&format!("{word} critical")),
        (Stand::Firing, Some(severity)) => paint.yellow(&format!("{word} {severity}")),
        (Stand::Quiet, Some(severity)) => format!("{word} {severity}"),
        (Stand::Inactive, _) => paint.green(&word),
        (Stand::Firing | Stand::Quiet | Stand::Pending | Stand::Ended, _) => word,
    }
}

fn data(now: Timestamp, sees: &Sees) -> Vec<String> {
    let Some(at) = sees.at else { return vec!["nothing was read whole yet".to_owned()] };
    let age = shown_duration(std::time::Duration::from_secs(sees.age));
    let mut rows = vec![format!("complete up to {}, {age} old", clock(at))];
    let Some(since) = sees.since else { return rows };
    let span = shown_duration(at.0.since(since.0));
    let deliveries = match sees.deliveries {
        Some(count) => format!("{count} deliveries, "),
        None => "deliveries unknown, ".to_owned(),
    };
    let reasons = sees.reasons.iter().map(|(reason, count)| format!("{reason} {count}"));
    let reasons = reasons.collect::<Vec<_>>().join(", ");
    let reasons = if reasons.is_empty() { reasons } else { format!(" ({reasons})") };
    let failures = sees.failures;
    rows.push(format!("window of {span}: {deliveries}{failures} failures{reasons}"));
    let newest = sees.newest_failure.map(|at| format!("newest failure {}", when(now, at)));
    let success = sees.last_success.map(|at| format!("last success {}", when(now, at)));
    let open = (sees.open > 0).then(|| format!("{} failing now", sees.open));
    let last: Vec<String> = [open, newest, success].into_iter().flatten().collect();
    if !last.is_empty() {
        rows.push(last.join(", "));
    }
    rows
}

fn one_level(level: &LevelExplained, paint: Paint) -> String {
    let verdict = answer(level.verdict, paint);
    let mut text = format!("  {:<9} {verdict}, {}\n", level.severity.as_str(), level.clock);
    let width = |of: fn(&ConditionExplained) -> &String| {
        level.conditions.iter().map(|one| of(one).chars().count()).max().unwrap_or(0)
    };
    let (names, values) = (width(|one| &one.measure), width(|one| &one.value));
    let thresholds = width(|one| &one.threshold);
    for one in &level.conditions {
        let why = match (&one.misses_by, &one.unknown_because) {
            (Some(by), _) => format!(", needs {by}"),
            (None, Some(why)) => format!(", {why}"),
            (None, None) => String::new(),
        };
        let (measure, value, threshold) = (&one.measure, &one.value, &one.threshold);
        let verdict = answer(one.verdict, paint);
        let row = format!(
            "{measure:<names$}  {value:>values$}  {threshold:<thresholds$}  {verdict}{why}"
        );
        writeln!(text, "    {row}").ok();
    }
    text
}

fn answer(answer: Answer, paint: Paint) -> String {
    match answer {
        Answer::True => paint.red("holds"),
        Answer::False => "does not hold".to_owned(),
        Answer::Unknown => paint.yellow("unknown"),
    }
}

fn one_receiver(now: Timestamp, messages: &Messages, paint: Paint) -> String {
    let route = messages.route.as_ref().map(|route| format!(" by {route}"));
    let told = match messages.last_told_at {
        Some(at) => format!("knows: {}, last message {}", messages.told, when(now, at)),
        None => format!("knows: {}", messages.told),
    };
    let receiver = &messages.receiver;
    let route = paint.dim(&route.unwrap_or_default());
    let mut text = format!("  message   to {receiver}{route}, {told}\n");
    for gate in &messages.gates {
        writeln!(text, "    gate: {}", gate.says).ok();
    }
    text
}

/// A conversion's deliveries.
pub fn conversion(told: &Conversion, paint: Paint) -> String {
    let one = |delivery: &DeliveryLife| one_delivery(told.now.0, delivery, paint);
    told.deliveries.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn one_delivery(now: Timestamp, one: &DeliveryLife, paint: Paint) -> String {
    let state = match one.state.as_str() {
        "failing" => paint.red("FAILING"),
        "recovered" => paint.green("RECOVERED"),
        other => other.to_uppercase(),
    };
    let (offer, affiliate) = (&one.offer, &one.affiliate);
    let mut text = format!("{state}  postback {} of {affiliate}, offer {offer}\n", one.postback);
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<9} {value}").ok();
    };
    line("source", &one.source);
    line("host", if one.host.is_empty() { "none in its URL" } else { &one.host });
    line("reason", &format!("{}: {}", one.reason, one.advice));
    let tries = one.failed_attempts;
    let last = one.last_attempt.map(|at| format!(", the last {}", when(now, at)));
    line("tries", &format!("{tries} failed{}", last.unwrap_or_default()));
    line("first", &when(now, one.timestamp));
    if let Some(at) = one.ended_at {
        line("ended", &format!("{}, seen {}", one.state, when(now, at)));
    }
    if !one.postback_is_active {
        line("postback", &paint.red("is switched off: nothing is delivered any more"));
    }
    for group in &one.groups {
        let labels = group.labels.iter().map(|(name, value)| format!(" {name}={value}"));
        let stand = match group.severity {
            Some(severity) => format!("{}, {severity}", group.state.as_str()),
            None => group.state.as_str().to_owned(),
        };
        let window = if group.is_in_window { "in its window" } else { "past its window" };
        let name = format!("{}{}", group.rule, labels.collect::<String>());
        line("counts in", &format!("{name}: {window}; {stand}"));
    }
    text
}

/// `2026-03-01 12:03:10 UTC (4 min ago)`.
fn when(now: Timestamp, at: At) -> String {
    match at.0 <= now {
        true => format!("{} ({} ago)", clock(at), shown_duration(now.since(at.0))),
        false => format!("{} (in {})", clock(at), shown_duration(at.0.since(now))),
    }
}

fn clock(at: At) -> String {
    match jiff::Timestamp::from_second(at.0.0) {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => at.0.to_string(),
    }
}
