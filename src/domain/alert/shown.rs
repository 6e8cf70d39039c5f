//! Values as messages write them.

use std::time::Duration;

use crate::domain::rules::{Condition, Measure, Threshold, Unit};
use crate::domain::window::streak::Bounds;

/// A value as messages write it: `12`, `83 %`, `1h 5m`; `unknown` where it has none.
pub fn shown(measure: Measure, value: Option<Bounds>) -> String {
    match value {
        None => "unknown".to_owned(),
        Some(Bounds { least, most }) if least == most => shown_value(measure.unit(), least),
        Some(Bounds { least, .. }) => {
            format!("at least {}", shown_value(measure.unit(), least))
        }
    }
}

/// `>= 20 %`; `> 3 x previous (4)`, which says what the window before held.
pub fn shown_threshold(condition: &Condition, previous: Option<f64>) -> String {
    let (op, unit) = (condition.op.as_str(), condition.measure.unit());
    match (condition.threshold, previous) {
        (Threshold::Number(number), _) => format!("{op} {}", shown_value(unit, number)),
        (Threshold::TimesPrevious(times), Some(previous)) => {
            format!("{op} {times} x previous ({})", shown_value(unit, previous))
        }
        (Threshold::TimesPrevious(times), None) => format!("{op} {times} x previous"),
    }
}

pub fn shown_value(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Count => format!("{value}"),
        Unit::Share => shown_percent(value),
        Unit::Seconds => shown_duration(Duration::from_secs(value as u64)),
    }
}

/// `83 %`; one decimal below 10 %.
pub fn shown_percent(share: f64) -> String {
    let percent = share * 100.0;
    match percent < 10.0 && percent.fract().abs() > 0.05 {
        true => format!("{percent:.1} %"),
        false => format!("{percent:.0} %"),
    }
}

/// `40 s`, `12 min`, `3 h 20 min`, `2 d 4 h`.
pub fn shown_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let two = |major: u64, word: &str, minor: u64, small: &str| match minor {
        0 => format!("{major} {word}"),
        minor => format!("{major} {word} {minor} {small}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => two(seconds / 60, "min", 0, ""),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        86_400.. => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_as_people_write_them() {
        let cases = [(0.83, "83 %"), (0.025, "2.5 %"), (0.02, "2 %"), (1.0, "100 %")];
        for (share, expected) in cases {
            assert_eq!(shown_percent(share), expected);
        }
        let cases = [
            (40, "40 s"),
            (720, "12 min"),
            (3_600, "1 h"),
            (12_000, "3 h 20 min"),
            (187_200, "2 d 4 h"),
        ];
        for (seconds, expected) in cases {
            assert_eq!(shown_duration(Duration::from_secs(seconds)), expected);
        }
    }
}
