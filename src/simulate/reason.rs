//! Why a try failed, in the words that the truth is told in.

use std::fmt;

/// The class of one failed try.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reason {
    Dns,
    Tls,
    Refused,
    Timeout,
    Reset,
    /// A bot wall's 403.
    Challenge,
    /// Any other answer that is no success.
    Http(u16),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reason::Dns => f.write_str("dns"),
            Reason::Tls => f.write_str("tls"),
            Reason::Refused => f.write_str("refused"),
            Reason::Timeout => f.write_str("timeout"),
            Reason::Reset => f.write_str("reset"),
            Reason::Challenge => f.write_str("challenge"),
            Reason::Http(status) => write!(f, "http_{status}"),
        }
    }
}

/// What a wrong macro did to a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Defect {
    None,
    /// `{sub5}` was left in.
    Macro,
    /// The same, percent-encoded.
    EncodedMacro,
    EmptyClickId,
}
