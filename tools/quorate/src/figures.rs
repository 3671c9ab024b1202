//! Latencies, and the few numbers that are said of them.

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
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.histogram.saturating_record(us.max(1));
    }

    /// How many events were counted.
    pub(crate) fn samples(&self) -> u64 {
        self.histogram.len()
    }

    /// What there is to say.
    pub(crate) fn percentiles(&self) -> Percentiles {
        Percentiles {
            p50: self.histogram.value_at_quantile(0.5),
            p99: self.histogram.value_at_quantile(0.99),
            p999: self.histogram.value_at_quantile(0.999),
            max: self.histogram.max(),
        }
    }
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

    use super::{Latencies, Percentiles, duration_text};

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
    fn a_time_has_the_unit_that_suits_it() {
        assert_eq!(duration_text(9_999), "9,999 us");
        assert_eq!(duration_text(213_456), "213 ms");
        assert_eq!(duration_text(2_134_567), "2,134 ms");
    }
}
