//! What a client asks: its bytes on one side, requests that hold proofs on the other.
//!
//! Owns: every check of what a client sent, and the sentence of each refusal. Never: a limit that depends on what else is in
//! flight. Called by: a connection's reader, for the bytes that it read.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use quorate_wire::admin::Admin;
use quorate_wire::audit::Audit;
use quorate_wire::client::{AckLevel, Credit, Fetch, Hello, Produce};
use quorate_wire::limits::{ALL_TIMEOUT_MS_MAX, RECORDS_BYTES_MAX};
use quorate_wire::{
    Chunk, ClusterName, ErrorCode, FRAME_HEADER_BYTES, Frame, FrameError, FrameHeader, FrameKind,
    GroupId, LogIndex, PROTOCOL_VERSION, PROTOCOL_VERSION_MIN, common_version,
};
use zerocopy::FromBytes;

use super::{Asked, Filter, Opened, Subscribe, Talk, named};
use crate::lane::{Acks, FetchAsk, NamedAsk};

/// The one group of this version.
const GROUP: GroupId = GroupId(0);

/// A client's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct No {
    /// The stable code.
    pub code: ErrorCode,
    /// A sentence for people.
    pub text: String,
    /// When to try again, in milliseconds; zero if the code says all.
    pub retry_after_ms: u32,
}

impl No {
    /// A no with its reason.
    #[must_use]
    pub fn new(code: ErrorCode, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            retry_after_ms: 0,
        }
    }

    /// A no that holds for so many nanoseconds.
    #[must_use]
    pub fn for_now(code: ErrorCode, text: impl Into<String>, nanoseconds: u64) -> Self {
        let ms = nanoseconds.div_ceil(1_000_000);
        Self {
            retry_after_ms: u32::try_from(ms).unwrap_or(u32::MAX),
            ..Self::new(code, text)
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
enum Step {
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

/// What the gate holds frames against.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// The cluster that clients should mean.
    pub cluster: ClusterName,
    /// The longest that a fetch may wait.
    pub fetch_wait_ms: u64,
}

impl Gate {
    /// Opens the whole frames at the start of `bytes`, into `frames`; `greeted` says whether the client has greeted before. Says
    /// how many bytes they are, and then either how many the next one needs or why the connection ends: what came before that is
    /// to be asked all the same, since it must not matter how the network cuts the stream.
    pub fn open(
        &self,
        bytes: &[u8],
        greeted: bool,
        frames: &mut Vec<Opened>,
    ) -> (usize, Result<usize, No>) {
        let mut greeted = greeted;
        let mut at = 0;
        loop {
            match self.step(bytes.get(at..).unwrap_or_default(), greeted) {
                Ok(Step::Frame {
                    bytes,
                    correlation,
                    asked,
                }) => {
                    let frame = Opened {
                        at,
                        correlation,
                        asked,
                    };
                    greeted |= frame.greets();
                    frames.push(frame);
                    at += bytes;
                }
                Ok(Step::Part { needed }) => return (at, Ok(needed)),
                Err(no) => return (at, Err(no)),
            }
        }
    }

    /// Looks at the start of `bytes`. An error ends the connection.
    fn step(&self, bytes: &[u8], greeted: bool) -> Result<Step, No> {
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
            asked: self.look(&frame)?,
        })
    }

    fn look(&self, frame: &Frame<'_>) -> Result<Result<Asked, No>, No> {
        let kind = frame.header.kind;
        if frame.header.group != GROUP && kind != FrameKind::Hello {
            return Ok(Err(No::new(
                ErrorCode::GroupUnknown,
                format!("there is no group {} here", frame.header.group),
            )));
        }
        match kind {
            FrameKind::Hello => self.greet(frame).map(Ok),
            FrameKind::Produce => produce(frame),
            FrameKind::Fetch => {
                let fetch = self.fetch(frame)?;
                Ok(fetch.map(|Subscribe { ask, filter, .. }| Asked::Fetch { ask, filter }))
            }
            FrameKind::Subscribe => {
                let subscribe = self.fetch(frame)?;
                Ok(subscribe.map(|subscribe| Asked::Talk(Talk::Subscribe(subscribe))))
            }
            FrameKind::Credit => {
                let credit = Credit::read_from_bytes(frame.message)
                    .expect("the kind says how long its message is");
                let bytes = u64::from(credit.bytes.get());
                Ok(Ok(Asked::Talk(Talk::Credit(bytes))))
            }
            FrameKind::Unsubscribe => Ok(Ok(Asked::Talk(Talk::Unsubscribe))),
            FrameKind::Status => Ok(Ok(Asked::Status)),
            FrameKind::Audit => Ok(Ok(audit(frame))),
            FrameKind::Admin => {
                let admin = Admin::read_from_bytes(frame.message)
                    .expect("the kind says how long its message is");
                Ok(Ok(Asked::Admin(admin.ask()?)))
            }
            FrameKind::Command => named::command(frame).map(|asked| asked.map(Asked::Named)),
            FrameKind::Heartbeat => named::heartbeat(frame).map(|asked| asked.map(Asked::Named)),
            FrameKind::Cursors => {
                named::listed(frame, NamedAsk::Cursors).map(|asked| asked.map(Asked::Named))
            }
            FrameKind::Groups => {
                named::listed(frame, NamedAsk::Groups).map(|asked| asked.map(Asked::Named))
            }
            FrameKind::PeerHello
            | FrameKind::PreVote
            | FrameKind::PreVoteReply
            | FrameKind::Vote
            | FrameKind::VoteReply
            | FrameKind::Append
            | FrameKind::AppendReply
            | FrameKind::Repair
            | FrameKind::RepairReply
            | FrameKind::ReadIndex
            | FrameKind::ReadIndexReply
            | FrameKind::TimeoutNow
            | FrameKind::SnapshotOffer
            | FrameKind::SnapshotFetch
            | FrameKind::SnapshotChunk
            | FrameKind::HelloReply
            | FrameKind::ProduceReply
            | FrameKind::TracedReply
            | FrameKind::FetchReply
            | FrameKind::StatusReply
            | FrameKind::Push
            | FrameKind::Unsubscribed
            | FrameKind::AuditReply
            | FrameKind::AdminReply
            | FrameKind::CommandReply
            | FrameKind::CursorsReply
            | FrameKind::HeartbeatReply
            | FrameKind::GroupsReply
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
        if common_version(hello.version_min, hello.version_max).is_none() {
            return Err(No::new(
                ErrorCode::FrameVersion,
                format!(
                    "the client speaks versions {} to {}, this node {PROTOCOL_VERSION_MIN} to {PROTOCOL_VERSION}",
                    hello.version_min, hello.version_max
                ),
            ));
        }
        Ok(Asked::Greet {
            merged: hello.flags & Hello::MERGED != 0,
        })
    }

    fn fetch(&self, frame: &Frame<'_>) -> Result<Result<Subscribe, No>, No> {
        let fetch =
            Fetch::read_from_bytes(frame.message).expect("the kind says how long its message is");
        let bytes_max = usize::try_from(fetch.bytes_max.get()).expect("32 bits fit into a size");
        let wait_ms = u64::from(fetch.wait_ms.get()).min(self.fetch_wait_ms);
        let ask = FetchAsk {
            from: fetch.from()?,
            consistency: fetch.consistency()?,
            bytes_max: bytes_max.min(RECORDS_BYTES_MAX),
            wait: wait_ms * 1_000_000,
        };
        let filter = Filter::parse(frame.tail, usize::from(fetch.filter_clauses.get()));
        Ok(match filter {
            Ok(filter) => Ok(Subscribe {
                ask,
                filter,
                credit: u64::from(fetch.bytes_max.get()),
            }),
            Err(error) => Err(No::new(ErrorCode::FilterInvalid, error.to_string())),
        })
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
        FrameKind::Produce
        | FrameKind::Fetch
        | FrameKind::Status
        | FrameKind::Subscribe
        | FrameKind::Credit
        | FrameKind::Unsubscribe
        | FrameKind::Audit
        | FrameKind::Admin
        | FrameKind::Command
        | FrameKind::Cursors
        | FrameKind::Heartbeat
        | FrameKind::Groups
            if greeted =>
        {
            Ok(())
        }
        FrameKind::Produce
        | FrameKind::Fetch
        | FrameKind::Status
        | FrameKind::Subscribe
        | FrameKind::Credit
        | FrameKind::Unsubscribe
        | FrameKind::Audit
        | FrameKind::Admin
        | FrameKind::Command
        | FrameKind::Cursors
        | FrameKind::Heartbeat
        | FrameKind::Groups => Err(No::new(
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
        | FrameKind::Repair
        | FrameKind::RepairReply
        | FrameKind::ReadIndex
        | FrameKind::ReadIndexReply
        | FrameKind::TimeoutNow
        | FrameKind::SnapshotOffer
        | FrameKind::SnapshotFetch
        | FrameKind::SnapshotChunk
        | FrameKind::HelloReply
        | FrameKind::ProduceReply
        | FrameKind::TracedReply
        | FrameKind::FetchReply
        | FrameKind::StatusReply
        | FrameKind::Push
        | FrameKind::Unsubscribed
        | FrameKind::AuditReply
        | FrameKind::AdminReply
        | FrameKind::CommandReply
        | FrameKind::CursorsReply
        | FrameKind::HeartbeatReply
        | FrameKind::GroupsReply
        | FrameKind::Error => Err(misplaced(kind)),
    }
}

fn audit(frame: &Frame<'_>) -> Asked {
    let audit =
        Audit::read_from_bytes(frame.message).expect("the kind says how long its message is");
    Asked::Audit(LogIndex(audit.index.get()))
}

fn misplaced(kind: FrameKind) -> No {
    No::from(FrameError::Kind {
        kind: kind.to_byte(),
        flags: 0,
    })
}

fn produce(frame: &Frame<'_>) -> Result<Result<Asked, No>, No> {
    let asked =
        Produce::read_from_bytes(frame.message).expect("the kind says how long its message is");
    let invalid = |what| No::from(FrameError::Invalid { what });
    let level = AckLevel::from_byte(asked.acks)
        .ok_or_else(|| invalid("no such level of acknowledgement"))?;
    if asked.flags & !Produce::TRACE != 0 {
        return Err(invalid("unknown flags"));
    }
    let wait_ms = asked.timeout_ms.get().min(ALL_TIMEOUT_MS_MAX);
    let acks = Acks {
        level,
        wait: u64::from(wait_ms) * 1_000_000,
    };
    let traced = asked.flags == Produce::TRACE;
    Ok(chunk(frame.tail).map(|chunk| Asked::Produce {
        id: chunk.id(),
        chunks: 1,
        at: FRAME_HEADER_BYTES + frame.message.len()..frame.bytes(),
        acks,
        priority: asked.priority,
        traced,
    }))
}

/// The chunk that is all of a tail.
fn chunk(tail: &[u8]) -> Result<Chunk<'_>, No> {
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
    Ok(chunk)
}
