//! `">= 20%"` → a condition on a measure, in the measure's own unit.

use crate::domain::rules::{Condition, Measure, Op, Threshold, Unit};

use super::duration::parse_duration;
use super::names;

/// What is wrong, and what to write instead.
pub type Wrong = (String, String);

/// A window that differs from the one before by more was hardly measured.
const MOST_TIMES: f64 = 10_000.0;

/// The longer operators first: `>` begins `>=`.
const OPS: [(&str, Op); 6] =
    [(">=", Op::Ge), ("<=", Op::Le), ("==", Op::Eq), ("!=", Op::Ne), (">", Op::Gt), ("<", Op::Lt)];

/// The measure of this name.
pub fn measure(name: &str) -> Option<Measure> {
    Measure::ALL.into_iter().find(|measure| measure.as_str() == name)
}

/// What a name that is no measure was meant to be.
pub fn suggest_measure(name: &str) -> String {
    let known: Vec<&str> = Measure::ALL.iter().map(|measure| measure.as_str()).collect();
    names::suggest(name, &known)
}

/// Reads a comparison; without an operator `>=`.
pub fn parse(measure: Measure, text: &str) -> Result<Condition, Wrong> {
    let (op, number) = operator(text.trim())?;
    if number.contains("previous") {
        let threshold = Threshold::TimesPrevious(times_previous(measure, op, number)?);
        return Ok(Condition { measure, op, threshold });
    }
    let number = match measure.unit() {
        Unit::Count => count(number),
        Unit::Share => share(number),
        Unit::Seconds => parse_duration(number)
            .map(|duration| duration.as_secs() as f64)
            .map_err(|(_, hint)| ("is no duration".into(), hint)),
    }?;
    Ok(Condition { measure, op, threshold: Threshold::Number(number) })
}

/// `3 x previous`: the same measure in the window before.
fn times_previous(measure: Measure, op: Op, text: &str) -> Result<f64, Wrong> {
    if !measure.is_windowed() {
        let why = "has no window before: the measure is as it is now";
        return Err((why.into(), "compare with a number, or use `failures`, say".into()));
    }
    let written = text.strip_suffix("previous").and_then(|rest| rest.trim_end().strip_suffix('x'));
    let times = written.and_then(|times| times.trim_end().parse::<f64>().ok());
    match times {
        Some(times) if times > 0.0 && times <= MOST_TIMES => Ok(times),
        Some(_) => {
            let hint = format!("write a number above 0, and {MOST_TIMES} at most");
            Err(("is no multiple of the window before".into(), hint))
        }
        None => {
            let digits: String = text.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
            let times = digits.parse::<f64>().ok().filter(|times| *times > 0.0).unwrap_or(3.0);
            let times = if text.contains('%') { times / 100.0 } else { times };
            let hint = format!("write `\"{} {times} x previous\"`", op.as_str());
            Err(("is no multiple of the window before".into(), hint))
        }
    }
}

fn operator(text: &str) -> Result<(Op, &str), Wrong> {
    if let Some((sign, op)) = OPS.iter().find(|(sign, _)| text.starts_with(sign)) {
        return Ok((*op, text[sign.len()..].trim()));
    }
    let meant = match text.chars().next() {
        Some('≥') => ">=",
        Some('≤') => "<=",
        Some('≠') => "!=",
        Some('=') if text.starts_with("=>") => ">=",
        Some('=') if text.starts_with("=<") => "<=",
        Some('=') => "==",
        Some(_) | None => return Ok((Op::Ge, text)),
    };
    Err(("begins with no operator".into(), format!("write `{meant}`")))
}

fn count(number: &str) -> Result<f64, Wrong> {
    let wrong = |hint: &str| Err(("is no count".into(), hint.into()));
    if let Some(number) = number.strip_suffix('%') {
        return wrong(&format!(
            "write a whole number, as in \">= 5\"; `{number}%` is for `failure_rate`"
        ));
    }
    match number.parse::<u64>() {
        Ok(count) if count <= 1_000_000_000 => Ok(count as f64),
        Ok(_) => wrong("write 1000000000 at most"),
        Err(_) => wrong("write a whole number, as in \">= 5\""),
    }
}

fn share(number: &str) -> Result<f64, Wrong> {
    let wrong = |hint: String| Err(("is no percentage".into(), hint));
    let Some(percent) = number.strip_suffix('%') else {
        return match number.parse::<f64>() {
            Ok(bare) if bare > 0.0 && bare < 1.0 => {
                wrong(format!("write `{}%`", (bare * 1e6).round() / 1e4))
            }
            Ok(bare) if (0.0..=100.0).contains(&bare) => wrong(format!("write `{bare}%`")),
            Ok(_) | Err(_) => wrong("write a percentage, as in \">= 20%\"".into()),
        };
    };
    match percent.trim().parse::<f64>() {
        Ok(percent) if (0.0..=100.0).contains(&percent) => Ok(percent / 100.0),
        Ok(_) | Err(_) => wrong("write a percentage from `0%` to `100%`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(measure: Measure, text: &str, expected: &str) {
        let found = match parse(measure, text) {
            Ok(condition) => match condition.threshold {
                Threshold::Number(number) => format!("{} {number}", condition.op.as_str()),
                Threshold::TimesPrevious(times) => {
                    format!("{} {times} times", condition.op.as_str())
                }
            },
            Err((why, hint)) => format!("{why}; {hint}"),
        };
        assert_eq!(found, expected, "{text}");
    }

    #[test]
    fn every_operator_and_unit_is_read() {
        check(Measure::Failures, "5", ">= 5");
        check(Measure::Failures, ">=5", ">= 5");
        check(Measure::Failures, " >  5 ", "> 5");
        check(Measure::Failures, "!= 0", "!= 0");
        check(Measure::Failures, "== 3", "== 3");
        check(Measure::Failures, "< 3", "< 3");
        check(Measure::FailureRate, "<= 12.5%", "<= 0.125");
        check(Measure::OldestOpen, "> 10m", "> 600");
    }

    #[test]
    fn a_unit_that_does_not_fit_says_which_would() {
        check(Measure::FailureRate, "20", "is no percentage; write `20%`");
        check(Measure::FailureRate, ">= 0.2", "is no percentage; write `20%`");
        check(
            Measure::FailureRate,
            "120%",
            "is no percentage; write a percentage from `0%` to `100%`",
        );
        check(
            Measure::Failures,
            ">= 5%",
            "is no count; write a whole number, as in \">= 5\"; `5%` is for `failure_rate`",
        );
        check(Measure::Failures, "-1", "is no count; write a whole number, as in \">= 5\"");
        check(Measure::OldestOpen, "10", "is no duration; write `10s` or `10m`");
        check(Measure::Open, "=> 3", "begins with no operator; write `>=`");
    }

    #[test]
    fn the_window_before_is_compared_with() {
        check(Measure::Failures, "> 3 x previous", "> 3 times");
        check(Measure::Deliveries, "< 0.5 x previous", "< 0.5 times");
        check(Measure::FailureRate, "2.5x previous", ">= 2.5 times");
        let wrong = |text: &str, hint: &str| {
            let told = format!("is no multiple of the window before; write {hint}");
            check(Measure::Failures, text, &told);
        };
        wrong("> previous", "`\"> 3 x previous\"`");
        wrong("> 4 previous", "`\"> 4 x previous\"`");
        wrong("> 2.5 * previous", "`\"> 2.5 x previous\"`");
        wrong(">= 300% x previous", "`\">= 3 x previous\"`");
        wrong("previous x 3", "`\">= 3 x previous\"`");
        wrong("0 x previous", "a number above 0, and 10000 at most");
        wrong("-2 x previous", "a number above 0, and 10000 at most");
        check(
            Measure::Open,
            "3 x previous",
            "has no window before: the measure is as it is now; \
             compare with a number, or use `failures`, say",
        );
    }
}
