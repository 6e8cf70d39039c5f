//! Who hears of alerts, and what holds messages back, in words. No address and no secret of
//! a receiver is known here.

use jiff::civil::Weekday;
use maud::{Markup, html};

use crate::domain::alert::shown::shown_duration;
use crate::domain::policy::{DaySpan, Inhibition, Matches, Mute, Policy, Route};
use crate::domain::rules::Glob;
use crate::web::page::Look;
use crate::web::page::words::name;

/// Receivers, and the routes that lead to them.
pub fn receivers(look: &Look<'_>) -> Markup {
    let several = look.policy.routes.len() > 1;
    html! {
        h3 { "Receivers" }
        @if look.receivers.is_empty() { p.none { "There is none: nobody is told." } }
        @else {
            ul.labels {
                @for (receiver, kind) in look.receivers {
                    li { (name(receiver)) " " span { (kind) } }
                }
            }
        }
        @if !look.policy.routes.is_empty() {
            h3 { "Routes" }
            @if several { p.none { "The first that matches takes an alert." } }
            ol { @for route in &look.policy.routes { li { (name(&route_(route))) } } }
        }
    }
}

/// Inhibitions and mutes.
pub fn held_back(policy: &Policy) -> Markup {
    html! {
        @if !policy.inhibitions.is_empty() {
            details data-key="inhibitions" {
                summary { "What explains others is told alone: " (policy.inhibitions.len()) " inhibitions" }
                ul { @for one in &policy.inhibitions { li { (name(&inhibition(one))) } } }
            }
        }
        @if !policy.mutes.is_empty() {
            h3 { "Mutes" }
            ul { @for one in &policy.mutes { li { (name(&mute(one))) } } }
        }
    }
}

fn route_(route: &Route) -> String {
    let timing = &route.timing;
    let fallback = match route.fallback.is_empty() {
        true => String::new(),
        false => format!(", else to {}", route.fallback.join(", ")),
    };
    let goes_on = if route.continue_ { "; the next ones are asked too" } else { "" };
    format!(
        "{} go to {}{fallback}; gathered by {}, the first message after {}, changes not closer \
         than {}, reminders every {}, times in {}{goes_on}",
        alerts_with(&route.matches),
        route.to.join(", "),
        timing.batch_by.join(", "),
        shown_duration(timing.batch_wait),
        shown_duration(timing.min_gap),
        shown_duration(timing.remind_every),
        timing.timezone,
    )
}

fn inhibition(one: &Inhibition) -> String {
    let equal = match one.equal.is_empty() {
        true => String::new(),
        false => format!(" with the same {}", one.equal.join(" and ")),
    };
    let (when, mute) = (alerts_with(&one.when), alerts_with(&one.mute));
    format!("while {when} stand, {mute}{equal} are not told")
}

fn mute(mute: &Mute) -> String {
    let days: Vec<&str> = mute.days.iter().copied().map(day).collect();
    let times: Vec<String> = mute.times.iter().map(times).collect();
    let days = if days.is_empty() { "every day".to_owned() } else { days.join(", ") };
    let times = if times.is_empty() { "the whole day".to_owned() } else { times.join(", ") };
    let zone = mute.timezone.iana_name().unwrap_or("UTC");
    let alerts = alerts_with(&mute.matches);
    format!("{}: {days}, {times} ({zone}): {alerts} are not told", mute.name)
}

fn times(span: &DaySpan) -> String {
    let clock = |minute: u16| format!("{:02}:{:02}", minute / 60, minute % 60);
    format!("{} to {}", clock(span.from), clock(span.to))
}

fn day(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

fn alerts_with(matches: &Matches) -> String {
    let one: Vec<String> = matches.iter().map(|(label, globs)| label_is(label, globs)).collect();
    match one.is_empty() {
        true => "all alerts".to_owned(),
        false => format!("alerts with {}", one.join(" and ")),
    }
}

/// `reason http_5* or timeout`.
pub fn label_is(label: &str, globs: &[Glob]) -> String {
    let globs: Vec<&str> = globs.iter().map(|glob| glob.0.as_str()).collect();
    format!("{label} {}", globs.join(" or "))
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::*;

    fn matches(label: &str, globs: &[&str]) -> Matches {
        [(label.to_owned(), globs.iter().map(|glob| Glob((*glob).to_owned())).collect())].into()
    }

    #[test]
    fn what_holds_messages_back_is_said_in_a_sentence() {
        let one = Inhibition {
            when: matches("rule", &["host-down"]),
            mute: matches("rule", &["*-failing", "stuck"]),
            equal: vec!["source".to_owned(), "host".to_owned()],
        };
        assert_eq!(
            inhibition(&one),
            "while alerts with rule host-down stand, alerts with rule *-failing or stuck with \
             the same source and host are not told"
        );
        let nightly = Mute {
            name: "nights".to_owned(),
            days: vec![Weekday::Friday],
            times: vec![DaySpan { from: 22 * 60, to: 6 * 60 + 30 }],
            timezone: TimeZone::UTC,
            matches: Matches::new(),
        };
        let said = "nights: Friday, 22:00 to 06:30 (UTC): all alerts are not told";
        assert_eq!(mute(&nightly), said);
    }
}
