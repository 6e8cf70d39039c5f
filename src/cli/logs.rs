//! Logs: to standard error, as text for people or JSON for machines.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, or a filter such as postwatch::poll=debug
    #[arg(long = "log", global = true, env = "POSTWATCH_LOG", value_name = "FILTER")]
    filter: Option<String>,
    /// How to log
    #[arg(long, global = true, env = "POSTWATCH_LOG_FORMAT", default_value = "text")]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

impl LogArgs {
    /// Starts logging; a filter that makes no sense is said, and the default taken.
    pub fn start(&self, default: &str) {
        let asked = self.filter.as_deref().unwrap_or(default);
        let filter = EnvFilter::try_new(asked).unwrap_or_else(|error| {
            eprintln!("postwatch: the log filter {asked:?} makes no sense ({error}); using info");
            EnvFilter::new("info")
        });
        let logs = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(std::io::stderr)
            .with_target(false);
        let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        match self.log_format {
            LogFormat::Text => logs.with_ansi(coloured).init(),
            LogFormat::Json => logs.json().flatten_event(true).init(),
        }
    }
}
