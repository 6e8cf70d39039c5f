//! `postwatch backtest`: what rules would have told over a past, by the engine that
//! runs live. Tells nobody anything.

use std::path::PathBuf;
use std::process::ExitCode;

use super::past::{self, Past, PastArgs, Refusal};
use super::progress::Progress;
use crate::config::Config;
use crate::replay::Told;
use crate::replay::backtest::backtest;

mod compare;
mod json;
mod page;
mod summary;
mod text;

use compare::Difference;
use summary::Summary;

/// Replay rules over the past: which alerts and messages they would have sent, and when
///
/// The same engine as `run`, on a virtual clock, with batches, inhibition, mutes and reminders.
/// Nothing is sent, and secrets of the rules file may be missing.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct BacktestArgs {
    /// The rules file
    #[arg(long, value_name = "FILE", default_value = "rules.yaml", env = "POSTWATCH_RULES")]
    pub rules: PathBuf,
    #[command(flatten)]
    pub past: PastArgs,
    /// Another rules file: show what differs
    #[arg(long, value_name = "FILE")]
    pub against: Option<PathBuf>,
    /// Draw it into this file: failures over time, with the alerts on them
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print JSON for scripts
    #[arg(long)]
    pub json: bool,
}

const EXAMPLES: &str = "\
Examples:
  postwatch backtest --export pixels.ndjson                      what rules.yaml would have sent
  postwatch backtest --from 7d --html week.html                  the network's last week, drawn
  postwatch backtest --rules new.yaml --export pixels.csv --against rules.yaml
  postwatch backtest --export pixels.ndjson --json | jq .alerts

Exit codes: 0 it was replayed · 1 the rules are invalid · 2 wrong usage, or a file cannot be
read · 3 the network cannot be asked";

/// What history cannot show: told with every result.
const CANNOT_SHOW: [&str; 5] = [
    "An export shows how deliveries ended: of their retries only the number and the last one.",
    "Outages of the network's API and rows that came late are not in it: every row is taken to have been there in time.",
    "When a postback was switched off is not in it: it is taken for off after its last row that says so.",
    "Of `suspect` it shows macros that were left in a URL, not click ids that are empty: the postbacks' templates are not in it.",
    "A failure that recovered no longer tells why: its reason is `unseen`.",
];

/// One rules file, played.
struct Played {
    file: String,
    told: Told,
    summary: Summary,
}

pub async fn run(args: BacktestArgs) -> anyhow::Result<ExitCode> {
    Ok(past::end(play(&args).await)?)
}

async fn play(args: &BacktestArgs) -> Result<String, Refusal> {
    let config = past::rules(&args.rules)?;
    let other = args.against.as_deref().map(past::rules).transpose()?;
    let (policy, source) = past::source(&config, &args.past, &args.rules)?;
    let past = past::read(&args.past, policy, source).await?;
    let file = args.rules.display().to_string();
    let played = play_one(file, &config, &args.past, &args.rules, &past)?;
    let other = match (other, &args.against) {
        (Some(config), Some(file)) => {
            let name = file.display().to_string();
            Some(play_one(name, &config, &args.past, file, &past)?)
        }
        _ => None,
    };
    if let Some(file) = &args.html {
        let page = page::page(&played, &past);
        std::fs::write(file, page).map_err(|error| {
            Refusal::usage(format!("{} cannot be written: {error}", file.display()))
        })?;
    }
    let difference = other.as_ref().map(|other| Difference::between(&played.told, &other.told));
    let against = other.as_ref().zip(difference.as_ref());
    Ok(match args.json {
        true => json::json(&played, &past, against),
        false => text::text(&played, &past, against),
    })
}

fn play_one(
    file: String,
    config: &Config,
    args: &PastArgs,
    path: &std::path::Path,
    past: &Past,
) -> Result<Played, Refusal> {
    let (source, _) = past::source(config, args, path)?;
    let mut progress = Progress::new(format!("replaying {file}"));
    let all = past.history.len() as u64;
    let (policy, history) = (&config.policy, &past.history);
    // What the rows add up to needs no rules: it is counted while they are played.
    let (told, deliveries) = std::thread::scope(|scope| {
        let counted = scope.spawn(|| history.deliveries(&source.scopes));
        let told = backtest(policy, source, history, &mut |rows| progress.at(rows as u64, all));
        (told, counted.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    drop(progress);
    let summary = Summary::of(policy, history, deliveries, &told);
    Ok(Played { file, told, summary })
}
