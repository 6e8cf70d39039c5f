//! A replay as one page that needs nothing else: failures over time, the alerts on
//! the same axis, and both as tables.

use std::time::Duration;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::{cause, who};
use super::{CANNOT_SHOW, Played};
use crate::cli::past::{Past, written};
use crate::domain::alert::shown::shown_duration;
use crate::domain::time::Timestamp;
use crate::replay::ToldAlert;

const STYLE: &str = include_str!("page.css");

/// Columns of the chart.
const BUCKETS: usize = 280;
const WIDTH: f64 = 1120.0;
/// Left of it stand the numbers.
const LEFT: f64 = 48.0;
const HEIGHT: f64 = 180.0;
const LANE: f64 = 20.0;
/// Alerts that are drawn; the table has them all.
const MOST_LANES: usize = 60;

pub fn page(played: &Played, past: &Past) -> String {
    let summary = &played.summary;
    let (from, to) = summary.span;
    let title = format!("{} over {}", played.file, past.name);
    let waits = summary.waits();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "postwatch: " (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p.span { (written(from)) " to " (written(to)) " UTC" }
                div.tiles {
                    (tile(&played.told.alerts.len().to_string(), "alerts"))
                    (tile(&played.told.messages.len().to_string(), "messages"))
                    (tile(&summary.deliveries.all.to_string(), "deliveries"))
                    (tile(&summary.deliveries.failed.to_string(), "failed at least once"))
                    @if let Some((median, worst)) = waits {
                        (tile(&shown_duration(median), "first failure to first message, median"))
                        (tile(&shown_duration(worst), "the longest"))
                    }
                }
                (chart(played, past))
                (alerts(played))
                (messages(played))
                h2 { "What a history cannot show" }
                ul { @for line in CANNOT_SHOW { li { (line) } } }
            }
        }
    };
    page.into_string()
}

fn tile(number: &str, what: &str) -> Markup {
    html! { div.tile { b { (number) } span { (what) } } }
}

/// The axis of the time.
struct Axis {
    from: Timestamp,
    to: Timestamp,
}

impl Axis {
    fn x(&self, at: Timestamp) -> f64 {
        let all = self.to.since(self.from).as_secs_f64().max(1.0);
        let share = at.since(self.from).as_secs_f64() / all;
        LEFT + share.min(1.0) * (WIDTH - LEFT)
    }

    /// About eight round moments.
    fn ticks(&self) -> Vec<Timestamp> {
        const STEPS: [u64; 12] = [
            60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000,
        ];
        let all = self.to.since(self.from).as_secs();
        let step = STEPS.into_iter().find(|step| all / step <= 8).unwrap_or(all.max(1) / 8);
        let step = Duration::from_secs(step);
        let mut ticks = Vec::new();
        let mut at = self.from.floor_to(step) + step;
        while at < self.to {
            ticks.push(at);
            at = at + step;
        }
        ticks
    }

    fn label(&self, at: Timestamp) -> String {
        let text = written(at);
        let is_midnight = at.0.rem_euclid(86_400) == 0;
        if is_midnight { text[5..10].to_owned() } else { text[11..16].to_owned() }
    }
}

fn chart(played: &Played, past: &Past) -> Markup {
    let (from, to) = played.summary.span;
    let axis = Axis { from, to };
    let mut buckets = vec![0u32; BUCKETS];
    let all = to.since(from).as_secs_f64().max(1.0);
    for at in past.history.failed_at() {
        let place = (at.since(from).as_secs_f64() / all * BUCKETS as f64) as usize;
        buckets[place.min(BUCKETS - 1)] += 1;
    }
    let most = buckets.iter().copied().max().unwrap_or(0).max(1);
    let shown = &played.told.alerts[..played.told.alerts.len().min(MOST_LANES)];
    let lanes = HEIGHT + 34.0;
    let height = lanes + LANE * shown.len() as f64 + 8.0;
    let width = (WIDTH - LEFT) / BUCKETS as f64;
    let each = shown_duration(Duration::from_secs_f64(all / BUCKETS as f64));
    html! {
        h2 { "Failures over time" small { "one bar each " (each) "; below, what would have fired" } }
        div.chart {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label="Failures over time, and the alerts" {
                @for part in [0.0, 0.5, 1.0] {
                    @let y = HEIGHT - part * (HEIGHT - 10.0);
                    line.grid x1=(LEFT) x2=(WIDTH) y1=(y) y2=(y) {}
                    text.count x=(LEFT - 6.0) y=(y + 4.0) { ((f64::from(most) * part).round()) }
                }
                @for at in axis.ticks() {
                    @let x = axis.x(at);
                    line.grid x1=(x) x2=(x) y1="0" y2=(height) {}
                    text.time x=(x) y=(HEIGHT + 18.0) { (axis.label(at)) }
                }
                @for (place, &count) in buckets.iter().enumerate().filter(|(_, count)| **count > 0) {
                    @let tall = f64::from(count) / f64::from(most) * (HEIGHT - 10.0);
                    rect.failures x=(two(LEFT + place as f64 * width)) y=(two(HEIGHT - tall))
                        width=(two(width * 0.86)) height=(two(tall)) {}
                }
                @for (lane, alert) in shown.iter().enumerate() {
                    (bar(alert, lanes + lane as f64 * LANE, &axis))
                }
            }
            @if played.told.alerts.len() > MOST_LANES {
                p { "The first " (MOST_LANES) " alerts are drawn; the table has all." }
            }
        }
    }
}

fn bar(alert: &ToldAlert, y: f64, axis: &Axis) -> Markup {
    let end = alert.resolved_at.unwrap_or(axis.to);
    let (began, fired) = (axis.x(alert.began_at), axis.x(alert.fired_at));
    let ended = axis.x(end).max(fired + 3.0);
    let text = format!("{} {}", alert.rule, who(alert));
    // Beside the bar, on the side that has room.
    let is_left = ended > WIDTH * 0.62;
    let (x, class) = if is_left { (began - 6.0, "name left") } else { (ended + 6.0, "name") };
    let open = if alert.resolved_at.is_none() { " open" } else { "" };
    html! {
        g {
            title { (text) ", fired " (written(alert.fired_at)) }
            rect.pending x=(two(began)) y=(two(y + 6.0)) width=(two((fired - began).max(0.0))) height="4" {}
            rect class=(format!("alert {}{open}", alert.severity)) x=(two(fired)) y=(two(y + 2.0))
                width=(two(ended - fired)) height="12" rx="2" {}
            text class=(class) x=(two(x)) y=(two(y + 12.0)) { (text) }
        }
    }
}

/// Enough digits for a drawing.
fn two(number: f64) -> String {
    format!("{number:.2}")
}

fn alerts(played: &Played) -> Markup {
    html! {
        h2 { "Alerts" }
        @if played.told.alerts.is_empty() { p { "None." } } @else {
            div.scroll { table {
                thead { tr {
                    th { "#" } th { "fired (UTC)" } th { "lasted" } th { "severity" } th { "rule" }
                    th { "who" } th { "cause" } th { "value" }
                } }
                tbody {
                    @for (place, alert) in played.told.alerts.iter().enumerate() {
                        tr {
                            td { (place) }
                            td { (written(alert.fired_at)) }
                            td { (lasted(alert)) }
                            td { span class=(format!("badge {}", alert.severity)) { (alert.severity) } }
                            td { (alert.rule) }
                            td { (who(alert)) }
                            td { @if let Some(of) = &alert.cause { (cause(of)) } }
                            td.number { @if let Some(value) = alert.value { (shown_value(value)) } }
                        }
                    }
                }
            } }
        }
    }
}

fn shown_value(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value}") } else { format!("{value:.3}") }
}

fn lasted(alert: &ToldAlert) -> String {
    match (alert.resolved_at, alert.ended_word()) {
        (Some(at), Some("resolved")) => shown_duration(at.since(alert.fired_at)),
        (Some(at), Some(how)) => format!("{} ({how})", shown_duration(at.since(alert.fired_at))),
        _ => "to the end".to_owned(),
    }
}

fn messages(played: &Played) -> Markup {
    html! {
        h2 { "Messages" }
        @if played.told.messages.is_empty() { p { "None." } } @else {
            div.scroll { table {
                thead { tr { th { "at (UTC)" } th { "to" } th { "why" } th { "alerts" } } }
                tbody {
                    @for message in &played.told.messages {
                        tr {
                            td { (written(message.at)) }
                            td { (message.receiver) }
                            td { (message.reason.as_str()) }
                            td { (message.alerts.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")) }
                        }
                    }
                }
            } }
        }
    }
}
