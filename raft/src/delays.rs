//! How slow links and peers have lately been, as this node has seen it: election timeouts grow by that, within a bound.
//!
//! Measured are round trips (of a pre-vote; of an append and its answer), how long a vote takes to the own disk, and how much later than a
//! heartbeat a leader's word came. The worst of the last while counts twice: what has happened once may happen again, and a little worse.
//! Only what is long grows: how long a leader is stuck to, and what leases rest on, stays.
//!
//! The bound keeps a failover short. Where it is too low, no election would ever end: so each one that ends without a leader doubles it,
//! until a leader has committed something.

use quorate_wire::Time;

/// For so long, or twice as long at most, the worst is remembered.
const WHILE: u64 = 10_000_000_000;

/// However many elections ended without a leader, timeouts grow by no more than this, unless they may anyway.
const IN_VAIN_MAX: u64 = 2_000_000_000;

#[derive(Clone, Debug)]
pub(crate) struct Delays {
    /// The most that timeouts grow by, where elections end.
    slack_max: u64,
    /// The most that they grow by now. Zero stays zero.
    bound: u64,
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
            bound: slack_max,
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

    /// An election has ended without a leader.
    pub(crate) fn in_vain(&mut self) {
        let most = self.slack_max.max(IN_VAIN_MAX);
        self.bound = self.bound.saturating_mul(2).min(most);
    }

    /// A leader has committed something.
    pub(crate) fn settled(&mut self) {
        self.bound = self.slack_max;
    }

    /// By how much an election timeout grows.
    pub(crate) fn slack(&self) -> u64 {
        let worst = self.worst.max(self.before);
        worst.saturating_mul(2).min(self.bound)
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
        delays.in_vain();
        assert_eq!(delays.slack(), 0);
    }

    #[test]
    fn elections_in_vain_double_the_bound_until_one_is_not() {
        let mut delays = Delays::new(100 * MS, Time(0));
        delays.observe(400 * MS);
        for slack in [100, 200, 400, 800, 800] {
            assert_eq!(delays.slack(), slack * MS);
            delays.in_vain();
        }
        delays.observe(9_000 * MS);
        assert_eq!(delays.slack(), IN_VAIN_MAX);
        delays.settled();
        assert_eq!(delays.slack(), 100 * MS);
        let mut patient = Delays::new(5_000 * MS, Time(0));
        patient.observe(9_000 * MS);
        patient.in_vain();
        assert_eq!(patient.slack(), 5_000 * MS);
    }
}
