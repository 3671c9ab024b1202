//! What each of the last turns did and how long it took, for whoever wants to see it afterwards.
//!
//! ```text
//!  |-disk-|-network-|-tick-|-intake-|-seal-|-write-|-gather-|-fetch-|-tend-|-send-|      asleep      |-disk-| ..
//!  begun                                                                    ended           begun of the next
//! ```
//! Owns: a ring of turns, made before it is needed. Never: allocates while turns run, or is there unless somebody asked for it;
//! then a turn reads the clock once a phase.

use alloc::vec::Vec;
use core::fmt;

use quorate_wire::Time;

use super::counts::Counts;

/// A part of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// What the disk has done.
    Disk,
    /// What came from the peers.
    Network,
    /// Raft's clock, and the records that a new leader owes.
    Tick,
    /// What the shards ask.
    Intake,
    /// The open group is closed.
    Seal,
    /// A group is handed to the disk.
    Write,
    /// What the peers shall be sent.
    Gather,
    /// What consumers shall be sent.
    Fetch,
    /// Dials, segments ahead, the scrubber, repairs.
    Tend,
    /// Sends are handed to the network.
    Send,
}

impl Phase {
    /// All of them, as they follow each other.
    pub const ALL: [Self; 10] = [
        Self::Disk,
        Self::Network,
        Self::Tick,
        Self::Intake,
        Self::Seal,
        Self::Write,
        Self::Gather,
        Self::Fetch,
        Self::Tend,
        Self::Send,
    ];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Network => "network",
            Self::Tick => "tick",
            Self::Intake => "intake",
            Self::Seal => "seal",
            Self::Write => "write",
            Self::Gather => "gather",
            Self::Fetch => "fetch",
            Self::Tend => "tend",
            Self::Send => "send",
        }
    }
}

/// What a turn left its pipeline waiting for, besides the disk, the peers and the shards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: there is more to do.
    #[default]
    Not,
    /// Raft's next deadline: a heartbeat or an election.
    Raft,
    /// The open group's: it is sealed then, even if the disk is busy.
    Batch,
    /// A member's of a consumer group: it has been silent for too long then.
    Members,
    /// The peers': a dial, a greeting, a send that takes too long.
    Peers,
    /// A consumer's, who has waited long enough then.
    Fetch,
    /// A producer's, who wants its chunk on all nodes, and has waited long enough for the rest of them then.
    Rest,
    /// A repair's.
    Repair,
    /// The log's: a segment to be prepared, or the scrubber's next read.
    Log,
}

impl Wait {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Not => "more to do",
            Self::Raft => "raft",
            Self::Batch => "batch",
            Self::Members => "members",
            Self::Peers => "peers",
            Self::Fetch => "fetch",
            Self::Rest => "rest",
            Self::Repair => "repair",
            Self::Log => "log",
        }
    }
}

/// One turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TracedTurn {
    /// When it began.
    pub begun: Time,
    /// When each of its phases ended, in nanoseconds since then: rising.
    ends: [u32; Phase::ALL.len()],
    /// What it did.
    pub did: Counts,
    /// What it waits for in the end: the first of its deadlines.
    pub wait: Wait,
}

impl TracedTurn {
    /// When it ended.
    #[must_use]
    pub fn ended(&self) -> Time {
        self.phases().last().map_or(self.begun, |(_, _, end)| end)
    }

    /// Its phases, from when to when.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, Time, Time)> + use<'_> {
        let at = |end: u32| self.begun.after(u64::from(end));
        let begins = [0].into_iter().chain(self.ends);
        let spans = begins.zip(self.ends);
        let phases = Phase::ALL.into_iter().zip(spans);
        phases.map(move |(phase, (begin, end))| (phase, at(begin), at(end)))
    }
}

/// The last turns of a pipeline.
pub struct Turns {
    /// Invariant: as long as it was made; what was never written is a default.
    turns: Vec<TracedTurn>,
    /// Where the next one goes.
    next: usize,
    /// Whether `next` has come round.
    full: bool,
    current: TracedTurn,
    /// What was done before the current turn.
    before: Counts,
}

impl fmt::Debug for Turns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Turns({} turns)", self.all().count())
    }
}

impl Turns {
    /// Room for so many turns.
    ///
    /// # Panics
    /// It is none.
    #[must_use]
    pub fn new(turns: usize) -> Self {
        assert!(turns > 0, "a trace has room for a turn");
        Self {
            turns: alloc::vec![TracedTurn::default(); turns],
            next: 0,
            full: false,
            current: TracedTurn::default(),
            before: Counts::default(),
        }
    }

    /// The turns that it has, the oldest one first.
    pub fn all(&self) -> impl Iterator<Item = &TracedTurn> {
        let (newer, older) = self.turns.split_at(self.next);
        let older = if self.full { older } else { &[] };
        older.iter().chain(newer)
    }

    pub(super) fn begin(&mut self, now: Time, before: &Counts) {
        self.current = TracedTurn {
            begun: now,
            ..TracedTurn::default()
        };
        self.before = *before;
    }

    /// A phase has ended. One that a turn leaves out ends where the one before it did.
    pub(super) fn ended(&mut self, phase: Phase, now: Time) {
        let end = u32::try_from(now.since(self.current.begun)).unwrap_or(u32::MAX);
        let later = self.current.ends.iter_mut().skip(phase as usize);
        later.for_each(|slot| *slot = end);
    }

    /// The turn is over.
    pub(super) fn end(&mut self, after: &Counts, wait: Wait) {
        self.current.did = after.since(&self.before);
        self.current.wait = wait;
        if let Some(slot) = self.turns.get_mut(self.next) {
            *slot = self.current;
        }
        self.next += 1;
        if self.next == self.turns.len() {
            (self.next, self.full) = (0, true);
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    fn turn(turns: &mut Turns, begun: u64) {
        let done = |turns| Counts {
            turns,
            ..Counts::default()
        };
        turns.begin(Time(begun), &done(begun));
        for (phase, at) in Phase::ALL.into_iter().zip(1..) {
            if phase != Phase::Seal {
                turns.ended(phase, Time(begun + 10 * at));
            }
        }
        turns.end(&done(begun + 1), Wait::Raft);
    }

    #[test]
    fn the_last_turns_are_kept() {
        let mut turns = Turns::new(3);
        let begun = |turns: &Turns| turns.all().map(|turn| turn.begun.0).collect::<Vec<_>>();
        assert!(begun(&turns).is_empty());
        turn(&mut turns, 100);
        assert_eq!(begun(&turns), [100]);
        for at in [300, 500, 700, 900] {
            turn(&mut turns, at);
        }
        assert_eq!(begun(&turns), [500, 700, 900]);
    }

    #[test]
    fn phases_follow_each_other() {
        let mut turns = Turns::new(1);
        turn(&mut turns, 1_000);
        let turn = turns.all().next().expect("one was traced");
        assert_eq!(turn.ended(), Time(1_100));
        assert_eq!((turn.did.turns, turn.wait), (1, Wait::Raft));
        let phases: Vec<_> = turn.phases().collect();
        assert_eq!(phases[0], (Phase::Disk, Time(1_000), Time(1_010)));
        assert_eq!(phases[4], (Phase::Seal, Time(1_040), Time(1_040)));
        assert_eq!(phases[5], (Phase::Write, Time(1_040), Time(1_060)));
    }
}
