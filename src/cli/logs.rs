//! Logs: to standard error, as text for people or JSON for machines.

use std::io::{IsTerminal, Write};

use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use super::progress;

#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// What to log: error, warn, info, debug, or a filter such as postwatch::poll=debug
    #[arg(
        long = "log",
        global = true,
        env = "POSTWATCH_LOG",
        value_name = "FILTER",
        hide_env_values = true
    )]
    filter: Option<String>,
    /// How to log: text for people, json for machines, one object a line
    #[arg(
        long,
        hide_possible_values = true,
        global = true,
        env = "POSTWATCH_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT",
        hide_env_values = true
    )]
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
            self.complain(&format!(
                "postwatch: the log filter {asked:?} makes no sense ({error}); using info"
            ));
            EnvFilter::new("info")
        });
        // Below a warning the crates that speak TLS, HTTP/2 and SMTP write what goes over
        // the wire: keys, logins and messages, which no filter may let through.
        let filter = filter.and(filter_fn(|told| {
            told.target().starts_with("postwatch") || *told.level() <= tracing::Level::WARN
        }));
        let logs = tracing_subscriber::fmt::layer().with_writer(beside_a_bar).with_target(false);
        let coloured = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        match self.log_format {
            LogFormat::Text => {
                let logs = logs.with_ansi(coloured).with_filter(filter);
                tracing_subscriber::registry().with(logs).init();
            }
            LogFormat::Json => {
                let logs = logs.json().flatten_event(true).with_filter(filter);
                tracing_subscriber::registry().with(logs).init();
            }
        }
    }

    /// Says why a command ends here: whoever reads JSON gets JSON.
    pub fn complain(&self, text: &str) {
        match self.log_format {
            LogFormat::Text => eprintln!("{text}"),
            LogFormat::Json => {
                let at = jiff::Timestamp::now();
                let line =
                    serde_json::json!({ "timestamp": at, "level": "ERROR", "message": text });
                eprintln!("{line}");
            }
        }
    }
}

/// Standard error; on a terminal a line takes the place of a bar that stands there.
fn beside_a_bar() -> std::io::Stderr {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        let _ = write!(stderr, "{}", progress::CLEAR);
    }
    stderr
}
