//! `auth_token`, `protect_metrics` → who may read over HTTP.

use super::Secret;
use super::decode::{Decoder, Fields};

/// Shorter ones can be guessed.
const SHORTEST: usize = 16;

/// Who may read the page, the API and the metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AccessConfig {
    /// What everything but health asks for, and metrics where they are protected.
    pub token: Option<Secret>,
    pub protects_metrics: bool,
}

pub fn access(d: &mut Decoder<'_>, root: &Fields<'_>) -> AccessConfig {
    let entry = root.get("auth_token").or_else(|| root.get("auth_token_file"));
    let token = entry.and_then(|entry| {
        let token = d.secret(root, "auth_token", "\"${POSTWATCH_TOKEN}\"")?;
        let text = token.expose();
        if text.len() >= SHORTEST && text.is_ascii() {
            return Some(token);
        }
        let message = format!("`{}` is too short, or not plain ASCII", entry.name);
        let hint = format!("take {SHORTEST} characters or more: openssl rand -hex 32");
        d.wrong(entry.at, message, hint);
        None
    });
    let protect = root.get("protect_metrics");
    let protects_metrics = protect.and_then(|entry| d.switch(entry)).unwrap_or_default();
    if let (true, Some(protect), None) = (protects_metrics, protect, entry) {
        let hint = "write `auth_token: \"${POSTWATCH_TOKEN}\"` too, or remove it";
        d.wrong(protect.at, "`protect_metrics` protects nothing without `auth_token`", hint);
    }
    AccessConfig { token, protects_metrics }
}
