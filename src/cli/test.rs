//! `postwatch test`: tests of rules, as data. Reads files, tells nobody anything.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use super::check::{as_text, counted};
use super::paint::Paint;
use super::{WRONG_USAGE, print};
use crate::config::ConfigError;
use crate::config::rule_tests::{self, ExpectedMessage, RuleTest, RuleTests, TestsError};
use crate::replay::rule_test::{Outcome, Problem, What, run as run_test};

mod timeline;

/// Run tests of rules: deliveries in a short notation, and what must come of them
///
/// Each test plays its deliveries to the rules by the engine that runs live, and compares the
/// alerts and messages of given moments. A failed test shows both as timelines. The notation
/// is in docs/rules.md.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct TestArgs {
    /// Files of tests
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Print JSON for scripts
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  postwatch test rules.test.yaml            run every test of the file
  postwatch test tests/*.yaml --json        for CI

Exit codes: 0 every test holds · 1 a test fails, or a file has mistakes · 2 wrong usage, or a
file cannot be read";

/// A file's tests and what they came to, or why they cannot be run.
struct Ran {
    file: String,
    ran: Result<(RuleTests, Vec<Outcome>), TestsError>,
}

pub fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let ran: Vec<Ran> = args
        .files
        .iter()
        .map(|path| {
            let ran = rule_tests::load(path).map(|tests| {
                let outcomes = tests.tests.iter().map(|test| run_test(&tests.config.policy, test));
                let outcomes = outcomes.collect();
                (tests, outcomes)
            });
            Ran { file: path.display().to_string(), ran }
        })
        .collect();
    let shown = if args.json { as_json(&ran) } else { as_lines(&ran) };
    print(&shown)?;
    let code = ran.iter().map(code).max().unwrap_or(0);
    Ok(ExitCode::from(code))
}

fn code(ran: &Ran) -> u8 {
    match &ran.ran {
        Ok((_, outcomes)) => u8::from(outcomes.iter().any(|of| !of.problems.is_empty())),
        Err(TestsError::Config(ConfigError::Unreadable { .. })) => WRONG_USAGE,
        Err(TestsError::Config(ConfigError::Invalid { .. }) | TestsError::Invalid { .. }) => 1,
    }
}

fn as_lines(all: &[Ran]) -> String {
    let paint = Paint::stdout();
    let (mut shown, mut passed, mut failed) = (String::new(), 0, 0);
    for Ran { file, ran } in all {
        match ran {
            Err(TestsError::Config(error)) => shown += &format!("{error}\n"),
            Err(TestsError::Invalid { text, report }) => {
                shown += &as_text(file, text, report, paint)
            }
            Ok((tests, outcomes)) => {
                shown += &format!("{file}\n");
                for (test, outcome) in tests.tests.iter().zip(outcomes) {
                    if outcome.problems.is_empty() {
                        passed += 1;
                        shown += &format!("  {} {}\n", paint.green("ok"), test.name);
                    } else {
                        failed += 1;
                        let head = paint.red("FAILED");
                        shown += &format!("  {head} {} (line {})\n", test.name, test.at.line);
                        shown += &problems(test, outcome);
                        shown += &timeline::timeline(test, outcome);
                    }
                }
            }
        }
    }
    let failed = if failed == 0 { String::new() } else { format!(", {failed} failed") };
    shown + &format!("{} passed{failed}\n", counted(passed, "test"))
}

fn problems(test: &RuleTest, outcome: &Outcome) -> String {
    let lines = outcome.problems.iter().flat_map(|problem| problem_lines(test, outcome, problem));
    lines.map(|line| format!("    {line}\n")).collect()
}

fn problem_lines(test: &RuleTest, outcome: &Outcome, problem: &Problem) -> Vec<String> {
    let place = test.expected[problem.of].place;
    let at = format!("at {} (line {})", clock(problem.at), place.line);
    match &problem.what {
        What::Firing { missing, unexpected } => {
            let missing = missing
                .iter()
                .map(|one| format!("{at}: does not fire: {}", timeline::expected_name(one)));
            let unexpected = unexpected.iter().map(|&place| {
                let alert = &outcome.told.alerts[place];
                let moment = test.start + problem.at;
                let stand = alert.stand(moment);
                let severity = stand.map_or(alert.severity, |stand| stand.severity);
                format!("{at}: fires, and was not expected: {severity} {}", timeline::name(alert))
            });
            missing.chain(unexpected).collect()
        }
        What::Messages { expected, got } => {
            let expected: Vec<String> = expected.iter().map(expected_message).collect();
            let got: Vec<String> =
                got.iter().map(|&place| got_message(test, outcome, place)).collect();
            vec![
                format!("{at}: messages expected: {}", listed(&expected)),
                format!("{at}: messages got:      {}", listed(&got)),
            ]
        }
    }
}

/// `2h21m30s`.
fn clock(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let parts = [(seconds / 3_600, "h"), (seconds % 3_600 / 60, "m"), (seconds % 60, "s")];
    let shown: String =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, unit)| format!("{n}{unit}")).collect();
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

fn listed(texts: &[String]) -> String {
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}

fn expected_message(message: &ExpectedMessage) -> String {
    let rule = message.rule.as_ref().map_or(String::new(), |rule| format!(" of {rule}"));
    format!("{} to {}{rule}", message.reason.as_str(), message.to)
}

fn got_message(test: &RuleTest, outcome: &Outcome, place: usize) -> String {
    let message = &outcome.told.messages[place];
    let mut rules: Vec<&str> =
        message.alerts.iter().map(|&alert| outcome.told.alerts[alert].rule.as_str()).collect();
    rules.dedup();
    let at = clock(message.at.since(test.start));
    format!("{} to {} of {} ({at})", message.reason.as_str(), message.receiver, rules.join("+"))
}

fn as_json(all: &[Ran]) -> String {
    let mut tests: Vec<Value> = Vec::new();
    let mut mistakes: Vec<Value> = Vec::new();
    for Ran { file, ran } in all {
        match ran {
            Err(TestsError::Config(error)) => {
                mistakes.push(json!({ "file": file, "message": error.to_string() }));
            }
            Err(TestsError::Invalid { report, .. }) => {
                let of_file = report.mistakes.iter();
                mistakes.extend(of_file.map(|mistake| json!({ "file": file, "mistake": mistake })));
            }
            Ok((of, outcomes)) => {
                tests.extend(of.tests.iter().zip(outcomes).map(|(test, outcome)| {
                    let problems = outcome
                        .problems
                        .iter()
                        .flat_map(|problem| problem_lines(test, outcome, problem));
                    json!({
                        "file": file,
                        "name": test.name,
                        "line": test.at.line,
                        "ok": outcome.problems.is_empty(),
                        "problems": problems.collect::<Vec<_>>(),
                    })
                }));
            }
        }
    }
    let ok = mistakes.is_empty() && tests.iter().all(|test| test["ok"] == true);
    format!("{:#}\n", json!({ "ok": ok, "tests": tests, "mistakes": mistakes }))
}
