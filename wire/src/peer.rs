//! Messages between nodes: the fixed part of each frame's body. What Raft needs per send stands here, outside the record.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::limits::NODES_MAX;
use crate::{ClusterName, DiskId, FrameError, NodeId};

/// A node's greeting to a peer: the first frame of every peer connection, both ways. The tail is `member_count` times
/// [`Member`]: those who formed
/// the group, if the sender is one of them and it is formed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct PeerHello {
    /// The cluster.
    pub cluster: [u8; ClusterName::BYTES],
    /// The disk that the sender runs on.
    pub disk: [u8; 16],
    /// The sender.
    pub node: U32,
    /// Whom it means.
    pub to: U32,
    /// CRC-32 of the configured node ids, in order: while both sides are forming, they were told of the same nodes.
    pub nodes_crc: U32,
    /// Members in the tail.
    pub member_count: u8,
    /// Lowest protocol version that it speaks.
    pub version_min: u8,
    /// Highest protocol version that it speaks.
    pub version_max: u8,
    /// 1: the sender joins a group, or has joined it, and cannot tell who formed it.
    pub joins: u8,
    /// The latest edition that the sender's build has.
    pub edition: u8,
    /// The edition that the group uses, as far as the sender's log tells.
    pub group_edition: u8,
    /// The sender's priority: a leader hands over to a higher one.
    pub priority: u8,
    /// Zero.
    pub reserved: [u8; 5],
}
const _: () = assert!(size_of::<PeerHello>() == 56);

/// A founder and its disk.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct Member {
    /// The node.
    pub node: U32,
    /// Zero.
    pub reserved: U32,
    /// Its disk.
    pub disk: [u8; 16],
}

impl Member {
    /// A member.
    #[must_use]
    pub const fn new(node: NodeId, disk: DiskId) -> Self {
        Self {
            node: U32::new(node.0),
            reserved: U32::new(0),
            disk: disk.0,
        }
    }

    /// The members of a tail.
    ///
    /// # Errors
    /// The tail is not `count` members long, or lists more members than a group has.
    pub fn parse_all(tail: &[u8], count: u8) -> Result<&[Self], FrameError> {
        if usize::from(count) > NODES_MAX {
            return Err(FrameError::Invalid {
                what: "the list of members is too long",
            });
        }
        let members = <[Self]>::ref_from_bytes(tail).map_err(|_| FrameError::Invalid {
            what: "the list of members is cut",
        })?;
        if members.len() == usize::from(count) {
            Ok(members)
        } else {
            Err(FrameError::Invalid {
                what: "the list of members has another length than it says",
            })
        }
    }
}

/// PreVote and Vote.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct VoteMessage {
    /// The term that is campaigned in.
    pub term: U64,
    /// Term of the candidate's last record.
    pub last_term: U64,
    /// Index of the candidate's last record.
    pub last_index: U64,
    /// Vote: 1 if the leader hands its lead over to the candidate, else 0. PreVote: 0.
    pub handed: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// Answers to PreVote and Vote.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct VoteReplyMessage {
    /// The sender's term; the asked term if a pre-vote is granted.
    pub term: U64,
    /// 1 if granted, else 0.
    pub granted: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// AppendEntries. The tail is `entry_count` records of `entry_term`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct AppendMessage {
    /// The leader's term.
    pub term: U64,
    /// The replication session.
    pub session: U64,
    /// Number of this append in the session.
    pub round: U64,
    /// Term of the record before the first one sent.
    pub previous_term: U64,
    /// Index of the record before the first one sent.
    pub previous_index: U64,
    /// The leader's commit index.
    pub commit: U64,
    /// Term of all records sent.
    pub entry_term: U64,
    /// How many records.
    pub entry_count: U32,
    /// Zero.
    pub reserved: U32,
}
const _: () = assert!(size_of::<AppendMessage>() == 64);

/// The answer to an append.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct AppendReplyMessage {
    /// The sender's term.
    pub term: U64,
    /// The replication session.
    pub session: U64,
    /// The highest round that it answers.
    pub round: U64,
    /// Outcome 1: durable up to here. Outcome 2: the refused `previous_index`.
    pub index: U64,
    /// Outcome 2: term of the hint.
    pub hint_term: U64,
    /// Outcome 2: index of the hint.
    pub hint_index: U64,
    /// 1 durable, 2 conflict.
    pub outcome: u8,
    /// Zero.
    pub reserved: [u8; 7],
}

/// A request for records that are missing in the sender's log. Any node answers it, whatever its role, from what its disk has.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RepairMessage {
    /// Index of the first one.
    pub first: U64,
    /// Index of the last one.
    pub last: U64,
    /// Most bytes of records. One is sent even if it alone is larger.
    pub bytes_max: U32,
    /// Zero.
    pub reserved: U32,
}

/// The answer. The tail is records from `first` on, in order; none if the sender cannot give the first one.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct RepairReplyMessage {
    /// As in the request.
    pub first: U64,
    /// 1 if the sender's log is whole, so that it lacks nothing that it ever acknowledged; else 0.
    pub whole: u8,
    /// Zero.
    pub reserved: [u8; 7],
    /// The sender has let go all records up to here: a snapshot has what they amount to.
    pub start: U64,
}

/// ReadIndex: up to where must a read that was asked before this see the log? The answer has its correlation.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct ReadIndexReplyMessage {
    /// Up to this record; zero if the sender does not lead, or does not serve.
    pub index: U64,
}

/// TimeoutNow: the leader hands its lead over to whom it sends this.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct TimeoutNowMessage {
    /// The leader's term.
    pub term: U64,
}

/// A leader has released records that a peer lacks: it offers a snapshot instead.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct SnapshotOfferMessage {
    /// The leader's term.
    pub term: U64,
    /// The last record that the snapshot covers.
    pub index: U64,
    /// How long it is: whole blocks.
    pub bytes: U64,
}

/// A request for a part of a snapshot.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct SnapshotFetchMessage {
    /// As in the offer.
    pub index: U64,
    /// Where the part begins: on a block.
    pub position: U64,
}

/// The answer. The tail is the part.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned,
)]
#[repr(C)]
pub struct SnapshotChunkMessage {
    /// As in the request.
    pub index: U64,
    /// As in the request.
    pub position: U64,
    /// How long the whole snapshot is; zero if the sender does not have it, or not so much of it.
    pub bytes: U64,
    /// Of the tail.
    pub crc: U32,
    /// Zero.
    pub reserved: U32,
}

#[cfg(test)]
mod tests {
    use zerocopy::IntoBytes;

    use super::Member;
    use crate::limits::NODES_MAX;
    use crate::{DiskId, NodeId};

    #[test]
    fn a_list_of_members_has_the_length_it_says() {
        let member = Member::new(NodeId(1), DiskId([7; 16]));
        let tail = member.as_bytes().repeat(3);
        assert_eq!(Member::parse_all(&tail, 3).map(<[_]>::len), Ok(3));
        assert_eq!(Member::parse_all(&[], 0).map(<[_]>::len), Ok(0));
        assert!(Member::parse_all(&tail, 2).is_err());
        assert!(Member::parse_all(&tail, 4).is_err());
        assert!(Member::parse_all(tail.get(1..).expect("it is longer"), 3).is_err());
        let tail = member.as_bytes().repeat(NODES_MAX + 1);
        assert!(Member::parse_all(&tail, 8).is_err());
    }
}
