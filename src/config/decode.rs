//! From the tree to checked values: the small pieces. They collect what is wrong
//! and go on; none of them knows a particular key.

use std::time::Duration;

use super::duration::{parse_duration, write_duration};
use super::mask::Mask;
use super::names;
use super::report::{Mistake, Place};
use super::secret::Secret;
use super::yaml::{Key, Kind, Node, Scalar, shorten};

/// Reads a file that a `*_file` key names.
pub type ReadFile<'a> = &'a dyn Fn(&str) -> std::io::Result<String>;

const MAX_SECRET_BYTES: usize = 64 * 1024;
/// Past this many mistakes nothing more is looked at: nobody reads on, and a
/// hostile file must not keep a reload busy.
pub const MAX_MISTAKES: usize = 200;

/// The keys of one kind of map.
pub struct Shape {
    /// `a source`, for messages.
    pub what: &'static str,
    pub known: &'static [&'static str],
    /// Keys that the product will have; never silently ignored.
    pub later: &'static [&'static str],
}

/// A value together with the key under which it stands.
#[derive(Clone, Copy)]
pub struct Entry<'t> {
    pub name: &'t str,
    pub at: Place,
    pub node: &'t Node,
}

/// The entries of a map.
#[derive(Clone, Copy)]
pub struct Fields<'t> {
    pub at: Place,
    pub entries: &'t [(Key, Node)],
}

impl<'t> Fields<'t> {
    pub fn get(&self, name: &str) -> Option<Entry<'t>> {
        self.iter().find(|entry| entry.name == name)
    }

    pub fn iter(&self) -> impl Iterator<Item = Entry<'t>> + use<'t> {
        self.entries.iter().map(|(key, node)| {
            let null = matches!(&node.kind, Kind::Scalar(scalar) if scalar.null);
            Entry { name: &key.name, at: if null { key.at } else { node.at }, node }
        })
    }
}

/// Collects the mistakes of a file while its values are read.
pub struct Decoder<'a> {
    pub mistakes: Vec<Mistake>,
    pub warnings: Vec<Mistake>,
    pub mask: Mask,
    read_file: ReadFile<'a>,
    /// `rule "burst": `, before each message.
    context: String,
}

impl<'a> Decoder<'a> {
    pub fn new(mask: Mask, mistakes: Vec<Mistake>, read_file: ReadFile<'a>) -> Decoder<'a> {
        Decoder { mistakes, warnings: Vec::new(), mask, read_file, context: String::new() }
    }

    /// Messages name `what` until the next call; an empty `what` ends it.
    pub fn enter(&mut self, what: &str) {
        self.context = if what.is_empty() { String::new() } else { format!("{what}: ") };
    }

    /// [`Decoder::enter`] with the name that the map of `item` has.
    pub fn enter_item(&mut self, what: &str, item: Entry<'_>) {
        let Kind::Map(entries) = &item.node.kind else { return self.enter("") };
        let named = entries.iter().find(|(key, _)| key.name == "name").map(|(_, node)| &node.kind);
        match named {
            Some(Kind::Scalar(name)) if !name.null => {
                self.enter(&format!("{what} \"{}\"", quote(name)));
            }
            Some(_) | None => self.enter(""),
        }
    }

    fn is_full(&self) -> bool {
        self.mistakes.len() > MAX_MISTAKES
    }

    pub fn wrong(&mut self, at: Place, message: impl AsRef<str>, hint: impl Into<String>) {
        let mistake = self.mistake(at, message.as_ref(), hint.into());
        self.mistakes.push(mistake);
    }

    pub fn warn(&mut self, at: Place, message: impl AsRef<str>, hint: impl Into<String>) {
        let mistake = self.mistake(at, message.as_ref(), hint.into());
        self.warnings.push(mistake);
    }

    fn mistake(&self, at: Place, message: &str, hint: String) -> Mistake {
        let message = format!("{}{message}", self.context);
        Mistake { at, message, hint: (!hint.is_empty()).then_some(hint) }
    }

    /// The map of `entry`; keys that `shape` does not have are reported.
    pub fn map<'t>(&mut self, entry: Entry<'t>, shape: &Shape) -> Option<Fields<'t>> {
        let fields = self.any_map(entry, shape.what)?;
        for (key, _) in fields.entries {
            let name = key.name.as_str();
            if self.is_full() {
                break;
            }
            if shape.known.contains(&name) {
                continue;
            }
            if shape.later.contains(&name) {
                self.later(key.at, name);
                continue;
            }
            let near = [shape.known, shape.later].concat();
            let hint = match names::nearest(name, &near) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => names::suggest(name, shape.known),
            };
            self.wrong(key.at, format!("{} has no key `{}`", shape.what, shorten(name)), hint);
        }
        Some(fields)
    }

    /// Says that `name` belongs to a later version.
    pub fn later(&mut self, at: Place, name: &str) {
        self.wrong(at, format!("`{name}` is not available in this version yet"), "remove it");
    }

    /// The map of `entry`, whatever its keys.
    pub fn any_map<'t>(&mut self, entry: Entry<'t>, what: &str) -> Option<Fields<'t>> {
        match &entry.node.kind {
            _ if self.is_full() => None,
            Kind::Map(entries) => Some(Fields { at: entry.node.at, entries }),
            _ => {
                self.unlike(entry, &format!("a map: {what} is written as `key: value` lines"));
                None
            }
        }
    }

    /// The items of a list; a single value counts as a list of one.
    pub fn items<'t>(&mut self, entry: Entry<'t>) -> Vec<Entry<'t>> {
        match &entry.node.kind {
            Kind::List(items) => {
                items.iter().map(|node| Entry { name: entry.name, at: node.at, node }).collect()
            }
            Kind::Scalar(scalar) if scalar.null => {
                self.unlike(entry, "a list");
                Vec::new()
            }
            Kind::Scalar(_) | Kind::Map(_) => vec![entry],
            Kind::Broken => Vec::new(),
        }
    }

    /// Like [`Decoder::items`], for lists that say nothing when they are empty.
    pub fn some_items<'t>(&mut self, entry: Entry<'t>) -> Vec<Entry<'t>> {
        if matches!(&entry.node.kind, Kind::List(items) if items.is_empty()) {
            self.wrong(entry.at, format!("`{}` is empty", entry.name), "name one, or remove it");
        }
        self.items(entry)
    }

    fn scalar<'t>(&mut self, entry: Entry<'t>, expected: &str) -> Option<&'t Scalar> {
        match &entry.node.kind {
            _ if self.is_full() => None,
            Kind::Scalar(scalar) if !scalar.null => Some(scalar),
            Kind::Scalar(_) | Kind::Map(_) | Kind::List(_) | Kind::Broken => {
                self.unlike(entry, expected);
                None
            }
        }
    }

    fn unlike(&mut self, entry: Entry<'_>, expected: &str) {
        let found = match &entry.node.kind {
            // Said already.
            Kind::Broken => return,
            Kind::Scalar(scalar) if scalar.null => {
                let hint = format!("write {expected}; text after a `#` is a comment unless quoted");
                return self.wrong(entry.at, format!("`{}` is empty", entry.name), hint);
            }
            Kind::Map(_) => "a map".to_string(),
            Kind::List(_) => "a list".to_string(),
            Kind::Scalar(scalar) => format!("`{}`", quote(scalar)),
        };
        self.wrong(entry.at, format!("`{}` is {found}", entry.name), format!("write {expected}"));
    }

    /// Text; a bare number or switch is none.
    pub fn text(&mut self, entry: Entry<'_>) -> Option<String> {
        let scalar = self.scalar(entry, "text")?;
        let bare = scalar.plain && !scalar.replaced && !scalar.secret;
        if bare && (scalar.value.parse::<f64>().is_ok() || is_switch(&scalar.value)) {
            let shown = quote(scalar);
            let message = format!("`{}: {shown}` is no text", entry.name);
            self.wrong(entry.at, message, format!("write it in quotes: \"{shown}\""));
            return None;
        }
        self.word(entry)
    }

    /// A text that may look like a number: an id in a pattern, a key, a label's value.
    pub fn word(&mut self, entry: Entry<'_>) -> Option<String> {
        let scalar = self.scalar(entry, "text")?;
        let value = scalar.value.trim();
        if value.is_empty() {
            self.wrong(entry.at, format!("`{}` is empty", entry.name), "write its value");
            return None;
        }
        Some(value.to_string())
    }

    /// `true` or `false`.
    pub fn switch(&mut self, entry: Entry<'_>) -> Option<bool> {
        let scalar = self.scalar(entry, "`true` or `false`")?;
        match scalar.value.as_str() {
            "true" if may_mean(scalar) => Some(true),
            "false" if may_mean(scalar) => Some(false),
            _ => {
                self.unlike(entry, "`true` or `false`, without quotes");
                None
            }
        }
    }

    /// A whole number from `least` to `most`.
    pub fn whole(&mut self, entry: Entry<'_>, least: u64, most: u64) -> Option<u64> {
        let scalar = self.scalar(entry, "a whole number")?;
        let number = scalar.value.parse::<u64>().ok().filter(|_| may_mean(scalar));
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(_) => {
                let message = format!("`{}: {}` is out of range", entry.name, quote(scalar));
                self.wrong(entry.at, message, format!("write a number from {least} to {most}"));
                None
            }
            None => {
                self.unlike(entry, "a whole number, without quotes");
                None
            }
        }
    }

    /// [`Decoder::whole`] from 1 up to what 32 bits hold.
    pub fn count(&mut self, entry: Entry<'_>) -> Option<u32> {
        let number = self.whole(entry, 1, u32::MAX.into())?;
        u32::try_from(number).ok()
    }

    /// `10s`, `5m`, `2h`, `3d`, and at least `least`.
    pub fn duration(&mut self, entry: Entry<'_>, least: Duration) -> Option<Duration> {
        let scalar = self.scalar(entry, "a duration, as in `5m`")?;
        match parse_duration(&scalar.value) {
            Ok(duration) if duration < least => {
                let message = format!("`{}: {}` is too short", entry.name, quote(scalar));
                let hint = format!("write `{}` or more", write_duration(least));
                self.wrong(entry.at, message, hint);
                None
            }
            Ok(duration) => Some(duration),
            Err((why, hint)) => {
                let hint = if scalar.secret { String::new() } else { hint };
                self.wrong(entry.at, format!("`{}: {}` {why}", entry.name, quote(scalar)), hint);
                None
            }
        }
    }

    /// One of a few words.
    pub fn choice<T: Copy>(&mut self, entry: Entry<'_>, of: &[(&str, T)]) -> Option<T> {
        let word = self.word(entry)?;
        if let Some((_, choice)) = of.iter().find(|(name, _)| *name == word) {
            return Some(*choice);
        }
        let known: Vec<&str> = of.iter().map(|(name, _)| *name).collect();
        let message = format!("`{}` knows no `{}`", entry.name, self.show(entry));
        self.wrong(entry.at, message, names::suggest(&word, &known));
        None
    }

    /// The value of a required key; that it is missing is said at the map.
    pub fn required<'t>(
        &mut self,
        fields: &Fields<'t>,
        name: &str,
        example: &str,
    ) -> Option<Entry<'t>> {
        let found = fields.get(name);
        if found.is_none() {
            self.wrong(fields.at, format!("`{name}` is missing"), format!("write `{example}`"));
        }
        found
    }

    /// A secret under `name`, or in the file that `name_file` names.
    pub fn secret(&mut self, fields: &Fields<'_>, name: &str, example: &str) -> Option<Secret> {
        let file_key = format!("{name}_file");
        match (fields.get(name), fields.get(&file_key)) {
            (Some(_), Some(file)) => {
                let message = format!("both `{name}` and `{file_key}` are here");
                self.wrong(file.at, message, "remove one of them");
                None
            }
            (None, Some(file)) => self.secret_from_file(file),
            (Some(entry), None) => self.checked_secret(entry),
            (None, None) => {
                let hint = format!("write `{name}: {example}` or `{file_key}: …`");
                self.wrong(fields.at, format!("`{name}` is missing"), hint);
                None
            }
        }
    }

    /// A secret that stands in the file itself.
    pub fn checked_secret(&mut self, entry: Entry<'_>) -> Option<Secret> {
        let value = self.word(entry)?;
        self.plain_secret(entry, &value)
    }

    fn secret_from_file(&mut self, entry: Entry<'_>) -> Option<Secret> {
        let path = self.word(entry)?;
        match (self.read_file)(&path) {
            Ok(text) if text.len() <= MAX_SECRET_BYTES && !text.trim().is_empty() => {
                self.mask.add(text.trim());
                self.plain_secret(entry, text.trim())
            }
            Ok(_) => {
                let message = format!("the file of `{}` is empty or too large", entry.name);
                self.wrong(entry.at, message, "write the secret, and nothing else, into it");
                None
            }
            Err(error) => {
                let message =
                    format!("the file of `{}` cannot be read: {}", entry.name, error.kind());
                self.wrong(entry.at, message, "check its path and who may read it");
                None
            }
        }
    }

    /// Headers and addresses are made of secrets: no line end may get into them.
    fn plain_secret(&mut self, entry: Entry<'_>, value: &str) -> Option<Secret> {
        if value.chars().any(|c| c.is_control() || c.is_whitespace()) {
            let message = format!("`{}` holds blanks or line ends", entry.name);
            self.wrong(entry.at, message, "write the secret on one line, without blanks");
            return None;
        }
        Some(Secret::new(value))
    }

    /// The value of `entry` as it may be shown.
    pub fn show(&self, entry: Entry<'_>) -> String {
        match &entry.node.kind {
            Kind::Scalar(scalar) => quote(scalar),
            Kind::Map(_) => "{…}".into(),
            Kind::List(_) => "[…]".into(),
            Kind::Broken => "…".into(),
        }
    }
}

/// Quotes are said to make text; what came from the environment had to be quoted.
fn may_mean(scalar: &Scalar) -> bool {
    scalar.plain || scalar.replaced
}

fn is_switch(text: &str) -> bool {
    matches!(text, "true" | "false")
}

fn quote(scalar: &Scalar) -> String {
    if scalar.secret { "***".into() } else { shorten(scalar.written.trim()) }
}
