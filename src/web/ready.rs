//! Whether postwatch can be relied on by now, and what is missing if not.

use crate::domain::policy::Policy;
use crate::domain::state::State;
use crate::metrics::state::is_blind;

/// What still keeps the service from being ready, in plain words; empty when it is.
pub fn missing(policy: &Policy, state: &State, store_trouble: Option<&str>) -> Vec<String> {
    let mut missing = Vec::new();
    if let Some(trouble) = store_trouble {
        missing.push(format!("The store does not work: {}", one_line(trouble)));
    }
    if policy.sources.is_empty() {
        missing.push("No source is configured in the rules file.".to_owned());
    }
    let unread = policy.sources.iter().filter_map(|source| unread(policy, state, &source.name));
    missing.extend(unread);
    missing
}

/// A blind source is ready: that it cannot be read was noticed and reported.
fn unread(policy: &Policy, state: &State, name: &str) -> Option<String> {
    let Some(source) = state.sources.get(name) else {
        return Some(format!("Source {name}: not loaded yet."));
    };
    let sight = source.sight(policy, name);
    // What an earlier process read says nothing of whether this one can.
    let is_read = sight.whole_at.is_some_and(|at| at >= sight.started_at);
    if is_read || is_blind(state, name) {
        return None;
    }
    Some(match (&source.sight.trouble, sight.arriving_at) {
        (Some(trouble), _) => {
            format!("Source {name}: the last poll failed: {}", one_line(trouble))
        }
        (None, Some(_)) => format!("Source {name}: the first look-back is under way."),
        (None, None) => format!("Source {name}: not read whole yet."),
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
