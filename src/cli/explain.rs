//! `postwatch explain`: asks the running service why an alert fires or does not,
//! and says it to a person.
//!
//! Exit codes: 0 it is explained, 1 the rule, the group or the conversion is not known,
//! 2 wrong usage, 3 no postwatch answers there.

use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use super::paint::Paint;
use super::{CANNOT_START, WRONG_USAGE};
use crate::domain::explain::{Conversion, Explanation};

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
    /// A transaction id, for deliveries without a conversion id
    #[arg(long, value_name = "ID", conflicts_with_all = ["rule", "labels"])]
    transaction: Option<String>,
    /// Where the service is
    #[arg(
        long,
        env = "POSTWATCH_URL",
        default_value = "http://127.0.0.1:9467",
        value_name = "URL"
    )]
    url: reqwest::Url,
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

/// The service answers from memory; what takes longer hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        Some(_) | None => Err("write it as KEY=VALUE, as in affiliate=7".to_owned()),
    }
}

/// The part of a refusal that people read.
#[derive(Deserialize)]
struct Refused {
    detail: String,
}

/// Asks once, and prints the answer.
pub async fn run(args: &ExplainArgs) -> anyhow::Result<ExitCode> {
    let (status, body) = match ask(args).await {
        Ok(answer) => answer,
        Err(why) => {
            eprintln!(
                "postwatch explain: no postwatch answers at {}: {why}; is it running? \
                 --url names another address",
                args.url
            );
            return Ok(ExitCode::from(CANNOT_START));
        }
    };
    if status.is_success() {
        let shown = if args.json { body + "\n" } else { text_of(args, &body)? };
        std::io::stdout().write_all(shown.as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let refused = serde_json::from_str::<Refused>(&body).map(|refused| refused.detail);
    let why = refused.unwrap_or_else(|_| body.trim().to_owned());
    eprintln!("postwatch explain: {why}");
    Ok(ExitCode::from(match status.as_u16() {
        404 => 1,
        400 | 401 | 403 => WRONG_USAGE,
        _ => CANNOT_START,
    }))
}

async fn ask(args: &ExplainArgs) -> Result<(reqwest::StatusCode, String), reqwest::Error> {
    let mut url = args.url.clone();
    url.set_path(&format!("{}/api/v1/explain", url.path().trim_end_matches('/')));
    let named = [
        ("rule", args.rule.as_ref()),
        ("conversion", args.conversion.as_ref()),
        ("transaction", args.transaction.as_ref()),
    ];
    for (name, value) in named.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        url.query_pairs_mut().append_pair(name, value);
    }
    url.query_pairs_mut().extend_pairs(&args.labels);
    let client = reqwest::Client::builder().timeout(ANSWERS_WITHIN).no_proxy().build()?;
    let answer = client.get(url).send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status();
    Ok((status, answer.text().await.map_err(reqwest::Error::without_url)?))
}

fn text_of(args: &ExplainArgs, body: &str) -> anyhow::Result<String> {
    let paint = Paint::stdout();
    Ok(match args.rule {
        Some(_) => text::explanation(&serde_json::from_str::<Explanation>(body)?, paint),
        None => text::conversion(&serde_json::from_str::<Conversion>(body)?, paint),
    })
}
