//! Why a poll was not whole, and what else it may still ask.

use crate::source::ApiError;

/// Why a poll was not whole.
#[derive(Debug, thiserror::Error)]
pub(super) enum PollError {
    #[error(transparent)]
    Api(#[from] ApiError),
    #[error("what was read could not be stored: {0}")]
    Store(String),
    #[error("the service is stopping")]
    Stopping,
}

impl PollError {
    /// The value of the metric's label `outcome`.
    pub(super) fn outcome(&self) -> &'static str {
        match self {
            PollError::Api(ApiError::Refused { .. }) => "refused",
            PollError::Api(ApiError::Rejected { .. }) => "rejected",
            PollError::Api(ApiError::Unavailable { .. }) => "unavailable",
            PollError::Api(ApiError::Incomplete { .. }) => "incomplete",
            PollError::Store(_) => "store",
            PollError::Stopping => "stopping",
        }
    }

    /// Whether no other question can be answered either.
    fn ends_poll(&self) -> bool {
        match self {
            PollError::Api(ApiError::Refused { .. })
            | PollError::Store(_)
            | PollError::Stopping => true,
            PollError::Api(_) => false,
        }
    }
}

/// What went wrong in a poll: a question that fails holds up no other.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    first: Option<PollError>,
    /// Questions that failed.
    pub(super) count: usize,
}

impl Troubles {
    /// Notes how a question went.
    ///
    /// # Errors
    /// One that makes every other question senseless.
    pub(super) fn note(&mut self, asked: Result<(), PollError>) -> Result<(), PollError> {
        match asked {
            Err(error) if error.ends_poll() => Err(error),
            Err(error) => {
                self.count += 1;
                self.first.get_or_insert(error);
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The first failure.
    pub(super) fn end(self) -> Result<(), PollError> {
        self.first.map_or(Ok(()), Err)
    }
}
