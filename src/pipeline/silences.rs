//! Silences: wishes come in, and what the log should know of them.

use super::Keeper;
use crate::domain::silence::{Refused, SilenceId, Wish};
use crate::domain::turn::{News, Tally};
use crate::store::Store;

impl<S: Store + 'static> Keeper<S> {
    pub(super) fn silence(&mut self, wish: &Wish) -> Result<Result<SilenceId, Refused>, String> {
        let answer = self.turn(News::Silence { wish })?.silence;
        let granted = answer.expect("a turn about a wish answers it");
        if let Ok(id) = &granted {
            let state = self.view.state();
            let ends_at = state.silences.get(id).map(|silence| silence.draft.ends_at);
            let until = ends_at.map(|at| at.to_string());
            // Neither its author nor its labels: those name people and partners.
            tracing::info!(silence = %id, until, "a silence was set");
        }
        Ok(granted)
    }

    pub(super) fn warn_of_unused_silences(&self, tally: &Tally) {
        for id in &tally.unused_silences {
            tracing::warn!(
                silence = %id,
                "this silence has hidden nothing for a day: are its matchers right, is it \
                 still needed?"
            );
        }
    }
}
