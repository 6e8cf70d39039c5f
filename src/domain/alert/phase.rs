//! One level of an alert: its own clocks.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::domain::rules::evaluate::Verdict;
use crate::domain::time::{Timestamp, seconds};

/// Where one level stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    Inactive,
    /// `held`: for how many seconds the condition is known to have held.
    Pending {
        active_at: Timestamp,
        held: i64,
    },
    Firing {
        active_at: Timestamp,
    },
    /// `clear`: for how many seconds the condition is known to have been clear.
    Clearing {
        active_at: Timestamp,
        clear: i64,
    },
}

impl Phase {
    /// The phase after an evaluation `step` later than the one before.
    pub(super) fn advance(
        self,
        at: Timestamp,
        step: Duration,
        verdict: Verdict,
        hold_for: Duration,
    ) -> Phase {
        let step = seconds(step);
        let begin = |active_at, held| match held >= seconds(hold_for) {
            true => Phase::Firing { active_at },
            false => Phase::Pending { active_at, held },
        };
        match (self, verdict) {
            (phase, Verdict::Unknown) => phase,
            (Phase::Inactive, Verdict::True) => begin(at, 0),
            (Phase::Inactive, Verdict::False) => Phase::Inactive,
            (Phase::Pending { active_at, held }, Verdict::True) => begin(active_at, held + step),
            (Phase::Pending { .. }, Verdict::False) => Phase::Inactive,
            (Phase::Firing { active_at }, Verdict::True) => Phase::Firing { active_at },
            (Phase::Firing { active_at }, Verdict::False) => {
                Phase::Clearing { active_at, clear: 0 }
            }
            (Phase::Clearing { active_at, .. }, Verdict::True) => Phase::Firing { active_at },
            (Phase::Clearing { active_at, clear }, Verdict::False) => {
                Phase::Clearing { active_at, clear: clear + step }
            }
        }
    }

    pub(super) fn active_at(self) -> Option<Timestamp> {
        match self {
            Phase::Inactive => None,
            Phase::Pending { active_at, .. }
            | Phase::Firing { active_at }
            | Phase::Clearing { active_at, .. } => Some(active_at),
        }
    }

    pub(super) fn has_fired(self) -> bool {
        matches!(self, Phase::Firing { .. } | Phase::Clearing { .. })
    }

    /// Clear for long enough to end, as far as this level is concerned.
    pub(super) fn is_ripe(self, keep_firing_for: Duration) -> bool {
        matches!(self, Phase::Clearing { clear, .. } if clear >= seconds(keep_firing_for))
    }
}
