//! An export file → a [`History`]: newline-delimited JSON as the network's API gives
//! it, or CSV as a person downloads it. Rows need not be sorted; one that cannot be
//! read is counted and does not stop the others. Texts of rows never get into a
//! message.

use std::io::BufRead;
use std::sync::mpsc::{TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use super::history::History;
use crate::domain::delivery::Row;
use crate::domain::time::Timestamp;
use crate::source::RowError;
use crate::source::everflow::wire;

mod csv_file;
mod lines;
mod records;

use lines::{Block, LineEnd, Lines};

/// Rows outside these years are wrong, and would make a history without an end.
const YEARS: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// The longest history that is played: a year, and what it is compared with.
pub const LONGEST: Duration = Duration::from_secs(400 * 86_400);

/// Blocks of lines that wait for the second thread.
const BLOCKS_AHEAD: usize = 2;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line.
    Lines,
    Csv,
}

/// What a file came to, beside its rows.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    pub rows: usize,
    /// Rows that cannot be read.
    pub rejected: usize,
    /// The line of the first of them, from 1, and what is wrong with it.
    pub first_rejected: Option<(usize, String)>,
    /// The last line ends in the middle: the file was cut.
    pub is_cut: bool,
    /// The earliest and the latest `timestamp`, each with its line.
    pub span: Option<((Timestamp, usize), (Timestamp, usize))>,
}

/// Why nothing of a file can be used.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// Says what is wrong, and what to do.
    #[error("{0}")]
    Unusable(String),
}

impl Reading {
    fn take(&mut self, line: usize, row: &Row<'_>, history: &mut History) {
        history.add(row);
        self.rows += 1;
        let moment = (row.timestamp, line);
        let (first, last) = self.span.get_or_insert((moment, moment));
        (*first, *last) = (moment.min(*first), moment.max(*last));
    }

    fn reject(&mut self, line: usize, error: impl FnOnce() -> String) {
        self.rejected += 1;
        self.first_rejected.get_or_insert_with(|| (line, error()));
    }

    /// Takes in what another part of the same file came to.
    fn absorb(&mut self, other: Reading) {
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.is_cut |= other.is_cut;
        let rejected = [self.first_rejected.take(), other.first_rejected];
        self.first_rejected = rejected.into_iter().flatten().min();
        let spans = [self.span, other.span].into_iter().flatten();
        self.span = spans.reduce(|(first, last), (its_first, its_last)| {
            (first.min(its_first), last.max(its_last))
        });
    }
}

/// Adds every row of `file` to `history`. `progress` gets how many bytes were read.
pub fn read(
    format: Format,
    file: impl BufRead,
    history: &mut History,
    progress: &mut dyn FnMut(u64),
) -> Result<Reading, ExportError> {
    let reading = match format {
        Format::Lines => read_lines(file, history, progress)?,
        Format::Csv => csv_file::read(file, history, progress)?,
    };
    refuse_ages(&reading)?;
    history.sort();
    Ok(reading)
}

/// One wrong time makes a history of years, of which each ten seconds are judged.
fn refuse_ages(reading: &Reading) -> Result<(), ExportError> {
    let Some(((first, first_line), (last, last_line))) = reading.span else { return Ok(()) };
    if last.since(first) <= LONGEST {
        return Ok(());
    }
    let days = |of: Duration| of.as_secs() / 86_400;
    let date = |at: Timestamp| at.to_string()[..10].to_owned();
    Err(ExportError::Unusable(format!(
        "its rows span {} days, from {} (line {first_line}) to {} (line {last_line}), and {} at \
         most are played: remove the row whose time is wrong, or export a shorter time",
        days(last.since(first)),
        date(first),
        date(last),
        days(LONGEST),
    )))
}

/// What the file is, by its name, or by its first character.
pub fn format(name: &str, begin: &[u8]) -> Format {
    let is_named = |end: &str| name.to_ascii_lowercase().ends_with(end);
    let begin = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin);
    let is_json = matches!(begin.trim_ascii_start().first(), Some(b'{' | b'['));
    if is_named(".csv") || !(is_json || is_named("json")) { Format::Csv } else { Format::Lines }
}

fn read_lines(
    file: impl BufRead,
    history: &mut History,
    progress: &mut dyn FnMut(u64),
) -> Result<Reading, ExportError> {
    let mut lines = Lines::new(file);
    thread::scope(|scope| {
        // A history does not depend on the order in which its rows come: so a second thread
        // parses what it can, and this one what is left.
        let (blocks, taken) = sync_channel::<Block>(BLOCKS_AHEAD);
        let second = scope.spawn(move || {
            let (mut history, mut reading) = (History::default(), Reading::default());
            taken.iter().for_each(|block| read_block(&block, &mut history, &mut reading));
            (history, reading)
        });
        let mut reading = Reading::default();
        while let Some(block) = lines.block()? {
            if let Some((1, text, _)) = block.lines().next() {
                refuse_document(object(text))?;
            }
            match blocks.try_send(block) {
                Ok(()) => {}
                Err(TrySendError::Full(block) | TrySendError::Disconnected(block)) => {
                    read_block(&block, history, &mut reading);
                }
            }
            progress(lines.bytes());
        }
        drop(blocks);
        let part = second.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        history.absorb(part.0);
        reading.absorb(part.1);
        Ok(reading)
    })
}

fn read_block(block: &Block, history: &mut History, reading: &mut Reading) {
    for (number, text, end) in block.lines() {
        let json = object(text);
        let row = if end == LineEnd::TooLong { b"" } else { json };
        match wire::row(row).and_then(in_these_years) {
            _ if json.is_empty() => {}
            Ok(row) => reading.take(number, &row, history),
            Err(_) if end == LineEnd::Cut => reading.is_cut = true,
            Err(error) => reading.reject(number, || error.to_string()),
        }
    }
}

/// A line without what stands around its object.
fn object(line: &[u8]) -> &[u8] {
    line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line).trim_ascii()
}

/// The report's answer is no export: it holds a thousand rows at most.
fn refuse_document(first_line: &[u8]) -> Result<(), ExportError> {
    let begin: Vec<u8> =
        first_line.iter().filter(|byte| !byte.is_ascii_whitespace()).take(10).copied().collect();
    if begin.starts_with(b"[") || begin.starts_with(b"{\"pixels\":") || begin == b"{" {
        let message = "it is one JSON document, not one row a line: download the export (format \
                       json), or write `jq -c '.pixels[]' FILE > rows.ndjson`";
        return Err(ExportError::Unusable(message.to_owned()));
    }
    Ok(())
}

fn in_these_years(row: Row<'_>) -> Result<Row<'_>, RowError> {
    let is_time = |at: Timestamp| YEARS.contains(&at.0);
    match is_time(row.timestamp) && (row.last_attempt.0 == 0 || is_time(row.last_attempt)) {
        true => Ok(row),
        false => Err(RowError(
            "timestamp or last_attempt is no time between the years 2000 and 2100".into(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: &str = r#"{"pixel_id":1,"network_offer_id":2,"affiliate_id":3,"timestamp":1700000000,"is_success":false,"conversion_id":"c"}"#;

    fn check(format: Format, text: &str, rows: usize, rejected: Option<(usize, &str)>, cut: bool) {
        let mut history = History::default();
        let reading = read(format, text.as_bytes(), &mut history, &mut |_| {}).expect("it is read");
        assert_eq!((reading.rows, history.len(), reading.is_cut), (rows, rows, cut), "{text}");
        let first = reading.first_rejected.as_ref().map(|(line, why)| (*line, why.as_str()));
        assert_eq!(first, rejected, "{text}");
    }

    #[test]
    fn what_cannot_be_read_is_counted_and_stops_nothing() {
        let lines = Format::Lines;
        check(lines, &format!("{ROW}\n{ROW}"), 2, None, false);
        check(lines, &format!("\u{feff}{ROW}\r\n\n  {ROW}\n"), 2, None, false);
        check(lines, &format!("{ROW}\n{}", &ROW[..40]), 1, None, true);
        check(
            lines,
            &format!("{ROW}\nnonsense\n{ROW}\n{{}}\n"),
            2,
            Some((2, "the row is no object")),
            false,
        );
        let old = ROW.replace("1700000000", "17");
        let why = "timestamp or last_attempt is no time between the years 2000 and 2100";
        check(lines, &format!("{old}\n{ROW}\n"), 1, Some((1, why)), false);
        check(lines, "", 0, None, false);
        let long = format!("{{\"payload\": \"{}\"}}", "x".repeat(wire::MAX_ROW));
        let why = "the row is longer than 1 MiB";
        check(lines, &format!("{ROW}\n{long}\n{ROW}\n"), 2, Some((2, why)), false);
        check(lines, &format!("{long}\n{ROW}"), 1, Some((1, why)), false);
    }

    #[test]
    fn what_two_threads_read_is_one_history() {
        let of = |number: i64| {
            let row = ROW.replace("1700000000", &(1_700_000_000 + number / 3).to_string());
            let row = row.replace("\"c\"", &format!("\"c{number}\""));
            row.replace("\"affiliate_id\":3", &format!("\"affiliate_id\":{}", number % 50))
        };
        // Many blocks, so that either thread gets some.
        let mut rows: Vec<String> = (0..20_000).map(of).collect();
        let mut expected = History::default();
        rows.iter().for_each(|row| expected.add(&wire::row(row.as_bytes()).expect("a row")));
        expected.sort();
        rows.insert(5_000, "nonsense".into());
        rows.insert(15_000, "nonsense".into());
        let mut history = History::default();
        let text = rows.join("\n");
        let reading = read(Format::Lines, text.as_bytes(), &mut history, &mut |_| {});
        let reading = reading.expect("it is read");
        assert_eq!((reading.rows, reading.rejected), (20_000, 2));
        assert_eq!(reading.first_rejected.map(|(line, _)| line), Some(5_001));
        let lines = reading.span.map(|((_, first), (_, last))| (first, last));
        assert_eq!(lines, Some((1, 20_002)));
        assert!(history.rows(0..history.len()).eq(expected.rows(0..expected.len())));
    }

    #[test]
    fn a_whole_document_is_no_export() {
        let long = format!("{{\"pixels\":[{}", "1,".repeat(wire::MAX_ROW));
        for text in ["{\"pixels\": []}", "[{}]", "{\n  \"pixels\": []\n}", &long] {
            let read = read(Format::Lines, text.as_bytes(), &mut History::default(), &mut |_| {});
            let begin = &text[..text.len().min(40)];
            assert!(matches!(read, Err(ExportError::Unusable(_))), "{begin}");
        }
    }

    #[test]
    fn rows_that_are_years_apart_are_refused_with_their_lines() {
        let of = |day: i64| ROW.replace("1700000000", &(1_700_000_000 + day * 86_400).to_string());
        let check = |days: &[i64], expected: Option<&str>| {
            let text: Vec<String> = days.iter().map(|day| of(*day)).collect();
            let read = read(
                Format::Lines,
                text.join("\n").as_bytes(),
                &mut History::default(),
                &mut |_| {},
            );
            let error = read.err().map(|error| error.to_string());
            assert_eq!(error.as_deref(), expected, "{days:?}");
        };
        check(&[3, 400, 0, 400], None);
        check(
            &[3, 0, 401, 2],
            Some(
                "its rows span 401 days, from 2023-11-14 (line 2) to 2024-12-19 (line 3), and \
                 400 at most are played: remove the row whose time is wrong, or export a shorter time",
            ),
        );
    }

    #[test]
    fn the_format_is_told_by_the_name_or_the_first_character() {
        for (name, begin, expected) in [
            ("a.csv", "{", Format::Csv),
            ("a.NDJSON", "", Format::Lines),
            ("export", " \n{\"a\":1}", Format::Lines),
            ("export", "conversion_id,", Format::Csv),
            ("-", "\u{feff}{", Format::Lines),
        ] {
            assert_eq!(format(name, begin.as_bytes()), expected, "{name} {begin}");
        }
    }
}
