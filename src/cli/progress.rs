//! A bar for long work, on a terminal only.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_millis(100);
const WIDTH: usize = 30;

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

    /// `done` of `all`; of an `all` of 0 only how much was done.
    pub fn at(&mut self, done: u64, all: u64) {
        let is_due = self.drawn_at.is_none_or(|at| at.elapsed() >= EVERY);
        if !self.is_shown || !is_due {
            return;
        }
        self.drawn_at = Some(Instant::now());
        let what = &self.what;
        let drawn = match all {
            0 => format!("{what}: {done}"),
            all => {
                let share = (done as f64 / all as f64).min(1.0);
                let bar = "#".repeat((share * WIDTH as f64) as usize);
                format!("{what} [{bar:<WIDTH$}] {:3.0} %", share * 100.0)
            }
        };
        let _ = write!(std::io::stderr(), "\r\x1b[K{drawn}");
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.drawn_at.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}
