//! Everything that a core can ask of its driver.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, NodeId, Position, SessionId, Term};

use crate::Envelope;

/// What a step asks for. The driver keeps one, and clears it before each step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Make this durable, then say `HardStateDurable`. Replaces an earlier one that is still waiting.
    pub hard_state: Option<HardState>,
    /// Keep these records of the append that was just stepped.
    pub append: Option<Appended>,
    /// Append a no-op record at this position (Raft §8): this node leads from here on.
    pub noop: Option<Position>,
    /// Send these, in order. An `Append` with entries answers a `Ready`, and the records of that `Ready` go beside it.
    pub send: Vec<Envelope>,
    /// Get these records at hand, from memory or disk, and say `Ready`. At most one is open for a peer.
    pub want: Vec<Want>,
    /// All records up to here are committed. Told once for each rise.
    pub commit: Option<LogIndex>,
    /// Reads that may be answered, or never will be. Each [`Input::Read`](crate::Input::Read) is told here once.
    pub reads: Vec<Readable>,
    /// What happened, for the log and the transcripts.
    pub notes: Vec<Note>,
}

impl Output {
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.hard_state = None;
        self.append = None;
        self.noop = None;
        self.send.clear();
        self.want.clear();
        self.commit = None;
        self.reads.clear();
        self.notes.clear();
    }
}

/// Term and vote (Raft figure 2, persistent state), and whether the log beside them can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HardState {
    /// Rises with each change.
    pub version: u64,
    /// The current term.
    pub term: Term,
    /// Whom this node voted for in it.
    pub vote: Option<NodeId>,
    /// Records may be missing that this node has acknowledged: as in [`Recovered::unsure`](crate::Recovered::unsure).
    pub unsure: bool,
}

/// Which records of an append to keep. Records that were at `first` and after are void: they conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// First record to keep; earlier ones of the message are here already.
    pub first: LogIndex,
    /// Last record to keep.
    pub last: LogIndex,
    /// Whether records from `first` on were in the log, and have just become void.
    pub truncates: bool,
}

/// Records to get at hand for a peer, all of one term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// For whom.
    pub peer: NodeId,
    /// The session that it is for.
    pub session: SessionId,
    /// First record.
    pub first: LogIndex,
    /// Last record that may be sent.
    pub last: LogIndex,
    /// Most bytes. One record is sent even if it alone is larger.
    pub bytes_max: u32,
}

/// What became of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readable {
    /// From [`Input::Read`](crate::Input::Read).
    pub id: u64,
    /// It sees all that was committed before it was asked, once the records up to here are applied. `None`: this node does not
    /// lead, or does not serve yet, or leads no more.
    pub at: Option<LogIndex>,
}

/// Something worth telling. The core does not log; the driver maps these to `tracing` and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Asks whether an election in `term` would be won.
    AsksPreVote {
        /// The term it would be.
        term: Term,
    },
    /// Campaigns.
    Campaigns {
        /// The new term.
        term: Term,
    },
    /// Won an election.
    BecameLeader {
        /// The term that it leads.
        term: Term,
    },
    /// Follows, in a new term or another leader.
    Follows {
        /// The current term.
        term: Term,
        /// The leader, once known.
        leader: Option<NodeId>,
    },
    /// Stops leading: no majority was heard from within an election timeout (thesis §6.2).
    LostQuorum {
        /// The term that it led.
        term: Term,
    },
    /// Voted.
    Voted {
        /// In this term.
        term: Term,
        /// For this node.
        candidate: NodeId,
    },
    /// Records became void: the leader's log differs.
    Truncated {
        /// First void record.
        first: LogIndex,
    },
    /// A peer came with another disk than the group knows: it takes no part.
    WrongDisk {
        /// The peer.
        peer: NodeId,
    },
    /// Dropped a message from a node that is not up.
    IgnoredStranger {
        /// Who sent it.
        from: NodeId,
    },
    /// Dropped an answer of an earlier session.
    IgnoredSession {
        /// Who sent it.
        from: NodeId,
        /// Its session.
        session: SessionId,
    },
    /// Dropped a message of an earlier term.
    IgnoredTerm {
        /// Who sent it.
        from: NodeId,
        /// Its term.
        term: Term,
    },
    /// Refused a vote or pre-vote since it hears from a live leader (thesis §4.2.3).
    SticksToLeader {
        /// The refused candidate.
        candidate: NodeId,
    },
    /// Hands its lead over.
    Transfers {
        /// To this node.
        to: NodeId,
    },
    /// Could not hand its lead over, and goes on.
    TransferFailed {
        /// To this node.
        to: NodeId,
    },
    /// Other members count from now on.
    Members {
        /// The record that names them.
        at: LogIndex,
    },
    /// Records became void that had changed the members: those before count again.
    MembersBack {
        /// The record that names them.
        at: LogIndex,
    },
    /// Starts with a log whose end was damaged: until it has everything again, it neither votes nor stands.
    Unsure,
    /// Refused a vote or pre-vote since it may have lost records that it acknowledged.
    UnsureRefuses {
        /// The refused candidate.
        candidate: NodeId,
    },
    /// Has everything again that it may have lost.
    Whole {
        /// Everything up to here.
        upto: LogIndex,
    },
}
