//! The letter as plain text: the mail's text part, and the terminal of `demo`.

use std::fmt::Write;

use super::sample::Example;
use super::{Entry, Letter, Row, Tone};

const BOLD: &str = "\x1b[1m";
const FAINT: &str = "\x1b[2m";
const RESET: &str = "\x1b[0m";

/// Plain text without any mark-up.
pub fn text(letter: &Letter) -> String {
    Page { out: String::new(), coloured: false }.letter(letter)
}

/// The same with a terminal's colours. Names cannot smuggle in escapes: the
/// letter's strings hold no control characters.
pub fn coloured(letter: &Letter) -> String {
    Page { out: String::new(), coloured: true }.letter(letter)
}

struct Page {
    out: String,
    coloured: bool,
}

impl Page {
    fn letter(mut self, letter: &Letter) -> String {
        self.styled(&format!("{BOLD}{}", colour(letter.tone)), &letter.headline);
        for sentence in &letter.lead {
            self.line(sentence);
        }
        letter.body.iter().for_each(|line| self.line(line));
        let alone = letter.entries.len() == 1;
        for entry in &letter.entries {
            self.line("");
            self.entry(entry, alone);
        }
        if !letter.rows.is_empty() {
            self.line("");
        }
        letter.rows.iter().for_each(|row| self.row(row));
        if letter.more > 0 {
            self.line(&format!("+{} more: {}", letter.more, letter.link));
        }
        self.line("");
        self.line(&format!("Where to look: {}", letter.link));
        self.styled(FAINT, &letter.footer);
        self.out
    }

    fn entry(&mut self, entry: &Entry, alone: bool) {
        let Row { tone, badge, title, status } = &entry.row;
        if !alone {
            self.styled(&format!("{BOLD}{}", colour(*tone)), &format!("{badge}: {title}"));
        }
        self.line(&sentence(status));
        let width = entry.readings.iter().map(|r| r.0.chars().count()).max().unwrap_or(0);
        for (measure, value, threshold) in &entry.readings {
            self.line(&format!("  {measure:<width$}  {value}   (rule: {threshold})"));
        }
        if let Some((word, cause)) = &entry.cause {
            self.line("");
            self.line(&format!("{word}: {cause}"));
        }
        entry.advice.iter().for_each(|advice| self.line(&format!("  {advice}")));
        entry.notes.iter().for_each(|note| self.line(&format!("Note: {note}")));
        if !entry.examples.is_empty() {
            self.line("");
            self.line("Examples:");
        }
        entry.examples.iter().for_each(|example| self.example(example));
        self.line("");
        if let Some(runbook) = &entry.runbook {
            self.line(&format!("Runbook: {runbook}"));
        }
        self.styled(FAINT, &format!("Rule {} · {}", entry.rule, entry.labels));
    }

    fn example(&mut self, example: &Example) {
        let conversion = example.conversion.as_deref().map(|id| format!("  conversion {id}"));
        let conversion = conversion.unwrap_or_default();
        self.line(&format!("  {}{conversion}  {}", example.at, example.tries));
        self.line(&format!("    {}", example.whose));
        example.url.iter().for_each(|url| self.line(&format!("    {url}")));
        example.answer.iter().for_each(|answer| self.line(&format!("    answer: {answer}")));
    }

    fn row(&mut self, row: &Row) {
        let Row { tone, badge, title, status } = row;
        self.styled(colour(*tone), &format!("{badge:<8} {title}"));
        self.line(&format!("         {status}"));
    }

    fn line(&mut self, text: &str) {
        self.styled("", text);
    }

    fn styled(&mut self, style: &str, text: &str) {
        // Writing to a String cannot fail.
        let _ = match self.coloured && !style.is_empty() {
            true => writeln!(self.out, "{style}{text}{RESET}"),
            false => writeln!(self.out, "{text}"),
        };
    }
}

/// Starts with a capital letter.
pub(super) fn sentence(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |c| c.to_uppercase().chain(rest).collect())
}

fn colour(tone: Tone) -> &'static str {
    match tone {
        Tone::Critical => "\x1b[31m",
        Tone::Warning => "\x1b[33m",
        Tone::Info => "\x1b[36m",
        Tone::Unproven => "\x1b[35m",
        Tone::Cured => "\x1b[32m",
    }
}
