//! The percentiles that a measurement says.

use std::fmt;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::figures::duration_text;

/// What is said of a histogram, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Quantiles {
    /// Half took no longer.
    pub(crate) p50: u64,
    /// 9 of 10 took no longer.
    pub(crate) p90: u64,
    /// 99 of 100 took no longer.
    pub(crate) p99: u64,
    /// 999 of 1,000 took no longer.
    pub(crate) p999: u64,
    /// 9,999 of 10,000 took no longer.
    pub(crate) p9999: u64,
    /// None took longer.
    pub(crate) max: u64,
}

impl Quantiles {
    /// What there is to say of a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            p9999: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
        }
    }

    /// Each figure, made of the same figure of several.
    pub(crate) fn combine(all: &[Self], combine: impl Fn(&[u64]) -> u64) -> Self {
        let of = |figure: fn(&Self) -> u64| {
            let figures: Vec<u64> = all.iter().map(figure).collect();
            combine(&figures)
        };
        Self {
            p50: of(|one| one.p50),
            p90: of(|one| one.p90),
            p99: of(|one| one.p99),
            p999: of(|one| one.p999),
            p9999: of(|one| one.p9999),
            max: of(|one| one.max),
        }
    }
}

/// `p50 1, p90 2, p99 3, p99.9 4, p99.99 5, max 6`, each in the unit that suits it.
impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = [
            self.p50, self.p90, self.p99, self.p999, self.p9999, self.max,
        ];
        let [p50, p90, p99, p999, p9999, max] = figures.map(duration_text);
        write!(
            f,
            "p50 {p50}, p90 {p90}, p99 {p99}, p99.9 {p999}, p99.99 {p9999}, max {max}"
        )
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::Histogram;

    use super::Quantiles;

    #[test]
    fn figures_are_of_the_histogram() {
        let mut histogram = Histogram::<u64>::new_with_bounds(1, 1_000_000, 3)
            .expect("from 1 to a second in three digits is a valid histogram");
        for us in 1..=10_000 {
            histogram.saturating_record(us);
        }
        let quantiles = Quantiles::of(&histogram);
        // Three digits: a value counts as the largest that looks like it.
        assert_eq!((quantiles.p50, quantiles.max), (5_003, 10_007));
        assert!((9_000..9_010).contains(&quantiles.p90));
        assert!((9_990..=10_007).contains(&quantiles.p999));
        assert!(
            quantiles.to_string().starts_with("p50 5,003 us, p90 9,0"),
            "{quantiles}"
        );
    }

    #[test]
    fn each_figure_is_combined_with_its_like() {
        let one = |p50, max| Quantiles {
            p50,
            max,
            ..Quantiles::default()
        };
        let all = [one(1, 9), one(5, 2)];
        let sum = Quantiles::combine(&all, |figures| figures.iter().sum());
        assert_eq!((sum.p50, sum.max, sum.p90), (6, 11, 0));
    }
}
