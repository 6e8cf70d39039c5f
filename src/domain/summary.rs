//! The headline of an alert, written by the rule's own template. A template that
//! fails returns why; whoever asked then uses the built-in text.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::tz::TimeZone;
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior, value::Value};
use serde::{Deserialize, Serialize};

use super::alert::shown::{shown, shown_duration, shown_percent};
use super::rules::{Label, Measure, Rule};
use super::time::Timestamp;
use super::window::streak::Bounds;

/// A longer template is refused: deep nesting in one would exhaust the stack.
pub const MAX_TEMPLATE: usize = 2_000;
const MAX_TEXT: usize = 1_000;
/// What a template may do before it is stopped; a headline needs a few dozen.
const FUEL: u64 = 10_000;

/// A label that has no single value in the group.
const SEVERAL: &str = "several";
/// A measure without a value.
const UNKNOWN: &str = "unknown";

/// Names that a template has besides labels and measures.
pub const RESERVED: [&str; 8] =
    ["rule", "severity", "values", "began_at", "fired_at", "percent", "duration", "time"];

/// What a template may tell of an alert, as of the moment at which it fired.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Vars {
    /// Labels and measures as people read them: `Acme Media (7)`, `83 %`.
    pub texts: BTreeMap<String, String>,
    /// Measures as rules compare them: counts, shares of 1, seconds. Those that have
    /// a value.
    pub values: BTreeMap<String, f64>,
}

impl Vars {
    pub fn add(&mut self, measure: Measure, value: Option<Bounds>) {
        self.texts.insert(measure.as_str().to_owned(), shown(measure, value));
        if let Some(bounds) = value {
            self.values.insert(measure.as_str().to_owned(), bounds.least);
        }
    }

    /// Something for every name that a template of `rule` may use, to try it.
    pub fn sample(rule: &Rule) -> Vars {
        let names = names(rule).into_iter().map(|name| (name.clone(), format!("<{name}>")));
        let values = Measure::ALL.map(|measure| (measure.as_str().to_owned(), 1.0));
        Vars { texts: names.collect(), values: values.into() }
    }
}

/// An alert's moments, and the zone of whoever reads of them.
#[derive(Debug, Clone, Copy)]
pub struct Moments<'a> {
    pub began_at: Timestamp,
    pub fired_at: Timestamp,
    pub zone: &'a TimeZone,
}

/// Renders `template` on one line. Every label and measure exists in it: a label
/// that is not in `vars` reads `several`, a measure `unknown`, so that a rule's
/// headline does not fail for the one group that lacks a value. Any other name
/// that `vars` lacks is an error, and so is a template that runs for too long.
pub fn render(template: &str, vars: &Vars, moments: &Moments<'_>) -> Result<String, String> {
    let text = render_in(moments.zone, template, Value::from(complete(vars, moments)))?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(line.chars().take(MAX_TEXT).collect())
}

/// Renders any template of a rules file: strict, with a limit of work, and with the
/// functions `percent`, `duration` and `time`, which writes moments in `zone`.
pub fn render_in(zone: &TimeZone, template: &str, context: Value) -> Result<String, String> {
    if template.chars().count() > MAX_TEMPLATE {
        return Err(format!("it is longer than {MAX_TEMPLATE} characters"));
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(20);
    environment.add_function("percent", percent);
    environment.add_function("duration", duration);
    let zone = zone.clone();
    environment.add_function("time", move |moment: Value| time(&zone, &moment));
    environment.render_str(template, context).map_err(reason)
}

/// The names that a template of `rule` may use.
pub fn names(rule: &Rule) -> Vec<String> {
    let mut names: Vec<String> = RESERVED[..2].iter().map(|name| name.to_string()).collect();
    names.extend(Label::ALL.iter().map(|label| label.as_str().to_string()));
    names.extend(rule.labels.keys().cloned());
    names.extend(Measure::ALL.iter().map(|measure| measure.as_str().to_string()));
    names
}

fn complete(vars: &Vars, moments: &Moments<'_>) -> BTreeMap<String, Value> {
    let labels = Label::ALL.iter().map(|label| (label.as_str(), SEVERAL));
    let measures = Measure::ALL.iter().map(|measure| (measure.as_str(), UNKNOWN));
    let mut all: BTreeMap<String, Value> = labels
        .chain(measures)
        .map(|(name, value)| (name.to_string(), Value::from(value)))
        .collect();
    let values: BTreeMap<String, Value> = Measure::ALL
        .iter()
        .map(|measure| {
            let value = vars.values.get(measure.as_str()).map(|&value| number(value));
            (measure.as_str().to_owned(), value.unwrap_or(Value::from(())))
        })
        .collect();
    all.insert("values".to_owned(), Value::from(values));
    all.insert("began_at".to_owned(), Value::from(moments.began_at.0));
    all.insert("fired_at".to_owned(), Value::from(moments.fired_at.0));
    all.extend(vars.texts.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
    all
}

/// A whole number is written without a point.
fn number(value: f64) -> Value {
    match value.fract() == 0.0 && value.abs() < 1e15 {
        true => Value::from(value as i64),
        false => Value::from(value),
    }
}

/// `0.83` → `83 %`.
fn percent(share: Value) -> Result<String, Error> {
    written(&share, "percent", shown_percent)
}

/// Seconds → `3 h 20 min`.
fn duration(seconds: Value) -> Result<String, Error> {
    written(&seconds, "duration", |seconds| {
        shown_duration(Duration::from_secs(seconds.max(0.0) as u64))
    })
}

/// A moment → `2026-03-01 03:12 CET`.
fn time(zone: &TimeZone, moment: &Value) -> Result<String, Error> {
    written(moment, "time", |seconds| {
        let at = Timestamp(seconds as i64);
        match jiff::Timestamp::from_second(at.0) {
            Ok(moment) => moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string(),
            Err(_) => at.to_string(),
        }
    })
}

/// What has no value is `unknown`, and so is a share of nothing.
fn written(value: &Value, name: &str, write: impl Fn(f64) -> String) -> Result<String, Error> {
    if value.is_none() {
        return Ok(UNKNOWN.to_owned());
    }
    match f64::try_from(value.clone()) {
        Ok(number) if number.is_finite() => Ok(write(number)),
        Ok(_) => Ok(UNKNOWN.to_owned()),
        Err(_) => {
            let detail = format!("{name}() takes a number, as in {name}(values.failures)");
            Err(Error::new(ErrorKind::InvalidOperation, detail))
        }
    }
}

fn reason(error: Error) -> String {
    match error.detail() {
        Some(detail) if error.kind() == ErrorKind::UndefinedError => detail.into(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vars() -> Vars {
        let mut vars = Vars::default();
        vars.texts.insert("affiliate".to_string(), "Acme <&> Co (7)".to_string());
        let exactly = |value: f64| Some(Bounds { least: value, most: value });
        vars.add(Measure::FailureRate, exactly(0.83));
        vars.add(Measure::Failures, exactly(25.0));
        vars.add(Measure::Deliveries, exactly(200.0));
        vars.add(Measure::OldestOpen, exactly(12_000.0));
        vars.add(Measure::SinceSuccess, None);
        vars
    }

    fn rendered(template: &str, vars: &Vars) -> Result<String, String> {
        let zone = TimeZone::get("Europe/Berlin").expect("the zone is known");
        let began_at = Timestamp(1_772_366_400);
        render(template, vars, &Moments { began_at, fired_at: Timestamp(0), zone: &zone })
    }

    fn check(template: &str, expected: &str) {
        let found = rendered(template, &vars()).unwrap_or_else(|why| format!("error: {why}"));
        assert_eq!(found, expected, "{template}");
    }

    #[test]
    fn numbers_durations_and_moments_are_written_as_people_read_them() {
        check("{{ percent(values.failures / values.deliveries) }}", "12 %");
        check("{{ values.failures + 1 }} of {{ values.deliveries }}", "26 of 200");
        check("{{ duration(values.oldest_open) }}", "3 h 20 min");
        check("since {{ time(began_at) }}", "since 2026-03-01 13:00 CET");
        check("{{ time(fired_at) }}", "1970-01-01 01:00 CET");
        check(
            "{{ percent(values.failures / 0) }}",
            "error: invalid operation: unable to calculate 25 / 0",
        );
        check("{{ duration(values.since_success) }}", "unknown");
        check("{% if values.failures > 20 %}many{% endif %}", "many");
        check(
            "{{ percent(failure_rate) }}",
            "error: invalid operation: percent() takes a number, as in percent(values.failures)",
        );
        check("{{ values.failure }}", "error: `values.failure` is undefined");
    }

    #[test]
    fn a_template_reads_labels_and_measures() {
        check("{{ affiliate }}: {{ failure_rate }} fail", "Acme <&> Co (7): 83 % fail");
        check("{{ host }} has {{ open }} open", "several has unknown open");
        check("{{ affiliate | upper }}\n  twice", "ACME <&> CO (7) twice");
    }

    #[test]
    fn a_name_that_nobody_has_is_an_error() {
        check("{{ afiliate }}", "error: `afiliate` is undefined");
    }

    #[test]
    fn no_template_takes_the_service_with_it() {
        let vars = Vars::default();
        let deep = [
            "{{ ".to_string() + &"not ".repeat(490) + "1 }}",
            "{{ ".to_string() + &"(".repeat(900),
            "{{ ".to_string() + &"[".repeat(900),
            "{% if 1 %}".repeat(200),
            "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}".to_string(),
            "{{ ('x' * 100000) * 100000 }}".to_string(),
            "x".repeat(MAX_TEMPLATE + 1),
        ];
        for template in deep {
            // Either answer will do, as long as there is one.
            let _ = rendered(&template, &vars);
        }
        let long = rendered("{{ 'x' * 100000 }}", &vars);
        assert_eq!(long.map(|text| text.len()), Ok(MAX_TEXT));
    }
}
