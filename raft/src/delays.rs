//! How slow links and peers have lately been, as this node has seen it: election timeouts grow by that, within a bound.
//!
//! Measured are round trips (of a pre-vote; of an append and its answer), how long a vote takes to the own disk, and how much later than a
//! heartbeat a leader's word came. The worst of the last while counts twice: what has happened once may happen again, and a little worse.
//! Only what is long grows: how long a leader is stuck to, and what leases rest on, stays.

use quorate_wire::Time;

/// For so long, or twice as long at most, the worst is remembered.
const WHILE: u64 = 10_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Delays {
    /// The most that timeouts grow by.
    slack_max: u64,
    since: Time,
    /// Since `since`.
    worst: u64,
    /// In the while before it.
    before: u64,
}

impl Delays {
    pub(crate) fn new(slack_max: u64, now: Time) -> Self {
        Self {
            slack_max,
            since: now,
            worst: 0,
            before: 0,
        }
    }

    pub(crate) fn on_tick(&mut self, now: Time) {
        if now.since(self.since) >= WHILE {
            (self.before, self.worst, self.since) = (self.worst, 0, now);
        }
    }

    pub(crate) fn observe(&mut self, delay: u64) {
        self.worst = self.worst.max(delay);
    }

    /// By how much an election timeout grows.
    pub(crate) fn slack(&self) -> u64 {
        let worst = self.worst.max(self.before);
        worst.saturating_mul(2).min(self.slack_max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_worst_counts_twice_for_a_while_and_within_the_bound() {
        let mut delays = Delays::new(100 * MS, Time(0));
        assert_eq!(delays.slack(), 0);
        for (delay, slack) in [(20, 40), (5, 40), (30, 60), (900, 100)] {
            delays.observe(delay * MS);
            assert_eq!(delays.slack(), slack * MS);
        }
        delays.on_tick(Time(WHILE));
        delays.observe(MS);
        assert_eq!(delays.slack(), 100 * MS, "it is not long ago");
        delays.on_tick(Time(2 * WHILE));
        assert_eq!(delays.slack(), 2 * MS);
    }

    #[test]
    fn without_a_bound_to_grow_to_nothing_grows() {
        let mut delays = Delays::new(0, Time(0));
        delays.observe(u64::MAX);
        assert_eq!(delays.slack(), 0);
    }
}
