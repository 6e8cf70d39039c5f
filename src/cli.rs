//! The command line: one file a subcommand.

use std::io::{ErrorKind, Write as _};
use std::num::NonZero;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub mod alerts;
mod ask;
pub mod backtest;
pub mod check;
pub mod completions;
pub mod deliveries;
pub mod demo;
pub mod explain;
pub mod logs;
pub mod notify;
pub mod online;
pub mod outbox;
mod paint;
mod past;
mod progress;
pub mod run;
pub mod silence;
pub mod simulate;
pub mod suggest;
mod table;
pub mod test;

/// Wrong usage, an unreadable file included.
pub const WRONG_USAGE: u8 = 2;
/// It cannot start: port taken, store locked or damaged, key refused.
pub const CANNOT_START: u8 = 3;

/// Prints what a command has found. Whoever reads it may have seen enough.
fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

const FEWEST_WORKERS: usize = 4;

const ABOUT: &str = "\
Watches the postbacks that an affiliate network fires at its partners' servers, and tells
the right person when they stop arriving: once, with the cause, and again when it is over.

Try it, with nothing to configure:
  postwatch demo

Watch your network:
  export EVERFLOW_API_KEY=…  SLACK_BOT_TOKEN=…
  postwatch check rules.yaml     every mistake of the file at once
  postwatch check --online       do the keys and logins work? sends nothing
  postwatch notify on-call       sends a test message
  postwatch run                  the service; its page is at http://127.0.0.1:9467/

`postwatch help COMMAND` has examples of each.

Exit codes: 0 fine · 1 it ran and the answer is no (invalid rules) · 2 wrong usage or an
unreadable file · 3 cannot start (port taken, store locked or damaged, key refused)";

#[derive(Debug, Parser)]
#[command(name = "postwatch", version, about = ABOUT, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    logs: logs::LogArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Run(run::RunArgs),
    Check(check::CheckArgs),
    Test(test::TestArgs),
    Backtest(backtest::BacktestArgs),
    Suggest(suggest::SuggestArgs),
    Explain(explain::ExplainArgs),
    Outbox(outbox::OutboxArgs),
    Notify(notify::NotifyArgs),
    Alerts(alerts::AlertsArgs),
    Deliveries(deliveries::DeliveriesArgs),
    Silence(silence::SilenceArgs),
    Simulate(simulate::SimulateArgs),
    Completions(completions::CompletionsArgs),
}

impl Cli {
    /// Runs the command to its end.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let is_demo = matches!(self.command, Command::Demo(_));
        self.logs.start(if is_demo { "error" } else { "info" });
        // Some wait for the state's lock, which a commit holds until the disk has it: on one
        // core too the others must go on.
        let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(cores.max(FEWEST_WORKERS)).enable_all().build()?;
        let ended = match self.command {
            Command::Demo(args) => runtime.block_on(demo::run(args)),
            Command::Run(args) => runtime.block_on(run::run(args, &self.logs)),
            Command::Check(args) => {
                check::run(&args, &|config| runtime.block_on(online::try_all(config)))
            }
            Command::Test(args) => test::run(&args),
            Command::Backtest(args) => runtime.block_on(backtest::run(args)),
            Command::Suggest(args) => runtime.block_on(suggest::run(args)),
            Command::Explain(args) => runtime.block_on(explain::run(&args)),
            Command::Outbox(args) => runtime.block_on(outbox::run(&args)),
            Command::Notify(args) => runtime.block_on(notify::run(&args)),
            Command::Alerts(args) => runtime.block_on(alerts::run(&args)),
            Command::Deliveries(args) => runtime.block_on(deliveries::run(&args)),
            Command::Silence(args) => runtime.block_on(silence::run(&args)),
            Command::Simulate(args) => runtime.block_on(simulate::run(args)),
            Command::Completions(args) => completions::run(&args),
        };
        // What still runs must not hold up the end.
        runtime.shutdown_background();
        ended
    }
}
