//! Cuts the export's stream into pages while it arrives. Holds one page at
//! most, and never takes half a stream for a whole one.

use std::ops::Range;

use bytes::{Bytes, BytesMut};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::wire::{self, MAX_ROW};
use crate::source::Page;

/// Rows of a page, at most.
const PAGE_ROWS: usize = 1_000;
/// A page ends early at this many bytes, so that long rows cost no memory.
const PAGE_BYTES: usize = 2 << 20;
/// What a document may hold beside its rows.
const MAX_ENVELOPE: usize = 64 << 10;
/// The longest error text that is kept.
const MAX_ERROR: usize = 16 << 10;

/// Why a stream is no whole export.
#[derive(Debug, PartialEq)]
pub enum Broken {
    /// What is wrong with it.
    Incomplete(&'static str),
    /// The network wrote an error where rows should be: its JSON.
    Error(Bytes),
}

/// Fed chunks in order, gives pages.
#[derive(Debug, Default)]
pub struct Splitter {
    buffer: BytesMut,
    /// Everything before this place of the buffer was looked at.
    scanned: usize,
    /// Where the line begins that is not finished yet.
    line: usize,
    /// Within a line that is too long: it is dropped up to its end.
    skipping: bool,
    /// Rows that were longer than may be, since they were last asked for.
    too_long: u64,
    rows: Vec<Range<usize>>,
    /// Rows found so far, those of earlier pages included.
    found: usize,
    shape: Shape,
}

/// What the body turned out to be; its Content-Type does not tell.
#[derive(Debug, Default)]
enum Shape {
    #[default]
    Unknown,
    /// As documented: one object a line.
    Lines,
    /// `{"pixels": [ … ]}` or a bare array.
    Document(Nesting),
    /// `{"error": …}` under a 200.
    Error,
}

impl Splitter {
    pub fn feed(&mut self, chunk: &[u8]) {
        self.buffer.extend_from_slice(chunk);
    }

    /// The next full page. To be asked until it says `None`, after each `feed`.
    pub fn page(&mut self) -> Result<Option<Page>, Broken> {
        if let Shape::Unknown = self.shape {
            self.shape = shape(&self.buffer, false)?;
        }
        let full = match &mut self.shape {
            Shape::Unknown => false,
            Shape::Lines => self.scan_lines()?,
            Shape::Document(_) => self.scan_document()?,
            Shape::Error => {
                self.buffer.truncate(MAX_ERROR);
                false
            }
        };
        Ok(full.then(|| self.take()))
    }

    /// How many rows were too long since the last call.
    pub fn take_too_long(&mut self) -> u64 {
        std::mem::take(&mut self.too_long)
    }

    /// The last page, which may be empty: the stream has come to its end.
    pub fn finish(mut self) -> Result<Page, Broken> {
        if let Shape::Unknown = self.shape {
            self.shape = shape(&self.buffer, true)?;
        }
        match &self.shape {
            Shape::Unknown => {}
            Shape::Lines => self.finish_lines()?,
            Shape::Document(_) => self.finish_document()?,
            Shape::Error => return Err(Broken::Error(self.buffer.freeze())),
        }
        Ok(self.take_all())
    }

    /// Looks for line ends up to a full page; whether there is one.
    fn scan_lines(&mut self) -> Result<bool, Broken> {
        while let Some(end) = newline(&self.buffer[self.scanned..]) {
            let end = self.scanned + end;
            self.scanned = end + 1;
            let line = std::mem::replace(&mut self.line, end + 1);
            if !std::mem::take(&mut self.skipping) {
                self.keep(line..end)?;
            }
            if self.rows.len() == PAGE_ROWS || self.line >= PAGE_BYTES {
                return Ok(true);
            }
        }
        self.scanned = self.buffer.len();
        if self.skipping || self.scanned - self.line > MAX_ROW {
            self.skip();
        }
        Ok(false)
    }

    /// Drops what is there of a line that is too long. It stays as an empty
    /// place: whoever reads the page counts it as rejected.
    fn skip(&mut self) {
        if !std::mem::replace(&mut self.skipping, true) {
            self.too_long += 1;
            self.push(0..0);
        }
        self.buffer.truncate(self.line);
        self.scanned = self.line;
    }

    /// Remembers a whole line, unless it is blank. Only its ends are looked at:
    /// what is between them is judged when the row is read.
    fn keep(&mut self, place: Range<usize>) -> Result<(), Broken> {
        let line = self.buffer[place.clone()].trim_ascii();
        match (line.first(), line.last()) {
            (None, _) => Ok(()),
            (Some(b'{'), Some(b'}')) if !is_error(line) => {
                self.push(place);
                Ok(())
            }
            (Some(b'{'), Some(b'}')) => Err(Broken::Error(Bytes::copy_from_slice(line))),
            _ => Err(Broken::Incomplete("a line of it is no row")),
        }
    }

    fn finish_lines(&mut self) -> Result<(), Broken> {
        let last = &self.buffer[self.line..];
        if self.skipping {
            return Err(Broken::Incomplete("its last line is cut"));
        }
        if !last.trim_ascii().is_empty() {
            // Without a line end only JSON itself can tell whether this is all.
            serde_json::from_slice::<IgnoredAny>(last)
                .map_err(|_| Broken::Incomplete("its last line is cut"))?;
            self.keep(self.line..self.buffer.len())?;
        }
        // One lonely object may be some other answer: taking it for a row that
        // cannot be read would prove the span empty.
        let lonely = self.found == 1 && self.rows.len() == 1;
        if lonely && !resembles_row(&self.buffer[self.rows[0].clone()]) {
            return Err(Broken::Incomplete("it is some other object"));
        }
        Ok(())
    }

    fn scan_document(&mut self) -> Result<bool, Broken> {
        while self.scanned < self.buffer.len() {
            let Shape::Document(nesting) = &mut self.shape else { return Ok(false) };
            let row = nesting.step(self.scanned, self.buffer[self.scanned])?;
            self.scanned += 1;
            if let Some(row) = row {
                self.push(row);
                if self.rows.len() == PAGE_ROWS || self.scanned >= PAGE_BYTES {
                    return Ok(true);
                }
            }
        }
        if self.buffer.len() > PAGE_BYTES + MAX_ROW {
            self.too_long += 1;
            return Err(Broken::Incomplete("it holds a row longer than 1 MiB"));
        }
        Ok(false)
    }

    fn finish_document(&mut self) -> Result<(), Broken> {
        let Shape::Document(nesting) = &self.shape else { return Ok(()) };
        if nesting.depth > 0 {
            return Err(Broken::Incomplete("its end is missing"));
        }
        if serde_json::from_slice::<IgnoredAny>(&nesting.envelope).is_err() {
            return Err(Broken::Incomplete("it is no JSON"));
        }
        // Without an array it may still say `null`; the report's reader knows.
        let empty = nesting.array == Array::Closed
            || wire::report(Bytes::copy_from_slice(&self.buffer)).is_some();
        if empty { Ok(()) } else { Err(Broken::Incomplete("it holds no list of rows")) }
    }

    fn push(&mut self, place: Range<usize>) {
        self.rows.push(place);
        self.found += 1;
    }

    fn take(&mut self) -> Page {
        let bytes = self.buffer.split_to(self.scanned);
        // The next page is about as large: grown step by step it would be copied each time.
        self.buffer.reserve(bytes.len());
        (self.scanned, self.line) = (0, 0);
        Page::new(bytes.freeze(), std::mem::take(&mut self.rows))
    }

    fn take_all(&mut self) -> Page {
        self.scanned = self.buffer.len();
        self.take()
    }
}

/// How deep in a document the scanner is. Counts only, so depth costs nothing.
#[derive(Debug)]
struct Nesting {
    depth: usize,
    /// The depth of the members of the list.
    list_depth: usize,
    array: Array,
    in_string: bool,
    escaped: bool,
    row: Option<usize>,
    before: Before,
    /// Everything but the members of the list: JSON itself judges it at the end.
    envelope: Vec<u8>,
}

/// What came before this place of the list.
#[derive(Debug, PartialEq)]
enum Before {
    Begin,
    Row,
    Comma,
}

#[derive(Debug, PartialEq)]
enum Array {
    Ahead,
    Open,
    Closed,
}

impl Nesting {
    fn new(list_depth: usize) -> Nesting {
        let (array, row) = (Array::Ahead, None);
        Nesting {
            depth: 0,
            list_depth,
            array,
            in_string: false,
            escaped: false,
            row,
            before: Before::Begin,
            envelope: Vec::new(),
        }
    }

    /// Takes the byte at `at`; the place of the row that it ends.
    fn step(&mut self, at: usize, byte: u8) -> Result<Option<Range<usize>>, Broken> {
        if self.array != Array::Open {
            self.keep(byte)?;
        }
        if self.in_string {
            self.in_string = self.escaped || byte != b'"';
            self.escaped = !self.escaped && byte == b'\\';
            return Ok(None);
        }
        if self.array == Array::Open && self.row.is_none() {
            self.go_on(at, byte)?;
        }
        match byte {
            b'"' => self.in_string = true,
            b'{' | b'[' => self.open(byte),
            b'}' | b']' => return Ok(self.close(at)),
            _ => {}
        }
        Ok(None)
    }

    /// Between two rows of the list.
    fn go_on(&mut self, at: usize, byte: u8) -> Result<(), Broken> {
        match (byte, &self.before) {
            (b' ' | b'\n' | b'\r' | b'\t', _) => {}
            (b'{', Before::Begin | Before::Comma) => {
                (self.row, self.before) = (Some(at), Before::Row);
            }
            (b',', Before::Row) => self.before = Before::Comma,
            (b']', Before::Begin | Before::Row) => self.keep(byte)?,
            _ => return Err(Broken::Incomplete("a member of its list is no row")),
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8) -> Result<(), Broken> {
        if self.envelope.len() == MAX_ENVELOPE {
            return Err(Broken::Incomplete("it holds too much beside its rows"));
        }
        self.envelope.push(byte);
        Ok(())
    }

    fn open(&mut self, byte: u8) {
        self.depth += 1;
        let list_begins = byte == b'[' && self.depth == self.list_depth;
        if list_begins && self.array == Array::Ahead {
            self.array = Array::Open;
        }
    }

    fn close(&mut self, at: usize) -> Option<Range<usize>> {
        self.depth = self.depth.saturating_sub(1);
        if self.depth < self.list_depth && self.array == Array::Open {
            self.array = Array::Closed;
        }
        if self.depth == self.list_depth { self.row.take().map(|from| from..at + 1) } else { None }
    }
}

/// Decides by the first bytes; `Unknown` while there are too few of them.
fn shape(body: &[u8], at_end: bool) -> Result<Shape, Broken> {
    let body = body.trim_ascii_start();
    match body.first() {
        None => Ok(if at_end { Shape::Lines } else { Shape::Unknown }),
        Some(b'[') => Ok(Shape::Document(Nesting::new(1))),
        Some(b'{') => Ok(match first_key(body) {
            Some(b"pixels") => Shape::Document(Nesting::new(2)),
            Some(b"error" | b"Error") => Shape::Error,
            None if !at_end && body.len() < 256 => Shape::Unknown,
            Some(_) | None => Shape::Lines,
        }),
        // A Go server writes `null` for an empty list.
        Some(b'n') if at_end && body.trim_ascii_end() == b"null" => Ok(Shape::Unknown),
        Some(b'n') if !at_end && b"null".starts_with(body.trim_ascii_end()) => Ok(Shape::Unknown),
        Some(_) => Err(Broken::Incomplete("it is no JSON")),
    }
}

/// Whether the body is `{"error": …}`.
pub(super) fn names_error(body: &[u8]) -> bool {
    matches!(shape(body, true), Ok(Shape::Error))
}

/// The name of an object's first member.
fn first_key(object: &[u8]) -> Option<&[u8]> {
    let inside = object.get(1..)?.trim_ascii_start().strip_prefix(b"\"")?;
    inside.iter().position(|&b| b == b'"').map(|end| &inside[..end])
}

fn is_error(line: &[u8]) -> bool {
    line.starts_with(b"{\"error\"") || line.starts_with(b"{\"Error\"")
}

/// Whether the object names at least one of the members that make a row.
fn resembles_row(json: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Keys {
        pixel_id: Option<IgnoredAny>,
        conversion_id: Option<IgnoredAny>,
        transaction_id: Option<IgnoredAny>,
    }
    serde_json::from_slice::<Keys>(json)
        .is_ok_and(|keys| keys.pixel_id.or(keys.conversion_id).or(keys.transaction_id).is_some())
}

/// The place of the first line end. Blocks of 32 let the compiler compare them
/// at once: rows are long, and most of an export is passed over here.
fn newline(bytes: &[u8]) -> Option<usize> {
    let (blocks, rest) = bytes.as_chunks::<32>();
    let has = |block: &[u8; 32]| block.iter().fold(false, |any, &b| any | (b == b'\n'));
    let skipped = 32 * blocks.iter().take_while(|block| !has(block)).count();
    let tail = if skipped < blocks.len() * 32 { &bytes[skipped..] } else { rest };
    tail.iter().position(|&b| b == b'\n').map(|at| skipped + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Feeds `body` in chunks of `size`; the pages' lengths, or what is wrong.
    fn split(body: &[u8], size: usize) -> Result<Vec<usize>, Broken> {
        let mut splitter = Splitter::default();
        let mut pages = Vec::new();
        for chunk in body.chunks(size) {
            splitter.feed(chunk);
            while let Some(page) = splitter.page()? {
                pages.push(page.len());
            }
        }
        let last = splitter.finish()?;
        pages.extend((!last.is_empty()).then(|| last.len()));
        Ok(pages)
    }

    const ROW: &str = r#"{"pixel_id":1,"network_offer_id":2,"affiliate_id":3,"timestamp":4,"is_success":false,"conversion_id":"}{\"["}"#;

    #[test]
    fn a_body_is_read_as_what_it_is() {
        let check = |body: &str, expected: Result<Vec<usize>, &'static str>| {
            let body = body.replace("ROW", ROW);
            for size in [1, 7, 64, 10_000] {
                let got = split(body.as_bytes(), size).map_err(|broken| match broken {
                    Broken::Incomplete(why) => why,
                    Broken::Error(_) => "error",
                });
                assert_eq!(got, expected, "{body} in chunks of {size}");
            }
        };
        check("", Ok(vec![]));
        check("\n\n", Ok(vec![]));
        check("null", Ok(vec![]));
        check("null\n", Ok(vec![]));
        check("ROW\n", Ok(vec![1]));
        check("ROW", Ok(vec![1]));
        check("ROW\r\n\r\nROW\n\n", Ok(vec![2]));
        check("ROW\n{\"pixel_id\":", Err("its last line is cut"));
        check("ROW\n{\"pixel_id\":1", Err("its last line is cut"));
        check("ROW\nROW", Ok(vec![2]));
        check("ROW\noops\n", Err("a line of it is no row"));
        check("ROW\n{\"error\":\"gone\"}\n", Err("error"));
        check("ROW\n{}\n", Ok(vec![2]));
        check("{}\n", Err("it is some other object"));
        check("{\"message\":\"later\"}", Err("it is some other object"));
        check("{\"error\":\"no\"}", Err("error"));
        check("{ \"Error\": \"no\"}", Err("error"));
        check("{\"pixels\":[ROW, ROW]}", Ok(vec![2]));
        check("{\n \"pixels\" : [\nROW\n],\"paging\":{\"a\":{}}}\n", Ok(vec![1]));
        check("{\"pixels\":null}", Ok(vec![]));
        check("{\"pixels\":[]}", Ok(vec![]));
        check("{\"pixels\":{}}", Err("it holds no list of rows"));
        check("{\"pixels\":[ROW,RO", Err("a member of its list is no row"));
        check("{\"pixels\":[ROW", Err("its end is missing"));
        check("{\"pixels\":[ROW]", Err("its end is missing"));
        check("[ROW,ROW]", Ok(vec![2]));
        check("[]", Ok(vec![]));
        check("[1]", Err("a member of its list is no row"));
        check("[,]", Err("a member of its list is no row"));
        check("[ROW,,ROW]", Err("a member of its list is no row"));
        check("[ROW ROW]", Err("a member of its list is no row"));
        check("[ROW,]", Err("a member of its list is no row"));
        check("[ROW]]", Err("it is no JSON"));
        check("{\"pixels\":[ROW],}", Err("it is no JSON"));
        check("[ROW,", Err("its end is missing"));
        check("<html>", Err("it is no JSON"));
        check("pixel_id,offer\n", Err("it is no JSON"));
        check("nothing", Err("it is no JSON"));
    }

    #[test]
    fn pages_hold_a_thousand_whole_rows_at_most() {
        let lines = format!("{ROW}\n").repeat(2_500);
        let list = format!("[{}]", vec![ROW; 2_500].join(","));
        for body in [lines, list] {
            for size in [100, 8_192, 1 << 20] {
                assert_eq!(split(body.as_bytes(), size), Ok(vec![1_000, 1_000, 500]));
            }
        }
    }

    #[test]
    fn every_row_of_a_page_can_be_read() {
        let mut splitter = Splitter::default();
        splitter.feed(format!("{ROW}\n\n{ROW}\r\n{ROW}").as_bytes());
        assert!(splitter.page().is_ok_and(|page| page.is_none()));
        let page = splitter.finish().expect("whole");
        assert_eq!(page.rows().filter(Result::is_ok).count(), 3);
    }

    #[test]
    fn a_line_without_end_is_dropped_and_counted() {
        let long = "x".repeat(3 * MAX_ROW);
        let body = format!("{ROW}\n{{{long}}}\n{ROW}\n");
        let mut splitter = Splitter::default();
        let mut read = Vec::new();
        for chunk in body.as_bytes().chunks(60_000) {
            splitter.feed(chunk);
            assert!(splitter.buffer.len() < 2 * MAX_ROW);
            while let Some(page) = splitter.page().expect("lines") {
                read.extend(page.rows().map(|row| row.is_ok()));
            }
        }
        read.extend(splitter.finish().expect("whole").rows().map(|row| row.is_ok()));
        assert_eq!(read, [true, false, true]);
        assert!(split(long.replace('x', "{").as_bytes(), 60_000).is_err());
    }

    proptest! {
        #[test]
        fn chunks_make_no_difference(body in "([\\[\\]{}\",\\\\ \n1]|\"pixels\":|\"error\":|null){0,40}", size in 1usize..20) {
            let whole = split(body.as_bytes(), 10_000);
            let parts = split(body.as_bytes(), size);
            prop_assert_eq!(whole.is_ok(), parts.is_ok());
            if let (Ok(whole), Ok(parts)) = (whole, parts) {
                prop_assert_eq!(whole, parts);
            }
        }
    }
}
