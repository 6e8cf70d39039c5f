//! `postwatch simulate`: the simulated network alone, served until it is stopped.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::clock::Clock;
use crate::domain::time::Timestamp;
use crate::simulate::{self, Running, Scenario};

/// Serve a simulated affiliate network to try postwatch, or anything else, against.
#[derive(Debug, clap::Args)]
pub struct SimulateArgs {
    /// Where the simulated API listens
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9468")]
    listen: SocketAddr,
    /// A scenario in YAML; without it, an hour with one incident of each kind
    #[arg(long, value_name = "FILE")]
    scenario: Option<PathBuf>,
    /// Of all chance; the scenario's own seed where it is left out
    #[arg(long)]
    seed: Option<u64>,
    /// Simulated seconds in a real one
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    speed: f64,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        Ok(_) | Err(_) => Err("must be a number above 0".into()),
    }
}

/// Serves until SIGINT or SIGTERM. 3 where the port is taken.
pub async fn run(args: SimulateArgs) -> anyhow::Result<ExitCode> {
    let scenario = scenario(&args)?;
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
            return Ok(ExitCode::from(3));
        }
    };
    introduce(&network, &key, args.speed);
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

fn scenario(args: &SimulateArgs) -> anyhow::Result<Scenario> {
    let mut scenario = match &args.scenario {
        None => Scenario::demo(1),
        Some(path) => {
            let name = path.display();
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {name}"))?;
            Scenario::from_yaml(&text).with_context(|| format!("{name} is no scenario"))?
        }
    };
    scenario.seed = args.seed.unwrap_or(scenario.seed);
    Ok(scenario)
}

fn introduce(network: &Running, key: &str, speed: f64) {
    println!("A simulated network listens on {} until it is interrupted.", network.address);
    if speed != 1.0 {
        println!("Its clock starts now and runs {speed} times as fast as yours.");
    }
    println!();
    println!("  base URL  {}", network.base_url());
    println!("  API key   {key}");
    println!();
    println!("Point `postwatch run` at it with this in rules.yaml:");
    println!();
    println!("  sources:");
    println!("    - name: simulated");
    println!("      base_url: {}", network.base_url());
    println!("      api_key: {key}");
    println!();
    println!("What really happened: curl http://{}/simulate/truth", network.address);
    println!("Make it misbehave:    curl -X POST http://{}/simulate/faults \\", network.address);
    println!("                        -H 'Content-Type: application/json' \\");
    println!("                        -d '{{\"kind\": {{\"status\": 500}}, \"times\": 3}}'");
}
