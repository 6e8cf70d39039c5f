//! What two rules files tell differently of one past.

use std::collections::HashSet;

use crate::domain::time::Timestamp;
use crate::replay::{Told, ToldAlert, ToldMessage};

/// Places in the one's and the other's lists.
#[derive(Debug, Default, PartialEq)]
pub struct Difference {
    pub only_this: Vec<usize>,
    pub only_other: Vec<usize>,
    /// In both, with other times or another severity.
    pub changed: Vec<Change>,
    pub messages_only_this: Vec<usize>,
    pub messages_only_other: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    pub this: usize,
    pub other: usize,
}

impl Difference {
    /// Alerts of the same rule and group are the same where their times overlap.
    pub fn between(this: &Told, other: &Told) -> Difference {
        let mut difference = Difference::default();
        let mut taken: HashSet<usize> = HashSet::new();
        for (place, alert) in this.alerts.iter().enumerate() {
            let same = other
                .alerts
                .iter()
                .enumerate()
                .find(|(place, of)| !taken.contains(place) && is_same(alert, of));
            match same {
                None => difference.only_this.push(place),
                Some((twin, of)) => {
                    taken.insert(twin);
                    if shown(alert) != shown(of) {
                        difference.changed.push(Change { this: place, other: twin });
                    }
                }
            }
        }
        let untaken = |place: &usize| !taken.contains(place);
        difference.only_other = (0..other.alerts.len()).filter(untaken).collect();
        difference.messages_only_this = only(this, other);
        difference.messages_only_other = only(other, this);
        difference
    }

    pub fn is_empty(&self) -> bool {
        *self == Difference::default()
    }
}

fn is_same(one: &ToldAlert, other: &ToldAlert) -> bool {
    let end = |of: &ToldAlert| of.resolved_at.unwrap_or(Timestamp(i64::MAX));
    one.rule == other.rule
        && one.key.group == other.key.group
        && one.began_at <= end(other)
        && other.began_at <= end(one)
}

fn shown(alert: &ToldAlert) -> impl PartialEq + use<> {
    (alert.severity, alert.began_at, alert.fired_at, alert.resolved_at, alert.ended)
}

/// The messages of `this` that `other` does not have, whatever alerts they tell of.
fn only(this: &Told, other: &Told) -> Vec<usize> {
    let key = |message: &ToldMessage| (message.at, message.receiver.clone(), message.reason);
    let known: HashSet<_> = other.messages.iter().map(key).collect();
    let messages = this.messages.iter().enumerate();
    messages.filter(|(_, message)| !known.contains(&key(message))).map(|(place, _)| place).collect()
}
