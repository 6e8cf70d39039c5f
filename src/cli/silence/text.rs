//! Silences as a person reads them.

use std::fmt::Write as _;

use crate::cli::alerts::labels;
use crate::cli::paint::Paint;
use crate::domain::explain::{SilenceStanding, Standing};
use crate::domain::silence::Stage;

/// Alerts that are named; the others are counted.
const MOST_NAMED: usize = 10;

/// What a new silence hides now, or would.
pub fn preview(standing: &Standing, is_dry: bool, paint: Paint) -> String {
    let hides = if is_dry { "Would hide" } else { "Hides" };
    let count = standing.alerts.len();
    if count == 0 {
        let nothing = format!("{hides} no alert that stands now.");
        return format!("{}\n", paint.yellow(&nothing));
    }
    let mut text = format!("{hides} {}:\n", alerts(count));
    for alert in standing.alerts.iter().take(MOST_NAMED) {
        writeln!(text, "  {} {}: {}", alert.severity, labels(alert), alert.summary).ok();
    }
    more(&mut text, count);
    text
}

/// Those that stand, or all.
pub fn chosen(all: Vec<SilenceStanding>, with_expired: bool) -> Vec<SilenceStanding> {
    all.into_iter().filter(|one| with_expired || one.stage != Stage::Expired).collect()
}

pub fn list(silences: &[SilenceStanding], paint: Paint) -> String {
    match silences.is_empty() {
        true => "Nothing is silenced.\n".to_owned(),
        false => silences.iter().map(|one| block(one, paint)).collect::<Vec<_>>().join("\n"),
    }
}

fn block(one: &SilenceStanding, paint: Paint) -> String {
    let mut text = format!("{}  {}\n", one.id, one.stage.as_str().to_uppercase());
    let mut line = |name: &str, value: &str| {
        writeln!(text, "  {name:<9} {value}").ok();
    };
    line("matches", &one.matchers.join(", "));
    line("from", &format!("{} until {}", one.starts_at.0, one.ends_at.0));
    let why = match (one.created_by.as_str(), one.comment.as_str()) {
        ("", comment) => comment.to_owned(),
        (author, "") => author.to_owned(),
        (author, comment) => format!("{author}: {comment}"),
    };
    line("why", &why);
    if one.is_unused {
        line("warning", &paint.yellow("nothing has matched it for a day: is it still needed?"));
    }
    let hides = match one.stage {
        Stage::Active => "hides",
        Stage::Pending => "would hide",
        Stage::Expired => return text,
    };
    line(hides, &alerts(one.hides.len()));
    for name in one.hides.iter().take(MOST_NAMED) {
        writeln!(text, "    {name}").ok();
    }
    more(&mut text, one.hides.len());
    text
}

fn alerts(count: usize) -> String {
    match count {
        0 => "no alert that stands now".to_owned(),
        1 => "1 alert".to_owned(),
        many => format!("{many} alerts"),
    }
}

fn more(text: &mut String, count: usize) {
    if count > MOST_NAMED {
        writeln!(text, "  +{} more", count - MOST_NAMED).ok();
    }
}
