//! Which labels exist, and patterns over their values.

use crate::domain::rules::{Glob, Label, Rule};

use super::decode::{Decoder, Entry};
use super::names;

const MAX_GLOB: usize = 256;

/// The label of a delivery that has this name.
pub fn of_delivery(name: &str) -> Option<Label> {
    Label::ALL.into_iter().find(|label| label.as_str() == name)
}

/// What a name that is no label of a delivery was meant to be.
pub fn suggest_of_delivery(name: &str) -> String {
    let known: Vec<&str> = Label::ALL.iter().map(|label| label.as_str()).collect();
    names::suggest(name, &known)
}

/// Whether postwatch itself gives this label to alerts.
pub fn is_built_in(name: &str) -> bool {
    matches!(name, "rule" | "severity") || of_delivery(name).is_some()
}

/// Every label that an alert of these rules can carry.
pub fn of_alerts(rules: &[Rule]) -> Vec<String> {
    let mut known = vec!["rule".to_string(), "severity".to_string()];
    known.extend(Label::ALL.iter().map(|label| label.as_str().to_string()));
    known.extend(rules.iter().flat_map(|rule| rule.labels.keys().cloned()));
    known.dedup();
    known
}

/// Every reason that a failure can have.
pub fn reasons() -> Vec<String> {
    let named = [
        "dns",
        "tls",
        "refused",
        "timeout",
        "reset",
        "challenge",
        "redirect",
        "bad_url",
        "unseen",
        "other",
    ];
    let statuses = (400..600).map(|status| format!("http_{status}"));
    named.into_iter().map(String::from).chain(statuses).collect()
}

/// What a pattern is that fits no value there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfit {
    Wrong,
    /// It does nothing, which is worth a word.
    Idle,
}

/// One pattern or several. Where all `values` of the label are known, a pattern
/// that fits none of them is a slip.
pub fn globs(d: &mut Decoder<'_>, entry: Entry<'_>, values: &[String], unfit: Unfit) -> Vec<Glob> {
    let mut found = Vec::new();
    for item in d.some_items(entry) {
        let Some(text) = d.word(item) else { continue };
        let glob = Glob(text);
        if glob.0.chars().count() > MAX_GLOB {
            let message = format!("`{}` has a very long pattern", entry.name);
            d.wrong(item.at, message, format!("write {MAX_GLOB} characters at most"));
        } else if !values.is_empty() && !values.iter().any(|value| glob.matches(value)) {
            let known: Vec<&str> = values.iter().map(String::as_str).collect();
            let hint = match names::nearest(&glob.0, &known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None if known.len() > 20 => "`*` stands for any characters, `?` for one".into(),
                None => names::suggest(&glob.0, &known),
            };
            let message = format!("`{}` fits no {} that there is", d.show(item), entry.name);
            match unfit {
                Unfit::Wrong => d.wrong(item.at, message, hint),
                Unfit::Idle => {
                    d.warn(item.at, message, hint);
                    found.push(glob);
                }
            }
        } else {
            found.push(glob);
        }
    }
    found
}
