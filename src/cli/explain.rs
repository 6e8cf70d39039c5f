//! `postwatch explain`: asks the running service why an alert fires or does not,
//! and says it to a person.
//!
//! Exit codes: 0 it is explained, 1 the rule, the group or the conversion is not known,
//! 2 wrong usage, 3 no postwatch answers there.

use std::process::ExitCode;

use reqwest::Method;
use serde::de::DeserializeOwned;

use super::ask::{Failed, ServiceArgs, label, query};
use super::paint::Paint;
use super::print;

mod text;

/// Why an alert fires, or why it does not
///
/// Asks the running service: what the rule sees of each group now and its thresholds, where
/// the clocks stand, what is unknown and why, and every gate between the alert and each
/// receiver's message. With --conversion it tells the life of that conversion's deliveries,
/// and which rules count them. The worst groups come first, 10 at most.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct ExplainArgs {
    /// The rule, by its name; `source-blind` and `postback-deactivated` too
    #[arg(required_unless_present_any = ["conversion", "transaction"])]
    rule: Option<String>,
    /// Labels that the group must have; a value may hold * and ?
    #[arg(value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// A conversion id of the network, in place of a rule
    #[arg(long, value_name = "ID", conflicts_with_all = ["rule", "labels", "transaction"])]
    conversion: Option<String>,
    /// A transaction id
    #[arg(long, value_name = "ID", conflicts_with_all = ["rule", "labels"])]
    transaction: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  postwatch explain partner-endpoint-failing               the worst groups of a rule
  postwatch explain partner-endpoint-failing affiliate=7   one partner
  postwatch explain source-blind
  postwatch explain --conversion 2f9a0c…                   what became of a conversion
  postwatch explain postback-near-deactivation --json | jq '.groups[].levels'

Exit codes: 0 it is explained · 1 the rule, group or conversion is not known · 2 wrong usage
· 3 no postwatch answers there";

/// Asks once, and prints the answer.
pub async fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let shown = match args.rule {
        Some(_) => ask(args, text::explanation).await,
        None => ask(args, text::conversion).await,
    };
    match shown {
        Ok(shown) => {
            print(&shown)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failed) => Ok(failed.end("explain")),
    }
}

/// What is shown: JSON, or what `text` makes of the answer.
async fn ask<T: DeserializeOwned>(
    args: &ExplainArgs,
    text: fn(&T, Paint) -> String,
) -> Result<String, Failed> {
    let named = [
        ("rule", args.rule.as_deref()),
        ("conversion", args.conversion.as_deref()),
        ("transaction", args.transaction.as_deref()),
    ];
    let query = query(&named, &args.labels);
    let answer = args.service.ask(Method::GET, "/api/v1/explain", &query, None).await?;
    Ok(if args.json { answer.json + "\n" } else { text(&answer.read, Paint::stdout()) })
}
