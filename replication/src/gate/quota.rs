//! How much one client may send: so many events and bytes a second.
//!
//! Owns: what a client has used. Never: a clock; the moment comes in as a value. Called by: whoever admits a client's chunks.

use quorate_wire::Time;

const SECOND: u64 = 1_000_000_000;

/// What a client may send, and what it has used of that. It may save up a second's worth.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quota {
    events: Rate,
    bytes: Rate,
}

/// So much a second; zero: as much as it likes.
#[derive(Clone, Copy, Debug, Default)]
struct Rate {
    per_second: u64,
    /// All that was taken is worth the time up to this moment.
    paid: Time,
}

impl Rate {
    /// How long it takes, in nanoseconds, until something may be taken.
    fn wait(&self, now: Time) -> u64 {
        if self.per_second == 0 {
            return 0;
        }
        self.paid.since(now.after(SECOND))
    }

    /// Takes so much, however much it is: what is too large for a second is paid for afterwards.
    fn take(&mut self, amount: u64, now: Time) {
        if self.per_second > 0 {
            let cost = u128::from(amount) * u128::from(SECOND) / u128::from(self.per_second);
            let cost = u64::try_from(cost).unwrap_or(u64::MAX);
            self.paid = self.paid.max(now).after(cost);
        }
    }
}

impl Quota {
    /// So many events and bytes a second; zero: as many as it likes.
    #[must_use]
    pub fn new(events_per_second: u64, bytes_per_second: u64) -> Self {
        let rate = |per_second| Rate {
            per_second,
            paid: Time(0),
        };
        Self {
            events: rate(events_per_second),
            bytes: rate(bytes_per_second),
        }
    }

    /// Takes a chunk.
    ///
    /// # Errors
    /// It is too early, by so many nanoseconds: nothing is taken.
    pub fn take(&mut self, events: u32, bytes: usize, now: Time) -> Result<(), u64> {
        let wait = self.events.wait(now).max(self.bytes.wait(now));
        if wait > 0 {
            return Err(wait);
        }
        self.events.take(u64::from(events), now);
        let bytes = u64::try_from(bytes).expect("a size fits into 64 bits");
        self.bytes.take(bytes, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    /// How many chunks pass of one that is tried each millisecond.
    fn passed(
        quota: &mut Quota,
        (events, bytes): (u32, usize),
        ms: core::ops::Range<u64>,
    ) -> usize {
        ms.filter(|at| quota.take(events, bytes, Time(at * MS)).is_ok())
            .count()
    }

    #[test]
    fn a_client_gets_its_rate_and_a_second_that_it_saved() {
        let mut quota = Quota::new(1_000, 0);
        assert!((199..=202).contains(&passed(&mut quota, (10, 5_000), 5_000..6_000)));
        assert!((99..=101).contains(&passed(&mut quota, (10, 5_000), 6_000..7_000)));
        let mut quota = Quota::new(1_000_000, 50_000);
        assert!((19..=22).contains(&passed(&mut quota, (10, 5_000), 5_000..6_000)));
        assert_eq!(passed(&mut Quota::new(0, 0), (10, 5_000), 0..1_000), 1_000);
    }

    #[test]
    fn who_comes_too_early_is_told_by_how_much() {
        let mut quota = Quota::new(10, 0);
        // One that is larger than a second's worth passes, and the next one waits for it.
        assert_eq!(quota.take(50, 1, Time(0)), Ok(()));
        let wait = quota.take(1, 1, Time(0)).expect_err("it is too early");
        assert_eq!(wait, 4 * SECOND);
        assert!(quota.take(1, 1, Time(wait - 1)).is_err());
        assert_eq!(quota.take(1, 1, Time(wait)), Ok(()));
    }
}
