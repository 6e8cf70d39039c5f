//! YAML text → a tree in which every node knows its place. Knows nothing of
//! rules; never fails on what a value means.
//!
//! Why not serde: deserialising stops at the first mistake, and the file's
//! reader is owed all of them at once, each with line and column. So the tree is
//! built from the parser's events, and `decode` walks it and collects.

use std::collections::HashMap;
use std::ops::Range;

use serde_saphyr::granit_parser::{self as granit, Event, Parser, ScalarStyle, ScanError, Span};

use super::decode::MAX_MISTAKES;
use super::report::{Mistake, Place};

/// Larger files are refused: nobody writes one by hand.
pub const MAX_BYTES: usize = 1 << 20;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 100_000;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    pub at: Place,
    /// Bytes of the text; of a block map or list only its beginning.
    pub span: Range<usize>,
    pub kind: Kind,
}

/// What a value is, as far as YAML says it.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Map(Vec<(Key, Node)>),
    List(Vec<Node>),
    Scalar(Scalar),
    /// Already reported (an alias, a tag): whoever reads it stays silent.
    Broken,
}

/// The name of a map's entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Key {
    pub at: Place,
    pub name: String,
    pub span: Range<usize>,
}

/// A text that may mean a number, a switch or nothing, if it is not quoted.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalar {
    /// As written, before `${NAME}` was replaced: this may be shown.
    pub written: String,
    /// After it was.
    pub value: String,
    /// Without quotes: only then may it mean something other than text.
    pub plain: bool,
    /// Nothing was written at all, or `~` or `null`.
    pub null: bool,
    /// Something came from the environment.
    pub replaced: bool,
    /// Not to be shown, not even as written.
    pub secret: bool,
}

/// The tree of the text's one document, and what YAML itself forbids.
pub fn parse(text: &str) -> (Option<Node>, Vec<Mistake>) {
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than {} KiB", MAX_BYTES / 1024);
        return (None, vec![at_start(&message, "split the rules over several services")]);
    }
    let mut options = granit::Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    let mut builder = Builder::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let step = match event {
            Ok((event, span)) => builder.event(event, &span),
            Err(error) => Err(Stop(syntax_mistake(text, &error))),
        };
        if let Err(Stop(mistake)) = step {
            builder.mistakes.push(mistake);
            return (None, builder.mistakes);
        }
    }
    if builder.root.is_none() && builder.mistakes.is_empty() {
        let hint = "write at least one entry under `sources:`";
        builder.mistakes.push(at_start("the file is empty", hint));
    }
    (builder.root, builder.mistakes)
}

fn at_start(message: &str, hint: &str) -> Mistake {
    mistake(Place { line: 1, column: 1 }, message, hint)
}

fn mistake(at: Place, message: &str, hint: &str) -> Mistake {
    Mistake { at, message: message.into(), hint: (!hint.is_empty()).then(|| hint.into()) }
}

/// Ends the reading: what follows has no meaning any more.
struct Stop(Mistake);

/// An open map or list.
struct Open {
    at: Place,
    span: Range<usize>,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, lines: HashMap<String, usize>, key: Pending },
}

/// What a map waits for.
enum Pending {
    Key,
    ValueOf(Key),
}

#[derive(Default)]
struct Builder {
    root: Option<Node>,
    open: Vec<Open>,
    nodes: usize,
    documents: usize,
    mistakes: Vec<Mistake>,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<(), Stop> {
        let at = place(span);
        match event {
            Event::DocumentStart(..) => self.document(at),
            Event::Scalar(text, style, _, tag) => {
                let kind = match tag {
                    None => Kind::Scalar(scalar(&text, style, span)),
                    Some(_) => self.refuse_tag(span),
                };
                self.close(Node { at, span: bytes(span), kind })
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                let hint = "write the value out, or in quotes if it is meant to begin with `*`";
                self.mistakes.push(mistake(at, "YAML aliases are not allowed", hint));
                self.close(Node { at, span: bytes(span), kind: Kind::Broken })
            }
            Event::SequenceStart(_, _, tag) => {
                if tag.is_some() {
                    self.refuse_tag(span);
                }
                self.push(at, span, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(_, _, tag) => {
                if tag.is_some() {
                    self.refuse_tag(span);
                }
                let (entries, lines) = Default::default();
                self.push(at, span, OpenKind::Map { entries, lines, key: Pending::Key })
            }
            Event::SequenceEnd | Event::MappingEnd => self.pop(span),
            _ => Ok(()),
        }
    }

    fn document(&mut self, at: Place) -> Result<(), Stop> {
        self.documents += 1;
        if self.documents < 2 {
            return Ok(());
        }
        Err(Stop(mistake(at, "the file holds more than one YAML document", "remove the `---`")))
    }

    fn refuse_tag(&mut self, span: &Span) -> Kind {
        let at = span.tag_start.map_or(place(span), |tag| marker(&tag));
        let hint = "put the value in quotes, as in \"!= 5\"";
        self.mistakes.push(mistake(at, "a value begins with `!`, which is a YAML tag", hint));
        Kind::Broken
    }

    fn push(&mut self, at: Place, span: &Span, kind: OpenKind) -> Result<(), Stop> {
        if self.open.len() >= MAX_DEPTH {
            let message = format!("more than {MAX_DEPTH} levels inside each other");
            return Err(Stop(mistake(at, &message, "")));
        }
        self.open.push(Open { at, span: bytes(span), kind });
        Ok(())
    }

    fn pop(&mut self, span: &Span) -> Result<(), Stop> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.kind {
            OpenKind::List(items) => Kind::List(items),
            OpenKind::Map { entries, .. } => Kind::Map(entries),
        };
        let end = bytes(span).end.max(open.span.end);
        self.close(Node { at: open.at, span: open.span.start..end, kind })
    }

    /// A node is whole: it goes where its parent waits for it.
    fn close(&mut self, node: Node) -> Result<(), Stop> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(Stop(mistake(node.at, &format!("more than {MAX_NODES} values"), "")));
        }
        if self.mistakes.len() >= MAX_MISTAKES {
            return Err(Stop(mistake(node.at, "too many mistakes to go on", "")));
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map { entries, lines, key }) => {
                match std::mem::replace(key, Pending::Key) {
                    Pending::Key => *key = name(node, lines, &mut self.mistakes)?,
                    Pending::ValueOf(name) => entries.push((name, node)),
                }
            }
        }
        Ok(())
    }
}

/// A key that comes again is kept: what it holds may be a secret that must be
/// found to be hidden. Whoever looks for a key takes the first.
fn name(
    node: Node,
    lines: &mut HashMap<String, usize>,
    mistakes: &mut Vec<Mistake>,
) -> Result<Pending, Stop> {
    let Kind::Scalar(scalar) = node.kind else {
        return Err(Stop(mistake(node.at, "a key must be a plain name", "")));
    };
    if let Some(first) = lines.get(&scalar.value) {
        let message = format!("`{}` is here twice", shorten(&scalar.value));
        let hint = format!("remove one of them; the first is on line {first}");
        mistakes.push(mistake(node.at, &message, &hint));
    }
    lines.entry(scalar.value.clone()).or_insert(node.at.line);
    Ok(Pending::ValueOf(Key { at: node.at, name: scalar.value, span: node.span }))
}

/// `text` short enough for a sentence, without line ends.
pub fn shorten(text: &str) -> String {
    let mut short: String =
        text.chars().take(60).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

fn scalar(text: &str, style: ScalarStyle, span: &Span) -> Scalar {
    let plain = style == ScalarStyle::Plain;
    let null =
        plain && (bytes(span).is_empty() || matches!(text, "" | "~" | "null" | "Null" | "NULL"));
    let value = if null { String::new() } else { text.to_string() };
    Scalar { written: value.clone(), value, plain, null, replaced: false, secret: false }
}

fn place(span: &Span) -> Place {
    marker(&span.start)
}

fn marker(marker: &granit::Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

fn bytes(span: &Span) -> Range<usize> {
    let start = span.start.byte_offset().unwrap_or(0);
    start..span.end.byte_offset().unwrap_or(start).max(start)
}

/// The parser's words name no content of the file, so they may be shown.
fn syntax_mistake(text: &str, error: &ScanError) -> Mistake {
    let at = marker(error.marker());
    let line = text.lines().nth(at.line.saturating_sub(1)).unwrap_or_default();
    let before: String = line.chars().take(at.column.saturating_sub(1)).collect();
    let hint = if before.ends_with('$') || line.contains("${") && line.contains('{') {
        "inside `{ … }` put a variable in quotes: \"${NAME}\""
    } else if line.contains(": >") || line.contains(": <") {
        "put comparisons in quotes: \">= 5\""
    } else if line.contains('\t') {
        "indent with spaces, not with tabs"
    } else {
        "check the indentation, the quotes and the brackets here and on the line before"
    };
    mistake(at, &format!("this is not YAML: {}", error.info()), hint)
}
