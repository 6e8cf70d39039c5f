//! The past that `backtest` and `suggest` play: an export file, or the network's own
//! history. And the rules that they play it to.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use super::check::counted;
use super::progress::Progress;
use super::run::everflow;
use super::{WRONG_USAGE, print};
use crate::clock::Clock;
use crate::config::{self, Config, SourceConfig};
use crate::domain::policy::SourcePolicy;
use crate::domain::time::Timestamp;
use crate::metrics::Metrics;
use crate::replay::export::{self, Reading};
use crate::replay::history::History;
use crate::source::{Ask, Page, PageSink, ReportApi, Status};

const DAY: Duration = Duration::from_secs(86_400);
const BUFFER: usize = 1 << 20;

/// Which past to play.
#[derive(Debug, Clone, clap::Args)]
pub struct PastArgs {
    /// An export of the postback report: newline-delimited JSON, or CSV with a header
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub export: Option<PathBuf>,
    /// The network's own history of this long, up to now; needs the API key
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub from: Option<Duration>,
    /// The source of the rules file whose rows they are; needed where it has several
    #[arg(long, value_name = "NAME")]
    pub source: Option<String>,
}

fn duration(text: &str) -> Result<Duration, String> {
    let duration =
        config::parse_duration(text).map_err(|(wrong, hint)| format!("{wrong}: {hint}"))?;
    let longest = export::LONGEST;
    let too_long = || format!("more than {} are not played", config::write_duration(longest));
    if duration <= longest { Ok(duration) } else { Err(too_long()) }
}

/// Why it cannot be played: what to print, and the exit code.
#[derive(Debug)]
pub struct Refusal {
    pub code: u8,
    pub text: String,
}

impl Refusal {
    pub fn usage(text: impl Into<String>) -> Refusal {
        Refusal { code: WRONG_USAGE, text: text.into() }
    }
}

/// A past and where it comes from.
pub struct Past {
    /// As a person named it.
    pub name: String,
    pub history: History,
    pub reading: Reading,
}

/// The rules of `file`, which nobody is told by: secrets may be missing.
pub fn rules(file: &Path) -> Result<Config, Refusal> {
    let text = config::read(file).map_err(|error| Refusal::usage(error.to_string()))?;
    let (config, report) = config::parse_offline(&text, file);
    config.ok_or_else(|| {
        let file = file.display();
        let lines = report.mistakes.iter().map(|mistake| format!("{file}:{mistake}\n"));
        let text = lines.collect::<String>();
        Refusal {
            code: 1,
            text: format!("{text}`postwatch check {file}` shows each with its line"),
        }
    })
}

/// The source whose rows the past holds.
pub fn source<'c>(
    config: &'c Config,
    args: &PastArgs,
    file: &Path,
) -> Result<(&'c SourcePolicy, &'c SourceConfig), Refusal> {
    let all = || config.policy.sources.iter().zip(&config.sources);
    let names = || all().map(|(policy, _)| policy.name.as_str()).collect::<Vec<_>>().join(", ");
    match (&args.source, config.sources.as_slice()) {
        (Some(name), _) => all().find(|(policy, _)| policy.name == *name).ok_or_else(|| {
            let file = file.display();
            Refusal::usage(format!("{file} has no source `{name}`; it has {}", names()))
        }),
        (None, [_]) => all().next().ok_or_else(|| Refusal::usage("no source")),
        (None, _) => Err(Refusal::usage(format!(
            "{} has several sources: say whose rows these are with --source NAME ({})",
            file.display(),
            names()
        ))),
    }
}

/// Reads the past that `args` name.
pub async fn read(
    args: &PastArgs,
    policy: &SourcePolicy,
    source: &SourceConfig,
) -> Result<Past, Refusal> {
    let past = match (&args.export, args.from) {
        (Some(file), _) => from_file(file)?,
        (None, Some(from)) => from_network(from, policy, source).await?,
        (None, None) => {
            let text = "name a past: --export FILE.ndjson, --export FILE.csv, or --from 7d";
            return Err(Refusal::usage(text));
        }
    };
    match past.history.is_empty() {
        true => Err(Refusal::usage(nothing(&past))),
        false => Ok(past),
    }
}

/// Why there is nothing to play, and what to do.
fn nothing(past: &Past) -> String {
    let Past { name, reading, .. } = past;
    match &reading.first_rejected {
        Some((line, why)) => format!("no row of {name} can be read; line {line}: {why}"),
        None if reading.rejected > 0 => format!("no row of {name} can be read"),
        None if reading.is_cut => format!("{name} was cut within its first row: export it again"),
        None => format!("{name} holds no rows: choose a time in which there were deliveries"),
    }
}

fn from_file(path: &Path) -> Result<Past, Refusal> {
    let name = path.display().to_string();
    let cannot = |why: String| Refusal::usage(format!("{name} cannot be read: {why}"));
    let file = File::open(path).map_err(|error| cannot(error.to_string()))?;
    let length = file.metadata().map_or(0, |meta| meta.len());
    let mut file = BufReader::with_capacity(BUFFER, file);
    let begin = file.fill_buf().map_err(|error| cannot(error.to_string()))?;
    let format = export::format(&name, begin);
    let mut history = History::default();
    let mut progress = Progress::new(format!("reading {name}"));
    let reading = export::read(format, file, &mut history, &mut |bytes| progress.at(bytes, length))
        .map_err(|error| cannot(error.to_string()))?;
    Ok(Past { name, history, reading })
}

/// The network's own history, a day at a time.
async fn from_network(
    from: Duration,
    policy: &SourcePolicy,
    source: &SourceConfig,
) -> Result<Past, Refusal> {
    let name = format!("the network's last {}", config::write_duration(from));
    let cannot = |why: String| Refusal {
        code: super::CANNOT_START,
        text: format!("source \"{}\": {why}", source.name),
    };
    if source.api_key.expose().is_empty() {
        return Err(Refusal::usage(format!(
            "source \"{}\": its API key is not set, and --from asks the network for its history",
            source.name
        )));
    }
    let api = everflow(source, Clock::System, Metrics::new())
        .map_err(|error| cannot(error.to_string()))?;
    api.connect().await.map_err(|error| cannot(error.to_string()))?;
    let end = api.time().unwrap_or_else(|| Clock::System.now());
    let mut rows = Rows { history: History::default(), reading: Reading::default() };
    let mut progress = Progress::new(format!("reading {name}"));
    let mut begin = end - from;
    while begin <= end {
        let to = (begin + DAY - Duration::from_secs(1)).min(end);
        for scope in &policy.scopes {
            for status in [Status::Failure, Status::Success] {
                let ask = Ask { status, from: begin, to, scope: scope.clone() };
                api.export(&ask, &mut rows).await.map_err(|error| cannot(error.to_string()))?;
                progress.at(to.since(end - from).as_secs(), from.as_secs());
            }
        }
        begin = to + Duration::from_secs(1);
    }
    let Rows { mut history, reading } = rows;
    history.sort();
    Ok(Past { name, history, reading })
}

struct Rows {
    history: History,
    reading: Reading,
}

impl PageSink for Rows {
    async fn page(&mut self, page: Page) -> bool {
        for row in page.rows() {
            match row {
                Ok(row) => {
                    self.history.add(&row);
                    self.reading.rows += 1;
                }
                Err(_) => self.reading.rejected += 1,
            }
        }
        true
    }
}

/// What of a past was not played though it is there, a sentence each.
pub fn left_out(reading: &Reading) -> Vec<String> {
    let mut lines = Vec::new();
    let rejected = counted(reading.rejected, "row");
    if let Some((line, why)) = &reading.first_rejected {
        lines.push(format!("{rejected} could not be read; the first is line {line}: {why}"));
    } else if reading.rejected > 0 {
        lines.push(format!("{rejected} could not be read"));
    }
    if reading.is_cut {
        lines.push("the last line ends in the middle: the file was cut".to_owned());
    }
    lines
}

/// Says that so many rows are not the source's.
pub fn outside(rows: usize) -> String {
    format!("{} outside the `scopes` of the source: not played", counted(rows, "row"))
}

/// Prints what came of it, or why it was refused.
///
/// # Errors
/// Where the output cannot be written.
pub fn end(found: Result<String, Refusal>) -> std::io::Result<ExitCode> {
    match found {
        Ok(shown) => print(&shown).map(|()| ExitCode::SUCCESS),
        Err(Refusal { code, text }) => {
            eprintln!("postwatch: {text}");
            Ok(ExitCode::from(code))
        }
    }
}

/// `2026-03-01 12:00:30`, in UTC.
pub fn written(at: Timestamp) -> String {
    at.to_string().replace('T', " ").replace('Z', "")
}
