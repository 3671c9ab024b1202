//! The chunks that are not yet acknowledged, in order, with their bytes.
//!
//! ```text
//!   first pending            cursor                next sequence
//!   |  sent or acked, in order  |  waits to be sent  |
//! ```
//!
//! Owns: the chunks' bytes, sequences, and what is to be sent next. Never: knows connections. Called by: the session.

use std::collections::VecDeque;

use quorate_wire::client::{AckLevel, StageTimes};
use quorate_wire::{CHUNK_HEADER_BYTES, ChunkError, ChunkId, Epoch, ProducerId};
use quorate_wire::{Offset, Sequence, Time, seal_chunk};

use super::SessionConfig;
use crate::Ack;

/// Names a chunk for the life of a session: 0 and up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ChunkNumber(pub(super) u64);

/// Where a chunk is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flight {
    /// To be sent, for the first time or again.
    Waiting,
    /// Sent; only a refusal of this correlation, its latest, concerns it.
    Sent { correlation: u64 },
    /// Acknowledged, and held until those before it are: acknowledgements are reported in order.
    Acked(Placed),
}

/// What an acknowledgement says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) offset: Offset,
    pub(super) level: AckLevel,
    pub(super) stages: Option<StageTimes>,
    pub(super) at: Time,
}

#[derive(Debug)]
pub(super) struct Pending {
    pub(super) bytes: Vec<u8>,
    first: Sequence,
    events: u32,
    pub(super) pushed_at: Time,
    sent_at: Time,
    attempts: u32,
    pub(super) flight: Flight,
}

#[derive(Debug)]
pub(super) struct Window {
    producer: ProducerId,
    epoch: Epoch,
    next: Sequence,
    chunks: VecDeque<Pending>,
    /// Number of the first chunk in `chunks`.
    front: ChunkNumber,
    /// No chunk before this one waits to be sent. Invariant: `front <= cursor <= front + chunks.len()`.
    cursor: ChunkNumber,
    bytes: usize,
    chunks_max: usize,
    bytes_max: usize,
    /// Buffers of acknowledged chunks, for the next ones: in the steady state nothing is allocated.
    free: Vec<Vec<u8>>,
    /// Their capacity in all, bounded like the chunks themselves.
    free_bytes: usize,
}

impl Window {
    pub(super) fn new(config: &SessionConfig) -> Self {
        let chunks_max = config.window_requests;
        Self {
            producer: config.producer,
            epoch: config.epoch,
            next: config.first,
            chunks: VecDeque::with_capacity(chunks_max.min(1024)),
            front: ChunkNumber(0),
            cursor: ChunkNumber(0),
            bytes: 0,
            chunks_max: chunks_max.max(1),
            bytes_max: config.window_bytes,
            free: Vec::new(),
            free_bytes: 0,
        }
    }

    pub(super) fn has_room(&self, chunk_bytes: usize) -> bool {
        self.chunks.is_empty()
            || (self.chunks.len() < self.chunks_max && self.bytes + chunk_bytes <= self.bytes_max)
    }

    pub(super) fn next_sequence(&self) -> Sequence {
        self.next
    }

    pub(super) fn acked_before(&self) -> Sequence {
        let oldest = self.chunks.front();
        oldest.map_or(self.next, |pending| pending.first)
    }

    pub(super) fn len(&self) -> usize {
        self.chunks.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn front(&self) -> ChunkNumber {
        self.front
    }

    /// When the oldest chunk came.
    pub(super) fn oldest(&self) -> Option<Time> {
        self.chunks.front().map(|pending| pending.pushed_at)
    }

    /// An empty buffer with the room for a chunk's header in front.
    pub(super) fn buffer(&mut self) -> Vec<u8> {
        let mut buffer = self.free.pop().unwrap_or_default();
        self.free_bytes -= buffer.capacity();
        buffer.clear();
        buffer.resize(CHUNK_HEADER_BYTES, 0);
        buffer
    }

    /// Seals `buffer` as the next chunk.
    pub(super) fn push(
        &mut self,
        events: u32,
        mut buffer: Vec<u8>,
        now: Time,
    ) -> Result<Sequence, ChunkError> {
        let id = ChunkId {
            producer: self.producer,
            epoch: self.epoch,
            first: self.next,
            events,
        };
        if let Err(error) = seal_chunk(id, &mut buffer) {
            self.recycle(buffer);
            return Err(error);
        }
        self.bytes += buffer.len();
        self.next = id.next();
        self.chunks.push_back(Pending {
            bytes: buffer,
            first: id.first,
            events,
            pushed_at: now,
            sent_at: now,
            attempts: 0,
            flight: Flight::Waiting,
        });
        Ok(id.first)
    }

    /// Size of the next chunk to send.
    pub(super) fn waiting_bytes(&mut self) -> Option<usize> {
        loop {
            let chunk = self.get(self.cursor)?;
            if chunk.flight == Flight::Waiting {
                return Some(chunk.bytes.len());
            }
            self.cursor.0 += 1;
        }
    }

    /// Marks the next chunk as sent, and returns it with its number and events, and whether it was sent before.
    pub(super) fn send(
        &mut self,
        correlation: u64,
        now: Time,
    ) -> Option<((ChunkNumber, u32), bool, &[u8])> {
        self.waiting_bytes()?;
        let number = self.cursor;
        self.cursor.0 += 1;
        let chunk = self.get_mut(number)?;
        let again = chunk.attempts > 0;
        if !again {
            chunk.sent_at = now;
        }
        chunk.attempts = chunk.attempts.saturating_add(1);
        chunk.flight = Flight::Sent { correlation };
        Some(((number, chunk.events), again, &chunk.bytes))
    }

    /// Everything that is not acknowledged is to be sent again, in order. Refusals of what was sent before no longer concern it.
    pub(super) fn go_back(&mut self) {
        for chunk in &mut self.chunks {
            match chunk.flight {
                Flight::Sent { .. } => chunk.flight = Flight::Waiting,
                Flight::Waiting | Flight::Acked(_) => {}
            }
        }
        self.cursor = self.front;
    }

    /// The chunk, unless it has been acknowledged with all before it.
    pub(super) fn get(&self, number: ChunkNumber) -> Option<&Pending> {
        self.chunks.get(self.place(number)?)
    }

    pub(super) fn get_mut(&mut self, number: ChunkNumber) -> Option<&mut Pending> {
        let place = self.place(number)?;
        self.chunks.get_mut(place)
    }

    fn place(&self, number: ChunkNumber) -> Option<usize> {
        usize::try_from(number.0.checked_sub(self.front.0)?).ok()
    }

    /// Takes the first chunk, if it is acknowledged.
    pub(super) fn pop_acked(&mut self) -> Option<Ack> {
        let chunk = self.chunks.front()?;
        let ack = match chunk.flight {
            Flight::Acked(placed) => Ack {
                first: chunk.first,
                events: chunk.events,
                offset: placed.offset,
                level: placed.level,
                stages: placed.stages,
                attempts: chunk.attempts,
                sent_at: chunk.sent_at,
                acked_at: placed.at,
            },
            Flight::Waiting | Flight::Sent { .. } => return None,
        };
        let chunk = self.chunks.pop_front().expect("it was just looked at");
        self.bytes -= chunk.bytes.len();
        self.front.0 += 1;
        self.cursor = self.cursor.max(self.front);
        self.recycle(chunk.bytes);
        Some(ack)
    }

    fn recycle(&mut self, buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if self.free.len() < self.chunks_max && self.free_bytes + capacity <= self.bytes_max {
            self.free_bytes += capacity;
            self.free.push(buffer);
        }
    }
}
