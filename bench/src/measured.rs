//! What a stretch of load has shown.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The longest latency that is told apart, in microseconds; longer ones count as this one.
const LONGEST_US: u64 = 3_600_000_000;

/// What was acknowledged during one stretch of a load, wherever it was sent.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Events acknowledged.
    pub events: u64,
    /// Requests acknowledged.
    pub requests: u64,
    /// How long the stretch was.
    pub elapsed: Duration,
    /// From a request's first send to its acknowledgement, in microseconds: each request once.
    pub latency_us: Histogram<u64>,
    /// Connections that were lost and made again.
    pub reconnects: u64,
    /// Requests sent again.
    pub resends: u64,
    /// Refusals that were retried.
    pub refusals: u64,
}

impl Measured {
    pub(crate) fn new() -> Self {
        let latency_us = Histogram::new_with_bounds(1, LONGEST_US, 3)
            .expect("from 1 to an hour in three digits is a valid histogram");
        Self {
            events: 0,
            requests: 0,
            elapsed: Duration::ZERO,
            latency_us,
            reconnects: 0,
            resends: 0,
            refusals: 0,
        }
    }

    pub(crate) fn acked(&mut self, events: u32, latency: Duration) {
        self.events += u64::from(events);
        self.requests += 1;
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.latency_us.saturating_record(us.max(1));
    }

    /// Acknowledged events a second.
    #[must_use]
    pub fn events_per_s(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a rate needs no more digits than a float has"
        )]
        let events = self.events as f64;
        if seconds > 0.0 { events / seconds } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Measured;

    #[test]
    fn a_rate_counts_events_and_the_histogram_requests() {
        let mut measured = Measured::new();
        assert!(measured.events_per_s() < f64::EPSILON);
        for ms in [1, 2, 3] {
            measured.acked(64, Duration::from_millis(ms));
        }
        measured.acked(8, Duration::ZERO);
        measured.elapsed = Duration::from_millis(500);
        assert!((measured.events_per_s() - 400.0).abs() < 1e-6);
        assert_eq!((measured.requests, measured.latency_us.len()), (4, 4));
        assert_eq!(measured.latency_us.min(), 1);
        assert!((2_998..=3_002).contains(&measured.latency_us.max()));
    }
}
