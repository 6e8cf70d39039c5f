//! How the page says moments, counts and names.

use std::time::Duration;

use maud::{Markup, html};

use crate::domain::alert::shown::shown_duration;
use crate::domain::facts::Facts;
use crate::domain::time::Timestamp;

/// `2026-03-01 12:00:07 UTC`.
pub fn moment(at: Timestamp) -> Markup {
    let shown = match jiff::Timestamp::from_second(at.0) {
        Ok(moment) => moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => at.to_string(),
    };
    html! { time datetime=(at) { (shown) } }
}

/// `12:00 UTC`.
pub fn clock(at: Timestamp) -> String {
    match jiff::Timestamp::from_second(at.0) {
        Ok(moment) => moment.strftime("%H:%M UTC").to_string(),
        Err(_) => at.to_string(),
    }
}

/// `1 Mar 12:00 UTC`.
pub fn day_and_clock(at: Timestamp) -> String {
    match jiff::Timestamp::from_second(at.0) {
        Ok(moment) => moment.strftime("%-d %b %H:%M UTC").to_string(),
        Err(_) => at.to_string(),
    }
}

/// A table that may be wider than a phone: it scrolls by itself, with the keyboard too.
pub fn scroll(what: &str, table: &Markup) -> Markup {
    html! { div.scroll role="group" aria-label=(what) tabindex="0" { (table) } }
}

/// `34 s ago (2026-03-01 12:00:07 UTC)`, the moment in small.
pub fn ago(now: Timestamp, at: Timestamp) -> Markup {
    html! { (age(now.since(at))) " ago " span.moment { (moment(at)) } }
}

/// `40 s`, `3 h 20 min`: kept on one line.
pub fn age(duration: Duration) -> String {
    shown_duration(duration).replace(' ', "\u{a0}")
}

/// `1 alert`, `1,204 alerts`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// Thousands apart: `1,204`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// A stranger's text: what it says about the direction of reading ends with it.
pub fn name(text: &str) -> Markup {
    html! { bdi { (text) } }
}

/// A label's value with its name where it has one.
pub fn label_value(facts: Option<&Facts>, label: &str, value: &str) -> String {
    match (facts, label, value.parse()) {
        (Some(facts), "affiliate", Ok(id)) => facts.affiliate_text(id),
        (Some(facts), "offer", Ok(id)) => facts.offer_text(id),
        _ => value.to_owned(),
    }
}

/// `part` of `whole` as a bar; the text beside it says the same.
pub fn bar(part: f64, whole: f64) -> Markup {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    html! {
        svg.bar aria-hidden="true" viewBox="0 0 100 3" preserveAspectRatio="none" {
            rect width=(format!("{:.0}", share * 100.0)) height="3" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_stand_apart() {
        let check = |n, expected: &str| assert_eq!(number(n), expected);
        check(0, "0");
        check(999, "999");
        check(1_204, "1,204");
        check(12_345_678, "12,345,678");
    }
}
