//! What a session reports: acknowledgements, counts, and its end.

use std::time::Duration;

use quorate_wire::client::{AckLevel, StageTimes};
use quorate_wire::{ErrorCode, FrameError, Offset, Sequence, Time};

/// A chunk is acknowledged: it is as safe as its level says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Sequence of the chunk's first event.
    pub first: Sequence,
    /// Events in the chunk.
    pub events: u32,
    /// Offset of the chunk's first event; the others follow without gaps.
    pub offset: Offset,
    /// What is reached. Less than [`AckLevel::All`] was asked for: it is committed, and not on all disks. More than was asked for:
    /// it was a retry.
    pub level: AckLevel,
    /// How long each stage took on the node, if that was asked for.
    pub stages: Option<StageTimes>,
    /// How often the chunk was sent.
    pub attempts: u32,
    /// When it was first sent, on the clock of [`Producer::now`](crate::Producer::now).
    pub sent_at: Time,
    /// When the acknowledgement was read.
    pub acked_at: Time,
}

impl Ack {
    /// From the first send to the acknowledgement, retries included.
    #[must_use]
    pub const fn latency(&self) -> Duration {
        Duration::from_nanos(self.acked_at.since(self.sent_at))
    }
}

/// Why a session has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A node refused for good.
    Refused {
        /// The stable code.
        code: ErrorCode,
        /// The node's sentence.
        text: String,
        /// What the node expected.
        expected: u64,
    },
    /// Events that were [accepted](AckLevel::Accepted) are lost, with the leader that had them in memory: those from this sequence
    /// on. A producer of the next epoch can go on, with what it still has.
    AcceptedLost {
        /// The first lost one.
        first: Sequence,
    },
    /// A node's answers contradict each other.
    Protocol(FrameError),
    /// A chunk got too old.
    GaveUp {
        /// The age allowed.
        after: Duration,
    },
}

/// What a session has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Connections with a node that was then talked to: not with one that only said who leads.
    pub connections: u64,
    /// Chunks sent again.
    pub resends: u64,
    /// Refusals that were retried.
    pub refusals: u64,
    /// Chunks acknowledged.
    pub acked_chunks: u64,
    /// Events acknowledged.
    pub acked_events: u64,
    /// Acknowledgements that were dropped because nobody took them.
    pub dropped_acks: u64,
}
