//! `postwatch silence`: asks the running service to send no messages of some alerts for a
//! while, shows what is silenced, and ends it.
//!
//! Exit codes: 0 done, 1 there is no such silence, 2 wrong usage, 3 no postwatch answers
//! there.

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;
use reqwest::Method;
use serde::Deserialize;
use serde_json::json;

use super::ask::{Answer, Failed, ServiceArgs};
use super::paint::Paint;
use super::print;
use super::{WRONG_USAGE, alerts};
use crate::config::parse_duration;
use crate::domain::explain::SilenceStanding;
use crate::domain::silence::matcher::Matcher;
use crate::domain::time::seconds;

mod text;

/// Send no messages of some alerts for a while
///
/// A silence stops messages, never alerts: they stand, are shown, and whoever was told of one
/// before hears its end. What nobody was told of, and still fires when its silence ends, is told
/// then.
#[derive(Debug, clap::Args)]
pub struct SilenceArgs {
    #[command(subcommand)]
    command: SilenceCommand,
}

#[derive(Debug, Subcommand)]
enum SilenceCommand {
    Add(AddArgs),
    List(ListArgs),
    Expire(ExpireArgs),
}

/// Silence alerts until a given time; shows what that hides now
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct AddArgs {
    /// What the alerts must be like, all of it: KEY=VALUE, KEY!=VALUE, KEY=~REGEX, KEY!~REGEX
    #[arg(value_name = "MATCHER", value_parser = Matcher::parse, required = true)]
    matchers: Vec<Matcher>,
    /// For how long from now: 2h, 3d
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, required_unless_present = "until")]
    lasts: Option<Duration>,
    /// Until when: 2026-03-01T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with = "lasts")]
    until: Option<jiff::Timestamp>,
    /// Why, for whoever finds it later
    #[arg(long, value_name = "TEXT")]
    comment: String,
    /// Who wants it
    #[arg(long, env = "USER", default_value = "", value_name = "NAME")]
    author: String,
    /// Show what it would hide now, and set nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    service: ServiceArgs,
}

const EXAMPLES: &str = "\
Examples:
  postwatch silence add affiliate=7 --for 2h --comment 'their server moves'
  postwatch silence add rule=partner-endpoint-failing host=~'s2s\\..*' --for 1d --comment … --dry-run
  postwatch silence add affiliate=7 --until 2026-03-01T18:00:00Z --comment …

Exit codes: 0 done · 2 wrong usage · 3 no postwatch answers there";

/// The silences that are on and to come, and what each hides now
#[derive(Debug, clap::Args)]
struct ListArgs {
    /// Those that are over as well; they are kept for five days
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    service: ServiceArgs,
    /// Print JSON for scripts
    #[arg(long)]
    json: bool,
}

/// End a silence now; what still fires and was not told is told next
#[derive(Debug, clap::Args)]
struct ExpireArgs {
    /// As `silence list` shows it
    id: String,
    #[command(flatten)]
    service: ServiceArgs,
}

#[derive(Deserialize)]
struct Added {
    #[serde(rename = "silenceID")]
    id: String,
}

fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).map_err(|(message, fix)| format!("{message}; {fix}"))
}

/// Does what was asked for, and says so.
pub async fn run(args: &SilenceArgs) -> anyhow::Result<ExitCode> {
    match &args.command {
        SilenceCommand::Add(args) => add(args).await,
        SilenceCommand::List(args) => list(args).await,
        SilenceCommand::Expire(args) => expire(args).await,
    }
}

async fn add(args: &AddArgs) -> anyhow::Result<ExitCode> {
    let now = jiff::Timestamp::now();
    let lasts = |lasts| now.checked_add(jiff::SignedDuration::from_secs(seconds(lasts)));
    let ends_at = args.until.map(Ok).or_else(|| args.lasts.map(lasts));
    let Some(Ok(ends_at)) = ends_at else {
        eprintln!("postwatch silence add: that lies too far ahead");
        return Ok(ExitCode::from(WRONG_USAGE));
    };
    let standing = match alerts::ask(&args.service, &args.matchers).await {
        Ok(answer) => answer.read,
        Err(failed) => return Ok(failed.end("silence add")),
    };
    let hides = text::preview(&standing, args.dry_run, Paint::stdout());
    print(&hides)?;
    if args.dry_run {
        return Ok(ExitCode::SUCCESS);
    }
    match post(args, now, ends_at).await {
        Ok(Added { id }) => {
            print(&format!("{id}\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failed) => Ok(failed.end("silence add")),
    }
}

async fn post(
    args: &AddArgs,
    now: jiff::Timestamp,
    ends_at: jiff::Timestamp,
) -> Result<Added, Failed> {
    let matchers = args.matchers.iter().map(|matcher| {
        let (name, value) = (matcher.name(), matcher.value());
        let (is_regex, is_equal) = (matcher.op().is_regex(), matcher.op().is_equal());
        json!({ "name": name, "value": value, "isRegex": is_regex, "isEqual": is_equal })
    });
    let silence = json!({
        "matchers": matchers.collect::<Vec<_>>(),
        "startsAt": now.to_string(),
        "endsAt": ends_at.to_string(),
        "createdBy": args.author,
        "comment": args.comment,
    });
    let answer = args.service.ask(Method::POST, "/api/v2/silences", &[], Some(&silence)).await?;
    Some(answer.read).filter(|added: &Added| !added.id.is_empty()).ok_or_else(|| {
        Failed::Silent("the answer names no silence, so that none was set".to_owned())
    })
}

async fn list(args: &ListArgs) -> anyhow::Result<ExitCode> {
    let asked = args.service.ask(Method::GET, "/api/v1/silences", &[], None);
    let answer: Answer<Vec<SilenceStanding>> = match asked.await {
        Ok(answer) => answer,
        Err(failed) => return Ok(failed.end("silence list")),
    };
    let chosen = |all: Vec<SilenceStanding>| text::chosen(all, args.all);
    let shown = match args.json {
        true => serde_json::to_string(&chosen(serde_json::from_str(&answer.json)?))? + "\n",
        false => text::list(&chosen(answer.read), Paint::stdout()),
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

async fn expire(args: &ExpireArgs) -> anyhow::Result<ExitCode> {
    // An id is no path: what is not part of one is not asked for.
    if !args.id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') || args.id.is_empty() {
        eprintln!("postwatch silence expire: `{}` is no id; `silence list` shows them", args.id);
        return Ok(ExitCode::from(WRONG_USAGE));
    }
    let path = format!("/api/v2/silence/{}", args.id);
    match args.service.ask(Method::DELETE, &path, &[], None).await {
        Ok(Answer { read: (), .. }) => {
            print("It is over; what still fires and was not told is told next.\n")?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failed) => Ok(failed.end("silence expire")),
    }
}
