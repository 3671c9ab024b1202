//! What several runs of two builds can say about each other.
//!
//! A bootstrap: it draws, ten thousand times and always the same way, as many runs as there were from each side, with repetition,
//! and looks at how far the ratio of the medians wanders. If 1 lies within 95 % of it, these runs show no difference; that is not
//! to say that there is none.

use std::num::NonZeroUsize;

/// How many times it draws.
const DRAWS: usize = 10_000;

/// The same draws each time.
const SEED: u64 = 0x5155_4f52_4154_4531;

/// Fewer runs a side say nothing about their spread.
pub const RUNS_MIN: usize = 3;

/// The middle value, or the mean of the two in the middle; `None` of nothing.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    median_of(&mut sorted)
}

fn median_of(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    let upper = *values.get(half)?;
    if values.len() % 2 == 1 {
        return Some(upper);
    }
    values
        .get(half.wrapping_sub(1))
        .map(|lower| (lower + upper) / 2.0)
}

/// The median of B over the median of A.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// As measured.
    pub ratio: f64,
    /// The lower end of the interval that holds 95 % of the draws, and its upper end; `None` if a side has fewer than [`RUNS_MIN`]
    /// runs.
    pub interval: Option<(f64, f64)>,
}

/// Which way a figure goes when it gets better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Throughput.
    Higher,
    /// Latency.
    Lower,
}

/// What the runs show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// B is better.
    Better,
    /// B is worse.
    Worse,
    /// The interval holds 1.
    NoDifference,
    /// There are too few runs to say.
    TooFew,
}

impl Ratio {
    /// B over A; `None` if a side has no runs, or a median of 0.
    #[must_use]
    pub fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        let (median_a, median_b) = (median(a)?, median(b)?);
        if median_a <= 0.0 || median_b <= 0.0 {
            return None;
        }
        let enough = a.len() >= RUNS_MIN && b.len() >= RUNS_MIN;
        Some(Self {
            ratio: median_b / median_a,
            interval: enough.then(|| interval(a, b)).flatten(),
        })
    }

    /// What it says of B.
    #[must_use]
    pub fn verdict(&self, better: Better) -> Verdict {
        let Some((low, high)) = self.interval else {
            return Verdict::TooFew;
        };
        if low <= 1.0 && 1.0 <= high {
            return Verdict::NoDifference;
        }
        let is_better = match better {
            Better::Higher => low > 1.0,
            Better::Lower => high < 1.0,
        };
        if is_better {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }

    /// By which share of A's figure B is worse, by the medians alone; 0 if it is better.
    #[must_use]
    pub fn regression(&self, better: Better) -> f64 {
        match better {
            Better::Higher => (1.0 - self.ratio).max(0.0),
            Better::Lower => (self.ratio - 1.0).max(0.0),
        }
    }
}

fn interval(a: &[f64], b: &[f64]) -> Option<(f64, f64)> {
    let mut chance = SEED;
    let (mut from_a, mut from_b) = (a.to_vec(), b.to_vec());
    let mut ratios = Vec::with_capacity(DRAWS);
    for _ in 0..DRAWS {
        draw_again(a, &mut from_a, &mut chance)?;
        draw_again(b, &mut from_b, &mut chance)?;
        let ratio = median_of(&mut from_b)? / median_of(&mut from_a)?;
        if ratio.is_finite() {
            ratios.push(ratio);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let cut = ratios.len() / 40;
    Some((*ratios.get(cut)?, *ratios.iter().rev().nth(cut)?))
}

fn draw_again(from: &[f64], into: &mut [f64], chance: &mut u64) -> Option<()> {
    let count = NonZeroUsize::new(from.len())?;
    for value in into {
        *value = *from.get(below(chance, count))?;
    }
    Some(())
}

/// SplitMix64, brought below a bound: with so few values the bias is nil.
fn below(state: &mut u64, bound: NonZeroUsize) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    let mixed = usize::try_from(mixed >> 33).expect("31 bits fit into a size");
    mixed % bound
}

#[cfg(test)]
mod tests {
    use super::{Better, Ratio, Verdict, median};

    const QUIET: [f64; 5] = [100.0, 101.0, 99.0, 100.5, 99.5];

    fn times(values: &[f64], factor: f64) -> Vec<f64> {
        values.iter().map(|value| value * factor).collect()
    }

    #[test]
    fn a_median_is_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }

    #[test]
    fn a_clear_difference_is_seen_and_has_a_direction() {
        let slower = Ratio::of(&QUIET, &times(&QUIET, 0.9)).expect("there are runs");
        assert!((slower.ratio - 0.9).abs() < 1e-9);
        assert_eq!(slower.verdict(Better::Higher), Verdict::Worse);
        assert_eq!(slower.verdict(Better::Lower), Verdict::Better);
        assert!((slower.regression(Better::Higher) - 0.1).abs() < 1e-9);
        assert!(slower.regression(Better::Lower).abs() < 1e-9);
        let faster = Ratio::of(&QUIET, &times(&QUIET, 1.1)).expect("there are runs");
        assert_eq!(faster.verdict(Better::Higher), Verdict::Better);
        assert_eq!(faster.verdict(Better::Lower), Verdict::Worse);
        let (low, high) = faster.interval.expect("there are five runs");
        assert!(low < 1.1 && 1.1 < high && low > 1.05 && high < 1.15);
    }

    #[test]
    fn noise_shows_no_difference() {
        let noisy = [60.0, 140.0, 90.0, 115.0, 100.0];
        let ratio = Ratio::of(&noisy, &times(&noisy, 0.9)).expect("there are runs");
        assert_eq!(ratio.verdict(Better::Higher), Verdict::NoDifference);
        let same = Ratio::of(&QUIET, &QUIET).expect("there are runs");
        assert_eq!(same.verdict(Better::Lower), Verdict::NoDifference);
    }

    #[test]
    fn the_same_runs_give_the_same_interval() {
        let b = times(&QUIET, 1.02);
        assert_eq!(Ratio::of(&QUIET, &b), Ratio::of(&QUIET, &b));
    }

    #[test]
    fn few_runs_decide_nothing() {
        let few = Ratio::of(&[100.0, 101.0], &QUIET).expect("there are runs");
        assert_eq!(few.verdict(Better::Higher), Verdict::TooFew);
        assert_eq!(Ratio::of(&[], &QUIET), None);
        assert_eq!(Ratio::of(&[0.0], &QUIET), None);
    }
}
