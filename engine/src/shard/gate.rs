//! The gate: bytes of a client on one side, requests that hold proofs on the other.
//!
//! Owns: every check of what a client sent, and the sentence of each refusal. Never: a socket, a limit that depends on what
//! else is in flight. Called by: the reader, for each frame.

use std::ops::Range;

use quorate_wire::client::{Fetch, Hello};
use quorate_wire::limits::RECORDS_BYTES_MAX;
use quorate_wire::{
    Chunk, ChunkId, ClusterName, ErrorCode, FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader,
    FrameKind, GroupId, Offset, PROTOCOL_VERSION,
};
use zerocopy::FromBytes;

/// The one group of this version.
const GROUP: GroupId = GroupId(0);

/// A client's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct No {
    pub(super) code: ErrorCode,
    pub(super) text: String,
}

impl No {
    pub(super) fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
        }
    }
}

impl From<FrameError> for No {
    fn from(error: FrameError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// What stands at the start of received bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// One whole frame.
    Frame {
        /// Its length.
        bytes: usize,
        /// The client's name for the request.
        correlation: u64,
        /// What it asks, or why this one request is refused.
        asked: Result<Asked, No>,
    },
    /// A part of a frame, or nothing yet.
    Part {
        /// How many bytes it will have, as far as can be told.
        needed: usize,
    },
}

/// A request that passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The greeting.
    Greet,
    /// Append this chunk.
    Produce {
        id: ChunkId,
        /// Where the chunk lies, from the frame's first byte on.
        at: Range<usize>,
    },
    /// Give me records.
    Fetch {
        offset: Offset,
        bytes_max: usize,
        wait_ms: u64,
    },
    /// How are you?
    Status,
}

/// What the gate holds frames against.
#[derive(Clone, Copy, Debug)]
pub(super) struct Gate {
    pub(super) cluster: ClusterName,
    /// The longest that a fetch may wait.
    pub(super) fetch_wait_ms: u64,
}

impl Gate {
    /// Looks at the start of `bytes`; `greeted` says whether the client has greeted before.
    ///
    /// # Errors
    /// The connection ends.
    pub(super) fn step(&self, bytes: &[u8], greeted: bool) -> Result<Step, No> {
        let Some(frame) = Frame::parse(bytes)? else {
            let Some(head) = bytes.first_chunk() else {
                return Ok(Step::Part {
                    needed: FRAME_HEADER_BYTES,
                });
            };
            // Whoever may not say this need not finish saying it.
            let header = FrameHeader::parse(head)?;
            may_come(header.kind, greeted)?;
            return Ok(Step::Part {
                needed: header.frame_bytes(),
            });
        };
        may_come(frame.header.kind, greeted)?;
        Ok(Step::Frame {
            bytes: frame.bytes(),
            correlation: frame.header.correlation,
            asked: self.open(&frame)?,
        })
    }

    fn open(&self, frame: &Frame<'_>) -> Result<Result<Asked, No>, No> {
        let kind = frame.header.kind;
        if frame.header.group != GROUP && kind != FrameKind::Hello {
            return Ok(Err(No::new(
                ErrorCode::GroupUnknown,
                format!("there is no group {} here", frame.header.group),
            )));
        }
        match kind {
            FrameKind::Hello => self.greet(frame).map(Ok),
            FrameKind::Produce => Ok(produce(frame.tail)),
            FrameKind::Fetch => Ok(Ok(self.fetch(frame))),
            FrameKind::Status => Ok(Ok(Asked::Status)),
            FrameKind::PeerHello
            | FrameKind::PreVote
            | FrameKind::PreVoteReply
            | FrameKind::Vote
            | FrameKind::VoteReply
            | FrameKind::Append
            | FrameKind::AppendReply
            | FrameKind::HelloReply
            | FrameKind::ProduceReply
            | FrameKind::FetchReply
            | FrameKind::StatusReply
            | FrameKind::Error => Err(misplaced(kind)),
        }
    }

    fn greet(&self, frame: &Frame<'_>) -> Result<Asked, No> {
        let hello =
            Hello::read_from_bytes(frame.message).expect("the kind says how long its message is");
        if hello.cluster != [0; ClusterName::BYTES] && hello.cluster != self.cluster.to_bytes() {
            return Err(No::new(
                ErrorCode::ClusterMismatch,
                format!("this node belongs to the cluster {}", self.cluster),
            ));
        }
        if !(hello.version_min..=hello.version_max).contains(&PROTOCOL_VERSION) {
            return Err(No::new(
                ErrorCode::FrameVersion,
                format!(
                    "the client speaks versions {} to {}, this node {PROTOCOL_VERSION}",
                    hello.version_min, hello.version_max
                ),
            ));
        }
        Ok(Asked::Greet)
    }

    fn fetch(&self, frame: &Frame<'_>) -> Asked {
        let fetch =
            Fetch::read_from_bytes(frame.message).expect("the kind says how long its message is");
        let bytes_max = usize::try_from(fetch.bytes_max.get()).expect("32 bits fit into a size");
        Asked::Fetch {
            offset: Offset(fetch.offset.get()),
            bytes_max: bytes_max.min(RECORDS_BYTES_MAX),
            wait_ms: u64::from(fetch.wait_ms.get()).min(self.fetch_wait_ms),
        }
    }
}

/// Which kinds a client may send, and when.
fn may_come(kind: FrameKind, greeted: bool) -> Result<(), No> {
    match kind {
        FrameKind::Hello if greeted => Err(No::new(
            ErrorCode::FrameKind,
            "a connection greets once, with its first frame",
        )),
        FrameKind::Hello => Ok(()),
        FrameKind::Produce | FrameKind::Fetch | FrameKind::Status if greeted => Ok(()),
        FrameKind::Produce | FrameKind::Fetch | FrameKind::Status => Err(No::new(
            ErrorCode::HelloExpected,
            "the first frame of a connection is its greeting",
        )),
        FrameKind::PeerHello
        | FrameKind::PreVote
        | FrameKind::PreVoteReply
        | FrameKind::Vote
        | FrameKind::VoteReply
        | FrameKind::Append
        | FrameKind::AppendReply
        | FrameKind::HelloReply
        | FrameKind::ProduceReply
        | FrameKind::FetchReply
        | FrameKind::StatusReply
        | FrameKind::Error => Err(misplaced(kind)),
    }
}

fn misplaced(kind: FrameKind) -> No {
    No::from(FrameError::Kind {
        kind: kind.to_byte(),
        flags: 0,
    })
}

fn produce(tail: &[u8]) -> Result<Asked, No> {
    let (chunk, after) =
        Chunk::parse(tail).map_err(|error| No::new(error.code(), error.to_string()))?;
    if !after.is_empty() {
        return Err(No::new(
            ErrorCode::ChunkInvalid,
            format!(
                "{} bytes follow the chunk, which is alone in its frame",
                after.len()
            ),
        ));
    }
    Ok(Asked::Produce {
        id: chunk.id(),
        at: FRAME_HEADER_BYTES..FRAME_HEADER_BYTES + chunk.bytes().len(),
    })
}
