//! The look-back in bars: of which labels so much was delivered, and so much of it failed,
//! hour by hour. Counted anew from the facts whenever somebody looks, in one pass.

use std::collections::HashMap;
use std::time::Duration;

use smallvec::SmallVec;

use super::dims::DimsId;
use super::facts::Facts;
use super::policy::Policy;
use super::reason::Reason;
use super::rules::Label;
use super::state::State;
use super::time::{Timestamp, seconds};

/// Bars of a chart: a few more than the usual look-back has hours.
const MOST: i64 = 74;
/// The same where so many combinations of labels are known that each bar is dear.
const FEWER: i64 = 26;
const MANY_LABELS: usize = 30_000;

/// What a bar may stand for, in minutes: what people count time in.
const WIDTHS: [u64; 12] = [1, 5, 15, 30, 60, 120, 180, 360, 720, 1_440, 2_880, 10_080];

/// Equal spans of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bars {
    pub from: Timestamp,
    pub width: Duration,
    pub count: usize,
}

impl Bars {
    /// Those that hold what is known of the look-back of every source.
    pub fn of_lookback(now: Timestamp, policy: &Policy, state: &State) -> Bars {
        let known = policy.sources.iter().filter_map(|source| {
            let facts = &state.sources.get(&source.name)?.facts;
            Some((facts.first_known()?.max(now - source.lookback), facts.dims.len()))
        });
        let (mut from, mut labels) = (now, 0);
        for (first, known) in known {
            (from, labels) = (from.min(first), labels + known);
        }
        Bars::spanning(from, now, if labels > MANY_LABELS { FEWER } else { MOST })
    }

    /// At most so many, of the smallest width that will do.
    fn spanning(from: Timestamp, to: Timestamp, most: i64) -> Bars {
        let widths = WIDTHS.map(|minutes| Duration::from_secs(minutes * 60));
        let count = |width: Duration| {
            let distance = to.floor_to(width).0 - from.floor_to(width).0;
            distance / seconds(width) + 1
        };
        let width = widths.into_iter().find(|&width| count(width) <= most);
        let width = width.unwrap_or(widths[widths.len() - 1]);
        let count = count(width).clamp(1, most);
        let last = to.floor_to(width);
        Bars { from: last - width * (count as u32 - 1), width, count: count as usize }
    }

    /// The bar of a moment: what the network's clock has ahead of ours is in the last.
    pub fn place(&self, at: Timestamp) -> Option<usize> {
        let after = at.0.checked_sub(self.from.0).filter(|after| *after >= 0)?;
        Some(((after / seconds(self.width)) as usize).min(self.count - 1))
    }

    /// When a bar begins.
    pub fn begins(&self, place: usize) -> Timestamp {
        self.from + self.width * place as u32
    }
}

/// Failures of the same labels and reason.
#[derive(Debug)]
struct Row {
    dims: DimsId,
    reason: Reason,
    open: u64,
    oldest_open: Timestamp,
}

/// What one source's look-back holds.
#[derive(Debug)]
pub struct Counted {
    bars: Bars,
    rows: Vec<Row>,
    /// By [`DimsId`].
    rows_of: Vec<SmallVec<[u32; 1]>>,
    /// By row and bar.
    failures: Vec<u32>,
    /// Clean ones, by [`DimsId`] and bar.
    successes: Vec<u32>,
    known_from: usize,
}

/// How much was delivered and failed, by bar.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Series {
    pub failures: Vec<u32>,
    /// Failures included; of no meaning before `known_from`.
    pub deliveries: Vec<u32>,
    /// The first bar of which every success was read; the number of bars where none was.
    pub known_from: usize,
}

/// The failures of one value of a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    pub value: u64,
    pub failures: u64,
    /// Failing now, the older ones than the look-back included.
    pub open: u64,
    pub oldest_open: Timestamp,
    /// The most frequent.
    pub reason: Reason,
}

impl Counted {
    pub fn of(bars: Bars, facts: &Facts) -> Counted {
        let mut counted = Counted {
            bars,
            rows: Vec::new(),
            rows_of: vec![SmallVec::new(); facts.dims.len()],
            failures: Vec::new(),
            successes: vec![0; facts.dims.len() * bars.count],
            known_from: known_from(&bars, facts),
        };
        for one in facts.deliveries.iter() {
            let row = counted.row(one.dims, one.reason);
            if let Some(place) = bars.place(one.timestamp) {
                counted.failures[row * bars.count + place] += 1;
            }
            if one.is_open() {
                let row = &mut counted.rows[row];
                row.open += 1;
                row.oldest_open = row.oldest_open.min(one.timestamp);
            }
        }
        let before = bars.from - Duration::from_secs(1);
        for (at, dims, count) in facts.successes_within(before, Timestamp(i64::MAX)) {
            if let Some(place) = bars.place(at) {
                counted.successes[dims.0 as usize * bars.count + place] += count;
            }
        }
        counted
    }

    fn row(&mut self, dims: DimsId, reason: Reason) -> usize {
        let rows = &mut self.rows_of[dims.0 as usize];
        let known = rows.iter().find(|&&row| self.rows[row as usize].reason == reason);
        if let Some(&row) = known {
            return row as usize;
        }
        let row = self.rows.len();
        rows.push(u32::try_from(row).expect("fewer than 4 billion"));
        self.rows.push(Row { dims, reason, open: 0, oldest_open: Timestamp(i64::MAX) });
        self.failures.resize(self.failures.len() + self.bars.count, 0);
        row
    }

    /// The failures that are meant, among the deliveries of the labels that are meant.
    pub fn series(
        &self,
        is_meant: impl Fn(DimsId) -> bool,
        is_counted: impl Fn(Reason) -> bool,
    ) -> Series {
        let mut series = self.empty();
        for (id, rows) in (0..).map(DimsId).zip(&self.rows_of).filter(|(id, _)| is_meant(*id)) {
            add(&mut series.deliveries, self.successes_of(id));
            for &row in rows {
                add(&mut series.deliveries, self.failures_of(row as usize));
                if is_counted(self.rows[row as usize].reason) {
                    add(&mut series.failures, self.failures_of(row as usize));
                }
            }
        }
        series
    }

    /// Clean successes as what failed: those of the labels that are `bad`.
    pub fn series_of_successes(
        &self,
        is_meant: impl Fn(DimsId) -> bool,
        is_bad: impl Fn(DimsId) -> bool,
    ) -> Series {
        let mut series = self.series(&is_meant, |_| false);
        for id in (0..self.rows_of.len() as u32).map(DimsId).filter(|id| is_meant(*id)) {
            if is_bad(id) {
                add(&mut series.failures, self.successes_of(id));
            }
        }
        series
    }

    /// Every value of the label with a failure in the look-back, the most failures first.
    pub fn ranked(&self, facts: &Facts, label: Label) -> Vec<Ranked> {
        let mut by_value: HashMap<u64, (Ranked, HashMap<Reason, u64>)> = HashMap::new();
        for (place, row) in self.rows.iter().enumerate() {
            let failures: u64 = self.failures_of(place).iter().map(|n| u64::from(*n)).sum();
            let value = facts.dims.get(row.dims).value(label);
            let (oldest_open, reason) = (Timestamp(i64::MAX), row.reason);
            let fresh = Ranked { value, failures: 0, open: 0, oldest_open, reason };
            let (sum, reasons) = by_value.entry(value).or_insert((fresh, HashMap::new()));
            sum.failures += failures;
            sum.open += row.open;
            sum.oldest_open = sum.oldest_open.min(row.oldest_open);
            *reasons.entry(row.reason).or_default() += failures;
        }
        let mostly = |(sum, reasons): (Ranked, HashMap<Reason, u64>)| {
            let most = reasons.into_iter().max_by_key(|(reason, count)| (*count, *reason));
            Ranked { reason: most.map_or(sum.reason, |(reason, _)| reason), ..sum }
        };
        let mut ranked: Vec<Ranked> = by_value.into_values().map(mostly).collect();
        ranked.retain(|one| one.failures + one.open > 0);
        ranked.sort_by_key(|one| std::cmp::Reverse((one.failures, one.open, one.value)));
        ranked
    }

    fn empty(&self) -> Series {
        let none = || vec![0; self.bars.count];
        Series { failures: none(), deliveries: none(), known_from: self.known_from }
    }

    fn failures_of(&self, row: usize) -> &[u32] {
        &self.failures[row * self.bars.count..][..self.bars.count]
    }

    fn successes_of(&self, id: DimsId) -> &[u32] {
        &self.successes[id.0 as usize * self.bars.count..][..self.bars.count]
    }
}

fn add(sum: &mut [u32], counts: &[u32]) {
    for (sum, count) in sum.iter_mut().zip(counts) {
        *sum += count;
    }
}

fn known_from(bars: &Bars, facts: &Facts) -> usize {
    let since = facts.successes_known_from();
    (0..bars.count).find(|place| bars.begins(*place) >= since).unwrap_or(bars.count)
}

impl Series {
    /// Failures of all bars.
    pub fn failed(&self) -> u64 {
        self.failures.iter().map(|count| u64::from(*count)).sum()
    }

    /// Failures and deliveries of the bars of which both are known; `None` where that is
    /// none, or nothing was delivered.
    pub fn known(&self) -> Option<(u64, u64)> {
        let sum = |counts: &[u32]| -> u64 {
            let known = counts.get(self.known_from..).unwrap_or_default();
            known.iter().map(|count| u64::from(*count)).sum()
        };
        Some((sum(&self.failures), sum(&self.deliveries))).filter(|(_, all)| *all > 0)
    }

    /// The highest bar, of what is known.
    pub fn highest(&self) -> u32 {
        let known = self.deliveries.iter().skip(self.known_from);
        known.chain(&self.failures).copied().max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_hold_the_whole_span_in_units_that_people_count_in() {
        let check = |from: i64, to: i64, minutes: u64, count: usize| {
            let bars = Bars::spanning(Timestamp(from), Timestamp(to), MOST);
            let expected = (Duration::from_secs(minutes * 60), count);
            assert_eq!((bars.width, bars.count), expected, "{from} {to}");
            assert_eq!(bars.place(Timestamp(from)), Some(0));
            assert_eq!(bars.place(Timestamp(to)), Some(count - 1));
            assert_eq!(bars.place(bars.begins(count - 1)), Some(count - 1));
            assert_eq!(bars.place(bars.from - Duration::from_secs(1)), None);
        };
        check(0, 0, 1, 1);
        check(59, 60, 1, 2);
        check(0, 3_600, 1, 61);
        check(1_800, 6 * 3_600 + 1_800, 5, 73);
        check(1_800, 72 * 3_600 + 1_800, 60, 73);
        check(0, 30 * 86_400, 720, 61);
    }

    #[test]
    fn what_lies_ahead_is_in_the_last_bar() {
        let bars = Bars::spanning(Timestamp(0), Timestamp(600), MOST);
        assert_eq!(bars.place(Timestamp(i64::MAX)), Some(bars.count - 1));
        assert_eq!(bars.place(Timestamp(i64::MIN)), None);
    }

    #[test]
    fn a_rate_is_told_of_bars_whose_successes_were_read() {
        let series = Series { failures: vec![5, 1, 2], deliveries: vec![5, 10, 20], known_from: 1 };
        assert_eq!((series.failed(), series.known(), series.highest()), (8, Some((3, 30)), 20));
        let unknown = Series { known_from: 3, ..series };
        assert_eq!((unknown.known(), unknown.highest()), (None, 5));
    }
}
