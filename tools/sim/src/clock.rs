//! A node's clocks: the monotonic one is the world's, the wall clock goes its own way.

use quorate_replication::seam::Clock;
use quorate_wire::Time;

/// 2026-11-20, in nanoseconds since 1970.
const WALL_START: u64 = 1_795_000_000_000_000_000;

/// What a node's clocks show during one turn.
#[derive(Clone, Copy, Debug)]
pub struct Clocks {
    now: Time,
    wall: u64,
}

impl Clocks {
    /// The clocks of a node whose wall clock is off by `skew` nanoseconds.
    #[must_use]
    pub fn new(now: Time, skew: i64) -> Self {
        let wall = (WALL_START + now.0).saturating_add_signed(skew);
        Self { now, wall }
    }
}

impl Clock for Clocks {
    fn now(&self) -> Time {
        self.now
    }

    fn wall(&self) -> u64 {
        self.wall
    }
}
