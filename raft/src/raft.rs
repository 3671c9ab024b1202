//! The core: its state, and the one function that changes it.

use quorate_wire::{LogIndex, NodeId, Position, Term, Time};

use crate::{Config, Input, Mark, Output, Recovered};

/// A Raft core of one node in one group.
#[derive(Debug)]
pub struct Raft {
    config: Config,
    recovered: Recovered,
    now: Time,
}

/// A role, for status pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleName {
    /// Follows a leader, or waits for one.
    Follower,
    /// Asks for votes or pre-votes.
    Candidate,
    /// Leads.
    Leader,
}

impl Raft {
    /// A follower with what recovery found.
    #[must_use]
    pub fn new(config: Config, recovered: Recovered, now: Time) -> Self {
        Self { config, recovered, now }
    }

    /// Takes what happened and says what to do. The caller has cleared `output`.
    pub fn step(&mut self, input: Input, output: &mut Output) {
        let _ = (input, output);
    }

    /// The current term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.recovered.term
    }

    /// Whether this node leads in the current term. It may not serve yet.
    #[must_use]
    pub fn leads(&self) -> bool {
        false
    }

    /// Who leads the current term, if known.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        None
    }

    /// The role, for status pages.
    #[must_use]
    pub fn role(&self) -> RoleName {
        RoleName::Follower
    }

    /// Where the log ends.
    #[must_use]
    pub fn last(&self) -> Position {
        Position::default()
    }

    /// All records up to here are committed.
    #[must_use]
    pub fn commit(&self) -> LogIndex {
        self.recovered.commit
    }

    /// All records up to here are durable on this node.
    #[must_use]
    pub fn durable(&self) -> LogIndex {
        self.recovered.last
    }

    /// The end of the log, for a write that is submitted now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark::default()
    }

    /// Whether this node leads and the no-op of its term is committed: only now it knows what is committed (TRAPS 17).
    #[must_use]
    pub fn serves(&self) -> bool {
        false
    }

    /// When the next `Tick` is needed at the latest.
    #[must_use]
    pub fn deadline(&self) -> Time {
        self.now.after(self.config.election_max)
    }

    /// Term of the record at `index`, or `None` if there is no such record. Zero has term zero.
    #[must_use]
    pub fn term_at(&self, index: LogIndex) -> Option<Term> {
        let _ = index;
        None
    }

    /// For each peer: who, whether it is up, and up to where its log is known to be durable (zero unless this node leads).
    pub fn peer_progress(&self) -> impl Iterator<Item = (NodeId, bool, LogIndex)> + '_ {
        core::iter::empty()
    }
}
