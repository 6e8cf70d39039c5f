//! `postwatch check`: every mistake of a rules file, with its line and what to
//! write instead. Shows no secret, and changes nothing.
//!
//! Exit codes: 0 the file is fine (warnings included), 1 it is not, or a key was
//! refused by `--online`; 2 it cannot be read: the path on the command line is wrong.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::json;

use super::paint::Paint;
use super::print;
use crate::config::{self, Config, ConfigError, Mistake, Report};

/// Find every mistake of a rules file at once, and say what to write instead
///
/// Each is shown as FILE:LINE:COL with the line itself; secrets are masked, so that the
/// output can be pasted anywhere. Warnings are told too: rules that can never fire, alerts
/// that nobody gets. Reads nothing but the file, the environment, and the files of secrets
/// it names, unless --online asks for more.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// The rules file
    #[arg(default_value = "rules.yaml", env = "POSTWATCH_RULES")]
    pub file: PathBuf,
    /// Also try each API key, login and address; sends nothing to anybody, takes 30 s
    /// at most
    #[arg(long)]
    pub online: bool,
    /// Print JSON for scripts
    #[arg(long)]
    pub json: bool,
    /// Print the JSON Schema of the file, for editors, and check nothing
    #[arg(long)]
    pub schema: bool,
}

const EXAMPLES: &str = "\
Examples:
  postwatch check                           the file rules.yaml of this folder
  postwatch check staging.yaml --online     and do its keys and logins work?
  postwatch check --json | jq .mistakes     for editors and CI

Exit codes: 0 the file is fine (warnings included) · 1 it has mistakes, or with --online
something was refused · 2 wrong usage, or the file cannot be read";

/// What one try of `--online` found: a sentence, either way.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    /// `source "acme"`.
    pub what: String,
    pub outcome: Result<String, String>,
    /// What works and yet is not as its author may think.
    pub doubts: Vec<String>,
}

/// Tries what a file names. Given by whoever may use the network.
pub type TryOnline<'a> = &'a dyn Fn(&Config) -> Vec<Trial>;

/// Checks, and with `--online` asks `try_online` once the file is fine.
pub fn run(args: &CheckArgs, try_online: TryOnline<'_>) -> anyhow::Result<ExitCode> {
    if args.schema {
        print(&format!("{:#}\n", config::schema()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = match config::read(&args.file) {
        Ok(text) => text,
        Err(error) => return unreadable(&error),
    };
    let (config, report) = config::parse_beside(&text, &args.file);
    let trials = match &config {
        Some(config) if args.online => try_online(config),
        Some(_) | None => Vec::new(),
    };
    let valid = config.is_some() && trials.iter().all(|trial| trial.outcome.is_ok());
    let file = args.file.display().to_string();
    let shown = if args.json {
        as_json(&file, valid, &report, &trials)
    } else {
        let paint = Paint::stdout();
        let mut shown = as_text(&file, &text, &report, paint);
        trials.iter().for_each(|trial| shown.push_str(&as_line(trial, paint)));
        shown += &summary(&file, config.as_ref(), &report);
        shown + &refused(&trials) + "\n"
    };
    print(&shown)?;
    Ok(ExitCode::from(u8::from(!valid)))
}

fn unreadable(error: &ConfigError) -> anyhow::Result<ExitCode> {
    eprintln!("{error}");
    Ok(ExitCode::from(2))
}

/// Every mistake and then every warning, each with its line.
pub(super) fn as_text(file: &str, text: &str, report: &Report, paint: Paint) -> String {
    let mut shown = String::new();
    let all = report.mistakes.iter().chain(&report.warnings);
    let gutter = all.map(|mistake| mistake.at.line.to_string().len()).max().unwrap_or(1);
    let source = |mistake: &Mistake| report.line(text, mistake.at);
    for mistake in &report.mistakes {
        let head = paint.red("error:");
        shown += &one(file, mistake, &head, source(mistake), gutter, paint);
    }
    for warning in &report.warnings {
        let head = paint.yellow("warning:");
        shown += &one(file, warning, &head, source(warning), gutter, paint);
    }
    shown
}

fn one(
    file: &str,
    mistake: &Mistake,
    head: &str,
    source: Option<(String, usize)>,
    gutter: usize,
    paint: Paint,
) -> String {
    let Mistake { at, message, hint } = mistake;
    let mut shown = format!("{file}:{}:{}: {head} {message}\n", at.line, at.column);
    if let Some((line, column)) = source {
        let number = paint.dim(&format!("{:>gutter$} |", at.line));
        let blank = paint.dim(&format!("{:>gutter$} |", ""));
        let caret = format!("{}^", " ".repeat(column - 1));
        // Writing to a String cannot fail.
        let _ = writeln!(shown, "  {number} {line}\n  {blank} {}", paint.red(&caret));
    }
    if let Some(hint) = hint {
        let _ = writeln!(shown, "  {:>gutter$} {} {hint}", "", paint.dim("="));
    }
    shown + "\n"
}

fn as_line(trial: &Trial, paint: Paint) -> String {
    let tried = match &trial.outcome {
        Ok(answer) => format!("{} {}: {answer}\n", paint.green("ok:"), trial.what),
        Err(why) => format!("{} {}: {why}\n", paint.red("error:"), trial.what),
    };
    let doubts = trial.doubts.iter();
    let doubts =
        doubts.map(|doubt| format!("{} {}: {doubt}\n", paint.yellow("warning:"), trial.what));
    tried + &doubts.collect::<String>()
}

fn summary(file: &str, config: Option<&Config>, report: &Report) -> String {
    let warnings = match report.warnings.len() {
        0 => String::new(),
        count => format!(", {}", counted(count, "warning")),
    };
    match config {
        None => format!("{file}: {}{warnings}", counted(report.mistakes.len(), "error")),
        Some(config) => format!(
            "{file}: fine{warnings}: {}, {}, {}, {}",
            counted(config.sources.len(), "source"),
            counted(config.policy.rules.len(), "rule"),
            counted(config.receivers.len(), "receiver"),
            counted(config.policy.routes.len(), "route"),
        ),
    }
}

/// The last line must not say that all is well when it is not.
fn refused(trials: &[Trial]) -> String {
    match trials.iter().filter(|trial| trial.outcome.is_err()).count() {
        0 => String::new(),
        count => format!("; but {count} of {} tried online do not work", trials.len()),
    }
}

pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

fn as_json(file: &str, valid: bool, report: &Report, trials: &[Trial]) -> String {
    let online: Vec<_> = trials
        .iter()
        .map(|trial| match &trial.outcome {
            Ok(answer) => json!({
                "what": trial.what, "ok": true, "message": answer, "warnings": trial.doubts,
            }),
            Err(why) => json!({ "what": trial.what, "ok": false, "message": why }),
        })
        .collect();
    let shown = json!({
        "file": file,
        "valid": valid,
        "mistakes": report.mistakes,
        "warnings": report.warnings,
        "online": online,
    });
    format!("{shown:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        let env = |name: &str| (name == "KEY").then(|| "from-the-environment".to_string());
        let (config, report) =
            config::parse(text, &env, &|_| Err(std::io::ErrorKind::NotFound.into()));
        as_text("rules.yaml", text, &report, Paint { on: false })
            + &summary("rules.yaml", config.as_ref(), &report)
    }

    #[test]
    fn a_mistake_is_shown_with_its_line_and_what_to_write() {
        let text = "sources:\n  - { name: a, api_key: sk-live-123456, poll_evry: 5s }\nrules: []\nnotify: x\n";
        let expected = [
            "rules.yaml:2:41: error: source \"a\": a source has no key `poll_evry`",
            "  2 |   - { name: a, api_key: ***, poll_evry: 5s }",
            "    |                              ^",
            "    = did you mean `poll_every`?",
            "",
            "rules.yaml:4:9: error: `notify` is `x`",
            "  4 | notify: x",
            "    |         ^",
            "    = write a map: `notify` is written as `key: value` lines",
            "",
            "rules.yaml: 2 errors",
        ];
        assert_eq!(shown(text).lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_fine_file_says_what_is_in_it() {
        let text = "sources: [{ name: a, api_key: \"${KEY}\" }]\nrules: []\n";
        let shown = shown(text);
        assert!(shown.contains("warning: nobody is told of any alert"), "{shown}");
        assert!(
            shown
                .ends_with("rules.yaml: fine, 1 warning: 1 source, 0 rules, 0 receivers, 0 routes"),
            "{shown}"
        );
    }

    #[test]
    fn the_exit_code_says_how_it_went() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(folder.path().join("key"), "secret\n").expect("the folder is new");
        for (text, refused, code) in [
            ("sources: [{ name: a, api_key_file: key }]", false, 0),
            ("sources: [{ name: a, api_key_file: key }]", true, 1),
            ("sources: [{ name: a }]", false, 1),
            ("", false, 1),
            ("missing", false, 2),
        ] {
            let file = folder.path().join("rules.yaml");
            match text {
                "missing" => std::fs::remove_file(&file).expect("it was written before"),
                text => std::fs::write(&file, text).expect("the folder is new"),
            }
            let args = CheckArgs { file, online: refused, json: true, schema: false };
            let refuse = |_: &Config| {
                vec![Trial {
                    what: "source \"a\"".into(),
                    outcome: Err("refused".into()),
                    doubts: vec![],
                }]
            };
            let found = run(&args, &refuse).expect("stdout takes it");
            assert_eq!(format!("{found:?}"), format!("{:?}", ExitCode::from(code)), "{text}");
        }
    }

    #[test]
    fn no_secret_is_shown_wherever_it_stands() {
        let secret = "hunter2-hunter2";
        for text in [
            "sources: [{ name: a, api_key: SECRET, zebra: 1 }]",
            "sources: [{ name: a, api_kye: SECRET }]",
            "sources: [{ name: a, apikey: [SECRET, 1] }]",
            "sources: [{ name: SECRET, api_key: SECRET, poll_every: SECRET }]",
            "sources: [{ name: a, api_key: 'SECRET\n    SECRET', x: 1 }]",
            "sources:\n  - name: a\n    api_key: |\n      SECRET\n      SECRET SECRET\n    zebra: 1",
            "sources:\n  - name: a\n    api_key: !SECRET",
            "sources:\n  - name: a\n    api_key: &SECRET",
            "sources:\n  - name: a\n    api_key: *SECRET",
            "sources:\n  - name: a\n    api_key: SECRET: b",
            "sources:\n  - name: a\n    api_key: \"SECRET",
            "sources:\n  - name: a\n    api_key: ${KEY} # was SECRET\n    api_key: SECRET",
            "sources:\n  - name: a\n    api_key: { SECRET: }",
            "receivers: [{ name: a, slack: SECRET }]",
            "receivers: [{ name: a, slack: { tokne: SECRET, channel: x, z: 1 } }]",
            "receivers: [{ name: a, webhook: { url: SECRET, secret: SECRET } }]",
            "receivers: [{ name: a, email: { smtp: \"smtp://u:SECRET@h?tls=none\", to: x } }]",
            "receivers: [{ name: a, email: { from: \"smtp://u:SECRET@h?tls=none\", to: x } }]",
            "store: { postgres: \"postgres://u:SECRET@h\" }",
        ] {
            let shown = shown(&text.replace("SECRET", secret));
            assert!(!shown.contains("hunter2"), "{text}\n{shown}");
        }
        let resolved = shown("sources: [{ name: \"${KEY}\", api_key: x, poll_every: \"${KEY}\" }]");
        assert!(!resolved.contains("from-the-environment"), "{resolved}");
        assert!(resolved.contains("${KEY}"), "{resolved}");
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(500))]

        /// Whatever else is wrong with a file: the secrets in it stay hidden.
        #[test]
        fn a_slip_elsewhere_shows_no_secret(
            at in 0..7_000_usize, length in 0..30_usize, put in "[-:\\[\\]{}>|&*!%#'\"$ \\na-c]{0,5}"
        ) {
            let file = include_str!("../../rules.yaml")
                .replace("${EVERFLOW_API_KEY}", "hunter2-everflow")
                .replace("${SLACK_BOT_TOKEN}", "hunter2-slack");
            let mut file: Vec<String> = file.lines().map(String::from).collect();
            let line = at % file.len();
            if !file[line].contains("hunter2") {
                let characters: Vec<char> = file[line].chars().collect();
                let from = (at / 7) % (characters.len() + 1);
                let to = (from + length).min(characters.len());
                let before: String = characters[..from].iter().collect();
                let after: String = characters[to..].iter().collect();
                file[line] = before + &put + &after;
            }
            let shown = shown(&file.join("\n"));
            proptest::prop_assert!(!shown.contains("hunter2"), "{}", shown);
        }
    }
}
