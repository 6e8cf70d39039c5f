//! Hides secrets in whatever is shown of a file: the value of every key that
//! may hold one, and whatever came from the environment or from a file.

use std::fmt;
use std::ops::Range;

use super::names;
use super::report::Place;
use super::yaml::{Kind, Node};

const STARS: &str = "***";
/// Shorter texts are no secrets, and hiding them would hide half of every line.
const SHORTEST: usize = 4;
const WIDEST_LINE: usize = 160;

/// Where the secrets of a text are, and which.
#[derive(Clone, Default, PartialEq)]
pub struct Mask {
    ranges: Vec<Range<usize>>,
    values: Vec<String>,
    /// The text was no YAML: secrets are guessed from the look of its lines.
    unread: bool,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(STARS)
    }
}

impl Mask {
    /// For a text that could not be read.
    pub fn unread() -> Mask {
        Mask { unread: true, ..Mask::default() }
    }

    /// Finds the secrets of `root` and marks them in it.
    pub fn of(root: &mut Node, text: &str) -> Mask {
        let mut mask = Mask::default();
        mask.visit(root, text, false);
        mask
    }

    /// A secret that does not stand in the text.
    pub fn add(&mut self, value: &str) {
        let lines = value.lines().map(str::trim).filter(|line| line.chars().count() >= SHORTEST);
        self.values.extend(lines.map(String::from));
    }

    /// To be called when all secrets are known.
    pub fn seal(&mut self) {
        // The longest first: one may be a part of another.
        self.values.sort_by(|a, b| b.len().cmp(&a.len()).then(a.cmp(b)));
        self.values.dedup();
    }

    fn visit(&mut self, node: &mut Node, text: &str, secret: bool) {
        match &mut node.kind {
            Kind::Map(entries) => {
                for (key, value) in entries {
                    if secret {
                        self.ranges.push(key.span.clone());
                        self.add(&key.name);
                    }
                    let secret = secret || names::may_be_secret(&key.name);
                    if secret {
                        self.hide_odd(value, key.span.end, text);
                    }
                    let bare = names::holds_a_secret(&key.name)
                        && matches!(value.kind, Kind::Scalar(_) | Kind::List(_));
                    self.visit(value, text, secret || bare);
                }
            }
            Kind::List(items) => items.iter_mut().for_each(|item| self.visit(item, text, secret)),
            Kind::Scalar(scalar) => {
                // A missing quote may have made other lines of the file a part of this text.
                let swallowed = scalar.value.lines().any(|line| secret_value(line).is_some());
                let looks = scalar.value.starts_with("xox")
                    || names::has_password(&scalar.value)
                    || swallowed;
                // A variable's name is no secret, and worth showing.
                let variable = scalar.value.starts_with("${")
                    && scalar.value.ends_with('}')
                    && scalar.value.matches('}').count() == 1;
                scalar.secret = (secret || looks) && !variable;
                if scalar.secret {
                    self.ranges.push(node.span.clone());
                    self.add(&scalar.value.clone());
                }
            }
            Kind::Broken => {}
        }
    }

    /// What YAML took for an alias, a tag or an anchor may be a password that
    /// was not quoted: the rest of its line goes.
    fn hide_odd(&mut self, value: &Node, key_end: usize, text: &str) {
        let odd = match &value.kind {
            Kind::Broken => true,
            Kind::Scalar(scalar) => scalar.null,
            Kind::Map(_) | Kind::List(_) => false,
        };
        if odd {
            let rest = text.get(key_end..).unwrap_or_default();
            let end = rest.find('\n').unwrap_or(rest.len());
            self.ranges.push((key_end + 1).min(key_end + end)..key_end + end);
        }
    }

    /// `message` without any secret, in case one found its way into it.
    pub fn scrub(&self, message: &str) -> String {
        self.values.iter().fold(message.to_string(), |message, value| {
            if message.contains(value.as_str()) { message.replace(value, STARS) } else { message }
        })
    }

    /// See [`super::report::Report::line`].
    pub fn line(&self, text: &str, at: Place) -> Option<(String, usize)> {
        let start = line_start(text, at.line)?;
        let line = text[start..].lines().next().unwrap_or_default();
        let mut hidden = vec![false; line.len() + 1];
        for range in self.ranges_of(text, start, line, at.line) {
            let range = range.start.clamp(start, start + line.len()) - start
                ..range.end.clamp(start, start + line.len()) - start;
            hidden[range].iter_mut().for_each(|byte| *byte = true);
        }
        for value in &self.values {
            for (found, _) in line.match_indices(value.as_str()) {
                hidden[found..found + value.len()].iter_mut().for_each(|byte| *byte = true);
            }
        }
        Some(window(line, &hidden, at.column))
    }

    fn ranges_of(&self, text: &str, start: usize, line: &str, number: usize) -> Vec<Range<usize>> {
        let mut ranges = self.ranges.clone();
        if self.unread {
            let secret = guess(text, line, number);
            ranges.extend(secret.map(|place| start + place..start + line.len()));
            return ranges;
        }
        let touches = |range: &Range<usize>| range.start < start + line.len() && range.end > start;
        // What stands behind a secret may be the one before it.
        let comment = ranges.iter().filter(|range| touches(range)).map(|range| range.end).max();
        if let Some(after) = comment.filter(|&after| after < start + line.len())
            && let Some(comment) = text[after..start + line.len()].find(" #")
        {
            ranges.push(after + comment..start + line.len());
        }
        ranges
    }
}

fn line_start(text: &str, number: usize) -> Option<usize> {
    let before: usize = text.split_inclusive('\n').take(number.checked_sub(1)?).map(str::len).sum();
    (text.split_inclusive('\n').count() >= number).then_some(before)
}

/// Where in a line of something that is no YAML a secret may begin.
fn guess(text: &str, line: &str, number: usize) -> Option<usize> {
    let earlier = text.lines().take(number - 1).collect::<Vec<_>>();
    let open = earlier.iter().rev().take(3).any(|line| {
        secret_value(line).is_some_and(|at| {
            let value = line[at..].trim();
            let quote = value.starts_with(['"', '\'']) && !value[1..].ends_with(['"', '\'', '}']);
            value.is_empty() || value.starts_with(['|', '>']) || quote
        })
    });
    if open { Some(0) } else { secret_value(line) }
}

/// The place after the colon of the line's first key that may hold a secret.
fn secret_value(line: &str) -> Option<usize> {
    if line.contains("xox") || names::has_password(line) {
        return line.find(':').map(|at| at + 1);
    }
    let mut after = 0;
    for (at, _) in line.match_indices(':') {
        let name = line[after..at].trim_end().rsplit([' ', '{', ',', '\t']).next();
        let name = name.unwrap_or_default().trim_matches(['"', '\'']);
        if names::may_be_secret(name) || names::holds_a_secret(name) {
            return Some(at + 1);
        }
        after = at + 1;
    }
    None
}

/// The part of the line around `column`, and where that column went.
fn window(line: &str, hidden: &[bool], column: usize) -> (String, usize) {
    let first = if column > WIDEST_LINE { column - WIDEST_LINE / 2 } else { 1 };
    let (mut shown, mut width, mut caret) = (String::new(), 0, None);
    let mut was_hidden = false;
    for (index, (at, character)) in line.char_indices().enumerate() {
        if index + 1 < first {
            continue;
        }
        if index + 1 == column {
            caret = Some(if hidden[at] && was_hidden { width - STARS.len() } else { width } + 1);
        }
        if width >= WIDEST_LINE + 20 {
            shown.push('…');
            break;
        }
        if hidden[at] && !was_hidden {
            shown.push_str(STARS);
            width += STARS.len();
        } else if !hidden[at] {
            shown.push(if character.is_control() { ' ' } else { character });
            width += 1;
        }
        was_hidden = hidden[at];
    }
    (shown, caret.unwrap_or(width + 1))
}
