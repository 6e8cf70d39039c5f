//! The sentences above the alerts: whom the message was meant for, whether it is late,
//! and what changed since the one before.

use crate::domain::notify::{AlertFacts, Notice, NoticeReason};

use super::words::{Zone, clean};
use super::{FULL, age, is_live, worst};

/// What changed, in sentences.
pub(super) fn lead(notice: &Notice, zone: &Zone) -> Vec<String> {
    let live = notice.alerts.iter().filter(|alert| is_live(alert)).count();
    let all = notice.alerts.len();
    let mut lead = frame(notice, zone);
    match notice.reason {
        NoticeReason::First if all > 1 => lead.push(format!("{all} alerts in this message.")),
        NoticeReason::First => {}
        NoticeReason::Escalated => {
            lead.push(format!("It got worse: now {}.", worst(&notice.alerts).to_lowercase()));
        }
        NoticeReason::NewAlerts => lead.push(format!("New alerts joined: {live} are open now.")),
        NoticeReason::Resolved if live > 0 => lead.push(ended_so_far(&notice.alerts, live)),
        NoticeReason::Resolved if all > 1 => lead.push(format!("All {all} alerts have ended.")),
        NoticeReason::Resolved => {}
        NoticeReason::Reminder => {
            let since = notice.alerts.first().map(|alert| zone.minute(alert.began_at));
            let since = since.unwrap_or_default();
            lead.push(format!("Reminder: open since {since}, {} now.", age(notice)));
        }
    }
    lead
}

/// What a reader must know to take the rest for what it is, in whosever words that is:
/// that it was meant for another, and that it is late.
pub(super) fn frame(notice: &Notice, zone: &Zone) -> Vec<String> {
    let mut frame = Vec::new();
    if let Some(receiver) = &notice.instead_of {
        frame.push(standing_in(&clean(receiver, 80), notice.is_back));
    }
    if let Some(since) = notice.late_since {
        let (since, at) = (zone.minute(since), zone.minute(notice.created_at));
        frame.push(format!(
            "Late: this could not be delivered since {since}; it tells how things stood at {at}."
        ));
    }
    frame
}

/// Why somebody gets what was meant for `receiver`.
fn standing_in(receiver: &str, is_back: bool) -> String {
    match is_back {
        true => format!(
            "You were told of this in place of receiver {receiver}, which works again: this is \
             the end of what you were told."
        ),
        false => format!("You get this because receiver {receiver} could not be reached."),
    }
}

/// Which alerts of a batch have ended, by name as far as a sentence holds.
fn ended_so_far(alerts: &[AlertFacts], live: usize) -> String {
    let names: Vec<String> = alerts
        .iter()
        .filter(|alert| !is_live(alert))
        .map(|alert| clean(&alert.summary, 100))
        .take(FULL)
        .collect();
    let hidden = alerts.len() - live - names.len();
    let more = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
    format!("Ended: {}{more}. Still open: {live}.", names.join("; "))
}
