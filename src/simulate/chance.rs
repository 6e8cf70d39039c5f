//! Chance that depends on what it is drawn for, never on when: the same seed
//! and place always give the same draw.

use fastrand::Rng;

/// What a draw is for; keeps the draws of one delivery apart.
#[derive(Debug, Clone, Copy)]
pub(super) enum Purpose {
    Cast = 1,
    Arrivals,
    Conversion,
    Transaction,
    Texts,
    Try,
    Lateness,
    Defect,
    Request,
}

/// A generator for one purpose and one place.
pub(super) fn draw(seed: u64, purpose: Purpose, place: u64) -> Rng {
    Rng::with_seed(mix(mix(seed ^ ((purpose as u64) << 56)).wrapping_add(place)))
}

/// Splitmix64's finalizer: near places give far seeds.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Popularity after Zipf: the first is picked most often.
#[derive(Debug)]
pub(super) struct Popularity {
    cumulated: Vec<f64>,
}

impl Popularity {
    pub(super) fn of(count: usize, exponent: f64) -> Popularity {
        let weight = |rank: usize| 1.0 / ((rank + 1) as f64).powf(exponent);
        let total: f64 = (0..count).map(weight).sum();
        let mut sum = 0.0;
        let cumulated = (0..count)
            .map(|rank| {
                sum += weight(rank) / total;
                sum
            })
            .collect();
        Popularity { cumulated }
    }

    pub(super) fn pick(&self, rng: &mut Rng) -> usize {
        let point = rng.f64();
        self.cumulated.partition_point(|&sum| sum <= point).min(self.cumulated.len() - 1)
    }

    /// The share of picks that fall on `rank`.
    pub(super) fn share(&self, rank: usize) -> f64 {
        let before = rank.checked_sub(1).map_or(0.0, |before| self.cumulated[before]);
        self.cumulated[rank] - before
    }
}
