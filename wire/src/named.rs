//! Messages about what the replicated state keeps under a name. The commands that change it are in [`crate::Command`].

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::FrameError;
use crate::SLOTS;
use crate::limits::{MESSAGE_BYTES_MAX, NAME_BYTES_MAX};

/// The answer to a command: it is committed and applied.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CommandReply {
    /// What came of it; each command says what this is.
    pub value: U64,
    /// The term in which the node answered.
    pub term: U64,
}

/// Which cursors, or consumer groups, are there?
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Listed {
    /// The name that is asked for, or the one after which the list goes on: all zeros for its begin.
    pub name: [u8; NAME_BYTES_MAX],
    /// 1: this one alone; 0: those after it.
    pub exact: u8,
    /// How fresh the answer must be, as in [`Fetch`](crate::client::Fetch): any, or linearizable.
    pub consistency: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

impl Listed {
    /// What [`Self::consistency`] is where the answer must have all that was acknowledged before the question.
    pub const LINEARIZABLE: u8 = 2;
}

/// The answer to a question for cursors. The tail is `count` times [`CursorEntry`], by name.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CursorsReply {
    /// Offset after the last committed event that this node knows.
    pub committed: U64,
    /// How many cursors the tail lists.
    pub count: U32,
    /// Whether there are further ones behind the last.
    pub more: u8,
    /// Zero.
    pub reserved: [u8; 3],
}

/// A cursor.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct CursorEntry {
    /// Its name.
    pub name: [u8; NAME_BYTES_MAX],
    /// The offset that its consumer wants next.
    pub offset: U64,
    /// Log time of the command that last set it.
    pub set_at: U64,
}

impl CursorEntry {
    /// Most entries of one answer.
    pub const PAGE: usize = (MESSAGE_BYTES_MAX - size_of::<CursorsReply>()) / size_of::<Self>();

    /// The entries of a [`CursorsReply`]'s tail.
    ///
    /// # Errors
    /// The tail is not `count` entries long.
    pub fn parse_all(tail: &[u8], count: u32) -> Result<&[Self], FrameError> {
        <[Self]>::ref_from_bytes(tail)
            .ok()
            .filter(|entries| u32::try_from(entries.len()) == Ok(count))
            .ok_or(FrameError::Invalid {
                what: "the list of cursors has another length than it says",
            })
    }
}

/// "I am there. How does my consumer group stand?"
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Heartbeat {
    /// The consumer group.
    pub name: [u8; NAME_BYTES_MAX],
    /// The member.
    pub member: U64,
}

/// The answer to [`Heartbeat`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct HeartbeatReply {
    /// The generation.
    pub generation: U64,
    /// The member's slots in it.
    pub slots: U64,
    /// Offset after the last committed event that the leader knows.
    pub committed: U64,
    /// For how long the member may be silent, in milliseconds.
    pub session_ms: U32,
    /// Zero.
    pub reserved: U32,
    /// Of each slot, the offset below which everything is done.
    pub offsets: [U64; SLOTS],
}

/// One consumer group. The tail is `member_count` times [`MemberEntry`].
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct GroupsReply {
    /// Its name; all zeros if there is none behind the one asked for.
    pub name: [u8; NAME_BYTES_MAX],
    /// The generation.
    pub generation: U64,
    /// Offset after the last committed event that this node knows.
    pub committed: U64,
    /// How many members the tail lists.
    pub member_count: U32,
    /// Zero.
    pub reserved: U32,
    /// Of each slot, the offset below which everything is done.
    pub offsets: [U64; SLOTS],
}

/// A member of a consumer group.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct MemberEntry {
    /// The member.
    pub member: U64,
    /// Its slots.
    pub slots: U64,
    /// For how long it may be silent, in milliseconds.
    pub session_ms: U32,
    /// Zero.
    pub reserved: U32,
}

impl MemberEntry {
    /// The entries of a [`GroupsReply`]'s tail.
    ///
    /// # Errors
    /// The tail is not `count` entries long.
    pub fn parse_all(tail: &[u8], count: u32) -> Result<&[Self], FrameError> {
        <[Self]>::ref_from_bytes(tail)
            .ok()
            .filter(|entries| u32::try_from(entries.len()) == Ok(count))
            .ok_or(FrameError::Invalid {
                what: "the list of members has another length than it says",
            })
    }
}
