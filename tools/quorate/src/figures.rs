//! Latencies, and the few numbers that are said of them.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::table::thousands;

/// The longest latency that is told apart; longer ones count as this one.
const LONGEST_US: u64 = 3_600_000_000;

/// Latencies of events.
#[derive(Debug)]
pub(crate) struct Latencies {
    histogram: Histogram<u64>,
}

/// What is said of latencies, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Percentiles {
    /// Half of the events took no longer.
    pub(crate) p50: u64,
    /// 99 of 100 took no longer.
    pub(crate) p99: u64,
    /// 999 of 1,000 took no longer.
    pub(crate) p999: u64,
    /// None took longer.
    pub(crate) max: u64,
}

impl Latencies {
    /// None yet.
    pub(crate) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, LONGEST_US, 3)
            .expect("from 1 to an hour in three digits is a valid histogram");
        Self { histogram }
    }

    /// Counts an event.
    pub(crate) fn record(&mut self, latency: Duration) {
        self.record_all(latency, 1);
    }

    /// Counts events that took equally long.
    pub(crate) fn record_all(&mut self, latency: Duration, events: u32) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.histogram
            .saturating_record_n(us.max(1), u64::from(events));
    }

    /// How many events were counted.
    pub(crate) fn samples(&self) -> u64 {
        self.histogram.len()
    }

    /// What there is to say.
    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles::of(&self.histogram)
    }
}

impl Percentiles {
    /// What there is to say of a histogram of microseconds.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Self {
        Self {
            p50: histogram.value_at_quantile(0.5),
            p99: histogram.value_at_quantile(0.99),
            p999: histogram.value_at_quantile(0.999),
            max: histogram.max(),
        }
    }
}

/// `p50 1, p99 2, p99.9 3, max 4`, each in the unit that suits it.
impl fmt::Display for Percentiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p99, p999, max] = [self.p50, self.p99, self.p999, self.max].map(duration_text);
        write!(f, "p50 {p50}, p99 {p99}, p99.9 {p999}, max {max}")
    }
}

/// Events a second.
pub(crate) fn rate(events: u64, took: Duration) -> u64 {
    let ns = took.as_nanos().max(1);
    u64::try_from(u128::from(events) * 1_000_000_000 / ns).unwrap_or(u64::MAX)
}

/// A count, a time or a rate, to calculate with.
#[expect(
    clippy::cast_precision_loss,
    reason = "what is shown of it has fewer digits than a float"
)]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}

/// A time in the unit that suits it.
pub(crate) fn duration_text(us: u64) -> String {
    if us < 10_000 {
        format!("{} us", thousands(us))
    } else {
        format!("{} ms", thousands(us / 1_000))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Latencies, Percentiles, duration_text, rate};

    #[test]
    fn percentiles_are_of_the_events() {
        let mut latencies = Latencies::new();
        assert_eq!(latencies.percentiles().max, 0);
        for us in 1..=1_000 {
            latencies.record(Duration::from_micros(us));
        }
        assert_eq!(latencies.samples(), 1_000);
        assert_eq!(
            latencies.percentiles(),
            Percentiles {
                p50: 500,
                p99: 990,
                p999: 999,
                max: 1_000
            }
        );
    }

    #[test]
    fn what_is_out_of_range_counts_at_its_end() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::ZERO);
        latencies.record(Duration::MAX);
        assert_eq!(latencies.samples(), 2);
        assert_eq!(latencies.percentiles().p50, 1);
        assert!(latencies.percentiles().max >= 3_600_000_000);
    }

    #[test]
    fn events_that_came_together_count_each() {
        let mut latencies = Latencies::new();
        latencies.record_all(Duration::from_micros(10), 99);
        latencies.record_all(Duration::from_millis(20), 1);
        assert_eq!(latencies.samples(), 100);
        let text = latencies.percentiles().to_string();
        assert_eq!(text, "p50 10 us, p99 10 us, p99.9 20 ms, max 20 ms");
    }

    #[test]
    fn a_rate_is_in_events_a_second() {
        assert_eq!(rate(500, Duration::from_millis(250)), 2_000);
        assert_eq!(rate(0, Duration::ZERO), 0);
        assert_eq!(rate(u64::MAX, Duration::ZERO), u64::MAX);
    }

    #[test]
    fn a_time_has_the_unit_that_suits_it() {
        assert_eq!(duration_text(9_999), "9,999 us");
        assert_eq!(duration_text(213_456), "213 ms");
        assert_eq!(duration_text(2_134_567), "2,134 ms");
    }
}
