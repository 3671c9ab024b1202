//! Formats of Quorate: ids, limits, checksums, records, chunks, frames, messages and error codes.
//!
//! Owns: every byte that crosses a socket or reaches a disk's log. Never: allocates, reads a clock, knows what a message is
//! for. Called by: every other crate. The specification is `docs/protocol.md`.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::indexing_slicing)]

#[cfg(test)]
extern crate std;

mod ids;

pub use ids::{
    ClusterName, DiskId, Epoch, Generation, GroupId, LogIndex, MemberId, NodeId, Offset, Position,
    ProducerId, Sequence, SessionId, Term, Time,
};

mod address;
pub mod admin;
pub mod audit;
pub mod canary;
pub mod checksum;
mod chunk;
pub mod client;
mod command;
mod edition;
mod error;
mod event;
mod event_id;
pub mod filter;
mod frame;
mod leader;
pub mod limits;
mod name;
pub mod named;
pub mod peer;
mod record;
mod roster;
mod slot;

pub use address::Address;
pub use chunk::{CHUNK_HEADER_BYTES, Chunk, ChunkError, ChunkId, seal_chunk};
pub use command::{COMMAND_BYTES_MAX, COMMAND_HEADER_BYTES, Command, CommandBytes, CommandError};
pub use edition::Edition;
pub use error::ErrorCode;
pub use event::{EVENT_HEADER_BYTES, Event, EventError};
pub use event_id::EventId;
pub use frame::{
    FRAME_HEADER_BYTES, FRAME_MAGIC, Frame, FrameError, FrameHeader, FrameKind, PROTOCOL_VERSION,
    PROTOCOL_VERSION_MIN, Tail, common_version,
};
pub use leader::Leader;
pub use name::Name;
pub use record::{
    RECORD_HEADER_BYTES, RECORD_MAGIC, Record, RecordError, RecordHeader, RecordKind, Stamp,
};
pub use roster::{MemberRole, Roster, RosterEntry, RosterError, RosterHead};
pub use slot::{SLOTS, Slot, Slots};
