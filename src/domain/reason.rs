//! placeholder until merged
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    Dns,
    Tls,
    Refused,
    Timeout,
    Reset,
    Http(u16),
    Challenge,
    Redirect,
    BadUrl,
    Unseen,
    Other,
}
impl Reason {
    pub fn classify(_d: &str, _p: &str) -> Reason {
        Reason::Other
    }
    pub fn retries_may_cure(self) -> bool {
        false
    }
    pub fn advice(self) -> String {
        String::new()
    }
}
impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "x")
    }
}

impl std::str::FromStr for Reason {
    type Err = ();
    fn from_str(_s: &str) -> Result<Reason, ()> {
        Err(())
    }
}
