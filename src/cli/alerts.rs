//! `postwatch alerts`: the alerts that stand, and what holds their messages back.
//!
//! Exit codes: 0 it was answered, 2 wrong usage, 3 no postwatch answers there.

use std::fmt::Write as _;
use std::process::ExitCode;

use reqwest::Method;

use super::ask::{Answer, Failed, ServiceArgs};
use super::paint::Paint;
use super::print;
use crate::domain::alert::shown::shown_duration;
use crate::domain::explain::{AlertStanding, Stand, Standing};
use crate::domain::rules::Severity;
use crate::domain::silence::matcher::Matcher;

/// The alerts that stand, and what holds their messages back
///
/// Asks the running service: every alert that fires or is quiet, the worst first, who hears
/// of it, and each silence, mute or other alert that keeps it from being told.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct AlertsArgs {
    /// Only alerts with these labels: KEY=VALUE, KEY!=VALUE, KEY=~REGEX or KEY!~REGEX
    #[arg(value_name = "MATCHER", value_parser = Matcher::parse)]
    matchers: Vec<Matcher>,
    #[command(flatten)]
    service: ServiceArgs,
    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  postwatch alerts
  postwatch alerts severity=critical affiliate=~'7|12'
  postwatch alerts --json | jq '.alerts[] | select(.gates == [])'

Exit codes: 0 it was answered · 2 wrong usage · 3 no postwatch answers there";

pub async fn run(args: &AlertsArgs) -> anyhow::Result<ExitCode> {
    let answer = match ask(&args.service, &args.matchers).await {
        Ok(answer) => answer,
        Err(failed) => return Ok(failed.end("alerts")),
    };
    let shown = match args.json {
        true => answer.json + "\n",
        false => text(&answer.read, Paint::stdout()),
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// The alerts that stand and that all of these match.
pub async fn ask(service: &ServiceArgs, matchers: &[Matcher]) -> Result<Answer<Standing>, Failed> {
    let matchers: Vec<String> = matchers.iter().map(Matcher::to_string).collect();
    let query: Vec<(&str, &str)> = matchers.iter().map(|m| ("filter", m.as_str())).collect();
    service.ask(Method::GET, "/api/v1/alerts", &query, None).await
}

fn text(told: &Standing, paint: Paint) -> String {
    if told.alerts.is_empty() {
        return "No alert stands.\n".to_owned();
    }
    let shown = told.alerts.iter().map(|alert| one(told, alert, paint));
    shown.collect::<Vec<_>>().join("\n")
}

fn one(told: &Standing, alert: &AlertStanding, paint: Paint) -> String {
    let mut text = format!("{}  {}\n", state(alert, paint), alert.summary);
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<9} {value}").ok();
    };
    line("alert", &labels(alert));
    let age = shown_duration(told.now.0.since(alert.fired_at.0));
    line("since", &format!("{} ({age} ago)", alert.fired_at.0));
    let receivers: Vec<&str> = alert.receivers.iter().map(String::as_str).collect();
    let receivers = if receivers.is_empty() { vec!["nobody"] } else { receivers };
    line("tells", &receivers.join(", "));
    for gate in &alert.gates {
        line("held", &paint.yellow(&gate.says));
    }
    text
}

fn state(alert: &AlertStanding, paint: Paint) -> String {
    let word = format!("{} {}", alert.state.as_str().to_uppercase(), alert.severity);
    match (alert.state, alert.severity) {
        (Stand::Firing, Severity::Critical) => paint.red(&word),
        (Stand::Firing, _) => paint.yellow(&word),
        (Stand::Quiet | Stand::Pending | Stand::Ended | Stand::Inactive, _) => word,
    }
}

/// The rule, and each label that is not said otherwise.
pub fn labels(alert: &AlertStanding) -> String {
    let rule = alert.labels.get("rule").map_or("", String::as_str);
    let is_said = |name: &str| matches!(name, "rule" | "alertname" | "severity");
    let others = alert.labels.iter().filter(|(name, _)| !is_said(name));
    let others = others.map(|(name, value)| format!(" {name}={value}"));
    format!("{rule}{}", others.collect::<String>())
}
