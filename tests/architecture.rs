//! Holds the floor plan: who may import whom, and how a file looks. It reads the
//! source as text, so a line that breaks a rule is named before anything else is.

use std::fs;
use std::path::{Path, PathBuf};

/// A room, and what it may name of ours besides itself. A path such as
/// `domain::time` opens that part alone.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    // Decides; knows nobody.
    ("domain", &[]),
    ("clock", &["domain::time"]),
    // What follows the state reads it from `domain::state`. Never `pipeline`,
    // which counts in here: that would close a circle.
    ("metrics", &["domain"]),
    // Sleeps between retries and counts its requests, hence clock and metrics.
    ("source", &["clock", "domain", "metrics"]),
    // Where a test ends the process; knows nobody.
    ("failpoint", &[]),
    ("store", &["domain", "failpoint"]),
    ("channel", &["domain"]),
    ("config", &["domain"]),
    // The one owner of state and store; the others send it messages and read its
    // `View`, so they need no `store`.
    ("pipeline", &["clock", "domain", "failpoint", "metrics", "source", "store"]),
    ("poll", &["clock", "domain", "metrics", "pipeline", "source"]),
    ("outbox", &["channel", "clock", "config", "domain", "failpoint", "metrics", "pipeline"]),
    ("web", &["channel", "clock", "config", "domain", "metrics", "pipeline"]),
    // The network's side: it must not learn from the code that it puts to the test.
    ("simulate", &["clock", "domain::time"]),
    // The live decisions on a virtual clock; a history takes the network's place.
    ("replay", &["config", "domain", "source"]),
    // Wires all, and cannot tell a simulated network from a real one.
    (
        "service",
        &[
            "channel", "clock", "config", "domain", "metrics", "outbox", "pipeline", "poll",
            "source", "store", "web",
        ],
    ),
    (
        "cli",
        &[
            "channel", "clock", "config", "domain", "metrics", "outbox", "pipeline", "poll",
            "replay", "service", "simulate", "source", "store", "web",
        ],
    ),
    ("main", &["cli"]),
    // The map of the rooms, and nothing but that.
    ("lib", &[]),
];

const DRAWERS: &[&str] = &["utils", "util", "common", "helpers", "types", "manager"];

const MOST_LINES: usize = 400;

#[test]
fn rooms_import_only_what_their_row_allows() {
    hold(|file| {
        let room = file.room();
        let Some((_, allowed)) = MAY_IMPORT.iter().find(|(name, _)| *name == room) else {
            return vec![(1, format!("`{room}` has no row in MAY_IMPORT: say whom it may import"))];
        };
        let mut broken = Vec::new();
        for (number, line) in file.code() {
            for path in paths_of_ours(line, file.is_root_of_room()) {
                if path.starts_with('{') {
                    broken.push((number, "one `use crate::room::…` for each room".to_owned()));
                } else if !opens(&path, &room) && !allowed.iter().any(|door| opens(&path, door)) {
                    broken.push((number, format!("`{room}` may not import `{path}`")));
                }
            }
        }
        broken
    });
}

#[test]
fn files_are_small_and_say_what_they_are() {
    hold(|file| {
        let mut broken = Vec::new();
        if !file.text.starts_with("//! ") {
            broken.push((1, "opens with `//!`: what the file is, and what it never does".into()));
        }
        let lines = file.code().count();
        if lines > MOST_LINES {
            broken.push((lines, format!("{lines} lines before its tests; at most {MOST_LINES}")));
        }
        broken
    });
}

#[test]
fn files_are_named_after_what_is_in_them() {
    hold(|file| {
        let stem = file.stem();
        if stem == "mod" {
            vec![(1, "`foo.rs` beside `foo/`, never `mod.rs`".to_owned())]
        } else if DRAWERS.contains(&stem) {
            vec![(1, format!("`{stem}` is a drawer: name the file after what is in it"))]
        } else {
            vec![]
        }
    });
}

#[test]
fn a_path_is_found_wherever_it_is_named() {
    let check = |line: &str, expected: &[&str]| {
        assert_eq!(paths_of_ours(line, true), expected, "{line}");
    };
    check("use crate::domain::time::Timestamp;", &["domain::time::Timestamp"]);
    check("    pub(crate) use crate::store;", &["store"]);
    check("use super::store::Store;", &["store::Store"]);
    check("fn of(s: &crate::store::Store, w: crate::web::Page)", &["store::Store", "web::Page"]);
    check("use crate::{store, web};", &["{"]);
    check("use postwatch::cli;", &["cli"]);
    check("    use super::*;", &[]);
    check("// as crate::store does", &[]);
    check("use std::fs;", &[]);
    check("mycrate::store()", &[]);
}

/// A file of `src`.
struct File {
    /// Below `src`, with `/`.
    path: String,
    text: String,
}

impl File {
    /// The first part of its path: `poll.rs` and `poll/span.rs` are both `poll`.
    fn room(&self) -> String {
        let first = self.path.split('/').next().unwrap_or_default();
        first.trim_end_matches(".rs").to_owned()
    }

    fn stem(&self) -> &str {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        last.trim_end_matches(".rs")
    }

    fn is_root_of_room(&self) -> bool {
        !self.path.contains('/')
    }

    /// Its numbered lines before its tests, which may reach for what they need.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.stem() == "tests" || self.path.contains("/tests/") {
            0
        } else {
            self.text.find("#[cfg(test)]\nmod tests {").unwrap_or(self.text.len())
        };
        self.text[..end].lines().enumerate().map(|(index, line)| (index + 1, line))
    }
}

/// Asks every file, and tells all that is broken together.
fn hold(rule: impl Fn(&File) -> Vec<(usize, String)>) {
    let files = files();
    assert!(files.len() > 10, "src was not found");
    let broken: Vec<String> = files
        .iter()
        .flat_map(|file| {
            let told = |(line, what)| format!("src/{}:{line}: {what}", file.path);
            rule(file).into_iter().map(told)
        })
        .collect();
    assert!(broken.is_empty(), "\n{}\n", broken.join("\n"));
}

fn files() -> Vec<File> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    collect(&src, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| File {
            text: fs::read_to_string(&path).expect("a source file is text"),
            path: path.strip_prefix(&src).expect("it was found there").display().to_string(),
        })
        .collect()
}

fn collect(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the package") {
        let path = entry.expect("an entry of it").path();
        if path.is_dir() {
            collect(&path, into);
        } else if path.extension().is_some_and(|end| end == "rs") {
            into.push(path);
        }
    }
}

/// Every path into our own crate on this line, without `crate::`. In a room's
/// first file an unindented `super::` is the crate as well.
fn paths_of_ours(line: &str, super_is_crate: bool) -> Vec<String> {
    if line.trim_start().starts_with("//") {
        return vec![];
    }
    let mut starts = vec!["crate::", "postwatch::"];
    if super_is_crate && !line.starts_with(' ') {
        starts.push("super::");
    }
    let mut paths = Vec::new();
    for start in starts {
        for (at, _) in line.match_indices(start) {
            if !line[..at].ends_with(is_of_a_name) {
                paths.push(path_at(&line[at + start.len()..]));
            }
        }
    }
    paths
}

fn path_at(text: &str) -> String {
    if text.starts_with('{') {
        return "{".to_owned();
    }
    let end = text.find(|c| !is_of_a_name(c) && c != ':').unwrap_or(text.len());
    text[..end].trim_end_matches(':').to_owned()
}

fn is_of_a_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn opens(path: &str, door: &str) -> bool {
    path.strip_prefix(door).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
