//! What one core says to another. Payload bytes travel beside a message, never in it.

use quorate_wire::{LogIndex, NodeId, Position, SessionId, Term};

/// A message with its addressee.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Envelope {
    /// Who shall get it.
    pub to: NodeId,
    /// What it says.
    pub message: Message,
}

/// A message from one core to another. Every message carries a term (Raft §5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Message {
    /// "Would you vote for me in `term`?" (thesis §9.6). Changes nothing at either end.
    PreVote {
        /// The term that the sender would campaign in: one above its own.
        term: Term,
        /// Where the sender's log ends.
        last: Position,
    },
    /// Answer to `PreVote`.
    PreVoteReply {
        /// The asked term if granted, else the sender's own.
        term: Term,
        /// Whether the sender would vote for the asker.
        granted: bool,
    },
    /// RequestVote (Raft figure 2).
    Vote {
        /// The candidate's term.
        term: Term,
        /// Where the candidate's log ends.
        last: Position,
        /// The leader wants the sender to lead: nobody sticks to it.
        handed: bool,
    },
    /// Answer to `Vote`. A grant leaves only when the vote is durable.
    VoteReply {
        /// The sender's term.
        term: Term,
        /// Whether the sender voted for the candidate.
        granted: bool,
    },
    /// "Stand for election at once" (thesis §3.10): the leader hands its lead over.
    TimeoutNow {
        /// The leader's term.
        term: Term,
    },
    /// AppendEntries (Raft figure 2); without entries it is a heartbeat or a probe.
    Append(Append),
    /// Answer to `Append`.
    AppendReply(AppendReply),
}

/// AppendEntries without the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Append {
    /// The leader's term.
    pub term: Term,
    /// The leader's name for this conversation; the answer carries it back.
    pub session: SessionId,
    /// Number of this append in the session, echoed in the answer: shows which heartbeat was answered.
    pub round: u64,
    /// The record before the first one sent.
    pub previous: Position,
    /// The records that travel beside the message, from `previous.index + 1` on.
    pub entries: Run,
    /// The leader's commit index.
    pub commit: LogIndex,
}

/// Consecutive records of one term.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Run {
    /// Term of every record in the run; meaningless if `count` is zero.
    pub term: Term,
    /// How many records.
    pub count: u32,
}

/// Answer to `Append`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AppendReply {
    /// The sender's term.
    pub term: Term,
    /// As in the append that it answers.
    pub session: SessionId,
    /// The highest round that it answers.
    pub round: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of an `Append`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The sender's log agrees with the leader's up to here, and is durable up to here.
    Durable(LogIndex),
    /// `previous` does not fit. The hint is the sender's last position whose term is not above `previous.term` and whose
    /// index is not above `previous.index`: the logs agree nowhere after it.
    Conflict {
        /// The `previous.index` that was refused.
        refused: LogIndex,
        /// Where to look next.
        hint: Position,
    },
}
