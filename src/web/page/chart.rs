//! Small charts: bars of what was delivered, and before them of what failed. What a chart
//! shows is said in words beside it, or for those who do not see it.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::words::{clock, day_and_clock, number};
use crate::domain::alert::shown::{shown_duration, shown_percent};
use crate::domain::bars::{Bars, Series};
use crate::domain::time::{Timestamp, seconds};

/// Units of the drawing: a bar with its gap, and the whole height.
const STEP: f64 = 10.0;
const THICK: f64 = 8.0;
const HIGH: f64 = 40.0;

/// What the bars in front count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    Failures,
    Suspects,
}

impl Counts {
    fn word(self) -> &'static str {
        match self {
            Counts::Failures => "failed",
            Counts::Suspects => "suspect",
        }
    }
}

/// A chart with its axis below; `began_at` is marked in it.
pub fn with_axis(bars: &Bars, series: &Series, counts: Counts, began_at: Timestamp) -> Markup {
    html! {
        figure.chart {
            (drawing(bars, series, &sentence(bars, series, counts), Some(began_at)))
            figcaption {
                span { (day_and_clock(bars.from)) }
                span { "now" }
                span.legend {
                    span.failed { (counts.word()) } " "
                    (delivered(bars, series)) ", per " (shown_duration(bars.width))
                }
            }
        }
    }
}

/// The bars alone.
pub fn small(bars: &Bars, series: &Series) -> Markup {
    drawing(bars, series, &sentence(bars, series, Counts::Failures), None)
}

fn delivered(bars: &Bars, series: &Series) -> Markup {
    html! {
        @match series.known_from {
            0 => { "of " span.delivered { "delivered" } },
            unknown if unknown >= bars.count => "(deliveries are not known)",
            place => {
                "of " span.delivered { "delivered" } " (known since " (clock(bars.begins(place))) ")"
            },
        }
    }
}

/// All that the chart says, in a sentence.
fn sentence(bars: &Bars, series: &Series, counts: Counts) -> String {
    let (failed, word) = (series.failed(), counts.word());
    let mut text = format!("{} {word} since {}", number(failed), day_and_clock(bars.from));
    if let Some((failed, all)) = series.known() {
        let share = shown_percent(failed as f64 / all as f64);
        let since = day_and_clock(bars.begins(series.known_from));
        write!(text, "; {share} of the {} deliveries since {since}", number(all)).ok();
    }
    let highest = series.failures.iter().enumerate().max_by_key(|(place, count)| (*count, *place));
    if let Some((place, count)) = highest.filter(|(_, count)| **count > 0) {
        let (width, at) = (shown_duration(bars.width), day_and_clock(bars.begins(place)));
        write!(text, "; most in the {width} from {at}: {}", number(u64::from(*count))).ok();
    }
    text
}

fn drawing(bars: &Bars, series: &Series, said: &str, mark: Option<Timestamp>) -> Markup {
    let known = |place: usize| place >= series.known_from;
    let deliveries = series.deliveries.iter().enumerate();
    let deliveries = deliveries.map(|(place, count)| if known(place) { *count } else { 0 });
    let (wide, highest) = (bars.count as f64 * STEP, series.highest());
    let mark = mark.map(|at| x_of(bars, at)).filter(|x| (0.0..=wide).contains(x));
    html! {
        svg.bars role="img" aria-label=(said) viewBox=(format!("0 0 {wide} {HIGH}")) preserveAspectRatio="none" {
            path.delivered d=(path(deliveries, highest)) {}
            path.failed d=(path(series.failures.iter().copied(), highest)) {}
            @if let Some(x) = mark {
                path.mark d=(format!("M{x:.0} 0V{HIGH}")) vector-effect="non-scaling-stroke" {}
            }
        }
    }
}

fn x_of(bars: &Bars, at: Timestamp) -> f64 {
    (at.0 - bars.from.0) as f64 / seconds(bars.width) as f64 * STEP
}

/// One closed box for each count that is not zero; the smallest can still be seen.
fn path(counts: impl Iterator<Item = u32>, highest: u32) -> String {
    let mut path = String::new();
    for (place, count) in counts.enumerate().filter(|(_, count)| *count > 0) {
        let high = (f64::from(count) / f64::from(highest.max(1)) * HIGH).max(1.5);
        let x = place as f64 * STEP;
        write!(path, "M{x} {HIGH}v-{high:.1}h{THICK}v{high:.1}z").ok();
    }
    path
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOURS: Bars =
        Bars { from: Timestamp(1_772_366_400), width: Duration::from_secs(3600), count: 3 };

    #[test]
    fn a_chart_says_in_words_what_it_shows() {
        let mut series =
            Series { failures: vec![5, 1, 2], deliveries: vec![5, 10, 20], known_from: 1 };
        let check = |series: &Series, expected: &str| {
            assert_eq!(sentence(&HOURS, series, Counts::Failures), expected);
        };
        check(
            &series,
            "8 failed since 1 Mar 12:00 UTC; 10 % of the 30 deliveries since 1 Mar 13:00 UTC; \
             most in the 1 h from 1 Mar 12:00 UTC: 5",
        );
        series.known_from = 3;
        series.failures = vec![0, 0, 0];
        check(&series, "0 failed since 1 Mar 12:00 UTC");
    }

    #[test]
    fn the_least_failure_can_be_seen_beside_the_highest_bar() {
        assert_eq!(path([0, 1, 1000].into_iter(), 1000), "M10 40v-1.5h8v1.5zM20 40v-40.0h8v40.0z");
        assert_eq!(path([0, 0].into_iter(), 0), "");
    }
}
