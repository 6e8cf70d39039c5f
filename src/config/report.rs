//! What is wrong with a file, and where. Says it; never decides it.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

/// Where something stands in the file; both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// One thing that is wrong, or that cannot work as it is written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Mistake {
    #[serde(flatten)]
    pub at: Place,
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl fmt::Display for Mistake {
    /// `LINE:COL: message; hint`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.at.line, self.at.column, self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// Everything that a look at a file found, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Report {
    /// Any of these makes the file invalid.
    pub mistakes: Vec<Mistake>,
    /// The file works without mending these, but not as its author may think.
    pub warnings: Vec<Mistake>,
    /// What [`Report::line`] needs to show a line without its secrets.
    #[serde(skip)]
    pub(super) mask: super::mask::Mask,
}

impl Report {
    /// Line `at.line` of `text` without its secrets, and the column in it
    /// (from 1) that `at` now has. Nothing where the line does not exist.
    pub fn line(&self, text: &str, at: Place) -> Option<(String, usize)> {
        self.mask.line(text, at)
    }
}
