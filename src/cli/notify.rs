//! `postwatch notify`: sends a test message to one receiver and shows the answer.
//!
//! Exit codes: 0 it was taken, 1 it was not, or the rules are invalid, 2 there is no
//! such receiver, or the file cannot be read.

use std::path::PathBuf;
use std::process::ExitCode;

use super::run::channel;
use super::{WRONG_USAGE, print};
use crate::channel::{Link, Sent, Thread};
use crate::clock::Clock;
use crate::config::{self, Config, ConfigError, Receiver};
use crate::domain::notify::sample;

/// Send a test message to a receiver and show the answer
///
/// The message says that it is a test, and is otherwise like one about a partner whose
/// server fails: with the receiver's own templates, signed, in the same channel. The service
/// need not run, and does not hear of it.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct NotifyArgs {
    /// The receiver, by its name in the rules file
    receiver: String,
    /// The rules file
    #[arg(long, env = "POSTWATCH_RULES", default_value = "rules.yaml", value_name = "FILE")]
    rules: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  postwatch notify on-call
  postwatch notify hook --rules /etc/postwatch/rules.yaml

An Alertmanager shows the test as an alert of severity info, which ends by itself within
5 minutes.

Exit codes: 0 it was taken · 1 it was not, or the rules are invalid (see `postwatch check`)
· 2 there is no such receiver, wrong usage, or the rules file cannot be read";

/// Sends once, without another try.
pub async fn run(args: &NotifyArgs) -> anyhow::Result<ExitCode> {
    let config = match config::load(&args.rules) {
        Ok((config, _)) => config,
        Err(error @ ConfigError::Unreadable { .. }) => {
            eprintln!("postwatch notify: {error}");
            return Ok(ExitCode::from(WRONG_USAGE));
        }
        Err(error @ ConfigError::Invalid { .. }) => {
            eprintln!("{error}\npostwatch notify: the rules are invalid");
            return Ok(ExitCode::FAILURE);
        }
    };
    let Some(receiver) = config.receivers.iter().find(|one| one.name == args.receiver) else {
        eprintln!("postwatch notify: {}", unknown(&args.receiver, &config));
        return Ok(ExitCode::from(WRONG_USAGE));
    };
    match send(receiver).await {
        Ok(answer) => {
            print(&format!("receiver \"{}\": {answer}\n", receiver.name))?;
            Ok(ExitCode::SUCCESS)
        }
        Err(why) => {
            eprintln!("receiver \"{}\": not sent: {why}", receiver.name);
            Ok(ExitCode::FAILURE)
        }
    }
}

fn unknown(name: &str, config: &Config) -> String {
    let known: Vec<&str> = config.receivers.iter().map(|one| one.name.as_str()).collect();
    match known.is_empty() {
        true => format!("there is no receiver `{name}`: the rules file has no `receivers:`"),
        false => {
            let hint = config::suggest(name, &known);
            format!("there is no receiver `{name}`: {hint}; there are {}", known.join(", "))
        }
    }
}

async fn send(receiver: &Receiver) -> Result<String, String> {
    let channel = channel(receiver)?;
    let notice = sample::notice(Clock::System.now(), &receiver.name);
    let sent =
        channel.send(&notice, None, &Link::of(None)).await.map_err(|error| error.to_string())?;
    let unworded = sent.unworded.as_ref();
    let unworded =
        unworded.map(|why| format!("; its own words failed, the built-in text was sent ({why})"));
    Ok(format!("a test message was sent: {}{}", answer(&sent), unworded.unwrap_or_default()))
}

fn answer(sent: &Sent) -> String {
    match (&sent.answer, &sent.thread) {
        (Some(answer), _) => answer.clone(),
        (None, Some(Thread::Slack { channel, .. })) => format!("Slack posted it in {channel}"),
        (None, Some(Thread::Email { .. })) => "the mail server took it".to_owned(),
        (None, Some(Thread::Alertmanager { .. }) | None) => "it was taken".to_owned(),
    }
}
