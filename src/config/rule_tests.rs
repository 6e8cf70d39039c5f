//! Tests of rules as a file has them → checked types. Reads the file and the rules
//! that it names; all mistakes are told together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::domain::notify::NoticeReason;
use crate::domain::reason::Reason;
use crate::domain::rules::Severity;
use crate::domain::time::Timestamp;

use super::decode::{Decoder, Entry, Fields, Shape};
use super::report::{Place, Report};
use super::{Config, ConfigError, labels, mask, names, yaml};

mod expected;
pub mod series;

use series::Step;

const FILE: Shape = Shape { what: "a file of rule tests", known: &["rules", "tests"], later: &[] };

const TEST: Shape = Shape {
    what: "a test",
    known: &["name", "start", "every", "lasts", "deliveries", "blind", "expect"],
    later: &[],
};

const STREAM: Shape = Shape {
    what: "a line of deliveries",
    known: &[
        "series",
        "source",
        "offer",
        "affiliate",
        "postback",
        "host",
        "event",
        "delivery_method",
        "postback_level",
        "postback_type",
        "reason",
        "recovers",
        "deactivated",
        "reactivated",
    ],
    later: &[],
};

/// A Monday's midnight.
const START: Timestamp = Timestamp(1_772_409_600);
const MINUTE: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);
/// Longer than that is a slip.
const LONGEST: Duration = Duration::from_secs(60 * 86_400);

/// One file of tests.
#[derive(Debug)]
pub struct RuleTests {
    /// The rules file, as it was found.
    pub rules: PathBuf,
    pub config: Config,
    pub tests: Vec<RuleTest>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct RuleTest {
    pub name: String,
    pub at: Place,
    pub start: Timestamp,
    /// How long one character of a series is.
    pub every: Duration,
    pub lasts: Duration,
    pub streams: Vec<Stream>,
    /// From, to: when the network does not answer.
    pub blind: Vec<(Duration, Duration)>,
    /// In the order of their moments.
    pub expected: Vec<Expected>,
}

/// Deliveries that share their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Stream {
    pub source: Option<String>,
    pub offer: u64,
    pub affiliate: u64,
    pub postback: u64,
    pub event: u64,
    pub host: String,
    pub delivery_method: String,
    pub postback_level: String,
    pub postback_type: String,
    pub reason: Reason,
    /// After how long a retry of what recovers succeeds.
    pub recovers: Duration,
    pub deactivated: Option<Duration>,
    pub reactivated: Option<Duration>,
    pub series: Vec<Step>,
}

/// What must be so at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Expected {
    pub at: Duration,
    pub place: Place,
    /// Where it names rules, the others are not looked at.
    pub of: Option<Vec<String>>,
    /// Every alert that fires then.
    pub firing: Option<Vec<ExpectedAlert>>,
    /// Every message since the entry before that names messages.
    pub messages: Option<Vec<ExpectedMessage>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedAlert {
    pub rule: String,
    pub severity: Option<Severity>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ExpectedMessage {
    pub to: String,
    pub reason: NoticeReason,
    pub rule: Option<String>,
}

/// Why a file of tests cannot be run.
#[derive(Debug)]
pub enum TestsError {
    Config(ConfigError),
    /// The file's own mistakes.
    Invalid {
        text: String,
        report: Box<Report>,
    },
}

/// Reads the file of tests at `path`, and the rules that it names.
pub fn load(path: &Path) -> Result<RuleTests, TestsError> {
    let text = super::read(path).map_err(TestsError::Config)?;
    let (tree, mistakes) = yaml::parse(&text);
    let mask = mask::Mask::default();
    let no_secrets = |_: &str| Err(std::io::ErrorKind::NotFound.into());
    let mut d = Decoder::new(mask, mistakes, &no_secrets);
    let mut rules = None;
    let mut tests = Vec::new();
    if let Some(tree) = &tree {
        let file = Entry { name: "the file", at: tree.at, node: tree };
        if let Some(root) = d.map(file, &FILE) {
            rules = rules_file(&mut d, &root, path)?;
            tests = all_tests(&mut d, &root, rules.as_ref().map(|(_, config)| config));
        }
    }
    let report = super::report(d);
    match rules {
        Some((rules, config)) if report.mistakes.is_empty() => {
            Ok(RuleTests { rules, config, tests })
        }
        _ => Err(TestsError::Invalid { text, report: Box::new(report) }),
    }
}

/// The rules file, beside the tests unless its path is absolute.
fn rules_file(
    d: &mut Decoder<'_>,
    root: &Fields<'_>,
    path: &Path,
) -> Result<Option<(PathBuf, Config)>, TestsError> {
    let Some(entry) = d.required(root, "rules", "rules: rules.yaml") else { return Ok(None) };
    let Some(name) = d.text(entry) else { return Ok(None) };
    let file = path.parent().map(Path::to_path_buf).unwrap_or_default().join(&name);
    let text = match super::read(&file) {
        Ok(text) => text,
        Err(error) => {
            d.wrong(entry.at, error.to_string(), "write its path from this file's folder");
            return Ok(None);
        }
    };
    match super::parse_offline(&text, &file) {
        (Some(config), _) => Ok(Some((file, config))),
        (None, report) => {
            let invalid = ConfigError::Invalid { path: file, report: Box::new(report) };
            Err(TestsError::Config(invalid))
        }
    }
}

fn all_tests(d: &mut Decoder<'_>, root: &Fields<'_>, config: Option<&Config>) -> Vec<RuleTest> {
    let Some(entry) = d.required(root, "tests", "tests: [{ name: …, … }]") else {
        return Vec::new();
    };
    let mut tests = Vec::new();
    for item in d.some_items(entry) {
        d.enter_item("test", item);
        if let Some(fields) = d.map(item, &TEST) {
            tests.extend(test(d, &fields, config));
        }
        d.enter("");
    }
    tests
}

fn test(d: &mut Decoder<'_>, fields: &Fields<'_>, config: Option<&Config>) -> Option<RuleTest> {
    let name = d.required(fields, "name", "name: …").and_then(|entry| d.text(entry));
    let start = fields.get("start").and_then(|entry| moment(d, entry)).unwrap_or(START);
    let every = fields.get("every").and_then(|entry| d.duration(entry, SECOND)).unwrap_or(MINUTE);
    let streams = d.required(fields, "deliveries", "deliveries: [{ series: \"..ff\" }]");
    let streams: Vec<Stream> = match streams {
        Some(entry) => {
            d.items(entry).into_iter().filter_map(|item| stream(d, item, config)).collect()
        }
        None => Vec::new(),
    };
    let blind = fields.get("blind").map(|entry| spans(d, entry)).unwrap_or_default();
    let expected = d.required(fields, "expect", "expect: [{ at: 5m, firing: [] }]");
    let mut expected = expected.map(|entry| expected::all(d, entry, config)).unwrap_or_default();
    expected.sort_by_key(|one| one.at);
    let steps = streams.iter().map(|stream| stream.series.len()).max().unwrap_or(0);
    let last = expected.iter().map(|one| one.at).max().unwrap_or_default();
    let shown = every * u32::try_from(steps).unwrap_or(u32::MAX);
    let lasts = fields.get("lasts").and_then(|entry| d.duration(entry, SECOND));
    let lasts = lasts.unwrap_or(shown).max(last);
    if lasts > LONGEST {
        d.wrong(fields.at, "the test lasts for more than 60 days", "shorten its series");
        return None;
    }
    let at = fields.at;
    Some(RuleTest { name: name?, at, start, every, lasts, streams, blind, expected })
}

fn stream(d: &mut Decoder<'_>, item: Entry<'_>, config: Option<&Config>) -> Option<Stream> {
    let fields = d.map(item, &STREAM)?;
    let id = |d: &mut Decoder<'_>, name: &str| {
        fields.get(name).and_then(|entry| d.whole(entry, 0, u64::MAX))
    };
    let word = |d: &mut Decoder<'_>, name: &str, absent: &str| {
        fields.get(name).and_then(|entry| d.word(entry)).unwrap_or_else(|| absent.to_owned())
    };
    let duration = |d: &mut Decoder<'_>, name: &str| {
        fields.get(name).and_then(|entry| d.duration(entry, Duration::ZERO))
    };
    let series = d.required(&fields, "series", "series: \"....ffff\"");
    let series = series.and_then(|entry| {
        let text = d.word(entry)?;
        series::parse(&text).map_err(|(what, hint)| d.wrong(entry.at, what, hint)).ok()
    });
    Some(Stream {
        source: fields.get("source").and_then(|entry| source(d, entry, config)),
        offer: id(d, "offer").unwrap_or(1),
        affiliate: id(d, "affiliate").unwrap_or(1),
        postback: id(d, "postback").unwrap_or(1),
        event: id(d, "event").unwrap_or(0),
        host: word(d, "host", "a.example"),
        delivery_method: word(d, "delivery_method", "postback"),
        postback_level: word(d, "postback_level", "specific"),
        postback_type: word(d, "postback_type", "conversion"),
        reason: fields
            .get("reason")
            .and_then(|entry| reason(d, entry))
            .unwrap_or(Reason::Http(500)),
        recovers: duration(d, "recovers").unwrap_or(MINUTE * 5),
        deactivated: duration(d, "deactivated"),
        reactivated: duration(d, "reactivated"),
        series: series?,
    })
}

fn source(d: &mut Decoder<'_>, entry: Entry<'_>, config: Option<&Config>) -> Option<String> {
    let name = d.word(entry)?;
    let sources = config.map(|config| config.sources.iter()).into_iter().flatten();
    let known: Vec<&str> = sources.map(|source| source.name.as_str()).collect();
    if !known.is_empty() && !known.contains(&name.as_str()) {
        let hint = names::suggest(&name, &known);
        d.wrong(entry.at, format!("the rules have no source `{}`", d.show(entry)), hint);
    }
    Some(name)
}

fn reason(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<Reason> {
    let word = d.word(entry)?;
    let found = Reason::parse(&word);
    if found.is_none() {
        let known = labels::reasons();
        let known: Vec<&str> = known.iter().map(String::as_str).collect();
        let hint = match names::nearest(&word, &known) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "write `tls`, `dns`, `timeout`, `http_404`, …".to_owned(),
        };
        d.wrong(entry.at, format!("there is no reason `{}`", d.show(entry)), hint);
    }
    found
}

/// `2026-03-02 00:00`, in UTC.
fn moment(d: &mut Decoder<'_>, entry: Entry<'_>) -> Option<Timestamp> {
    let text = d.word(entry)?;
    let civil = text.parse::<jiff::civil::DateTime>().ok();
    let zoned = civil.and_then(|civil| civil.to_zoned(jiff::tz::TimeZone::UTC).ok());
    if zoned.is_none() {
        let message = format!("`{}` is no moment", d.show(entry));
        d.wrong(entry.at, message, "write `2026-03-02 00:00`, in UTC");
    }
    zoned.map(|moment| Timestamp(moment.timestamp().as_second()))
}

/// One `5m..15m` or several.
fn spans(d: &mut Decoder<'_>, entry: Entry<'_>) -> Vec<(Duration, Duration)> {
    let mut spans = Vec::new();
    for item in d.items(entry) {
        let Some(text) = d.word(item) else { continue };
        let ends = text.split_once("..").and_then(|(from, to)| {
            Some((super::parse_duration(from).ok()?, super::parse_duration(to).ok()?))
        });
        match ends.filter(|(from, to)| from < to) {
            Some(span) => spans.push(span),
            None => {
                let message = format!("`{}` is no span of time", d.show(item));
                d.wrong(item.at, message, "write `5m..15m`: from, and to");
            }
        }
    }
    spans
}
