//! `postwatch deliveries`: asks the running service for deliveries that failed.
//!
//! Exit codes: 0 it was answered, 2 wrong usage, 3 no postwatch answers there.

use std::process::ExitCode;

use reqwest::Method;

use super::ask::{Answer, Failed, ServiceArgs, label, query};
use super::print;
use super::table::table;
use crate::domain::search::{DeliveryFound, Found};

/// Deliveries that failed, the latest first
///
/// Asks the running service for those of the look-back that failed at least once, whatever
/// became of them since: when, how it stands, why, and at whose server.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct DeliveriesArgs {
    /// What they must be like: affiliate, offer, postback, host, reason, state, source, event,
    /// since, until …; a value may hold * and ?, and of several for one key any will do
    #[arg(value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// A conversion id of the network
    #[arg(long, value_name = "ID")]
    conversion: Option<String>,
    /// A transaction id
    #[arg(long, value_name = "ID")]
    transaction: Option<String>,
    /// At most so many, 500 or fewer
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
    /// The page that begins here, as the page before named it
    #[arg(long, value_name = "NEXT")]
    cursor: Option<String>,
    #[command(flatten)]
    service: ServiceArgs,
    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  postwatch deliveries affiliate=7 state=failing
  postwatch deliveries 'host=*.example.com' reason=http_5* since=2026-03-01T12:00:00Z
  postwatch deliveries --conversion 2f9a0c…
  postwatch deliveries state=exhausted state=abandoned --json | jq -r '.items[].said.conversion_id'

`postwatch explain --conversion ID` also tells which rules count them.

Exit codes: 0 it was answered · 2 wrong usage · 3 no postwatch answers there";

/// Asks once, and prints the answer.
pub async fn run(args: &DeliveriesArgs) -> anyhow::Result<ExitCode> {
    let answer = match ask(args).await {
        Ok(answer) => answer,
        Err(failed) => return Ok(failed.end("deliveries")),
    };
    let shown = if args.json { answer.json + "\n" } else { text(&answer.read) };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

async fn ask(args: &DeliveriesArgs) -> Result<Answer<Found<DeliveryFound>>, Failed> {
    let limit = args.limit.to_string();
    let named = [
        ("limit", Some(limit.as_str())),
        ("conversion", args.conversion.as_deref()),
        ("transaction", args.transaction.as_deref()),
        ("cursor", args.cursor.as_deref()),
    ];
    let query = query(&named, &args.labels);
    args.service.ask(Method::GET, "/api/v1/deliveries", &query, None).await
}

fn text(found: &Found<DeliveryFound>) -> String {
    if found.items.is_empty() {
        return "No delivery like that failed within the look-back.\n".to_owned();
    }
    let titles =
        ["fired", "state", "reason", "tries", "postback", "affiliate", "host", "conversion"];
    let rows = std::iter::once(titles.map(str::to_owned).to_vec());
    let mut lines = table(&rows.chain(found.items.iter().map(row)).collect::<Vec<_>>());
    if let Some(next) = &found.next {
        lines.push(format!("There are more: --cursor {next}"));
    }
    lines.join("\n") + "\n"
}

fn row(one: &DeliveryFound) -> Vec<String> {
    let life = &one.life;
    vec![
        life.timestamp.0.to_string(),
        life.state.clone(),
        life.reason.clone(),
        life.failed_attempts.to_string(),
        life.postback.to_string(),
        life.affiliate.clone(),
        life.host.clone(),
        one.said.as_ref().map(|said| said.conversion_id.clone()).unwrap_or_default(),
    ]
}
