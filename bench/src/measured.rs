//! What a stretch of load has shown.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use quorate_client::{Ack, AckLevel, Time};

use crate::load::Pace;
use crate::series::Series;
use crate::stages::Stages;

/// The longest latency that is told apart, in microseconds; longer ones count as this one.
const LONGEST_US: u64 = 3_600_000_000;

/// An empty histogram of microseconds, three digits each.
pub(crate) fn histogram_us() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, 3)
        .expect("from 1 to an hour in three digits is a valid histogram")
}

/// Counts a time in a histogram of microseconds.
pub(crate) fn record_us(histogram: &mut Histogram<u64>, took: Duration) {
    let us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    histogram.saturating_record(us.max(1));
}

/// What was acknowledged during one stretch of a load, wherever it was sent.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Events acknowledged.
    pub events: u64,
    /// Requests acknowledged.
    pub requests: u64,
    /// How long the stretch was.
    pub elapsed: Duration,
    /// Latencies in microseconds, each request once. Closed loop: from the first send of a request that was acknowledged in the
    /// stretch. Open loop: from the moment at which a request was due in the stretch, whenever it was sent and acknowledged.
    pub latency_us: Histogram<u64>,
    /// Open loop: by how much requests were sent later than they were due, in microseconds: this process was late, or the window
    /// was full.
    pub lateness_us: Histogram<u64>,
    /// The same stretch in slots of time.
    pub series: Series,
    /// Open loop: requests that were due in the stretch and never sent, because the window was full to the end. In the histogram
    /// each stands with the time that it had waited by then: left out, an overload would look better than it was.
    pub unsent: u64,
    /// The stages of those requests of the stretch that were asked for them.
    pub stages: Stages,
    /// Requests that were acknowledged on a majority of the disks only, where all were asked for.
    pub not_on_all: u64,
    /// Connections that were lost and made again.
    pub reconnects: u64,
    /// Requests sent again.
    pub resends: u64,
    /// Refusals that were retried.
    pub refusals: u64,
    /// The stretch's first requests one by one, as many as [`Load::each`](crate::Load::each) says. They are those in
    /// `latency_us`.
    pub each: Vec<Took>,
    stretch: Stretch,
    newest: Option<Newest>,
}

/// One request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Took {
    /// When it began, in the stretch: its latency counts from there.
    pub began: Duration,
    /// How long it took from then on.
    pub latency: Duration,
}

/// The acknowledgement that was counted last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newest {
    /// When its request was due, or in a closed loop first sent.
    pub began: Instant,
    /// When it was read.
    pub acked: Instant,
}

/// Which stretch it is.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    pace: Pace,
    /// The instant that moments count from.
    origin: Instant,
    from: Time,
    over: bool,
}

impl Measured {
    /// Nothing yet, from this moment on.
    pub(crate) fn new(
        pace: Pace,
        origin: Instant,
        from: Time,
        (planned, each): (Duration, usize),
    ) -> Self {
        Self {
            events: 0,
            requests: 0,
            elapsed: Duration::ZERO,
            latency_us: histogram_us(),
            lateness_us: histogram_us(),
            series: Series::new(planned),
            unsent: 0,
            stages: Stages::default(),
            not_on_all: 0,
            reconnects: 0,
            resends: 0,
            refusals: 0,
            each: Vec::with_capacity(each),
            stretch: Stretch {
                pace,
                origin,
                from,
                over: false,
            },
            newest: None,
        }
    }

    /// What comes from now on was acknowledged after the stretch.
    pub(crate) fn end(&mut self, now: Time) {
        self.elapsed = Duration::from_nanos(now.since(self.stretch.from));
        self.stretch.over = true;
    }

    /// A request was sent that was due then.
    pub(crate) fn sent(&mut self, due: Time, now: Time) {
        record_us(&mut self.lateness_us, Duration::from_nanos(now.since(due)));
    }

    /// A request that was due then is given up, unsent.
    pub(crate) fn never_sent(&mut self, due: Time, now: Time) {
        self.unsent += 1;
        self.took(due, now);
    }

    fn took(&mut self, began: Time, now: Time) {
        let latency = Duration::from_nanos(now.since(began));
        record_us(&mut self.latency_us, latency);
        let began = Duration::from_nanos(began.since(self.stretch.from));
        self.series.took(began, latency);
        if self.each.len() < self.each.capacity() {
            self.each.push(Took { began, latency });
        }
    }

    /// A request is acknowledged that was due, or in a closed loop first sent, then.
    pub(crate) fn acked(&mut self, events: u32, began: Time, now: Time) {
        let stretch = self.stretch;
        self.newest = Some(Newest {
            began: stretch.origin + Duration::from_nanos(began.0),
            acked: stretch.origin + Duration::from_nanos(now.0),
        });
        if !stretch.over {
            self.events += u64::from(events);
            self.requests += 1;
            let at = Duration::from_nanos(now.since(stretch.from));
            self.series.acked(at, events);
        }
        let counts = match stretch.pace {
            Pace::Closed => !stretch.over,
            Pace::Open { .. } => began >= stretch.from,
        };
        if counts {
            self.took(began, now);
        }
    }

    /// Counts what an acknowledgement tells besides.
    pub(crate) fn told(&mut self, ack: &Ack, asked: AckLevel) {
        if self.stretch.over {
            return;
        }
        self.not_on_all += u64::from(asked == AckLevel::All && ack.level != AckLevel::All);
        if let Some(times) = &ack.stages {
            self.stages.record(times);
        }
    }

    /// The acknowledgement that was counted last.
    #[must_use]
    pub fn newest(&self) -> Option<Newest> {
        self.newest
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
    use std::num::NonZeroU64;
    use std::time::{Duration, Instant};

    use quorate_client::Time;

    use super::Measured;
    use crate::Pace;

    const MS: u64 = 1_000_000;

    fn measured(pace: Pace, from: Time) -> Measured {
        Measured::new(pace, Instant::now(), from, (Duration::from_secs(1), 2))
    }

    fn open() -> Pace {
        Pace::Open {
            events_per_s: NonZeroU64::new(1_000).expect("it is not 0"),
        }
    }

    #[test]
    fn a_rate_counts_events_and_the_histogram_requests() {
        let mut measured = measured(Pace::Closed, Time(0));
        assert!(measured.events_per_s() < f64::EPSILON);
        for ms in [1, 2, 3] {
            measured.acked(64, Time(0), Time(ms * MS));
        }
        measured.acked(8, Time(4 * MS), Time(4 * MS));
        measured.end(Time(500 * MS));
        assert!((measured.events_per_s() - 400.0).abs() < 1e-6);
        assert_eq!((measured.requests, measured.latency_us.len()), (4, 4));
        assert_eq!(measured.latency_us.min(), 1);
        assert!((2_998..=3_002).contains(&measured.latency_us.max()));
    }

    #[test]
    fn a_closed_stretch_is_of_what_was_acknowledged_in_it() {
        let mut measured = measured(Pace::Closed, Time(100 * MS));
        measured.acked(1, Time(90 * MS), Time(101 * MS));
        measured.end(Time(200 * MS));
        measured.acked(1, Time(199 * MS), Time(201 * MS));
        assert_eq!((measured.events, measured.latency_us.len()), (1, 1));
        assert!(measured.latency_us.max() >= 11_000);
    }

    #[test]
    fn an_open_stretch_is_of_what_was_due_in_it() {
        let mut measured = measured(open(), Time(100 * MS));
        measured.acked(1, Time(90 * MS), Time(101 * MS));
        assert_eq!((measured.events, measured.latency_us.len()), (1, 0));
        measured.acked(1, Time(110 * MS), Time(112 * MS));
        measured.end(Time(200 * MS));
        // Whoever stalls at the end does not get away with it.
        measured.acked(1, Time(150 * MS), Time(950 * MS));
        assert_eq!((measured.events, measured.latency_us.len()), (2, 2));
        assert!(measured.latency_us.max() >= 799_000);
        measured.never_sent(Time(110 * MS), Time(200 * MS));
        assert_eq!((measured.unsent, measured.latency_us.len()), (1, 3));
        let latencies: Vec<_> = measured.each.iter().map(|took| took.latency).collect();
        assert_eq!(latencies, [2, 800].map(Duration::from_millis));
        assert_eq!(measured.each[1].began, Duration::from_millis(50));
        let newest = measured.newest().expect("three were acknowledged");
        assert_eq!(newest.acked - newest.began, Duration::from_millis(800));
    }
}
