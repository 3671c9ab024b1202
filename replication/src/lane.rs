//! What goes through the lanes between shards and pipelines.

mod named;

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use bytes::{Buf, Bytes};
use quorate_wire::admin::{AdminAsk, AdminMember, AdminReply};
use quorate_wire::audit::AuditReply;
use quorate_wire::client::{AckLevel, Consistency, NodeEntry, Produce, ReadFrom, StatusReply};
use quorate_wire::{
    Chunk, ChunkId, ErrorCode, EventId, FRAME_HEADER_BYTES, Leader, LogIndex, Offset, Term,
};

use crate::trace::Trace;

pub use named::{List, Listed, NamedAnswer, NamedAsk};

/// A shard of this node, counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub usize);

/// Whom an answer goes to. The pipeline carries it, and never looks inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The shard's name for the connection: never used again for another one.
    pub connection: u64,
    /// The shard's name for the request.
    pub correlation: u64,
    /// Which of its chunks, if it is a run of them.
    pub chunks: Chunks,
}

/// Some of the chunks of a request, side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Chunks {
    /// The first one, counted from 0.
    pub at: u32,
    /// How many.
    pub count: u32,
}

impl Chunks {
    /// All of a request that is no run.
    pub const ONE: Self = Self::all(1);

    /// All of a run of so many chunks.
    #[must_use]
    pub const fn all(count: u32) -> Self {
        Self { at: 0, count }
    }

    /// Takes so many off its front.
    #[must_use]
    pub fn take(&mut self, count: u32) -> Self {
        let taken = Self { count, ..*self };
        self.at += count;
        self.count -= count;
        taken
    }
}

/// Bytes between two chunks of a run: what precedes each in its frame.
pub const BETWEEN_CHUNKS: usize = FRAME_HEADER_BYTES + size_of::<Produce>();

/// A request, checked at the gate.
#[derive(Debug)]
pub struct Request {
    /// Whom to answer.
    pub ticket: Ticket,
    /// What is asked.
    pub ask: Ask,
}

/// What is asked.
#[derive(Debug)]
pub enum Ask {
    /// Who leads?
    Greet,
    /// Append this chunk, once; or each one of a run.
    Produce(Produced),
    /// Committed records.
    Fetch(FetchAsk),
    /// How is the node?
    Status,
    /// What did its log amount to at this record; at the last applied one, if it is zero?
    Audit(LogIndex),
    /// About what has a name.
    Named(Box<NamedAsk>),
    /// What an operator wants.
    Admin(Box<AdminAsk>),
}

/// Which committed records are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchAsk {
    /// Where they begin.
    pub from: ReadFrom,
    /// How fresh they must be.
    pub consistency: Consistency,
    /// Most bytes, bounded by [`quorate_wire::limits::RECORDS_BYTES_MAX`].
    pub bytes_max: usize,
    /// How long to wait for a record, in nanoseconds.
    pub wait: u64,
}

/// A chunk that passed the gate: its checksum and each of its events are sound. Or a *run* of such chunks: their sequences have no
/// gap, and they are asked for alike.
#[derive(Debug)]
pub struct Produced {
    /// What it holds; of a run, what all of them hold together.
    pub id: ChunkId,
    /// Of how many chunks.
    pub chunks: u32,
    /// The whole chunks, with [`BETWEEN_CHUNKS`] bytes between any two.
    pub bytes: Bytes,
    /// When their producer wants to be answered.
    pub acks: Acks,
    /// Its way so far, if its producer wants to know. A run has none.
    pub trace: Option<Box<Trace>>,
}

impl Produced {
    /// Its chunks, one after the other.
    pub fn iter(&self) -> impl Iterator<Item = Chunk<'_>> {
        let mut rest = &self.bytes[..];
        (0..self.chunks).map(move |at| {
            if at > 0 {
                rest = &rest[BETWEEN_CHUNKS..];
            }
            let (chunk, after) = Chunk::frame(rest).expect("it passed the gate");
            rest = after;
            chunk
        })
    }

    /// Bytes of its first chunk.
    #[must_use]
    pub fn first_bytes(&self) -> usize {
        self.iter().next().map_or(0, |chunk| chunk.bytes().len())
    }

    /// Takes the first chunks off, which hold so many events and are so many bytes.
    #[must_use]
    pub fn take(&mut self, chunks: u32, events: u32, bytes: usize) -> Self {
        let between =
            usize::try_from(chunks - 1).expect("32 bits fit into a size") * BETWEEN_CHUNKS;
        let taken = Self {
            id: ChunkId { events, ..self.id },
            chunks,
            bytes: self.bytes.split_to(bytes + between),
            acks: self.acks,
            trace: self.trace.take(),
        };
        self.id = ChunkId {
            first: taken.id.next(),
            events: self.id.events - events,
            ..self.id
        };
        self.chunks -= chunks;
        if self.chunks > 0 {
            self.bytes.advance(BETWEEN_CHUNKS);
        }
        taken
    }

    /// The ids of its events, if it has them.
    #[must_use]
    pub fn event_ids(&self) -> Option<&[EventId]> {
        self.id.has_ids().then_some(())?;
        Chunk::frame(&self.bytes).ok()?.0.ids()
    }
}

/// When a producer wants to be answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acks {
    /// Once this is reached.
    pub level: AckLevel,
    /// For [`AckLevel::All`]: how long to wait for the last disks, in nanoseconds.
    pub wait: u64,
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// Whom it goes to.
    pub ticket: Ticket,
    /// What it says.
    pub answer: Answer,
}

/// What an answer says.
#[derive(Debug)]
pub enum Answer {
    /// To `Greet`: the leader, if one is known.
    Greeting {
        /// The leader.
        leader: Option<Leader>,
        /// Where the members are, if the log tells; else they are those that are configured.
        nodes: Option<Arc<[NodeEntry]>>,
    },
    /// To `Produce`: the chunk has a place.
    Produced {
        /// Offset of its first event.
        base_offset: Offset,
        /// The term in which this is said.
        term: Term,
        /// How safe it is there.
        level: AckLevel,
        /// Its way, if its producer wants to know.
        trace: Option<Box<Trace>>,
    },
    /// To `Fetch`: whole records, perhaps none.
    Fetched(Fetched),
    /// To `Status`.
    Status(Box<StatusReply>),
    /// To `Audit`.
    Audited(Box<AuditReply>),
    /// To `Admin`: it is done.
    Admin(AdminAnswer),
    /// To `Named`.
    Named(Box<NamedAnswer>),
    /// To any: no.
    Refused(Refusal),
}

/// What a fetch brings.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Offset after the last committed event that this node knows.
    pub committed: Offset,
    /// The first offset that this node has.
    pub start: Offset,
    /// Where the read began.
    pub begin: Offset,
    /// Where to read on.
    pub next: Offset,
    /// The records, side by side.
    pub records: Bytes,
}

/// How a group is when an operator's wish is done.
#[derive(Clone, Debug)]
pub struct AdminAnswer {
    /// The fixed part.
    pub reply: AdminReply,
    /// Its members.
    pub members: Vec<AdminMember>,
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The stable code.
    pub code: ErrorCode,
    /// The leader, for `NotLeader`.
    pub leader: Option<Leader>,
    /// As in [`quorate_wire::client::ErrorMessage`].
    pub expected: u64,
    /// As in [`quorate_wire::client::ErrorMessage`].
    pub limit: u64,
    /// When to try again, in milliseconds; zero if the code says all.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// A refusal that its code explains.
    #[must_use]
    pub const fn new(code: ErrorCode) -> Self {
        Self {
            code,
            leader: None,
            expected: 0,
            limit: 0,
            retry_after_ms: 0,
        }
    }
}
