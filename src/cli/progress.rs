//! A bar for long work, on a terminal only.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

/// Goes back to the beginning of a terminal's line and empties it.
pub const CLEAR: &str = "\r\x1b[K";

/// Drawn on standard error; gone when it is dropped.
pub struct Progress {
    what: String,
    drawn_at: Option<Instant>,
    is_shown: bool,
}

impl Progress {
    /// `what`: as in `reading export.ndjson`.
    pub fn new(what: impl Into<String>) -> Progress {
        let is_shown = std::io::stderr().is_terminal();
        Progress { what: what.into(), drawn_at: None, is_shown }
    }

    /// Whether anybody sees it.
    pub fn is_shown(&self) -> bool {
        self.is_shown
    }

    /// `done` of `all`; of an `all` of 0 only how much was done.
    pub fn at(&mut self, done: u64, all: u64) {
        if !self.is_due() {
            return;
        }
        match all {
            0 => self.draw(&format!(": {done}")),
            all => {
                let share = (done as f64 / all as f64).min(1.0);
                let bar = "#".repeat((share * WIDTH as f64) as usize);
                self.draw(&format!(" [{bar:<WIDTH$}] {:3.0} %", share * 100.0));
            }
        }
    }

    /// Where nobody knows how much there will be.
    pub fn so_far(&mut self, done: &str) {
        if self.is_due() {
            self.draw(&format!(": {done}"));
        }
    }

    fn is_due(&self) -> bool {
        self.is_shown && self.drawn_at.is_none_or(|at| at.elapsed() >= EVERY)
    }

    fn draw(&mut self, how_far: &str) {
        self.drawn_at = Some(Instant::now());
        let _ = write!(std::io::stderr(), "{CLEAR}{}{how_far}", self.what);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn_at.is_some() {
            let _ = write!(std::io::stderr(), "{CLEAR}");
        }
    }
}
