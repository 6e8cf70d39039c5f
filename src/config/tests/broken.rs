//! Files that nobody would write: each gets an answer, at once, and no panic.

use std::time::{Duration, Instant};

use super::{SHIPPED, read};

#[path = "../../../tests/support/suites.rs"]
#[expect(dead_code, clippy::duplicate_mod, reason = "only the YAML is of interest here")]
mod suites;

/// Far more than any file takes, far less than a hang.
const AT_ONCE: Duration = Duration::from_secs(5);

fn answer(name: &str, text: &str) {
    let began = Instant::now();
    let (config, report) = read(text);
    assert_eq!(config.is_none(), !report.mistakes.is_empty(), "{name}");
    for mistake in report.mistakes.iter().chain(&report.warnings) {
        let shown = report.line(text, mistake.at);
        assert!(shown.is_none_or(|(line, column)| column <= line.chars().count() + 1), "{name}");
        assert!(!mistake.to_string().contains("-secret"), "{name}");
    }
    assert!(began.elapsed() < AT_ONCE, "{name} took {:?}", began.elapsed());
}

#[test]
fn whatever_yaml_allows_or_forbids_gets_an_answer() {
    for (name, text) in suites::yaml_texts() {
        answer(&name, &text);
        answer(&format!("{name} as rules"), &format!("rules:\n{}", indented(&text)));
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

#[test]
fn the_shipped_rules_edited_at_random_get_an_answer() {
    let mut chance = fastrand::Rng::with_seed(4);
    for round in 0..2_000 {
        let mut lines: Vec<String> = SHIPPED.lines().map(str::to_owned).collect();
        for _ in 0..chance.usize(1..8) {
            edit(&mut lines, &mut chance);
        }
        answer(&format!("round {round}"), &lines.join("\n"));
    }
}

/// As a tired person, or a broken editor, would.
fn edit(lines: &mut Vec<String>, chance: &mut fastrand::Rng) {
    let (one, other) = (chance.usize(..lines.len()), chance.usize(..lines.len()));
    match chance.u8(..7) {
        0 if lines.len() > 1 => {
            lines.remove(one);
        }
        1 => lines.insert(one, lines[other].clone()),
        2 => lines.swap(one, other),
        3 => lines[one].insert_str(0, &" ".repeat(chance.usize(1..5))),
        4 => lines[one] = lines[one].trim_start().to_owned(),
        5 => {
            let kept = chance.usize(..=lines[one].chars().count());
            lines[one] = lines[one].chars().take(kept).collect();
        }
        _ => {
            let marks =
                [":", "{", "}", "[", "]", "\"", "${", "%", "#", "- ", "\t", "\u{202E}", "*a"];
            let mark = marks[chance.usize(..marks.len())];
            lines[one].push_str(mark);
        }
    }
}
