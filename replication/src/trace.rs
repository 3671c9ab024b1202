//! A chunk's way through the node, stage by stage, for a producer that wants to know. Nobody else pays for it.

use quorate_wire::Time;
use quorate_wire::client::{Stage, StageTimes};

/// How long each stage of a chunk's way took, and when the present one began. All moments are of the node's monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    times: StageTimes,
    since: Time,
}

impl Trace {
    /// A way that begins now.
    #[must_use]
    pub const fn new(now: Time) -> Self {
        Self {
            times: StageTimes::NONE,
            since: now,
        }
    }

    /// A stage is over, and the next one begins. A turn dates what it finds by its own beginning, so that `now` may be earlier.
    pub fn over(&mut self, stage: Stage, now: Time) {
        self.within(stage, now);
        self.since = self.since.max(now);
    }

    /// What runs beside others within the present stage is over.
    pub fn within(&mut self, stage: Stage, now: Time) {
        self.times.set(stage, now.since(self.since));
    }

    /// The times.
    #[must_use]
    pub const fn times(&self) -> StageTimes {
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_one_another_and_run_side_by_side() {
        let mut trace = Trace::new(Time(100));
        trace.over(Stage::Gate, Time(110));
        trace.over(Stage::Lane, Time(105));
        trace.over(Stage::Batch, Time(140));
        trace.within(Stage::FollowerWrite, Time(200));
        trace.over(Stage::Commit, Time(220));
        let times = Stage::ALL.map(|stage| trace.times().get(stage));
        let expected = [Some(10), Some(0), Some(30), None, Some(60), Some(80), None];
        assert_eq!(times, expected);
    }
}
