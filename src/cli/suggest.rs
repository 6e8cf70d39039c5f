//! `postwatch suggest`: thresholds for rules from a past, as YAML with the evidence in
//! comments. Changes nothing.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::past::{self, PastArgs, Refusal, written};
use super::progress::Progress;
use crate::config::{self, Config};
use crate::domain::alert::shown::shown_duration;
use crate::domain::rules::{Condition, Level, Measure, Rule, Threshold, Unit};
use crate::replay::suggest::{Suggestion, Tried, suggest};

/// The rules that ship with postwatch.
const SHIPPED: &str = include_str!("../../rules.yaml");

const FROM: Duration = Duration::from_secs(14 * 86_400);

/// Suggest thresholds that would have spoken rarely enough over the past
///
/// Plays the past to each rule with a ladder of thresholds for the condition that says how bad it
/// is, and prints the rules with the least strict one that would have fired at most so often. The
/// evidence stands beside each in comments.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SuggestArgs {
    /// The rules to find thresholds for; rules.yaml of this folder, else the shipped rules
    #[arg(long, value_name = "FILE", env = "POSTWATCH_RULES")]
    pub rules: Option<PathBuf>,
    #[command(flatten)]
    pub past: PastArgs,
    /// How often each level of a rule may speak
    #[arg(long, value_name = "N/week", default_value = "2/week", value_parser = per_week)]
    pub at_most: f64,
}

const EXAMPLES: &str = "\
Examples:
  postwatch suggest                                the network's last 14 days; needs the API key
  postwatch suggest --export pixels.ndjson         an export instead
  postwatch suggest --at-most 1/week > new.yaml    the `rules:` of a new file

Exit codes: 0 fine · 1 the rules are invalid · 2 wrong usage, or a file cannot be read ·
3 the network cannot be asked";

/// `2/week`, `1/day`, or a bare number a week.
fn per_week(text: &str) -> Result<f64, String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "week"));
    let times = match unit.trim() {
        "week" => 1.0,
        "day" => 7.0,
        "month" => 7.0 / 30.0,
        _ => return Err("write a number and `/week`, `/day` or `/month`, as in `2/week`".into()),
    };
    let number = number.trim().parse::<f64>().ok().filter(|number| (0.0..1e6).contains(number));
    number.map(|number| number * times).ok_or_else(|| "write `2/week`".into())
}

pub async fn run(args: SuggestArgs) -> anyhow::Result<ExitCode> {
    Ok(past::end(find(args).await)?)
}

async fn find(mut args: SuggestArgs) -> Result<String, Refusal> {
    let (name, config) = rules(args.rules.as_deref())?;
    if args.past.export.is_none() {
        args.past.from.get_or_insert(FROM);
    }
    let (policy, source) = past::source(&config, &args.past, Path::new(&name))?;
    let past = past::read(&args.past, policy, source).await?;
    let mut progress = Progress::new("trying thresholds");
    let all = past.history.len() as u64;
    let found = suggest(&config.policy, policy, &past.history, args.at_most, &mut |rows| {
        progress.at(rows as u64, all);
    });
    drop(progress);
    let (from, to) = past.history.span().unwrap_or_default();
    let length = shown_duration(to.since(from));
    let mut head = format!(
        "# Thresholds of {name} that would have spoken at most {} times a week, each level,\n\
         # over {} ({} to {} UTC, {length}).\n\
         # Beside each threshold that was tried: how often it would have fired by itself,\n\
         # inhibited and muted alerts included.\n",
        args.at_most,
        past.name,
        written(from),
        written(to),
    );
    for line in past::left_out(&past.reading) {
        head += &format!("# {line}\n");
    }
    let outside = past.history.deliveries(&policy.scopes).rows_outside;
    if outside > 0 {
        head += &format!("# {}\n", past::outside(outside));
    }
    Ok(head + &yaml(&config, &found))
}

/// The rules file, or the shipped rules where there is none.
fn rules(file: Option<&Path>) -> Result<(String, Config), Refusal> {
    let usual = Path::new("rules.yaml");
    if let Some(file) = file.or_else(|| usual.exists().then_some(usual)) {
        return Ok((file.display().to_string(), past::rules(file)?));
    }
    let (config, report) = config::parse_offline(SHIPPED, Path::new(""));
    let config = config.ok_or_else(|| Refusal::usage(format!("{:?}", report.mistakes)))?;
    Ok(("the shipped rules".to_owned(), config))
}

/// `rules:` as a file has them.
fn yaml(config: &Config, found: &[Vec<Option<Suggestion>>]) -> String {
    let mut text = "rules:\n".to_owned();
    for (rule, levels) in config.policy.rules.iter().zip(found) {
        one_rule(&mut text, rule, levels);
    }
    text
}

fn one_rule(text: &mut String, rule: &Rule, found: &[Option<Suggestion>]) {
    // Writing to a String cannot fail.
    let mut line = |line: String| {
        let _ = writeln!(text, "{line}");
    };
    line(String::new());
    line(format!("  - name: {}", rule.name));
    if let Some(summary) = &rule.summary {
        line(format!("    summary: {}", quoted(summary)));
    }
    if !rule.matches.is_empty() {
        let of = rule.matches.iter().map(|(label, globs)| {
            let globs: Vec<String> = globs.iter().map(|glob| quoted(&glob.0)).collect();
            format!("{}: [{}]", label.as_str(), globs.join(", "))
        });
        line(format!("    match: {{ {} }}", of.collect::<Vec<_>>().join(", ")));
    }
    let per: Vec<&str> = rule.per.iter().map(|label| label.as_str()).collect();
    line(format!("    per: [{}]", per.join(", ")));
    line(format!("    over: {}", config::write_duration(rule.over)));
    line("    levels:".to_owned());
    for (level, found) in rule.levels.iter().zip(found) {
        for comment in evidence(level, found.as_ref()) {
            line(format!("      # {comment}"));
        }
        line(format!("      {}: {{ {} }}", level.severity, conditions(level, found.as_ref())));
    }
    line(format!("    for: {}", config::write_duration(rule.hold_for)));
    line(format!("    keep_firing_for: {}", config::write_duration(rule.keep_firing_for)));
    if !rule.labels.is_empty() {
        let labels = rule.labels.iter().map(|(name, value)| format!("{name}: {}", quoted(value)));
        line(format!("    labels: {{ {} }}", labels.collect::<Vec<_>>().join(", ")));
    }
    if let Some(runbook) = &rule.runbook {
        line(format!("    runbook: {}", quoted(runbook)));
    }
}

/// How often each threshold would have fired.
fn evidence(level: &Level, found: Option<&Suggestion>) -> Vec<String> {
    let Some(found) = found else {
        return vec!["nothing of it rises with a number: as it was".to_owned()];
    };
    let condition = level.conditions[found.condition];
    let shown = |one: &Tried| {
        let own = if condition.threshold.number() == Some(one.threshold) { " (now)" } else { "" };
        format!("{}{own}: {}", number(condition.measure, one.threshold), one.fired)
    };
    let tried: Vec<String> = found.tried.iter().map(shown).collect();
    let mut lines = vec![format!("{} {}", condition.measure.as_str(), tried.join(", "))];
    let worst = found.tried.iter().filter_map(|one| one.worst).reduce(f64::max);
    if let Some(worst) = worst {
        lines.push(format!("the worst when one fired: {}", number(condition.measure, worst)));
    }
    if found.chosen.is_none() {
        lines.push(
            "none is rare enough and no less strict than the level before: as it was".to_owned(),
        );
    }
    lines
}

fn conditions(level: &Level, found: Option<&Suggestion>) -> String {
    let chosen =
        found.and_then(|found| Some((found.condition, found.tried[found.chosen?].threshold)));
    let written = level.conditions.iter().enumerate().map(|(place, condition)| {
        let threshold = match chosen {
            Some((of, number)) if of == place => Threshold::Number(number),
            Some(_) | None => condition.threshold,
        };
        comparison(&Condition { threshold, ..*condition })
    });
    written.collect::<Vec<_>>().join(", ")
}

fn comparison(condition: &Condition) -> String {
    let threshold = match condition.threshold {
        Threshold::Number(of) => number(condition.measure, of),
        Threshold::TimesPrevious(times) => format!("{times} x previous"),
    };
    format!("{}: \"{} {threshold}\"", condition.measure.as_str(), condition.op.as_str())
}

/// As a rules file has it.
fn number(measure: Measure, number: f64) -> String {
    match measure.unit() {
        Unit::Count => format!("{number}"),
        Unit::Share => format!("{}%", (number * 10_000.0).round() / 100.0),
        Unit::Seconds => config::write_duration(Duration::from_secs(number as u64)),
    }
}

fn quoted(text: &str) -> String {
    // What JSON writes is YAML too.
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_is_read_a_week() {
        for (text, expected) in [
            ("2/week", Some(2.0)),
            ("1/day", Some(7.0)),
            ("3", Some(3.0)),
            ("2/year", None),
            ("x/week", None),
        ] {
            assert_eq!(per_week(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_printed_is_read_as_rules_again() {
        let (_, config) = rules(None).expect("the shipped rules are fine");
        let found: Vec<Vec<Option<Suggestion>>> = config
            .policy
            .rules
            .iter()
            .map(|rule| {
                let suggestion = |level: &Level| {
                    let threshold = level.conditions[0].threshold.number()? * 2.0;
                    let tried = vec![Tried { threshold, fired: 1, worst: Some(7.0) }];
                    Some(Suggestion { condition: 0, tried, chosen: Some(0) })
                };
                rule.levels.iter().map(suggestion).collect()
            })
            .collect();
        let text = format!("sources: [{{ name: a, api_key: x }}]\n{}", yaml(&config, &found));
        let (again, report) = config::parse_offline(&text, Path::new(""));
        let again = again.unwrap_or_else(|| panic!("{:?}\n{text}", report.mistakes));
        let mut expected = config.policy.rules;
        for level in expected.iter_mut().flat_map(|rule| &mut rule.levels) {
            let doubled = level.conditions[0].threshold.number().map(|number| number * 2.0);
            level.conditions[0].threshold = Threshold::Number(doubled.expect("a number"));
        }
        assert_eq!(again.policy.rules, expected);
    }
}
