//! `rules.yaml` → what the service is to do, checked and typed. Reads the file,
//! the environment and the files of secrets, and nothing else; all mistakes are
//! told together, each with its place and what to write instead.

use std::fmt;
use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::notify::wording::Wording;
use crate::domain::policy::{Policy, SourcePolicy};

mod access;
mod comparison;
mod decode;
mod duration;
mod environment;
mod gates;
mod labels;
mod mask;
mod names;
mod receivers;
mod report;
mod routes;
pub mod rule_tests;
mod rules;
mod schema;
mod secret;
mod sources;
mod warnings;
mod yaml;

#[cfg(test)]
mod tests;

pub use access::AccessConfig;
pub use duration::{parse_duration, write_duration};
pub use names::suggest;
pub use report::{Mistake, Place, Report};
pub use schema::schema;
pub use secret::Secret;

use decode::{Decoder, Entry, Fields, ReadFile, Shape};

const FILE: Shape = Shape {
    what: "the file",
    known: &[
        "sources",
        "evaluate_every",
        "rules",
        "receivers",
        "routes",
        "notify",
        "inhibit",
        "mute",
        "heartbeat",
        "metrics",
        "retain",
        "auth_token",
        "auth_token_file",
        "protect_metrics",
    ],
    later: &["store"],
};

const METRICS: Shape = Shape { what: "`metrics`", known: &["max_series"], later: &[] };

/// A whole file, understood.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// What the domain needs to know; its sources are in the order of `sources`.
    pub policy: Policy,
    pub sources: Vec<SourceConfig>,
    pub receivers: Vec<Receiver>,
    pub heartbeat: Option<HeartbeatConfig>,
    pub access: AccessConfig,
    /// Of the text alone, without what the environment put in. 48 bits, so that a
    /// metric holds it exactly.
    pub hash: u64,
}

/// How to get at one network account.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceConfig {
    pub name: String,
    pub api_key: Secret,
    /// Without a slash at the end.
    pub base_url: String,
    /// The network's id of UTC; looked up where absent.
    pub timezone_id: Option<u32>,
}

/// Someone whom messages can go to.
#[derive(Debug, Clone, PartialEq)]
pub struct Receiver {
    pub name: String,
    pub channel: ChannelConfig,
    /// Its own title and body, of which each message is tried.
    pub words: Wording,
}

/// Who is told after each whole poll that postwatch lives.
#[derive(Debug, Clone, PartialEq)]
pub struct HeartbeatConfig {
    pub url: Secret,
    /// At most once in this time.
    pub every: Duration,
}

/// How a receiver is reached.
#[derive(Debug, Clone, PartialEq)]
pub enum ChannelConfig {
    Slack {
        token: Secret,
        channel: String,
        /// `/chat.postMessage` is appended; Slack itself where absent.
        api_url: Option<String>,
    },
    Email {
        /// `smtps://user:pass@host:465` or `smtp://host:587?tls=required`;
        /// `smtp` without `tls` means `required`.
        smtp: Secret,
        from: String,
        to: Vec<String>,
    },
    Webhook {
        /// `http(s)://`; user, path and query may be secret.
        url: Secret,
        /// [`Secret::signing_key`] gives the key; messages are not signed without.
        secret: Option<Secret>,
    },
    Alertmanager {
        /// Of every member of a cluster; user, path and query may be secret.
        urls: Vec<Secret>,
    },
}

/// Why a file cannot be used.
#[derive(Debug)]
pub enum ConfigError {
    /// It cannot be read at all.
    Unreadable { path: PathBuf, source: std::io::Error },
    /// It was read, and is wrong.
    Invalid { path: PathBuf, report: Box<Report> },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Unreadable { path, source } => write!(
                f,
                "{} cannot be read ({source}): {}",
                path.display(),
                match source.kind() {
                    std::io::ErrorKind::NotFound =>
                        "name your rules file (`check FILE`, `run --rules FILE`), or go to its folder",
                    std::io::ErrorKind::IsADirectory => "it is a folder; name the file in it",
                    _ => "check who may read it",
                }
            ),
            ConfigError::Invalid { path, report } => {
                for (index, mistake) in report.mistakes.iter().enumerate() {
                    let line_end = if index == 0 { "" } else { "\n" };
                    write!(f, "{line_end}{}:{mistake}", path.display())?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::Unreadable { source, .. } => Some(source),
            ConfigError::Invalid { .. } => None,
        }
    }
}

/// Reads `path` with the process's environment. Files of secrets are looked for
/// beside it, unless their path is absolute. The report holds the warnings.
pub fn load(path: &Path) -> Result<(Config, Report), ConfigError> {
    let text = read(path)?;
    match parse_beside(&text, path) {
        (Some(config), report) => Ok((config, report)),
        (None, report) => Err(ConfigError::Invalid { path: path.into(), report: Box::new(report) }),
    }
}

/// The text of the file at `path`.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.into(), source };
    let length = std::fs::metadata(path).map_err(unreadable)?.len();
    // `parse` says that it is too large; a whole disk need not be read for that.
    let most = yaml::MAX_BYTES as u64 + 1;
    let mut bytes = Vec::with_capacity(length.min(most) as usize);
    let file = std::fs::File::open(path).map_err(unreadable)?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, most), &mut bytes)
        .map_err(unreadable)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// [`parse`] with the process's environment, and files beside `path`.
pub fn parse_beside(text: &str, path: &Path) -> (Option<Config>, Report) {
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    parse(text, &|name| std::env::var(name).ok(), &|file| {
        std::fs::read_to_string(folder.join(file))
    })
}

/// [`parse_beside`] for whoever reads no network and tells nobody: secrets that are
/// not there are none of its business. A receiver without its secret is left out.
pub fn parse_offline(text: &str, path: &Path) -> (Option<Config>, Report) {
    let folder = path.parent().map(Path::to_path_buf).unwrap_or_default();
    let read_file = |file: &str| std::fs::read_to_string(folder.join(file));
    understand(text, &|name| std::env::var(name).ok(), &read_file, environment::Unset::Forgiven)
}

/// Understands a file's text. There is a `Config` exactly when there is no mistake.
pub fn parse(
    text: &str,
    env: environment::Lookup<'_>,
    read_file: ReadFile<'_>,
) -> (Option<Config>, Report) {
    understand(text, env, read_file, environment::Unset::Wrong)
}

fn understand(
    text: &str,
    env: environment::Lookup<'_>,
    read_file: ReadFile<'_>,
    unset: environment::Unset,
) -> (Option<Config>, Report) {
    let (tree, mut mistakes) = yaml::parse(text);
    if let Some(at) = replacement_character(text) {
        let message = "the file is not UTF-8".to_string();
        mistakes.push(Mistake { at, message, hint: Some("save it as UTF-8".into()) });
    }
    let Some(mut tree) = tree else {
        return (None, Report { mistakes, warnings: Vec::new(), mask: mask::Mask::unread() });
    };
    let mut mask = mask::Mask::of(&mut tree, text);
    if unset == environment::Unset::Forgiven {
        environment::forgive(&mut tree, env, read_file);
    }
    mistakes.extend(environment::replace(&mut tree, env, &mut mask));
    let mut d = Decoder::new(mask, mistakes, read_file);
    let file = Entry { name: "the file", at: tree.at, node: &tree };
    let config = d.map(file, &FILE).map(|root| decode(&mut d, &root, text));
    let report = report(d);
    (config.filter(|_| report.mistakes.is_empty()), report)
}

/// Bytes that are no text became this character when the file was read.
fn replacement_character(text: &str) -> Option<Place> {
    let (line, found) = text.lines().enumerate().find(|(_, line)| line.contains('\u{FFFD}'))?;
    let column = found.chars().position(|c| c == '\u{FFFD}')?;
    Some(Place { line: line + 1, column: column + 1 })
}

fn decode(d: &mut Decoder<'_>, root: &Fields<'_>, text: &str) -> Config {
    let (policies, sources): (Vec<SourcePolicy>, Vec<SourceConfig>) =
        sources::sources(d, root).into_iter().unzip();
    let evaluate_every = evaluate_every(d, root);
    let around = rules::Around { sources: &policies, evaluate_every };
    let rules = rules::rules(d, root, &around);
    let placed = receivers::receivers(d, root, &rules);
    let heartbeat = receivers::heartbeat(d, root);
    let access = access::access(d, root);
    let names = policies.iter().map(|source| source.name.clone()).collect();
    let around = routes::Around { rules: &rules, receivers: &placed, sources: names };
    let routes = routes::routes(d, root, &around);
    let inhibitions = gates::inhibitions(d, root, &around);
    let mutes = gates::mutes(d, root, &around);
    // A mistake elsewhere would make many a warning that is none.
    if d.mistakes.is_empty() {
        warnings::of_rules(d, root, &rules);
        warnings::of_routes(d, root, (&routes, &placed), &rules, &policies);
    }
    let receivers = placed.into_iter().filter_map(|placed| placed.receiver).collect();
    let zones = routes::zones(&routes);
    let max_series = max_series(d, root);
    let policy = Policy {
        sources: policies,
        evaluate_every,
        rules,
        routes,
        inhibitions,
        mutes,
        zones,
        max_series,
        retain: retain(d, root),
    };
    Config { policy, sources, receivers, heartbeat, access, hash: hash(text) }
}

fn evaluate_every(d: &mut Decoder<'_>, root: &Fields<'_>) -> Duration {
    let entry = root.get("evaluate_every");
    entry
        .and_then(|entry| d.duration(entry, Duration::from_secs(1)))
        .unwrap_or(Duration::from_secs(10))
}

/// At least the look-back is kept, whatever is written here.
fn retain(d: &mut Decoder<'_>, root: &Fields<'_>) -> Option<Duration> {
    d.duration(root.get("retain")?, Duration::from_secs(3600))
}

fn max_series(d: &mut Decoder<'_>, root: &Fields<'_>) -> Option<usize> {
    let fields = d.map(root.get("metrics")?, &METRICS)?;
    let most = d.whole(fields.get("max_series")?, 1, 1_000_000)?;
    usize::try_from(most).ok()
}

/// Names a text: 48 bits of a hash, which a metric holds exactly.
pub fn hash(text: &str) -> u64 {
    let mut hasher = siphasher::sip::SipHasher13::new();
    hasher.write(text.as_bytes());
    hasher.finish() & 0xffff_ffff_ffff
}

/// In the order of the file, and without any secret that got into a message.
fn report(d: Decoder<'_>) -> Report {
    let Decoder { mistakes, warnings, mut mask, .. } = d;
    mask.seal();
    let clean = |mut found: Vec<Mistake>| {
        found.sort();
        found.dedup();
        found.truncate(decode::MAX_MISTAKES);
        for mistake in &mut found {
            mistake.message = mask.scrub(&mistake.message);
            mistake.hint = mistake.hint.as_deref().map(|hint| mask.scrub(hint));
        }
        found
    };
    let (mistakes, warnings) = (clean(mistakes), clean(warnings));
    Report { mistakes, warnings, mask }
}
