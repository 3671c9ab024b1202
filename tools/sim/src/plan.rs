//! What goes wrong in a world, and when, as data: drawn from the seed, and each entry with a seed of its own, so that taking one
//! away does not change what the others do. That is what makes a plan small by trying.
//!
//! Owns: entries and how they are drawn. Never: looks at a world; see `faults`.

use std::fmt;

use crate::random::Random;

const MS: u64 = 1_000_000;

/// Something that goes wrong. Whom it strikes, how hard and for how long is drawn when it strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A node's process or host dies, and comes back.
    Crash,
    /// A node dies between the completion of an operation of its disk and the turn that would hear of it.
    CrashOnCompletion,
    /// All nodes die at once, and come back one by one.
    CrashAll,
    /// A node is asked to stop, as for an upgrade, and comes back.
    Stop,
    /// A node stands still, and does not know.
    Pause,
    /// The leader goes on alone for a while, or stops, and comes back when another one leads.
    Depose,
    /// An operator wants another node to lead.
    HandOver,
    /// The links between two nodes break.
    Reset,
    /// Nothing goes from one node to another.
    CutOneWay,
    /// Nothing goes between two nodes.
    CutBothWays,
    /// Nothing goes to, or from, one node.
    Isolate,
    /// A disk is slow.
    SlowDisk,
    /// A disk is full.
    DiskFull,
    /// A write fails: the node stops.
    WriteFails,
    /// A read fails: the node may stop.
    ReadFails,
    /// A wall clock jumps.
    ClockJump,
    /// Bits change between peers.
    Garble,
    /// Clients lose their connections.
    ShakeClients,
    /// Clients do not reach a node, or do not hear it, and its peers do.
    CutClients,
    /// A minority's node comes back with an empty disk.
    Wipe,
    /// What was durable is not what it was.
    Harm(Harm),
    /// An operator wants other members.
    Change,
    /// An operator wants the consumer group to be forgotten.
    Forget,
}

/// What happens to bytes that were durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Bits of some records change.
    FlipBits,
    /// A write that was reported done is not there, nor what else lies in its blocks.
    LoseWrite,
    /// Another write has landed on it.
    Misdirect,
    /// A segment's file is gone.
    LoseSegment,
    /// One of the two copies of the superblock changes.
    DecaySuperblock,
}

impl Harm {
    /// Its name, for a line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FlipBits => "flipped bits",
            Self::LoseWrite => "lost write",
            Self::Misdirect => "misdirected write",
            Self::LoseSegment => "lost segment",
            Self::DecaySuperblock => "decay of a superblock",
        }
    }
}

impl Fault {
    /// Those that plans draw, each with the largest weight that it may get. Not among them: changes of members, which take spare
    /// nodes ([`Plan::with_changes`]); deleted consumer groups, which take their members ([`Plan::with_ends`]); clients that are cut off
    /// ([`Plan::with_cut_clients`]) and nodes that are asked to stop ([`Plan::with_stops`]), so that worlds without them stay what they were; and misdirected writes, whose old records recovery
    /// takes for a rewrite, and cannot mend.
    pub const ALL: [(Self, u64); 22] = [
        (Self::Crash, 6),
        (Self::CrashOnCompletion, 6),
        (Self::CrashAll, 2),
        (Self::Pause, 6),
        (Self::Depose, 6),
        (Self::HandOver, 4),
        (Self::Reset, 4),
        (Self::CutOneWay, 4),
        (Self::CutBothWays, 4),
        (Self::Isolate, 4),
        (Self::SlowDisk, 3),
        (Self::DiskFull, 2),
        (Self::WriteFails, 2),
        (Self::ReadFails, 2),
        (Self::ClockJump, 2),
        (Self::Garble, 2),
        (Self::ShakeClients, 6),
        (Self::Wipe, 1),
        (Self::Harm(Harm::FlipBits), 4),
        (Self::Harm(Harm::LoseWrite), 2),
        (Self::Harm(Harm::LoseSegment), 2),
        (Self::Harm(Harm::DecaySuperblock), 2),
    ];

    /// Its name, for a line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Crash => "crash",
            Self::CrashOnCompletion => "crash on a completion",
            Self::CrashAll => "crash of all",
            Self::Stop => "stop on request",
            Self::Pause => "pause",
            Self::Depose => "deposed leader",
            Self::HandOver => "hand-over",
            Self::Reset => "links reset",
            Self::CutOneWay => "cut one way",
            Self::CutBothWays => "cut both ways",
            Self::Isolate => "isolated node",
            Self::SlowDisk => "slow disk",
            Self::DiskFull => "full disk",
            Self::WriteFails => "failed write",
            Self::ReadFails => "failed read",
            Self::ClockJump => "clock jump",
            Self::Garble => "changed bits between peers",
            Self::ShakeClients => "lost clients",
            Self::CutClients => "clients cut off",
            Self::Wipe => "wiped disk",
            Self::Harm(harm) => harm.name(),
            Self::Change => "change of members",
            Self::Forget => "deleted consumer group",
        }
    }
}

/// A fault, when it strikes, and what it draws from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the plan that was drawn: its name.
    pub number: usize,
    /// Nanoseconds after the world's start.
    pub at: u64,
    /// What goes wrong.
    pub fault: Fault,
    /// What it draws from.
    pub seed: u64,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:>3}  {:>6} ms  {}",
            self.number,
            self.at / MS,
            self.fault.name()
        )
    }
}

/// What goes wrong in a world.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// By rising time.
    pub entries: Vec<Entry>,
    /// Nanoseconds after which everything is healed.
    pub length: u64,
}

impl Plan {
    /// Nothing goes wrong for so long.
    #[must_use]
    pub const fn calm(length: u64) -> Self {
        Self {
            entries: Vec::new(),
            length,
        }
    }

    /// The plan of a seed; with what happens to durable bytes, or without. Which faults there are at all is drawn too: few of them show what they do when all of them strike.
    #[must_use]
    pub fn draw(seed: u64, harms: bool) -> Self {
        let mut random = Random::new(seed, "plan");
        let weights: Vec<(Fault, u64)> = Fault::ALL
            .iter()
            .filter(|(fault, _)| random.one_in(2) && (harms || !matches!(fault, Fault::Harm(_))))
            .copied()
            .collect();
        let mut random = Random::new(seed, "entries");
        let weights: Vec<(Fault, u64)> = weights
            .iter()
            .map(|&(fault, most)| (fault, random.between(1, most)))
            .collect();
        let length = random.between(3000, 10_000) * MS;
        let pause = random.of(&[100, 300, 1000]) * MS;
        // Also while the group forms.
        let mut at = random.scaled(1000, 500 * MS);
        let mut entries = Vec::new();
        while at < length && !weights.is_empty() {
            entries.push(Entry {
                number: entries.len(),
                at,
                fault: pick(&weights, &mut random),
                seed: random.any(),
            });
            at += random.between(0, pause);
        }
        Self { entries, length }
    }

    /// This plan, with an operator who changes the members now and then.
    #[must_use]
    pub fn with_changes(self, seed: u64) -> Self {
        let random = Random::new(seed, "changes");
        self.with(Fault::Change, random, &[300, 1000, 2000])
    }

    /// This plan, with an operator who has the consumer group forgotten now and then: it is refused while there are members.
    #[must_use]
    pub fn with_ends(self, seed: u64) -> Self {
        let random = Random::new(seed, "ends");
        self.with(Fault::Forget, random, &[100, 300, 1000])
    }

    /// This plan, with nodes that clients do not reach or hear now and then.
    #[must_use]
    pub fn with_cut_clients(self, seed: u64) -> Self {
        let random = Random::new(seed, "cut clients");
        self.with(Fault::CutClients, random, &[300, 1000, 2000])
    }

    /// This plan, with nodes that are asked to stop now and then.
    #[must_use]
    pub fn with_stops(self, seed: u64) -> Self {
        let random = Random::new(seed, "stops");
        self.with(Fault::Stop, random, &[1000, 2000, 4000])
    }

    fn with(mut self, fault: Fault, mut random: Random, pauses: &[u64]) -> Self {
        let pause = random.of(pauses) * MS;
        let mut at = random.between(0, pause);
        while at < self.length {
            self.entries.push(Entry {
                number: self.entries.len(),
                at,
                fault,
                seed: random.any(),
            });
            at += random.between(0, pause);
        }
        self.entries.sort_by_key(|entry| entry.at);
        self
    }

    /// This plan, with only those entries.
    #[must_use]
    pub fn only(&self, numbers: &[usize]) -> Self {
        let entries = self.entries.iter().copied();
        Self {
            entries: entries
                .filter(|entry| numbers.contains(&entry.number))
                .collect(),
            length: self.length,
        }
    }
}

fn pick(weights: &[(Fault, u64)], random: &mut Random) -> Fault {
    let sum: u64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut drawn = random.between(0, sum - 1);
    for &(fault, weight) in weights {
        if drawn < weight {
            return fault;
        }
        drawn -= weight;
    }
    unreachable!("what was drawn is below the sum")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_is_drawn_once_and_parts_of_it_stay_what_they_are() {
        let plan = Plan::draw(3, false);
        assert_eq!(plan, Plan::draw(3, false));
        assert_ne!(plan, Plan::draw(4, false));
        assert!(plan.entries.len() > 4);
        let part = plan.only(&[1, 3]);
        assert_eq!(part.entries.first(), plan.entries.get(1));
        assert_eq!(part.entries.get(1), plan.entries.get(3));
        assert_eq!((part.entries.len(), part.length), (2, plan.length));
    }

    #[test]
    fn changes_are_added_and_the_rest_stays_what_it_is() {
        let plan = Plan::draw(3, false);
        let changes = plan.clone().with_changes(3);
        assert!(changes.entries.len() > plan.entries.len());
        assert!(changes.entries.is_sorted_by_key(|entry| entry.at));
        let known: Vec<usize> = (0..plan.entries.len()).collect();
        assert_eq!(changes.only(&known), plan);
    }

    #[test]
    fn every_fault_is_drawn_by_some_seed() {
        let drawn: Vec<Fault> = (0..50)
            .flat_map(|seed| Plan::draw(seed, true).entries)
            .map(|entry| entry.fault)
            .collect();
        for (fault, _) in Fault::ALL {
            assert!(drawn.contains(&fault), "{}", fault.name());
        }
    }
}
