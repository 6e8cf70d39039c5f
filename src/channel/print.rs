//! Shows each message on the terminal as it would be sent: what `demo` uses.

use std::io::{IsTerminal, Write};

use super::render::{Letter, plain};
use super::{SendError, Sent};

/// Prints to standard output, coloured only where that is a terminal.
#[derive(Debug, Clone, Copy)]
pub struct Print {
    colour: bool,
}

impl Print {
    /// Looks once whether standard output is a terminal.
    pub fn new() -> Print {
        Print { colour: std::io::stdout().is_terminal() }
    }

    pub(super) fn send(&self, letter: &Letter) -> Result<Sent, SendError> {
        let text = if self.colour { plain::coloured(letter) } else { plain::text(letter) };
        let mut out = std::io::stdout().lock();
        // A closed pipe must not end the service: the reader went away, that is all.
        writeln!(out, "{text}")
            .and_then(|()| out.flush())
            .map_err(|e| SendError::temporary("print", format!("cannot print: {e}")))?;
        Ok(Sent::default())
    }
}

impl Default for Print {
    fn default() -> Print {
        Print::new()
    }
}
