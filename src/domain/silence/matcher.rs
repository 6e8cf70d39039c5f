//! One condition on a label of an alert, written as Prometheus and Alertmanager do:
//! `affiliate="7"`, `rule!="all"`, `host=~"s2s\\..*"`, `host!~"…"`.

use std::fmt;

use regex_lite::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use crate::domain::policy::Labelled;

const LONGEST_NAME: usize = 200;
const LONGEST_VALUE: usize = 2_000;

/// Bytes of a compiled expression: one that unfolds to more is refused. Enough for a value
/// of that length in letters; comparing a label costs as much as this times its length.
const LARGEST_REGEX: usize = 64 << 10;

/// How the label's value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Op {
    Equal,
    NotEqual,
    Match,
    NotMatch,
}

impl Op {
    pub fn new(is_equal: bool, is_regex: bool) -> Op {
        match (is_equal, is_regex) {
            (true, false) => Op::Equal,
            (false, false) => Op::NotEqual,
            (true, true) => Op::Match,
            (false, true) => Op::NotMatch,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Match => "=~",
            Op::NotMatch => "!~",
        }
    }

    pub fn is_equal(self) -> bool {
        matches!(self, Op::Equal | Op::Match)
    }

    pub fn is_regex(self) -> bool {
        matches!(self, Op::Match | Op::NotMatch)
    }
}

/// A label, and what its value must be. A label that an alert has not is empty.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(from = "Kept", into = "Kept")]
pub struct Matcher {
    name: String,
    op: Op,
    value: String,
    /// Of the whole value. `None` where none is needed.
    regex: Option<Regex>,
}

/// As the store has it.
#[derive(Serialize, Deserialize)]
struct Kept {
    name: String,
    op: Op,
    value: String,
}

impl Matcher {
    /// # Errors
    /// What is wrong with it, in words.
    pub fn new(name: &str, op: Op, value: &str) -> Result<Matcher, String> {
        if !is_label_name(name) {
            let shown: String = name.chars().take(LONGEST_NAME).collect();
            return Err(format!("`{shown}` is not the name of a label: letters, digits and _"));
        }
        if value.chars().count() > LONGEST_VALUE {
            return Err(format!("the value of {name} is longer than {LONGEST_VALUE} characters"));
        }
        let regex = op.is_regex().then(|| whole(value)).transpose();
        let regex = regex.map_err(|why| format!("{name}: {why}"))?;
        Ok(Matcher { name: name.to_owned(), op, value: value.to_owned(), regex })
    }

    /// Reads `name="value"`; the quotes may be missing where the value has none.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Matcher, String> {
        let how = || format!("`{text}`: write NAME=VALUE, NAME!=VALUE, NAME=~REGEX or NAME!~REGEX");
        let text = text.trim();
        let place = text.find(['=', '!']).ok_or_else(how)?;
        let (name, rest) = text.split_at(place);
        let ops = [Op::Match, Op::NotMatch, Op::NotEqual, Op::Equal];
        let op = ops.into_iter().find(|op| rest.starts_with(op.as_str())).ok_or_else(how)?;
        let value = rest[op.as_str().len()..].trim();
        Matcher::new(name.trim(), op, &unquoted(value)?)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn op(&self) -> Op {
        self.op
    }

    pub fn value(&self) -> &str {
        &self.value
    }

    pub fn matches(&self, labelled: &impl Labelled) -> bool {
        self.takes(labelled.label(&self.name).unwrap_or_default())
    }

    /// Whether it matches alerts that have no such label.
    pub fn takes_empty(&self) -> bool {
        self.takes("")
    }

    /// Whether this value is meant.
    pub fn takes(&self, value: &str) -> bool {
        let is_found = || self.regex.as_ref().map(|regex| regex.is_match(value));
        match self.op {
            Op::Equal => value == self.value,
            Op::NotEqual => value != self.value,
            // What cannot be understood any more hides nothing.
            Op::Match => is_found() == Some(true),
            Op::NotMatch => is_found() == Some(false),
        }
    }
}

/// The expression for a whole value.
fn whole(pattern: &str) -> Result<Regex, String> {
    let compile = |text: &str| RegexBuilder::new(text).size_limit(LARGEST_REGEX).build();
    // By itself first: `a)|(b` is no expression, though it is one between brackets.
    compile(pattern)
        .and_then(|_| compile(&format!("^(?:{pattern})$")))
        .map_err(|error| format!("`{pattern}` is no regular expression that can be used: {error}"))
}

fn is_label_name(name: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.len() <= LONGEST_NAME
        && name.starts_with(is_letter)
        && name.chars().all(|c| is_letter(c) || c.is_ascii_digit())
}

/// A value without its quotes, and what they escape as itself.
fn unquoted(text: &str) -> Result<String, String> {
    let Some(inner) = text.strip_prefix('"') else {
        return match text.ends_with('"') {
            true => Err(format!("`{text}` has a quote at its end alone")),
            false => Ok(text.to_owned()),
        };
    };
    let (mut value, mut chars) = (String::new(), inner.chars());
    loop {
        match chars.next() {
            Some('"') if chars.as_str().is_empty() => return Ok(value),
            Some('"') => return Err(format!("`{text}` goes on after its closing quote")),
            Some('\\') => match chars.next() {
                Some('n') => value.push('\n'),
                Some(c @ ('"' | '\\')) => value.push(c),
                // As Alertmanager: no escape, so both stand for themselves.
                Some(c) => value.extend(['\\', c]),
                None => return Err(format!("`{text}` has no closing quote")),
            },
            Some(c) => value.push(c),
            None => return Err(format!("`{text}` has no closing quote")),
        }
    }
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Matcher) -> bool {
        (&self.name, self.op, &self.value) == (&other.name, other.op, &other.value)
    }
}

impl Eq for Matcher {}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = self.value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        write!(f, "{}{}\"{value}\"", self.name, self.op.as_str())
    }
}

impl From<Kept> for Matcher {
    fn from(kept: Kept) -> Matcher {
        let Kept { name, op, value } = kept;
        let regex = if op.is_regex() { whole(&value).ok() } else { None };
        Matcher { name, op, value, regex }
    }
}

impl From<Matcher> for Kept {
    fn from(matcher: Matcher) -> Kept {
        let Matcher { name, op, value, .. } = matcher;
        Kept { name, op, value }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_matcher_is_read_and_written_as_prometheus_does() {
        let check = |text: &str, expected: &str| {
            let read = match Matcher::parse(text) {
                Ok(matcher) => {
                    let again = Matcher::parse(&matcher.to_string());
                    assert_eq!(again.as_ref(), Ok(&matcher), "{text}");
                    format!("{} {} {:?}", matcher.name(), matcher.op().as_str(), matcher.value())
                }
                Err(why) => why,
            };
            assert!(read.starts_with(expected), "{text}: {read}");
        };
        check(r#"affiliate="7""#, r#"affiliate = "7""#);
        check("affiliate=7", r#"affiliate = "7""#);
        check(" affiliate != \"7\" ", r#"affiliate != "7""#);
        check(r#"host=~"s2s\\..*""#, r#"host =~ "s2s\\..*""#);
        check(r"host=~s2s\..*", r#"host =~ "s2s\\..*""#);
        check("host!~a|b", r#"host !~ "a|b""#);
        check(r#"name="say \"hi\"\n""#, r#"name = "say \"hi\"\n""#);
        check("name=", r#"name = """#);
        check("name=a=b", r#"name = "a=b""#);
        check("name=ü ✓", r#"name = "ü ✓""#);
        check("", "``: write NAME=VALUE");
        check("name", "`name`: write NAME=VALUE");
        check("name!7", "`name!7`: write NAME=VALUE");
        check("=7", "`` is not the name of a label");
        check("na-me=7", "`na-me` is not the name of a label");
        check("7up=7", "`7up` is not the name of a label");
        check(r#"name="7"#, r#"`"7` has no closing quote"#);
        check(r#"name=7""#, r#"`7"` has a quote at its end alone"#);
        check(r#"name="7"8"#, r#"`"7"8` goes on after its closing quote"#);
        check("host=~[", "host: `[` is no regular expression that can be used");
        check("host=~a)|(b", "host: `a)|(b` is no regular expression that can be used");
        check(r"host=~((a{900}){900}){900}", "host: ");
        // Short to write and slow to compare.
        check("host=~(a?){1000}b", "host: `(a?){1000}b` is no regular expression that can be used");
        let ids = vec!["123456"; 280].join("|");
        check(&format!("affiliate=~{ids}"), "affiliate =~ ");
        check(&format!("host={}", "x".repeat(LONGEST_VALUE + 1)), "the value of host is longer");
        check(&format!("{}=1", "x".repeat(LONGEST_NAME + 1)), "`xxx");
    }

    #[test]
    fn an_expression_is_of_the_whole_value_and_a_missing_label_is_empty() {
        let labels = BTreeMap::from([("host".to_owned(), "s2s.example.com".to_owned())]);
        let check = |text: &str, expected: bool| {
            let matcher = Matcher::parse(text).expect("it can be read");
            assert_eq!(matcher.matches(&labels), expected, "{text}");
            let bytes = postcard::to_allocvec(&matcher).expect("it can be kept");
            let kept: Matcher = postcard::from_bytes(&bytes).expect("it can be read");
            assert_eq!(kept.matches(&labels), expected, "{text}, kept");
        };
        check("host=s2s.example.com", true);
        check("host=s2s", false);
        check("host!=s2s", true);
        check("host=~s2s", false);
        check("host=~s2s.*", true);
        check("host=~a|s2s.example.com", true);
        check("host=~a|s2s", false);
        check("host!~s2s", true);
        check("host!~s2s.*", false);
        check("offer=", true);
        check("offer!=", false);
        check("offer=~.+", false);
        check("offer!~.+", true);
        check("offer!=11", true);
    }
}
