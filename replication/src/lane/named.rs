//! What is asked about the named part of the replicated state, and answered.

use alloc::vec::Vec;

use quorate_wire::named::{CursorEntry, GroupsReply, HeartbeatReply, MemberEntry};
use quorate_wire::{Command, MemberId, Name, Offset, Term};

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedAsk {
    /// Append and apply this command.
    Command(Command),
    /// Which cursors are there?
    Cursors(List),
    /// A member of a consumer group is there.
    Heartbeat(Name, MemberId),
    /// Which consumer group is there?
    Groups(List),
}

/// A part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct List {
    /// Which names.
    pub names: Listed,
    /// Whether all that was acknowledged before the question must be in it. Otherwise the node tells what it knows.
    pub linearizable: bool,
}

/// Which of the names in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// This one alone.
    One(Name),
    /// Those behind this one, or from the first on.
    After(Option<Name>),
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedAnswer {
    /// The command is applied.
    Applied {
        /// What came of it.
        value: u64,
        /// The term in which this is said.
        term: Term,
    },
    /// Cursors, by name.
    Cursors {
        /// Offset after the last committed event that this node knows.
        committed: Offset,
        /// At most a page of them.
        entries: Vec<CursorEntry>,
        /// Whether there are further ones behind the last.
        more: bool,
    },
    /// How the member's consumer group stands.
    Heartbeat(HeartbeatReply),
    /// One consumer group, or none.
    Group {
        /// The consumer group.
        group: GroupsReply,
        /// Its members.
        members: Vec<MemberEntry>,
    },
}
