//! When each request of an open loop is due.
//!
//! Owns: the arithmetic. Never: a clock. Called by: the streams.
//!
//! ```text
//!   start    +1/r     +2/r     +3/r
//!   |--------|--------|--------|-----   requests 0, 1, 2, 3 ... with r requests a second in all
//!   a        b        a        b        two producers take turns
//! ```
//! A request's latency counts from the moment at which it was due, however late it was sent: if the nodes stall, the requests that
//! nobody could send meanwhile count as having waited. A closed loop leaves them out ("coordinated omission").

use std::num::NonZeroU64;

use quorate_client::Time;

const SECOND_NS: u128 = 1_000_000_000;

/// Evenly spaced requests from a moment on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Schedule {
    start: Time,
    events_per_s: NonZeroU64,
    /// Events in a request.
    batch: u32,
}

impl Schedule {
    pub(crate) const fn new(start: Time, events_per_s: NonZeroU64, batch: u32) -> Self {
        Self {
            start,
            events_per_s,
            batch,
        }
    }

    /// When a request is due, counted from 0 over all producers.
    pub(crate) fn due(&self, request: u64) -> Time {
        let events = u128::from(request) * u128::from(self.batch);
        let after = events * SECOND_NS / u128::from(self.events_per_s.get());
        let after = u64::try_from(after).unwrap_or(u64::MAX);
        Time(self.start.0.saturating_add(after))
    }
}

/// One producer's share of a schedule: every so-manieth request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turns {
    schedule: Schedule,
    /// The next request that is not sent.
    next: u64,
    producers: u64,
    /// Nothing that is due at this moment or later is sent.
    end: Time,
}

impl Turns {
    /// The turns of producer `producer`, counted from 0, of so many.
    pub(crate) const fn new(schedule: Schedule, producer: u64, producers: u64, end: Time) -> Self {
        Self {
            schedule,
            next: producer,
            producers,
            end,
        }
    }

    /// When the next request is due, if one still is.
    pub(crate) fn next_due(&self) -> Option<Time> {
        let due = self.schedule.due(self.next);
        (due < self.end).then_some(due)
    }

    /// The next request is sent.
    pub(crate) fn take(&mut self) {
        self.next += self.producers;
    }

    /// Nothing more is sent, not even what is overdue; returns when those requests were due.
    pub(crate) fn cut(&mut self, now: Time) -> Vec<Time> {
        self.end = self.end.min(now);
        let mut unsent = Vec::new();
        while let Some(due) = self.next_due() {
            unsent.push(due);
            self.take();
        }
        unsent
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;

    use quorate_client::Time;

    use super::{Schedule, Turns};

    fn schedule(events_per_s: u64, batch: u32) -> Schedule {
        let rate = NonZeroU64::new(events_per_s).expect("the tests ask for events");
        Schedule::new(Time(1_000), rate, batch)
    }

    #[test]
    fn requests_are_evenly_spaced_and_never_drift() {
        let schedule = schedule(70_000, 1);
        assert_eq!(schedule.due(0), Time(1_000));
        assert_eq!(schedule.due(1), Time(1_000 + 14_285));
        assert_eq!(schedule.due(7), Time(1_000 + 100_000));
        // A rounded interval would be 20 ms off after a day.
        let day = 86_400;
        assert_eq!(
            schedule.due(70_000 * day),
            Time(1_000 + day * 1_000_000_000)
        );
    }

    #[test]
    fn the_rate_is_in_events_however_many_a_request_has() {
        assert_eq!(schedule(64_000, 64).due(1_000), Time(1_000 + 1_000_000_000));
        assert_eq!(schedule(1, 64).due(u64::MAX), Time(u64::MAX));
    }

    #[test]
    fn producers_take_turns() {
        let schedule = schedule(1_000, 1);
        let end = Time(1_000 + 5_000_000);
        let mut first = Turns::new(schedule, 0, 2, end);
        let mut second = Turns::new(schedule, 1, 2, end);
        let all = |turns: &mut Turns| {
            std::iter::from_fn(|| {
                let due = turns.next_due()?;
                turns.take();
                Some((due.0 - 1_000) / 1_000_000)
            })
            .collect::<Vec<_>>()
        };
        assert_eq!(all(&mut first), [0, 2, 4]);
        assert_eq!(all(&mut second), [1, 3]);
    }

    #[test]
    fn what_was_due_and_not_sent_is_counted() {
        let mut turns = Turns::new(schedule(1_000, 1), 0, 1, Time(u64::MAX));
        turns.take();
        let unsent = turns.cut(Time(1_000 + 4_500_000));
        let due = [1, 2, 3, 4].map(|ms| Time(1_000 + ms * 1_000_000));
        assert_eq!(unsent, due);
        assert_eq!(turns.next_due(), None);
        assert_eq!(turns.cut(Time(u64::MAX)), [], "it was cut before");
    }
}
