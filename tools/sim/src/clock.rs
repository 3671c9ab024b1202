//! A node's clocks. The monotonic one runs a little faster or slower than the world's; the wall clock goes with it, and jumps.

use quorate_replication::seam;
use quorate_wire::Time;

/// 2026-11-20, in nanoseconds since 1970.
const WALL_START: u64 = 1_795_000_000_000_000_000;

/// A rate of one, in parts of a million.
const EVEN: u64 = 1_000_000;

/// A node's clock: how it differs from the world's.
#[derive(Clone, Copy, Debug)]
pub struct NodeClock {
    /// Nanoseconds of its own in a millisecond of the world's, so to speak: parts of a million.
    rate: u64,
    /// How far the wall clock is off, in nanoseconds.
    skew: i64,
}

impl Default for NodeClock {
    fn default() -> Self {
        Self {
            rate: EVEN,
            skew: 0,
        }
    }
}

impl NodeClock {
    /// It runs at this rate, in parts of a million. Only before the node has run: a monotonic clock does not jump.
    pub fn set_rate(&mut self, rate: u64) {
        self.rate = rate;
    }

    /// The wall clock jumps.
    pub fn jump(&mut self, by: i64) {
        self.skew += by;
    }

    /// What it shows when the world's clock shows `now`.
    #[must_use]
    pub fn local(&self, now: Time) -> Time {
        if self.rate == EVEN {
            return now;
        }
        let local = u128::from(now.0) * u128::from(self.rate) / u128::from(EVEN);
        Time(u64::try_from(local).unwrap_or(u64::MAX))
    }

    /// The first moment of the world at which it shows `local`.
    #[must_use]
    pub fn world(&self, local: Time) -> Time {
        if self.rate == EVEN {
            return local;
        }
        let world = (u128::from(local.0) * u128::from(EVEN)).div_ceil(u128::from(self.rate));
        Time(u64::try_from(world).unwrap_or(u64::MAX))
    }

    /// What it shows during a turn.
    #[must_use]
    pub fn read(&self, now: Time) -> Clocks {
        let now = self.local(now);
        let wall = (WALL_START + now.0).saturating_add_signed(self.skew);
        Clocks { now, wall }
    }
}

/// What a node's clocks show during one turn.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    now: Time,
    wall: u64,
}

impl seam::Clock for Clocks {
    fn now(&self) -> Time {
        self.now
    }

    fn wall(&self) -> u64 {
        self.wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_of_a_clock_is_the_first_moment_at_which_it_shows_it() {
        for rate in [950_000, 999_999, 1_000_000, 1_000_001, 1_050_000] {
            let mut clock = NodeClock::default();
            clock.set_rate(rate);
            for local in [0, 1, 17, 999_999, 150_000_000, 123_456_789_123] {
                let world = clock.world(Time(local));
                assert!(clock.local(world) >= Time(local));
                let before = Time(world.0.saturating_sub(1));
                assert!(world.0 == 0 || clock.local(before) < Time(local));
            }
        }
    }
}
