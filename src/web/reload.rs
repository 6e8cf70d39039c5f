//! `POST /api/v1/reload`: asks whoever owns the rules file to read it again, and
//! what became of the last time that somebody did.

use std::sync::Arc;

use axum::Json;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::Web;
use super::problem::Problem;
use crate::config::Mistake;
use crate::domain::time::Timestamp;

/// How to have the rules file read again, and how that went.
#[derive(Clone)]
pub struct Reloads {
    /// `None` where there is no file, as in the demo.
    pub requests: Option<mpsc::Sender<ReloadRequest>>,
    /// Why the file as it is now was not taken up, while it was not.
    pub refused: watch::Receiver<Option<Arc<Refusal>>>,
}

impl Reloads {
    /// Of a service whose rules do not change.
    pub fn none() -> Reloads {
        Reloads { requests: None, refused: watch::channel(None).1 }
    }
}

/// Gets the answer.
pub type ReloadRequest = oneshot::Sender<Result<Reloaded, Arc<Refusal>>>;

/// A rules file that is in force now.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Reloaded {
    /// As the metric `config_hash` shows it.
    pub config_hash: u64,
    pub warnings: Vec<Mistake>,
}

/// A rules file that was not taken up: nothing changed. Holds no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub at: Timestamp,
    /// As its path was given.
    pub file: String,
    /// One sentence.
    pub summary: String,
    /// What is wrong in the file, where that is why.
    pub mistakes: Vec<Mistake>,
    /// Whether to mend the file; else the same file may do later.
    pub is_files_fault: bool,
}

pub async fn reload(Shared(web): Shared<Web>) -> Response {
    let Some(requests) = &web.reloads.requests else {
        let detail = "The demo follows the shipped rules; `postwatch run` follows a file.";
        return Problem::new(StatusCode::CONFLICT, "There is no rules file", detail)
            .into_response();
    };
    let (request, answer) = oneshot::channel();
    requests.send(request).await.ok();
    match answer.await {
        Ok(Ok(reloaded)) => Json(reloaded).into_response(),
        Ok(Err(refusal)) => refused(&refusal),
        Err(_) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The service is stopping",
            "Ask again when it runs; a start reads the file too.",
        )
        .into_response(),
    }
}

fn refused(refusal: &Refusal) -> Response {
    #[derive(Serialize)]
    struct Mistakes<'a> {
        file: &'a str,
        mistakes: &'a [Mistake],
    }
    let status = match refusal.is_files_fault {
        true => StatusCode::UNPROCESSABLE_ENTITY,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    let detail = format!("{} The rules before stay in force.", refusal.summary);
    let mistakes = Mistakes { file: &refusal.file, mistakes: &refusal.mistakes };
    Problem::new(status, "The rules file was not taken up", detail).with(mistakes).into_response()
}
