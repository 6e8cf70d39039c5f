//! The headline of an alert, written by the rule's own template. A template that
//! fails returns why; whoever asked then uses the built-in text.

use std::collections::BTreeMap;

use minijinja::{Environment, UndefinedBehavior, value::Value};

use super::rules::{Label, Measure, Rule};

/// A longer template is refused: deep nesting in one would exhaust the stack.
pub const MAX_TEMPLATE: usize = 2_000;
const MAX_TEXT: usize = 1_000;
/// What a template may do before it is stopped; a headline needs a few dozen.
const FUEL: u64 = 10_000;

/// A label that has no single value in the group.
const SEVERAL: &str = "several";
/// A measure without a value.
const UNKNOWN: &str = "unknown";

/// Renders `template` on one line. Every label and measure exists in it: a label
/// that is not in `vars` reads `several`, a measure `unknown`, so that a rule's
/// headline does not fail for the one group that lacks a value. Any other name
/// that `vars` lacks is an error, and so is a template that runs for too long.
pub fn render_summary(template: &str, vars: &BTreeMap<String, String>) -> Result<String, String> {
    if template.chars().count() > MAX_TEMPLATE {
        return Err(format!("it is longer than {MAX_TEMPLATE} characters"));
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(20);
    let text = environment.render_str(template, Value::from(complete(vars))).map_err(reason)?;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    Ok(line.chars().take(MAX_TEXT).collect())
}

/// The names that a template of `rule` may use.
pub fn names(rule: &Rule) -> Vec<String> {
    let mut names = vec!["rule".to_string(), "severity".to_string()];
    names.extend(Label::ALL.iter().map(|label| label.as_str().to_string()));
    names.extend(rule.labels.keys().cloned());
    names.extend(Measure::ALL.iter().map(|measure| measure.as_str().to_string()));
    names
}

fn complete(vars: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let labels = Label::ALL.iter().map(|label| (label.as_str(), SEVERAL));
    let measures = Measure::ALL.iter().map(|measure| (measure.as_str(), UNKNOWN));
    let mut all: BTreeMap<String, Value> = labels
        .chain(measures)
        .map(|(name, value)| (name.to_string(), Value::from(value)))
        .collect();
    all.extend(vars.iter().map(|(name, value)| (name.clone(), Value::from(value.as_str()))));
    all
}

fn reason(error: minijinja::Error) -> String {
    match error.detail() {
        Some(detail) if error.kind() == minijinja::ErrorKind::UndefinedError => detail.into(),
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(template: &str, expected: &str) {
        let vars = BTreeMap::from([
            ("affiliate".to_string(), "Acme <&> Co (7)".to_string()),
            ("failure_rate".to_string(), "83 %".to_string()),
        ]);
        let found = render_summary(template, &vars).unwrap_or_else(|why| format!("error: {why}"));
        assert_eq!(found, expected, "{template}");
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
        let vars = BTreeMap::new();
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
            let _ = render_summary(&template, &vars);
        }
        let long = render_summary("{{ 'x' * 100000 }}", &vars);
        assert_eq!(long.map(|text| text.len()), Ok(MAX_TEXT));
    }
}
