//! Everything that can happen to a core.

use alloc::vec::Vec;

use quorate_wire::{DiskId, LogIndex, NodeId, Position, SessionId, Term, Time};

use crate::{Members, Message};

/// Something that happened. The driver tells it to [`Raft::step`](crate::Raft::step).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The clock shows `now`. Told at least when [`Raft::deadline`](crate::Raft::deadline) has come, after the messages that
    /// have already arrived: a late turn must not start an election that a waiting heartbeat would prevent (TRAPS 21).
    Tick {
        /// The driver's clock, read after every [`Read`](Self::Read) that was told before had been asked: the lease is held against it.
        now: Time,
    },
    /// The driver appended one record at [`Raft::last`](crate::Raft::last)` + 1`, of the current term. Only while
    /// [`Raft::leads`](crate::Raft::leads) (TRAPS 18).
    Propose,
    /// A record that the step before has appended, or that its output has told to keep, brings other members. On a leader only when
    /// [`Raft::may_change`](crate::Raft::may_change) said so before it was proposed.
    Configured {
        /// The record.
        at: LogIndex,
        /// The members that count from now on, also before it is committed.
        members: Members,
    },
    /// A message arrived. Its records, if any, are beside it with the driver: [`Output::append`](crate::Output::append) says
    /// which of them to keep.
    Message {
        /// Who sent it.
        from: NodeId,
        /// What it says.
        message: Message,
    },
    /// A conversation with a peer has begun, and the peer has shown its disk.
    PeerUp {
        /// The peer.
        peer: NodeId,
        /// The identity of the disk that it runs on.
        disk: DiskId,
    },
    /// The conversation with a peer has ended. If the peer leads, that is a hint that it died.
    PeerDown {
        /// The peer.
        peer: NodeId,
    },
    /// The hard state of this version, and so of all earlier ones, is durable.
    HardStateDurable {
        /// From [`HardState::version`](crate::HardState::version).
        version: u64,
    },
    /// All records up to `mark` are durable.
    LogDurable {
        /// From [`Raft::mark`](crate::Raft::mark) at the time when the write was submitted.
        mark: Mark,
    },
    /// The driver has the records of a [`Want`](crate::Want) at hand.
    Ready {
        /// From the want.
        peer: NodeId,
        /// From the want; an answer to an earlier session is dropped.
        session: SessionId,
        /// From the want.
        first: LogIndex,
        /// The last record at hand; not above the want's `last`.
        last: LogIndex,
        /// Size of the records together.
        bytes: u32,
    },
    /// Somebody wants to read everything that is committed by now. It is answered by one [`Readable`](crate::Readable), at once
    /// or later.
    Read {
        /// The driver's name for it.
        id: u64,
    },
    /// Hand the lead over, to one that [`Raft::successor`](crate::Raft::successor) names. Everything that is appended has been
    /// proposed before, and nothing is proposed while [`Raft::transfers_to`](crate::Raft::transfers_to) names somebody.
    Transfer {
        /// Who shall lead.
        to: NodeId,
    },
    /// The log begins behind `upto` now: a durable snapshot has what the records up to there amount to.
    Released {
        /// Committed, and durable here.
        upto: LogIndex,
    },
    /// The turn ends: say what each peer shall be sent.
    Gather,
}

/// The end of the log at one moment, told apart from the same index before a truncation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// Counts truncations: a write submitted before one proves nothing about the records after it (TRAPS 3).
    pub truncations: u64,
    /// The last record.
    pub last: LogIndex,
}

/// What a core starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// This node.
    pub id: NodeId,
    /// The disk that it runs on.
    pub disk: DiskId,
    /// How often a leader speaks to a silent peer, in nanoseconds.
    pub heartbeat: u64,
    /// Shortest election timeout, in nanoseconds; also how long a leader is believed to live after its last word.
    pub election_min: u64,
    /// Longest election timeout, in nanoseconds.
    pub election_max: u64,
    /// By how much election timeouts grow at most where links or peers show to be slow, in nanoseconds; zero: they stay.
    pub slack_max: u64,
    /// Whether reads may be answered by a lease instead of a round. The same on all nodes of a group: what keeps a lease true is
    /// that the others honour it (see `lease.rs`).
    pub lease_reads: bool,
    /// Most bytes of records in one append.
    pub append_bytes_max: u32,
    /// Most bytes of records in flight to one peer.
    pub window_bytes: u64,
    /// Most appends in flight to one peer.
    pub window_appends: usize,
    /// Seeds the election timeouts.
    pub seed: u64,
}

/// Most voters of a group.
pub const VOTERS_MAX: usize = 7;

/// What recovery found on the disk: all of it durable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// From the hard state. May be below the last record's: the log and the hard state are written apart. Then the first step
    /// asks for a hard state with the later term.
    pub term: Term,
    /// Whom this node voted for in `term`.
    pub vote: Option<NodeId>,
    /// The record before the log begins: a snapshot has what it and the records before it amount to. Zero if the log is whole.
    pub start: Position,
    /// For each term in the log its first index, rising in both.
    pub terms: Vec<(Term, LogIndex)>,
    /// The last record; that of `start` if there is none.
    pub last: LogIndex,
    /// The members with the record that names them: of the group's beginning, with index zero, or of the snapshot that the log
    /// joins; then those of the log, rising. Empty if this node has not heard of its group yet.
    pub members: Vec<(LogIndex, Members)>,
    /// An index that is known to be committed; may be far behind. Never one that was above [`Raft::durable`](crate::Raft::durable)
    /// when it was noted: then void records may stand in its place on this disk.
    pub commit: LogIndex,
    /// The log's end was damaged: records may be missing that this node has acknowledged. It neither votes nor stands until it
    /// has them again (see `unsure.rs`). The disk must say so before the log is written again: the next write hides the damage.
    pub unsure: bool,
}
