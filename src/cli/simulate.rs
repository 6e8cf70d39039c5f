//! `postwatch simulate`: the simulated network alone, served until it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::{CANNOT_START, WRONG_USAGE, print};
use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::simulate::{self, Running, Scenario};

/// Serve a simulated affiliate network to try postwatch, or anything else, against
///
/// Prints the base URL and the key, as a source for rules.yaml, and runs until it is
/// interrupted. It keeps nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SimulateArgs {
    /// Where the simulated API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9468")]
    listen: SocketAddr,
    /// A scenario in YAML; without it, an hour with one incident of each kind
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// The same seed gives the same network; left out: the scenario's own
    #[arg(long)]
    seed: Option<u64>,
    /// Simulated seconds in a real one
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

const EXAMPLES: &str = "\
Examples:
  postwatch simulate                       an hour with one incident of each kind
  postwatch simulate --listen 127.0.0.1:0  on a free port, which it prints
  postwatch simulate --scenario my.yaml --seed 7

Exit codes: 0 it was stopped · 1 the scenario is wrong · 2 wrong usage, or the scenario
cannot be read · 3 cannot start: the port is taken";

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        Ok(_) | Err(_) => Err("must be a number above 0".into()),
    }
}

/// Serves until SIGINT or SIGTERM. 3 where the port is taken.
pub async fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let scenario = match scenario(&args) {
        Ok(scenario) => scenario,
        Err((code, why)) => {
            eprintln!("postwatch simulate: {why}");
            return Ok(ExitCode::from(code));
        }
    };
    let clock = clock(args.speed);
    let key = scenario.api_key.clone();
    // Before the server starts: a signal must find somebody who listens.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let network = match simulate::start(args.listen, scenario, clock).await {
        Ok(network) => network,
        Err(error) => {
            eprintln!(
                "postwatch simulate: cannot listen on {}: {error}; choose another address with --listen",
                args.listen
            );
            return Ok(ExitCode::from(CANNOT_START));
        }
    };
    print(&introduction(&network, &key, args.speed))?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    network.stop().await;
    Ok(ExitCode::SUCCESS)
}

fn clock(speed: f64) -> Clock {
    match speed == 1.0 {
        true => Clock::System,
        false => Clock::scaled(Timestamp(jiff::Timestamp::now().as_second()), speed),
    }
}

/// The scenario, or the exit code and why.
fn scenario(args: &SimulateArgs) -> Result<Scenario, (u8, String)> {
    let mut scenario = match &args.scenario {
        None => Scenario::demo(1),
        Some(path) => {
            let name = path.display();
            let text = std::fs::read_to_string(path).map_err(|error| {
                (WRONG_USAGE, format!("cannot read {name} ({error}): name a file with --scenario"))
            })?;
            Scenario::from_yaml(&text)
                .map_err(|error| (1, format!("{name} is no scenario: {error:#}")))?
        }
    };
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    Ok(scenario)
}

fn introduction(network: &Running, key: &str, speed: f64) -> String {
    let (address, base_url) = (network.address, network.base_url());
    let pace = match speed == 1.0 {
        true => String::new(),
        false => format!("Its clock starts now and runs {speed} times as fast as yours.\n"),
    };
    format!(
        "A simulated network listens on {address} until it is interrupted.
{pace}
  base URL  {base_url}
  API key   {key}

Point `postwatch run` at it with this in rules.yaml:

  sources:
    - name: simulated
      base_url: {base_url}
      api_key: {key}

What really happened: curl http://{address}/simulate/truth
Make it misbehave:    curl -X POST http://{address}/simulate/faults \\
                        -H 'Content-Type: application/json' \\
                        -d '{{\"kind\": {{\"status\": 500}}, \"times\": 3}}'
"
    )
}
