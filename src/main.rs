//! Parse, run, exit code.

use std::process::ExitCode;

use clap::Parser;
use postwatch::cli::Cli;

fn main() -> ExitCode {
    // Before anything speaks TLS: reqwest panics without a provider.
    rustls::crypto::ring::default_provider()
        .install_default()
        .expect("nobody installed a provider before main");
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("postwatch: {error:#}");
            ExitCode::from(postwatch::cli::CANNOT_START)
        }
    }
}
