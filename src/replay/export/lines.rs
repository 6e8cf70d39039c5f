//! The lines of a file, none kept that is longer than a row may be.

use std::io::{self, BufRead, Read};

use crate::source::everflow::wire::MAX_ROW;

/// From this size on a block takes no more lines.
const BLOCK: usize = 1 << 18;

/// What is kept of a line that is too long: it tells what the file is.
const BEGIN: usize = 64;

pub struct Lines<R> {
    file: R,
    /// Of the line that was read last, from 1.
    number: usize,
    bytes: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Line {
    /// From 1.
    pub number: usize,
    /// With what ends it; the begin alone where it is too long.
    pub text: Vec<u8>,
    pub end: LineEnd,
}

/// Lines that are handed on together.
#[derive(Debug)]
pub struct Block {
    /// Of its first line, from 1.
    number: usize,
    text: Vec<u8>,
    /// Where each line ends in `text`, and how.
    ends: Vec<(usize, LineEnd)>,
}

impl Block {
    /// Each line's number, its text with what ends it, and how it ended.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &[u8], LineEnd)> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        let lines = (self.number..).zip(begins).zip(&self.ends);
        lines.map(|((number, begin), &(end, how))| (number, &self.text[begin..end], how))
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineEnd {
    Whole,
    /// The file ends before the line does.
    Cut,
    /// More than a row may have; it was skipped.
    TooLong,
}

impl<R: BufRead> Lines<R> {
    pub fn new(file: R) -> Lines<R> {
        Lines { file, number: 0, bytes: 0 }
    }

    /// What was read so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line; `None` at the end. `text` is used for it.
    pub fn next(&mut self, mut text: Vec<u8>) -> io::Result<Option<Line>> {
        text.clear();
        let Some(end) = self.append(&mut text)? else { return Ok(None) };
        if end == LineEnd::TooLong {
            text.shrink_to_fit();
        }
        Ok(Some(Line { number: self.number, text, end }))
    }

    /// The next lines; `None` at the end.
    pub fn block(&mut self) -> io::Result<Option<Block>> {
        // The last line may reach beyond it: a usual one is much shorter.
        let text = Vec::with_capacity(BLOCK + BLOCK / 16);
        let mut block = Block { number: self.number + 1, text, ends: Vec::new() };
        while block.text.len() < BLOCK
            && let Some(end) = self.append(&mut block.text)?
        {
            block.ends.push((block.text.len(), end));
        }
        Ok((!block.ends.is_empty()).then_some(block))
    }

    /// Adds the next line to `text`; `None` at the end.
    fn append(&mut self, text: &mut Vec<u8>) -> io::Result<Option<LineEnd>> {
        let begin = text.len();
        let most = MAX_ROW as u64 + 2;
        let read = self.file.by_ref().take(most).read_until(b'\n', text)? as u64;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.bytes += read;
        let end = match text.last() {
            Some(b'\n') => LineEnd::Whole,
            _ if read < most => LineEnd::Cut,
            _ => LineEnd::TooLong,
        };
        if end == LineEnd::TooLong {
            self.bytes += self.file.skip_until(b'\n')? as u64;
            text.truncate(begin + BEGIN);
        }
        Ok(Some(end))
    }
}
