//! `postwatch outbox`: asks the running service for messages that nobody has got,
//! and has given-up ones sent again.
//!
//! Exit codes: 0 done, 1 there is no such dead letter, 2 wrong usage, 3 no postwatch
//! answers there.

use std::process::ExitCode;

use reqwest::Method;
use serde::Deserialize;

use super::ask::{Failed, ServiceArgs};
use super::print;
use super::table::table;

/// Messages that wait, and those that were given up
///
/// Asks the running service. A message is given up where its channel refuses it for good, or
/// has not taken it for about a day (two minutes where the route has a fallback, which then
/// gets it). `resend` sends it as it was, with its id.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct OutboxArgs {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    service: ServiceArgs,
    /// Print JSON for scripts
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Send given-up messages again
    Resend {
        /// As `postwatch outbox` lists it
        #[arg(value_name = "NUMBER", required_unless_present = "all", conflicts_with = "all")]
        number: Option<u64>,
        /// Every one of them
        #[arg(long)]
        all: bool,
    },
}

const EXAMPLES: &str = "\
Examples:
  postwatch outbox               what waits, what was given up, and why
  postwatch outbox --json | jq '.dead_letters[].trouble'
  postwatch outbox resend 12     after its channel was mended
  postwatch outbox resend --all

Exit codes: 0 done · 1 there is no such dead letter · 2 wrong usage · 3 no postwatch answers there";

#[derive(Deserialize)]
struct Shown {
    waiting: Vec<Letter>,
    dead_letters: Vec<Letter>,
}

#[derive(Deserialize)]
struct Letter {
    number: u64,
    receiver: String,
    reason: String,
    summary: String,
    alerts: usize,
    created_at: String,
    tries: u32,
    next_try_at: Option<String>,
    given_up_at: Option<String>,
    trouble: Option<String>,
}

#[derive(Deserialize)]
struct SentAgain {
    sent_again: Vec<u64>,
}

/// Asks once, and prints the answer.
pub async fn run(args: &OutboxArgs) -> anyhow::Result<ExitCode> {
    match ask(args).await {
        Ok(lines) => {
            print(&(lines.join("\n") + "\n"))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(failed) => Ok(failed.end("outbox")),
    }
}

/// The lines that are shown.
async fn ask(args: &OutboxArgs) -> Result<Vec<String>, Failed> {
    let (get, post) = (Method::GET, Method::POST);
    match &args.command {
        None => {
            let answer = args.service.ask(get, "/api/v1/outbox", &[], None).await?;
            Ok(if args.json { vec![answer.json] } else { listed(&answer.read) })
        }
        Some(Command::Resend { number, .. }) => {
            let number = number.map(|number| number.to_string());
            let which = number.as_deref().map_or(("all", "true"), |number| ("number", number));
            let path = "/api/v1/outbox/resend";
            let answer = args.service.ask(post, path, &[which], None).await?;
            Ok(vec![if args.json { answer.json } else { resent(&answer.read) }])
        }
    }
}

fn resent(SentAgain { sent_again }: &SentAgain) -> String {
    match sent_again.len() {
        0 => "There is no dead letter.".to_owned(),
        1 => "1 message is sent again; `postwatch outbox` shows what becomes of it.".to_owned(),
        n => format!("{n} messages are sent again; `postwatch outbox` shows what becomes of them."),
    }
}

fn listed(shown: &Shown) -> Vec<String> {
    if shown.waiting.is_empty() && shown.dead_letters.is_empty() {
        return vec!["Every message was taken by its channel.".to_owned()];
    }
    let mut lines = Vec::new();
    for (title, letters) in [("Given up", &shown.dead_letters), ("Waiting", &shown.waiting)] {
        if letters.is_empty() {
            continue;
        }
        lines.push(format!("{title}: {}", letters.len()));
        lines.extend(table(&letters.iter().map(row).collect::<Vec<_>>()));
    }
    lines
}

fn row(letter: &Letter) -> Vec<String> {
    let others = match letter.alerts.saturating_sub(1) {
        0 => String::new(),
        others => format!(" (+{others} more)"),
    };
    let fate = match (&letter.given_up_at, &letter.next_try_at) {
        (Some(at), _) => format!("given up {at}"),
        (None, Some(_)) if letter.tries == 0 => "not tried yet".to_owned(),
        (None, Some(at)) => format!("{} tries failed, the next at {at}", letter.tries),
        (None, None) => String::new(),
    };
    let trouble = letter.trouble.clone().unwrap_or_default();
    vec![
        format!("  {}", letter.number),
        letter.receiver.clone(),
        letter.created_at.clone(),
        letter.reason.clone(),
        format!("{}{others}", letter.summary),
        fate,
        trouble,
    ]
}
