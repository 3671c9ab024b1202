//! A stretch of load in slots of time.

use std::time::Duration;

use hdrhistogram::Histogram;

/// At most about so many slots: more than a plot can show apart are of no use.
const SLOTS_MAX: u32 = 120;

/// Slots have one of these lengths, in milliseconds, or a multiple of the last one.
const SLOT_MS: [u64; 9] = [100, 200, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000];

/// The longest latency that a slot tells apart, in microseconds.
const LONGEST_US: u64 = 60_000_000;

/// Throughput and latency over time.
#[derive(Clone, Debug)]
pub struct Series {
    slot: Duration,
    slots: Vec<Slot>,
}

#[derive(Clone, Debug)]
struct Slot {
    /// Events acknowledged in it.
    events: u64,
    /// Latencies of the requests that began in it.
    latency_us: Histogram<u64>,
}

/// What one slot has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Where the slot begins.
    pub at: Duration,
    /// Events that were acknowledged in it.
    pub events: u64,
    /// Half of the requests that began in it took no longer, in microseconds; 0 if none began.
    pub p50_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// None took longer.
    pub max_us: u64,
}

impl Series {
    /// Empty slots for so long a stretch. All memory is taken here: nothing is allocated while it measures.
    pub(crate) fn new(planned: Duration) -> Self {
        let slot = slot_of(planned);
        let count = planned.as_nanos().div_ceil(slot.as_nanos()).max(1);
        let count = usize::try_from(count).expect("a stretch has few slots");
        let empty = Slot {
            events: 0,
            latency_us: Histogram::new_with_bounds(1, LONGEST_US, 2)
                .expect("from 1 to a minute in two digits is a valid histogram"),
        };
        Self {
            slot,
            slots: vec![empty; count],
        }
    }

    /// How long a slot is.
    #[must_use]
    pub const fn slot(&self) -> Duration {
        self.slot
    }

    fn slot_at(&mut self, at: Duration) -> Option<&mut Slot> {
        let place = at.as_nanos() / self.slot.as_nanos();
        self.slots.get_mut(usize::try_from(place).ok()?)
    }

    /// Events were acknowledged. What comes after the planned end is in no slot: the last one would look better than it was.
    pub(crate) fn acked(&mut self, at: Duration, events: u32) {
        if let Some(slot) = self.slot_at(at) {
            slot.events += u64::from(events);
        }
    }

    /// A request that began then took so long.
    pub(crate) fn took(&mut self, began: Duration, latency: Duration) {
        if let Some(slot) = self.slot_at(began) {
            let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
            slot.latency_us.saturating_record(us.max(1));
        }
    }

    /// The slots, in order.
    pub fn points(&self) -> impl Iterator<Item = Point> {
        (0_u32..).zip(&self.slots).map(|(number, slot)| Point {
            at: self.slot * number,
            events: slot.events,
            p50_us: slot.latency_us.value_at_quantile(0.5),
            p99_us: slot.latency_us.value_at_quantile(0.99),
            max_us: slot.latency_us.max(),
        })
    }
}

fn slot_of(planned: Duration) -> Duration {
    let lengths = SLOT_MS.map(Duration::from_millis);
    let fits = |length: &Duration| planned <= *length * SLOTS_MAX;
    lengths.into_iter().find(fits).unwrap_or_else(|| {
        let last = Duration::from_secs(60);
        let minutes = planned.as_secs() / (60 * u64::from(SLOTS_MAX)) + 1;
        last * u32::try_from(minutes).unwrap_or(u32::MAX)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Series, slot_of};

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn slots_are_round_and_not_too_many() {
        assert_eq!(slot_of(ms(5_000)), ms(100));
        assert_eq!(slot_of(ms(60_000)), ms(500));
        assert_eq!(slot_of(ms(3_600_000)), ms(30_000));
        let day = slot_of(ms(86_400_000));
        assert!(day >= ms(600_000) && day.as_secs().is_multiple_of(60));
        assert_eq!(Series::new(Duration::ZERO).points().count(), 1);
    }

    #[test]
    fn events_lie_where_they_were_acknowledged_and_latencies_where_they_began() {
        let mut series = Series::new(ms(300));
        series.acked(ms(250), 64);
        series.took(ms(50), ms(200));
        series.acked(ms(300), 64);
        series.took(ms(9_999), ms(1));
        let points: Vec<_> = series.points().collect();
        let events: Vec<_> = points.iter().map(|point| point.events).collect();
        assert_eq!(events, [0, 0, 64]);
        assert!(points[0].p50_us >= 199_000 && points[0].max_us >= points[0].p99_us);
        assert_eq!((points[1].p99_us, points[2].max_us), (0, 0));
        assert_eq!(points[2].at, ms(200));
    }
}
