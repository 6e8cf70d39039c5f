//! Durations as people write them in a scenario: `10s`, `5m`, `2h`, `3d`.

use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// A duration that is written with its unit.
struct Written(Duration);

impl<'de> Deserialize<'de> for Written {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Written, D::Error> {
        let text = String::deserialize(input)?;
        parse(&text).map(Written).ok_or_else(|| {
            serde::de::Error::custom(format!(
                "`{text}` is no duration; write `10s`, `5m`, `2h` or `3d`"
            ))
        })
    }
}

fn parse(text: &str) -> Option<Duration> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (count, unit) = text.split_at(unit_at);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.parse::<u64>().ok()?.checked_mul(seconds)?))
}

/// Reads one duration.
pub(super) fn one<'de, D: Deserializer<'de>>(input: D) -> Result<Duration, D::Error> {
    Written::deserialize(input).map(|written| written.0)
}

/// Reads a duration that may be left out or `null`.
pub(super) fn maybe<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Duration>, D::Error> {
    Option::<Written>::deserialize(input).map(|written| written.map(|written| written.0))
}

/// Reads a list of durations.
pub(super) fn list<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Duration>, D::Error> {
    Vec::<Written>::deserialize(input).map(|all| all.into_iter().map(|one| one.0).collect())
}
