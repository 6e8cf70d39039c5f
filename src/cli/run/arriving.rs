//! Shows that a start which takes long gets on, on a terminal only: the store that is
//! read or rebuilt, and the first look-back.

use std::time::{Duration, Instant};

use crate::cli::progress::Progress;
use crate::domain::state::State;
use crate::pipeline::View;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What takes less is over before a bar could be read.
const SHOWN_AFTER: Duration = Duration::from_secs(1);

/// Waits for `work`, and shows for how long it has been at it.
pub async fn shown<T>(what: &str, work: impl Future<Output = T>) -> T {
    let (began_at, mut progress) = (Instant::now(), Progress::new(what));
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if began_at.elapsed() >= SHOWN_AFTER {
            progress.so_far(&format!("{} s", began_at.elapsed().as_secs()));
        }
    }
}

/// Shows how much the first look-back has found, until each source's is whole.
pub async fn look_back(view: View) {
    let mut progress = Progress::new("looking back");
    while progress.is_shown() && is_looking_back(&view) {
        let found = found(&view.state());
        progress.so_far(&format!("{found} deliveries that failed"));
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn is_looking_back(view: &View) -> bool {
    let (policy, state) = (view.policy(), view.state());
    policy.sources.iter().any(|source| {
        let facts = state.sources.get(&source.name).map(|known| &known.facts);
        facts.is_none_or(|facts| source.scope_keys().any(|scope| !facts.is_looked_back(scope)))
    })
}

fn found(state: &State) -> usize {
    state.sources.values().map(|source| source.facts.deliveries.len()).sum()
}
