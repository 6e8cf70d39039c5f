//! A replay as people read it: plain and aligned, coloured on a terminal only.

use std::collections::BTreeMap;

use super::compare::Difference;
use super::{CANNOT_SHOW, Played, Summary};
use crate::channel::render::clean;
use crate::cli::check::counted;
use crate::cli::paint::Paint;
use crate::cli::past::{Past, left_out, outside, written};
use crate::cli::table::table;
use crate::domain::alert::shown::{shown_duration, shown_percent};
use crate::domain::notify::Cause;
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;
use crate::replay::{Told, ToldAlert, ToldMessage};

/// More lines than this nobody reads; `--json` has them all.
const MOST_LINES: usize = 60;

pub fn text(played: &Played, past: &Past, against: Option<(&Played, &Difference)>) -> String {
    let paint = Paint::stdout();
    let mut lines = vec![format!("{} over {}", played.file, past.name)];
    lines.extend(about(&played.summary, past));
    lines.push(String::new());
    let all: Vec<usize> = (0..played.told.alerts.len()).collect();
    lines.push(headline(paint, "Alerts", all.len()));
    lines.extend(alerts(&played.told, &all, paint));
    lines.push(String::new());
    let all: Vec<usize> = (0..played.told.messages.len()).collect();
    lines.push(headline(paint, "Messages", all.len()));
    lines.extend(messages(&played.told, &all));
    lines.extend(per_day(&played.summary));
    if let Some((other, difference)) = against {
        lines.extend(compared(played, other, difference, paint));
    }
    lines.push(String::new());
    lines.push("What a history cannot show:".to_owned());
    lines.extend(CANNOT_SHOW.iter().map(|line| format!("  {line}")));
    lines.join("\n") + "\n"
}

fn about(summary: &Summary, past: &Past) -> Vec<String> {
    let ((from, to), of) = (summary.span, summary.deliveries);
    let inside = summary.rows - of.rows_outside;
    let mut lines = vec![
        format!("  {} to {} UTC ({})", written(from), written(to), shown_duration(to.since(from))),
        format!(
            "  {}{}, {} of them failed at least once, {} still did at the end",
            deliveries(of.all),
            if inside == of.all {
                String::new()
            } else {
                format!(" in {}", counted(inside, "row"))
            },
            of.failed,
            of.failing
        ),
    ];
    if of.rows_outside > 0 {
        lines.push(format!("  {}", outside(of.rows_outside)));
    }
    lines.extend(left_out(&past.reading).iter().map(|line| format!("  {line}")));
    if let Some((median, worst)) = summary.waits() {
        let (median, worst) = (shown_duration(median), shown_duration(worst));
        lines.push(format!(
            "  from an alert's first failure to its first message: {median} (median), {worst} (worst)"
        ));
    }
    lines
}

fn deliveries(count: usize) -> String {
    if count == 1 { "1 delivery".to_owned() } else { format!("{count} deliveries") }
}

fn headline(paint: Paint, what: &str, count: usize) -> String {
    match count {
        0 => format!("{what}: none"),
        _ => paint.green(&format!("{what} ({count})")),
    }
}

fn alerts(told: &Told, places: &[usize], paint: Paint) -> Vec<String> {
    if places.is_empty() {
        return Vec::new();
    }
    let head = ["#", "fired (UTC)", "lasted", "severity", "rule", "who", "cause"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let shown = &places[..places.len().min(MOST_LINES)];
    rows.extend(shown.iter().map(|&place| alert_row(place, &told.alerts[place])));
    let mut lines: Vec<String> = table(&rows).into_iter().map(|line| format!("  {line}")).collect();
    lines[0] = paint.dim(&lines[0]);
    for (line, &place) in lines[1..].iter_mut().zip(shown) {
        if told.alerts[place].severity == Severity::Critical {
            *line = line.replacen("critical", &paint.red("critical"), 1);
        }
    }
    lines.extend(more(places.len()));
    lines
}

fn alert_row(place: usize, alert: &ToldAlert) -> Vec<String> {
    let lasted = match (alert.resolved_at, alert.ended_word()) {
        (Some(at), Some("resolved")) => shown_duration(at.since(alert.fired_at)),
        (Some(at), Some(how)) => format!("{} ({how})", shown_duration(at.since(alert.fired_at))),
        _ => "to the end".to_owned(),
    };
    vec![
        place.to_string(),
        written(alert.fired_at),
        lasted,
        alert.severity.to_string(),
        alert.rule.clone(),
        who(alert),
        alert.cause.as_ref().map(cause).unwrap_or_default(),
    ]
}

/// The labels of its group, or the source where it has none.
pub fn who(alert: &ToldAlert) -> String {
    let group = alert
        .key
        .group
        .iter()
        .map(|(label, value)| format!("{}={}", label.as_str(), clean(value, 80)));
    let group: Vec<String> = group.collect();
    if group.is_empty() { format!("source={}", alert.source) } else { group.join(" ") }
}

pub fn cause(cause: &Cause) -> String {
    let part = &cause.part;
    let what = match part.value.is_empty() {
        true => part.by.clone(),
        false => format!("{} {}", part.by, clean(&part.shown, 120)),
    };
    let reason = if part.by == "reason" { String::new() } else { format!(" ({})", cause.reason) };
    format!("{what}{reason}, {}", shown_percent(part.share))
}

fn messages(told: &Told, places: &[usize]) -> Vec<String> {
    let shown = &places[..places.len().min(MOST_LINES)];
    let rows: Vec<Vec<String>> =
        shown.iter().map(|&place| message_row(&told.messages[place])).collect();
    let mut lines: Vec<String> = table(&rows).into_iter().map(|line| format!("  {line}")).collect();
    lines.extend(more(places.len()));
    lines
}

fn message_row(message: &ToldMessage) -> Vec<String> {
    let alerts: Vec<String> = message.alerts.iter().map(usize::to_string).collect();
    vec![
        written(message.at),
        message.receiver.clone(),
        message.reason.as_str().to_owned(),
        format!("of alert {}", alerts.join(", ")),
    ]
}

fn more(count: usize) -> Option<String> {
    let more = count.saturating_sub(MOST_LINES);
    (more > 0).then(|| format!("  and {more} more (--json has them all)"))
}

/// Messages of each day and receiver.
fn per_day(summary: &Summary) -> Vec<String> {
    if summary.messages.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![vec!["a day".to_owned()]];
    rows[0].extend(summary.messages.keys().cloned());
    let days = summary.messages.values().map(Vec::len).max().unwrap_or(0);
    let date = |day: usize| {
        let at = Timestamp(summary.span.0.0.div_euclid(86_400) * 86_400 + day as i64 * 86_400);
        written(at)[..10].to_owned()
    };
    for day in 0..days {
        let mut row = vec![date(day)];
        row.extend(summary.messages.values().map(|of| of[day].to_string()));
        rows.push(row);
    }
    let mut total = vec!["all".to_owned()];
    total.extend(summary.messages.values().map(|of| of.iter().sum::<usize>().to_string()));
    rows.push(total);
    let lines = table(&rows).into_iter().map(|line| format!("  {line}"));
    std::iter::once(String::new()).chain(lines).collect()
}

fn compared(one: &Played, other: &Played, difference: &Difference, paint: Paint) -> Vec<String> {
    let mut lines =
        vec![String::new(), paint.green(&format!("{} against {}", one.file, other.file))];
    let mut rows = vec![vec![String::new(), one.file.clone(), other.file.clone()]];
    let mut row = |what: &str, of: &dyn Fn(&Played) -> usize| {
        rows.push(vec![what.to_owned(), of(one).to_string(), of(other).to_string()]);
    };
    row("alerts", &|of| of.told.alerts.len());
    row("critical", &|of| count(of, |alert| alert.severity == Severity::Critical));
    row("messages", &|of| of.told.messages.len());
    let receivers: BTreeMap<&String, ()> = one
        .summary
        .messages
        .keys()
        .chain(other.summary.messages.keys())
        .map(|to| (to, ()))
        .collect();
    for receiver in receivers.into_keys() {
        row(&format!("  to {receiver}"), &|of| {
            of.summary.messages.get(receiver).map_or(0, |days| days.iter().sum())
        });
    }
    lines.extend(table(&rows).into_iter().map(|line| format!("  {line}")));
    if difference.is_empty() {
        lines.push("  They tell the same, at the same times.".to_owned());
    }
    let mut part = |title: String, of: Vec<String>| {
        if !of.is_empty() {
            lines.push(String::new());
            lines.push(title);
            lines.extend(of);
        }
    };
    part(format!("Alerts only by {}", one.file), alerts(&one.told, &difference.only_this, paint));
    part(
        format!("Alerts only by {}", other.file),
        alerts(&other.told, &difference.only_other, paint),
    );
    let changed = |of: fn(&super::compare::Change) -> usize| -> Vec<usize> {
        difference.changed.iter().map(of).collect()
    };
    part(
        format!("Alerts by both, as {} tells them", one.file),
        alerts(&one.told, &changed(|c| c.this), paint),
    );
    part(
        format!("… and as {} does", other.file),
        alerts(&other.told, &changed(|c| c.other), paint),
    );
    part(
        format!("Messages only by {}", one.file),
        messages(&one.told, &difference.messages_only_this),
    );
    part(
        format!("Messages only by {}", other.file),
        messages(&other.told, &difference.messages_only_other),
    );
    lines
}

fn count(played: &Played, is_counted: impl Fn(&&ToldAlert) -> bool) -> usize {
    played.told.alerts.iter().filter(is_counted).count()
}
