//! `${NAME}` in values, replaced by what the environment says. Keys are never
//! touched, and what is put in is not looked at again.
//!
//! `$${` writes a literal `${`; every other `$` stands for itself, so that
//! passwords need no care.

use super::decode::ReadFile;
use super::mask::Mask;
use super::names;
use super::report::Mistake;
use super::yaml::{Kind, Node, Scalar};

/// Looks up a variable of the environment.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a variable is that the environment lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unset {
    Wrong,
    /// Where a secret or an address should be, as if it were understood.
    Forgiven,
}

/// Parts of the file that only matter to whoever speaks to somebody.
const OUTSIDE: [&str; 5] = ["receivers", "heartbeat", "store", "auth_token", "auth_token_file"];

/// Marks the secrets and addresses that are not to be had as understood already.
pub fn forgive(tree: &mut Node, env: Lookup<'_>, read_file: ReadFile<'_>) {
    let Kind::Map(entries) = &mut tree.kind else { return };
    for (key, node) in entries {
        let is_outside = OUTSIDE.contains(&key.name.as_str());
        if is_outside || key.name == "sources" {
            forgive_below(&key.name, node, is_outside, &|name, scalar| {
                if name.ends_with("_file") {
                    return read_file(&scalar.value).is_err();
                }
                let wrong = fill(&mut scalar.clone(), env, &mut Mask::unread());
                wrong.iter().any(|(message, _)| message.ends_with(NOT_SET))
            });
        }
    }
}

/// `is_outside`: any value; else only the keys of sources.
fn forgive_below(
    name: &str,
    node: &mut Node,
    is_outside: bool,
    is_missing: &dyn Fn(&str, &Scalar) -> bool,
) {
    match &mut node.kind {
        Kind::Map(entries) => {
            for (key, value) in entries {
                forgive_below(&key.name, value, is_outside, is_missing);
            }
        }
        Kind::List(items) => {
            items.iter_mut().for_each(|item| forgive_below(name, item, is_outside, is_missing));
        }
        Kind::Scalar(scalar) => {
            let may_miss = name.starts_with("api_key") || (is_outside && name != "name");
            if may_miss && is_missing(name, scalar) {
                node.kind = Kind::Broken;
            }
        }
        Kind::Broken => {}
    }
}

const NOT_SET: &str = "is not set in the environment";

/// Replaces every variable under `node`; what was put in is added to `mask`.
pub fn replace(node: &mut Node, env: Lookup<'_>, mask: &mut Mask) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    visit(node, env, mask, &mut mistakes);
    mistakes
}

fn visit(node: &mut Node, env: Lookup<'_>, mask: &mut Mask, mistakes: &mut Vec<Mistake>) {
    match &mut node.kind {
        Kind::Map(entries) => {
            entries.iter_mut().for_each(|(_, value)| visit(value, env, mask, mistakes));
        }
        Kind::List(items) => items.iter_mut().for_each(|item| visit(item, env, mask, mistakes)),
        Kind::Scalar(scalar) if scalar.value.contains("${") => {
            let wrong = fill(scalar, env, mask);
            let broken = !wrong.is_empty();
            mistakes.extend(wrong.into_iter().map(|(message, hint)| Mistake {
                at: node.at,
                message,
                hint: Some(hint),
            }));
            if broken {
                node.kind = Kind::Broken;
            }
        }
        Kind::Scalar(_) | Kind::Broken => {}
    }
}

/// The mistakes of one value, each with what to write instead.
fn fill(scalar: &mut Scalar, env: Lookup<'_>, mask: &mut Mask) -> Vec<(String, String)> {
    let (mut filled, mut wrong) = (String::new(), Vec::new());
    let mut rest = scalar.value.as_str();
    while let Some(at) = rest.find("${") {
        let after = &rest[at + 2..];
        if rest[..at].ends_with('$') {
            filled.push_str(&rest[..at]);
            filled.push('{');
            rest = after;
            continue;
        }
        filled.push_str(&rest[..at]);
        let name = after.split('}').next().unwrap_or_default();
        match look_up(name, after.len() > name.len(), env) {
            Ok(value) => {
                mask.add(&value);
                filled.push_str(&value);
                scalar.replaced = true;
            }
            Err(mistake) => wrong.push(mistake),
        }
        rest = after.get(name.len() + 1..).unwrap_or_default();
    }
    filled.push_str(rest);
    scalar.value = filled;
    wrong
}

fn look_up(name: &str, closed: bool, env: Lookup<'_>) -> Result<String, (String, String)> {
    if !closed || !names::is_variable(name) {
        let message = "`${` does not begin a variable's name and `}`".to_string();
        return Err((message, "write `${NAME}`, or `$${` for a literal `${`".into()));
    }
    env(name).ok_or_else(|| {
        let message = format!("the variable `{name}` {NOT_SET}");
        (message, format!("set it: `export {name}=…`"))
    })
}
