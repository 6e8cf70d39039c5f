//! `90s`, `15m`, `2h`, `3d`: read and written.

use std::time::Duration;

use super::yaml::shorten;

const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

/// Reads `10s`, `5m`, `2h` or `3d`; else what is wrong with it, and what to write.
pub fn parse_duration(text: &str) -> Result<Duration, (String, String)> {
    let text = text.trim();
    let digits = text.chars().take_while(char::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let seconds = match unit.trim() {
        _ if number.is_empty() => {
            return Err((
                "is no duration".into(),
                "write a duration, as in `10s`, `5m`, `2h`, `3d`".into(),
            ));
        }
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        // Nothing is nothing in every unit.
        "" if number.bytes().all(|digit| digit == b'0') => 0,
        "" => {
            let number = shorten(number);
            return Err(("has no unit".into(), format!("write `{number}s` or `{number}m`")));
        }
        _ => {
            let hint = "write one whole number and a unit: `s`, `m`, `h` or `d`, as in `90m`";
            return Err(("is no duration".into(), hint.into()));
        }
    };
    number
        .parse::<u64>()
        .ok()
        .and_then(|number| number.checked_mul(seconds))
        .map(Duration::from_secs)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| ("is too long".into(), "write `3650d` at most".into()))
}

/// `90s`, `15m`, `2h`, `3d`: the largest unit that leaves no rest.
pub fn write_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".into(),
        _ if seconds.is_multiple_of(86_400) => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = match parse_duration(text) {
            Ok(duration) => write_duration(duration),
            Err((why, hint)) => format!("{why}; {hint}"),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn a_duration_has_one_number_and_one_unit() {
        check("10s", "10s");
        check("90m", "90m");
        check("120m", "2h");
        check("72h", "3d");
        check("0s", "0s");
        check("0", "0s");
        check("5", "has no unit; write `5s` or `5m`");
        check("", "is no duration; write a duration, as in `10s`, `5m`, `2h`, `3d`");
        check("-5s", "is no duration; write a duration, as in `10s`, `5m`, `2h`, `3d`");
        let one =
            "is no duration; write one whole number and a unit: `s`, `m`, `h` or `d`, as in `90m`";
        check("1h30m", one);
        check("1.5h", one);
        check("500ms", one);
        check("4000d", "is too long; write `3650d` at most");
        check("99999999999999999999d", "is too long; write `3650d` at most");
    }
}
