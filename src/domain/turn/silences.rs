//! Silences: those that are wished for, those that hide nothing, those long over.

use std::time::Duration;

use super::Turn;
use crate::domain::silence::{SilenceId, UNUSED_AFTER, Wish, grant, outdated};
use crate::domain::state::{Record, State};
use crate::domain::time::Timestamp;

/// Often enough for what is told to the day.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(60);

/// While a silence hides something, that is written down no oftener than this.
const MATCH_NOTED_EVERY: Duration = Duration::from_secs(3600);

impl Turn<'_> {
    pub(super) fn silence(&mut self, wish: &Wish) {
        let granted = grant(self.now, &mut self.state.silences, wish);
        if let Ok(touched) = &granted {
            touched.iter().for_each(|id| self.keep_silence(id));
            self.forget_outdated_silences();
        }
        self.tally.silence = Some(granted.map(|mut touched| touched.swap_remove(0)));
    }

    /// To be called before the tick itself is noted.
    pub(super) fn look_at_silences(&mut self) {
        let minute = |at: Timestamp| at.floor_to(LOOKED_AT_EVERY);
        let last = self.state.ticked_at.map(|(at, _)| minute(at));
        if self.state.silences.is_empty() || last == Some(minute(self.now)) {
            return;
        }
        self.forget_outdated_silences();
        self.note_matches();
    }

    fn forget_outdated_silences(&mut self) {
        for id in outdated(self.now, &self.state.silences) {
            self.state.silences.remove(&id);
            self.keep_silence(&id);
        }
    }

    /// Notes which silences hide something, and tells of those that have not for a day.
    fn note_matches(&mut self) {
        let now = self.now;
        let matching = matching(now, self.state);
        let mut touched = Vec::new();
        for (id, silence) in &mut self.state.silences {
            if !silence.is_active(now) {
                continue;
            }
            if matching.contains(id) {
                let is_new = |at: Timestamp| now < at || now.since(at) >= MATCH_NOTED_EVERY;
                if silence.is_unused || silence.matched_at.is_none_or(is_new) {
                    (silence.matched_at, silence.is_unused) = (Some(now), false);
                    touched.push(id.clone());
                }
                continue;
            }
            let since = silence.draft.starts_at.max(silence.matched_at.unwrap_or_default());
            if !silence.is_unused && now.since(since) >= UNUSED_AFTER {
                silence.is_unused = true;
                touched.push(id.clone());
                self.tally.unused_silences.push(id.clone());
            }
        }
        touched.iter().for_each(|id| self.keep_silence(id));
    }

    fn keep_silence(&mut self, id: &SilenceId) {
        let silence = self.state.silences.get(id).cloned().map(Box::new);
        self.changes.records.push(Record::Silence { id: id.clone(), silence });
    }
}

/// The silences that an alert which stands matches.
fn matching(now: Timestamp, state: &State) -> Vec<SilenceId> {
    let standing = state.alerts.values().filter(|a| a.severity().is_some() && !a.has_ended());
    let active = state.silences.iter().filter(|(_, silence)| silence.is_active(now));
    let hides = active.filter(|(_, silence)| standing.clone().any(|alert| silence.matches(alert)));
    hides.map(|(id, _)| id.clone()).collect()
}
