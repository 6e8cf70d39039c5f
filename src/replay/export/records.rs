//! The records of a CSV file. A quoted field may hold line breaks; a quote that
//! nothing closes must not swallow the rows after it: where a record that spans
//! lines goes wrong, only its first line is given up and the next one begins anew.

use std::collections::VecDeque;
use std::io::{self, BufRead};

use super::lines::{Line, LineEnd, Lines};
use crate::source::everflow::wire::MAX_ROW;

pub struct Records<R> {
    lines: Lines<R>,
    /// Lines that belong to no record yet.
    ahead: VecDeque<Line>,
    fields: Fields,
}

/// A record, or why there is none; with the line on which it begins, from 1.
pub enum Record<'a> {
    Fields(usize, &'a Fields),
    /// The file ends in the middle of it.
    Cut,
    Wrong(usize, String),
}

/// The fields of one record, their quotes taken off.
pub struct Fields {
    delimiter: u8,
    text: Vec<u8>,
    ends: Vec<usize>,
    state: State,
    /// The line on which the last quote opened, and the last that its line left open.
    opened_on: usize,
    left_open_on: usize,
    /// Something follows a closing quote within its field.
    has_stray: bool,
    /// Its last line has no end: the file may have been cut.
    pub is_cut: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Begin,
    Plain,
    Quoted,
    Closed,
}

impl<R: BufRead> Records<R> {
    pub fn new(file: R, delimiter: u8) -> Records<R> {
        Records { lines: Lines::new(file), ahead: VecDeque::new(), fields: Fields::new(delimiter) }
    }

    /// What was read so far.
    pub fn bytes(&self) -> u64 {
        self.lines.bytes()
    }

    /// The next record that is not empty; `None` at the end. One that spans lines has
    /// `columns` fields, where that is given.
    pub fn next(&mut self, columns: Option<usize>) -> io::Result<Option<Record<'_>>> {
        loop {
            let Some(first) = self.line()? else { return Ok(None) };
            let number = first.number;
            if first.end == LineEnd::TooLong {
                return Ok(Some(Record::Wrong(number, "the row is longer than 1 MiB".into())));
            }
            self.fields.clear();
            self.fields.feed(&first);
            let mut more = Vec::new();
            let mut is_whole = self.complete(first.text.len(), &mut more)?;
            is_whole &= more.is_empty() || columns.is_none_or(|of| of == self.fields.ends.len());
            if !is_whole {
                let is_cut = more.is_empty() && first.end == LineEnd::Cut;
                more.into_iter().rev().for_each(|line| self.ahead.push_front(line));
                let opened_on = self.fields.left_open_on;
                let why = format!("the quote that opens on line {opened_on} is not closed");
                return Ok(Some(if is_cut { Record::Cut } else { Record::Wrong(number, why) }));
            }
            if !self.fields.is_blank() {
                return Ok(Some(Record::Fields(number, &self.fields)));
            }
        }
    }

    /// Takes more lines until no quote is open; false where that does not come well.
    fn complete(&mut self, mut size: usize, more: &mut Vec<Line>) -> io::Result<bool> {
        while self.fields.state == State::Quoted {
            let Some(line) = self.line()? else { return Ok(false) };
            size += line.text.len();
            let fits = line.end != LineEnd::TooLong && size <= MAX_ROW;
            if fits {
                self.fields.feed(&line);
            }
            more.push(line);
            if !fits || self.fields.has_stray {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn line(&mut self) -> io::Result<Option<Line>> {
        match self.ahead.pop_front() {
            Some(line) => Ok(Some(line)),
            None => self.lines.next(Vec::new()),
        }
    }
}

impl Fields {
    fn new(delimiter: u8) -> Fields {
        Fields {
            delimiter,
            text: Vec::new(),
            ends: Vec::new(),
            state: State::Begin,
            opened_on: 0,
            left_open_on: 0,
            has_stray: false,
            is_cut: false,
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
        (self.state, self.has_stray) = (State::Begin, false);
    }

    /// Every field; `None` where they are no UTF-8.
    pub fn texts(&self) -> Option<Vec<&str>> {
        let text = std::str::from_utf8(&self.text).ok()?;
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        begins.zip(&self.ends).map(|(begin, &end)| text.get(begin..end)).collect()
    }

    fn is_blank(&self) -> bool {
        self.ends.len() == 1 && self.text.trim_ascii().is_empty()
    }

    /// One line more. It ends the record unless a quote is open.
    fn feed(&mut self, line: &Line) {
        let text = match line.number {
            1 => line.text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line.text),
            _ => &line.text,
        };
        for &byte in text {
            self.step(byte, line.number);
        }
        self.is_cut = line.end == LineEnd::Cut;
        match self.state {
            State::Quoted => self.left_open_on = self.opened_on,
            State::Begin | State::Plain | State::Closed => self.ends.push(self.text.len()),
        }
    }

    fn step(&mut self, byte: u8, line: usize) {
        match (self.state, byte) {
            (State::Begin, b'"') => (self.state, self.opened_on) = (State::Quoted, line),
            (State::Quoted, b'"') => self.state = State::Closed,
            (State::Quoted, _) => self.text.push(byte),
            (State::Closed, b'"') => {
                self.text.push(byte);
                self.state = State::Quoted;
            }
            (_, b'\n') | (State::Closed, b'\r') => {}
            (_, byte) if byte == self.delimiter => {
                self.ends.push(self.text.len());
                self.state = State::Begin;
            }
            (state, _) => {
                self.has_stray |= state == State::Closed;
                self.text.push(byte);
                self.state = State::Plain;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&str]) {
        let mut records = Records::new(text.as_bytes(), b',');
        let mut got = Vec::new();
        while let Some(record) = records.next(Some(3)).expect("memory can be read") {
            got.push(match record {
                Record::Fields(line, fields) => {
                    let texts = fields.texts().expect("it is UTF-8");
                    let texts: Vec<&str> = texts.iter().map(|text| text.trim_end()).collect();
                    format!("{line}: {}", texts.join("|"))
                }
                Record::Cut => "cut".to_owned(),
                Record::Wrong(line, why) => format!("{line}! {why}"),
            });
        }
        assert_eq!(got, expected, "{text}");
    }

    #[test]
    fn a_quoted_field_may_hold_anything() {
        check("a,b,c\nd,e,f", &["1: a|b|c", "2: d|e|f"]);
        check("\u{feff}a,b,c\r\n\r\n\"d\",e,\"f\"\r\n", &["1: a|b|c", "3: d|e|f"]);
        check("\"a,\"\"b\",\"c\nd\ne\",f\ng,,\n", &["1: a,\"b|c\nd\ne|f", "4: g||"]);
        check("a 5\" b,c \"d\" e,f\n\"a\" b,c,d\n", &["1: a 5\" b|c \"d\" e|f", "2: a b|c|d"]);
        check("a\nb,c,d,e\n", &["1: a", "2: b|c|d|e"]);
    }

    #[test]
    fn a_quote_that_nothing_closes_swallows_no_row() {
        let unclosed = |line: usize, opened: usize| {
            format!("{line}! the quote that opens on line {opened} is not closed")
        };
        let one = unclosed(1, 1);
        check("a,\"b,c\nd,e,f\ng,h,i\n", &[&one, "2: d|e|f", "3: g|h|i"]);
        check("a,\"b,c\nd,\"e\",f\ng,h,i\n", &[&one, "2: d|e|f", "3: g|h|i"]);
        check("\"a\",\"b\nd,\"\",f\ng,h,i\n", &[&one, "2: d||f", "3: g|h|i"]);
        check("\"a\nb\",\"c,d\ne,f,g\n", &[&unclosed(1, 2), &unclosed(2, 2), "3: e|f|g"]);
        let many = format!("a,\"b,c\n{}", "d,e,f\n".repeat(MAX_ROW / 3));
        let mut records = Records::new(many.as_bytes(), b',');
        let (mut fine, mut wrong) = (0, 0);
        while let Some(record) = records.next(Some(3)).expect("memory can be read") {
            match record {
                Record::Fields(..) => fine += 1,
                Record::Cut | Record::Wrong(..) => wrong += 1,
            }
        }
        assert_eq!((fine, wrong), (MAX_ROW / 3, 1));
    }

    #[test]
    fn a_file_that_was_cut_is_told_from_one_that_is_wrong() {
        check("a,b,c\nd,\"e", &["1: a|b|c", "cut"]);
        check("a,b,c\nd,e", &["1: a|b|c", "2: d|e"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped() {
        let long = "x".repeat(MAX_ROW + 10);
        let told = "2! the row is longer than 1 MiB";
        check(&format!("a,b,c\n{long},y,z\nd,e,f\n"), &["1: a|b|c", told, "3: d|e|f"]);
        check(&format!("a,b,c\n{long}"), &["1: a|b|c", told]);
    }
}
