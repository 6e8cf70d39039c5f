//! Asking the running service, and what is said where it does not answer.

use std::process::ExitCode;
use std::time::Duration;

use serde::Deserialize;

use super::{CANNOT_START, WRONG_USAGE};

/// The service answers from memory; what takes longer hangs.
const ANSWERS_WITHIN: Duration = Duration::from_secs(20);

/// Where the service is that is asked.
#[derive(Debug, Clone, clap::Args)]
pub struct ServiceArgs {
    /// Where the service is
    #[arg(
        long,
        env = "POSTWATCH_URL",
        default_value = "http://127.0.0.1:9467",
        value_name = "URL"
    )]
    url: reqwest::Url,
}

/// Why there is no answer that helps.
pub enum Failed {
    /// Nobody answers there.
    Silent(String),
    /// The service said no, and why.
    Refused { status: u16, why: String },
}

/// The part of a refusal that people read.
#[derive(Deserialize)]
#[serde(untagged)]
enum Refusal {
    Problem { detail: String },
    Text(String),
}

impl ServiceArgs {
    /// Asks once: the body of a good answer.
    pub async fn ask(
        &self,
        method: reqwest::Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&serde_json::Value>,
    ) -> Result<String, Failed> {
        let mut url = self.url.clone();
        url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let silent = |error: reqwest::Error| {
            let (url, why) = (&self.url, error.without_url());
            Failed::Silent(format!(
                "no postwatch answers at {url}: {why}; is it running? --url names another address"
            ))
        };
        let client = reqwest::Client::builder().timeout(ANSWERS_WITHIN).no_proxy().build();
        let mut request = client.map_err(silent)?.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.map_err(silent)?;
        let status = answer.status();
        let body = answer.text().await.map_err(silent)?;
        if status.is_success() {
            return Ok(body);
        }
        let why = match serde_json::from_str(&body) {
            Ok(Refusal::Problem { detail: why } | Refusal::Text(why)) => why,
            Err(_) => body.trim().to_owned(),
        };
        Err(Failed::Refused { status: status.as_u16(), why })
    }
}

impl Failed {
    /// Says it, and with which code the program ends: 1 where what was named is not
    /// known, 2 where it was asked wrongly, 3 where the service cannot answer.
    pub fn end(&self, command: &str) -> ExitCode {
        let (why, code) = match self {
            Failed::Silent(why) => (why, CANNOT_START),
            Failed::Refused { status: 404, why } => (why, 1),
            Failed::Refused { status: 400..=499, why } => (why, WRONG_USAGE),
            Failed::Refused { why, .. } => (why, CANNOT_START),
        };
        eprintln!("postwatch {command}: {why}");
        ExitCode::from(code)
    }
}
