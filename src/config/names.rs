//! Names as people mistype them, and names behind which secrets hide.

/// Among more names than this none is searched for: it would take too long.
const MOST_COMPARED: usize = 1_000;
const MOST_LISTED: usize = 40;

/// The one of `known` that `name` was probably meant to be.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    if known.len() > MOST_COMPARED {
        return None;
    }
    let name = name.to_lowercase().replace('-', "_");
    let allowed = (name.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|&candidate| (distance(&name, &candidate.replace('-', "_")), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// "did you mean …?" where something is near, else everything that exists.
pub fn suggest(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(candidate) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => "remove it".into(),
        None if known.len() > MOST_LISTED => "check its spelling".into(),
        None => format!("write one of {}", listed(known)),
    }
}

/// `a`, `b` or `c`.
pub fn listed(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.split_last() {
        None => String::new(),
        Some((last, [])) => last.clone(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

/// Inserted, lost, changed and swapped characters between two names. Names that
/// are no names (longer than 64) are far from everything.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(65).collect(), b.chars().collect());
    if a.len() > 64 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let changed = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = changed.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(rows[i - 2][j - 2] + 1);
            }
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Whether the value of a key of this name, or of a misspelling of it, is hidden.
pub fn may_be_secret(key: &str) -> bool {
    const PARTS: [&str; 8] =
        ["key", "token", "secret", "smtp", "password", "passwd", "credential", "auth"];
    const NEAR: [&str; 4] = ["api_key", "token", "secret", "smtp"];
    let key = key.to_lowercase();
    if key.ends_with("_file") {
        return false;
    }
    matches!(key.as_str(), "url" | "pass" | "dsn" | "postgres")
        || PARTS.iter().any(|part| key.contains(part))
        || (key.len() > 2 && nearest(&key, &NEAR).is_some())
}

/// Whether this key's map holds a secret, so that a bare value is likely one.
pub fn holds_a_secret(key: &str) -> bool {
    matches!(key, "slack" | "email" | "webhook" | "alertmanager" | "heartbeat" | "store")
}

/// Whether a text holds an address with a user's name or password in it.
pub fn has_password(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        rest.split(['/', '?', ' ']).next().is_some_and(|host| host.contains('@'))
    })
}

/// A name that is short, and safe in a label, a file and a URL.
pub fn is_plain(name: &str) -> bool {
    let mut characters = name.chars();
    name.len() <= 64
        && characters.next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c))
}

/// The name of a variable of the environment.
pub fn is_variable(name: &str) -> bool {
    let mut characters = name.chars();
    characters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_the_name_that_was_meant() {
        let known = ["severity", "labels", "keep_firing_for", "per"];
        for (slip, meant) in [
            ("severty", Some("severity")),
            ("lables", Some("labels")),
            ("keep-firing-for", Some("keep_firing_for")),
            ("pre", Some("per")),
            ("zebra", None),
        ] {
            assert_eq!(nearest(slip, &known), meant, "{slip}");
        }
        assert_eq!(nearest(&"x".repeat(100_000), &known), None);
    }

    #[test]
    fn keys_that_hold_secrets_hide_them_even_misspelt() {
        for key in ["api_key", "apikey", "api_kye", "tokne", "smpt", "secret", "auth_token", "url"]
        {
            assert!(may_be_secret(key), "{key}");
        }
        for key in ["api_key_file", "to", "host", "channel", "base_url", "per", "keep_firing_for"] {
            assert!(!may_be_secret(key), "{key}");
        }
    }
}
