//! The producer's protocol without sockets, clocks or chance.

use std::time::Duration;

use quorate_wire::{Offset, Sequence, Time};

/// A chunk is on a quorum of disks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ack {
    /// Sequence of the chunk's first event.
    pub first: Sequence,
    /// Events in the chunk.
    pub events: u32,
    /// Offset of the chunk's first event; the others follow without gaps.
    pub offset: Offset,
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
