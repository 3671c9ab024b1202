//! The text format of HdrHistogram's percentiles (`.hgrm`), which plotters read, such as the one at
//! <https://hdrhistogram.github.io/HdrHistogram/plotFiles.html>.

use std::fmt::Write as _;

use hdrhistogram::Histogram;

/// How often the distance to 100 % is cut into so many steps until it is halved: what HdrHistogram's own tools take.
const STEPS_A_HALF: u32 = 5;

/// A point of the curve of latency by percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantile {
    /// The share of all requests, between 0 and 1.
    pub share: f64,
    /// So many requests took no longer than [`Self::us`].
    pub count: u64,
    /// In microseconds.
    pub us: u64,
}

/// The curve, from the fastest request to the slowest, ever finer towards the slow end.
#[must_use]
pub fn curve(histogram_us: &Histogram<u64>) -> Vec<Quantile> {
    let mut count = 0;
    let steps = histogram_us.iter_quantiles(STEPS_A_HALF);
    steps
        .map(|step| {
            count += step.count_since_last_iteration();
            Quantile {
                share: step.quantile_iterated_to().min(1.0),
                count,
                us: step.value_iterated_to(),
            }
        })
        .collect()
}

/// The file's text, with values in milliseconds: what the plotters take them for.
#[must_use]
pub fn text(histogram_us: &Histogram<u64>) -> String {
    let mut text = String::new();
    let mut line = |line: std::fmt::Arguments<'_>| {
        text.write_fmt(line).expect("a string takes everything");
        text.push('\n');
    };
    line(format_args!(
        "{:>12} {:>14} {:>10} {:>14}\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    ));
    for point in curve(histogram_us) {
        let (ms, share, count) = (milliseconds(point.us), point.share, point.count);
        if share < 1.0 {
            let nines = 1.0 / (1.0 - share);
            line(format_args!(
                "{ms:>12.3} {share:>2.12} {count:>10} {nines:>14.2}"
            ));
        } else {
            line(format_args!("{ms:>12.3} {share:>2.12} {count:>10}"));
        }
    }
    let (mean, deviation) = (histogram_us.mean() / 1e3, histogram_us.stdev() / 1e3);
    line(format_args!(
        "#[Mean    = {mean:>12.3}, StdDeviation   = {deviation:>12.3}]"
    ));
    let (max, count) = (milliseconds(histogram_us.max()), histogram_us.len());
    line(format_args!(
        "#[Max     = {max:>12.3}, Total count    = {count:>12}]"
    ));
    let (buckets, sub_buckets) = (histogram_us.buckets(), sub_buckets(histogram_us.sigfig()));
    line(format_args!(
        "#[Buckets = {buckets:>12}, SubBuckets     = {sub_buckets:>12}]"
    ));
    text
}

/// As HdrHistogram counts them: the power of two that tells so many digits apart.
fn sub_buckets(digits: u8) -> u64 {
    (2 * 10_u64.pow(digits.into())).next_power_of_two()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "an hour in microseconds is exact in a float"
)]
fn milliseconds(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::{curve, text};
    use crate::measured::histogram_us;

    #[test]
    fn the_text_is_what_plotters_read() {
        let mut histogram = histogram_us();
        for us in 1..=1_000 {
            histogram.saturating_record(us);
        }
        let text = text(&histogram);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines[0],
            "       Value     Percentile TotalCount 1/(1-Percentile)"
        );
        assert_eq!(lines[1], "");
        assert_eq!(
            lines[2],
            "       0.001 0.000000000000          1           1.00"
        );
        assert!(
            lines.contains(&"       0.500 0.500000000000        500           2.00"),
            "{text}"
        );
        let last = lines.iter().rfind(|line| !line.starts_with('#'));
        assert_eq!(last, Some(&"       1.000 1.000000000000       1000"));
        assert!(
            lines[lines.len() - 2].ends_with("Total count    =         1000]"),
            "{text}"
        );
        assert!(text.ends_with("SubBuckets     =         2048]\n"), "{text}");
    }

    #[test]
    fn a_curve_rises_and_ends_with_everything() {
        let mut histogram = histogram_us();
        for us in [5, 5, 7, 900, 80_000] {
            histogram.saturating_record(us);
        }
        let curve = curve(&histogram);
        assert!(curve.is_sorted_by(|a, b| a.us <= b.us && a.count <= b.count));
        let last = curve.last().expect("there are five");
        assert_eq!((last.count, last.us), (5, histogram.max()));
        assert!((last.share - 1.0).abs() < f64::EPSILON);
        assert!(super::curve(&histogram_us()).is_empty());
    }
}
