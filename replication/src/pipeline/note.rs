//! What happened in a pipeline that is worth a line of the node's log.

use alloc::string::String;
use core::fmt;

use quorate_raft::Note as RaftNote;
use quorate_wire::{ErrorCode, FrameError, LogIndex, NodeId};

use crate::seam::SegmentId;

/// Something worth telling. The pipeline does not log; the engine maps notes to `tracing`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// From the core.
    Raft(RaftNote),
    /// The conversation with a peer has begun.
    PeerUp {
        /// The peer.
        peer: NodeId,
    },
    /// The conversation with a peer has ended.
    PeerDown {
        /// The peer.
        peer: NodeId,
    },
    /// A connection was refused.
    Refused {
        /// Who it said it was.
        peer: Option<NodeId>,
        /// Why.
        code: ErrorCode,
    },
    /// A peer refused this node.
    RefusedBy {
        /// Which.
        peer: Option<NodeId>,
        /// Why, if it gave a code that this build knows.
        code: Option<ErrorCode>,
        /// Its sentence.
        text: String,
    },
    /// This node is no member of the group any more.
    CastOut,
    /// A peer sent what no peer should send; the connection ends.
    BadFrame {
        /// Which.
        peer: Option<NodeId>,
        /// What is wrong.
        error: FrameError,
    },
    /// A peer sent records that do not fit the log; the connection ends.
    BadRecords {
        /// Which.
        peer: NodeId,
        /// What is wrong.
        why: &'static str,
    },
    /// All nodes have met: the group is formed, and elects.
    Formed,
    /// There is no room for further records.
    DiskFull,
    /// There is room again.
    RoomMade,
    /// Records are missing in the log, and no peer that can be reached has given them.
    Missing {
        /// In which segment.
        segment: SegmentId,
        /// Where in its file.
        position: u64,
        /// Behind this record.
        after: LogIndex,
    },
    /// A snapshot has what all records up to here amount to.
    SnapshotTaken {
        /// The last one.
        upto: LogIndex,
    },
    /// A snapshot of a leader is on its way here.
    Receives {
        /// From whom.
        peer: NodeId,
        /// The last record that it covers.
        upto: LogIndex,
        /// How long it is.
        bytes: u64,
    },
    /// A peer sent bytes that are no sound snapshot.
    BadSnapshot {
        /// Which.
        peer: NodeId,
    },
    /// There was no room for a snapshot.
    SnapshotFailed,
    /// The log begins behind this record now.
    Released {
        /// The last one that is gone.
        upto: LogIndex,
    },
    /// So many records have been put back into a damaged place of the log.
    Repaired {
        /// How many.
        records: usize,
    },
    /// A majority is whole and has no records that could be missing behind this one: they were never committed, or let go, and the log is
    /// given up there.
    GivesUp {
        /// The last record that stays.
        after: LogIndex,
    },
}

/// How much a note matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Of use to who looks into Raft.
    Detail,
    /// Part of a healthy life.
    Event,
    /// Somebody should look.
    Trouble,
}

impl Note {
    /// How much it matters.
    #[must_use]
    pub fn weight(&self) -> Weight {
        match self {
            Self::Raft(note) => match note {
                RaftNote::BecameLeader { .. }
                | RaftNote::Follows { .. }
                | RaftNote::Truncated { .. }
                | RaftNote::Members { .. }
                | RaftNote::MembersBack { .. }
                | RaftNote::Transfers { .. }
                | RaftNote::TransferFailed { .. }
                | RaftNote::Whole { .. } => Weight::Event,
                RaftNote::LostQuorum { .. } | RaftNote::WrongDisk { .. } | RaftNote::Unsure => {
                    Weight::Trouble
                }
                RaftNote::AsksPreVote { .. }
                | RaftNote::Campaigns { .. }
                | RaftNote::Voted { .. }
                | RaftNote::IgnoredStranger { .. }
                | RaftNote::IgnoredSession { .. }
                | RaftNote::IgnoredTerm { .. }
                | RaftNote::SticksToLeader { .. }
                | RaftNote::UnsureRefuses { .. } => Weight::Detail,
            },
            Self::PeerUp { .. }
            | Self::PeerDown { .. }
            | Self::Formed
            | Self::RoomMade
            | Self::SnapshotTaken { .. }
            | Self::Receives { .. }
            | Self::Released { .. }
            | Self::Repaired { .. } => Weight::Event,
            Self::Refused { .. }
            | Self::RefusedBy { .. }
            | Self::CastOut
            | Self::BadFrame { .. }
            | Self::BadRecords { .. }
            | Self::DiskFull
            | Self::SnapshotFailed
            | Self::BadSnapshot { .. }
            | Self::Missing { .. }
            | Self::GivesUp { .. } => Weight::Trouble,
        }
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Raft(note) => raft(*note, f),
            Self::PeerUp { peer } => write!(f, "connected with node {peer}"),
            Self::PeerDown { peer } => write!(f, "lost the connection with node {peer}"),
            Self::Refused {
                peer: Some(peer),
                code,
            } => write!(f, "refused node {peer}: {code}"),
            Self::Refused { peer: None, code } => {
                write!(f, "refused a connection on the peer port: {code}")
            }
            Self::RefusedBy { peer, code, text } => {
                write!(f, "refused by node {}: ", peer.map_or(0, |peer| peer.0))?;
                match code {
                    Some(code) => write!(f, "{code}: {text}"),
                    None => write!(f, "{text}"),
                }
            }
            Self::CastOut => write!(
                f,
                "is no member of the group any more ({}): serves nobody, and needs to run no longer",
                ErrorCode::NotAMember
            ),
            Self::BadFrame {
                peer: Some(peer),
                error,
            } => write!(f, "node {peer} sent a bad frame: {error}"),
            Self::BadFrame { peer: None, error } => {
                write!(f, "a bad frame on the peer port: {error}")
            }
            Self::BadRecords { peer, why } => {
                write!(f, "node {peer} sent records that do not fit: {why}")
            }
            Self::Formed => write!(f, "all nodes have met: the group is formed"),
            Self::DiskFull => write!(
                f,
                "the disk is full: no further records are taken until there is room"
            ),
            Self::RoomMade => write!(f, "the log has room"),
            Self::Missing {
                segment,
                position,
                after,
            } => write!(
                f,
                "records behind index {after} are missing in segment {} at byte {position}, and no node that can be reached \
                 has them: takes no part until one does",
                segment.0
            ),
            Self::SnapshotTaken { upto } => write!(f, "took a snapshot at index {upto}"),
            Self::Receives { peer, upto, bytes } => write!(
                f,
                "lacks what the log of node {peer} has no more: fetches its snapshot up to index {upto}, {bytes} bytes"
            ),
            Self::BadSnapshot { peer } => write!(f, "node {peer} sent an unsound snapshot"),
            Self::SnapshotFailed => write!(f, "the disk has no room for a snapshot"),
            Self::Released { upto } => write!(f, "the log begins behind index {upto}"),
            Self::Repaired { records } => {
                write!(
                    f,
                    "repaired a damaged place of the log with {records} records"
                )
            }
            Self::GivesUp { after } => write!(
                f,
                "a majority is whole and lacks what is missing behind index {after}: it was never committed, or let go, and is given up"
            ),
        }
    }
}

fn raft(note: RaftNote, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match note {
        RaftNote::AsksPreVote { term } => {
            write!(f, "asks whether an election in term {term} would be won")
        }
        RaftNote::Campaigns { term } => write!(f, "campaigns in term {term}"),
        RaftNote::BecameLeader { term } => write!(f, "leads in term {term}"),
        RaftNote::Follows {
            term,
            leader: Some(leader),
        } => write!(f, "follows node {leader} in term {term}"),
        RaftNote::Follows { term, leader: None } => write!(f, "follows nobody yet in term {term}"),
        RaftNote::LostQuorum { term } => {
            write!(f, "heard from no majority: leads no more in term {term}")
        }
        RaftNote::Transfers { to } => write!(f, "hands its lead over to node {to}"),
        RaftNote::TransferFailed { to } => {
            write!(f, "goes on leading: node {to} did not take over")
        }
        RaftNote::Voted { term, candidate } => {
            write!(f, "voted for node {candidate} in term {term}")
        }
        RaftNote::Truncated { first } => write!(
            f,
            "records from index {first} on are void: the leader's differ"
        ),
        RaftNote::Members { at } => write!(f, "counts the members that index {at} names"),
        RaftNote::MembersBack { at } => write!(
            f,
            "counts the members that index {at} names again: the change is void"
        ),
        RaftNote::WrongDisk { peer } => {
            write!(f, "node {peer} came with another disk: it takes no part")
        }
        RaftNote::IgnoredStranger { from } => {
            write!(f, "ignored a message of node {from}, which takes no part")
        }
        RaftNote::IgnoredSession { from, session } => {
            write!(
                f,
                "ignored an answer of node {from} in the old session {session}"
            )
        }
        RaftNote::IgnoredTerm { from, term } => {
            write!(f, "ignored a message of node {from} in the old term {term}")
        }
        RaftNote::SticksToLeader { candidate } => {
            write!(f, "refused node {candidate}: the leader lives")
        }
        RaftNote::Unsure => write!(
            f,
            "the log's end was damaged: does not vote until it has caught up with a leader"
        ),
        RaftNote::UnsureRefuses { candidate } => {
            write!(
                f,
                "refused node {candidate}: may have lost acknowledged records"
            )
        }
        RaftNote::Whole { upto } => {
            write!(f, "has everything again up to index {upto}: votes again")
        }
    }
}
