//! `postwatch completions`: what a shell needs to complete commands and flags.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

/// Completions of commands and flags for your shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  postwatch completions bash > /etc/bash_completion.d/postwatch
  postwatch completions zsh > \"${fpath[1]}/_postwatch\"
  postwatch completions fish > ~/.config/fish/completions/postwatch.fish

Exit codes: 0 fine · 2 wrong usage";

/// Prints them.
pub fn run(args: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut super::Cli::command(), "postwatch", &mut script);
    super::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
