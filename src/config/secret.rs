//! A text that must never be seen. It has no serialised form, and writing it
//! out by mistake shows stars.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A password, key or token. Only [`Secret::expose`] shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The key of a secret as Standard Webhooks writes it: `whsec_`, which may be
    /// missing, and 24 to 64 bytes in base64. `None` where it is none.
    pub fn signing_key(&self) -> Option<Vec<u8>> {
        let text = self.0.strip_prefix("whsec_").unwrap_or(&self.0);
        STANDARD.decode(text).ok().filter(|key| (24..=64).contains(&key.len()))
    }

    /// The text itself, for the request that needs it and for nothing else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_printing_shows_it() {
        let secret = Secret::new("hunter2");
        assert_eq!(format!("{secret} {secret:?} {secret:#?}"), "*** *** ***");
        assert_eq!(secret.expose(), "hunter2");
    }
}
