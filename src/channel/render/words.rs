//! Names, spans and moments as people read them, with everything taken out
//! that could break a line, a header or the direction of the text.

use std::time::Duration;

use jiff::tz::TimeZone;

use crate::domain::time::Timestamp;

/// `text` on one line, without control and direction marks, of at most `max`
/// characters: names come from strangers.
pub fn clean(text: &str, max: usize) -> String {
    let mut cleaned = String::new();
    let mut length = 0;
    let mut gap = false;
    // Only as much is read as can be shown: a name may have megabytes.
    for c in text.chars().take(max.saturating_mul(4)) {
        if is_direction_mark(c) {
            continue;
        }
        if c.is_whitespace() || c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') {
            gap = !cleaned.is_empty();
            continue;
        }
        if length + usize::from(gap) + 1 > max {
            return clipped(cleaned);
        }
        if std::mem::take(&mut gap) {
            cleaned.push(' ');
            length += 1;
        }
        cleaned.push(c);
        length += 1;
    }
    cleaned
}

/// The last character gives way to an ellipsis.
fn clipped(mut text: String) -> String {
    text.pop();
    text.truncate(text.trim_end().len());
    text.push('…');
    text
}

/// Marks that turn the reading direction, or hide: a name must not be able to
/// rewrite the sentence around it.
pub fn is_direction_mark(c: char) -> bool {
    matches!(c,
        '\u{061C}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{E0000}'..='\u{E007F}')
}

/// `40 s`, `25 min`, `3 h 20 min`, `2 d 4 h`: at most two units.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |big: u64, unit: &str, small: u64, sub: &str| match small {
        0 => format!("{big} {unit}"),
        small => format!("{big} {unit} {small} {sub}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// The zone in which a message writes its times.
pub struct Zone(TimeZone);

impl Zone {
    /// UTC where this machine does not know `name`: a message goes out in any case.
    pub fn named(name: &str) -> Zone {
        Zone(TimeZone::get(name).unwrap_or(TimeZone::UTC))
    }

    /// `2026-03-01 03:12 CET`.
    pub fn minute(&self, at: Timestamp) -> String {
        self.written(at, "%Y-%m-%d %H:%M %Z")
    }

    /// `03:12 CET`.
    pub fn clock(&self, at: Timestamp) -> String {
        self.written(at, "%H:%M %Z")
    }

    /// `2026-03-01 03:12:07 CET`.
    pub fn second(&self, at: Timestamp) -> String {
        self.written(at, "%Y-%m-%d %H:%M:%S %Z")
    }

    fn written(&self, at: Timestamp, format: &str) -> String {
        match jiff::Timestamp::from_second(at.0) {
            Ok(moment) => moment.to_zoned(self.0.clone()).strftime(format).to_string(),
            Err(_) => at.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_name_cannot_leave_its_line_or_turn_it() {
        let check = |text: &str, max, expected: &str| assert_eq!(clean(text, max), expected);
        check("Acme\r\nBcc: all@example.com", 40, "Acme Bcc: all@example.com");
        check("\u{202E}evil\u{2066}", 40, "evil");
        check("  a \t\u{2028} b  ", 40, "a b");
        check("żółćżółć", 5, "żółć…");
        check("abcde", 5, "abcde");
        check(&"x".repeat(10_000), 4, "xxx…");
        check("\0\u{7}", 4, "");
    }

    proptest! {
        #[test]
        fn any_text_becomes_a_short_line(text in ".*", max in 1..40_usize) {
            let line = clean(&text, max);
            prop_assert!(line.chars().count() <= max);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_direction_mark(c)));
            prop_assert_eq!(clean(&line, max), line);
        }
    }

    #[test]
    fn a_span_has_at_most_two_units() {
        let check = |seconds, expected: &str| {
            assert_eq!(span(Duration::from_secs(seconds)), expected);
        };
        check(0, "0 s");
        check(1500, "25 min");
        check(3600, "1 h");
        check(12_000, "3 h 20 min");
        check(187_300, "2 d 4 h");
    }

    #[test]
    fn times_are_written_in_the_notices_zone() {
        let at = Timestamp(1_772_330_400);
        assert_eq!(Zone::named("Europe/Berlin").minute(at), "2026-03-01 03:00 CET");
        assert_eq!(Zone::named("Mars/Olympus").minute(at), "2026-03-01 02:00 UTC");
    }
}
