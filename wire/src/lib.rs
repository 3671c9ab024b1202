//! Formats of Quorate: ids, limits, checksums, records, chunks, frames, messages and error codes.
//!
//! Owns: every byte that crosses a socket or reaches a disk's log. Never: allocates, reads a clock, knows what a message is
//! for. Called by: every other crate. The specification is `docs/protocol.md`.
#![no_std]
#![forbid(unsafe_code)]

mod ids;

pub use ids::{
    ClusterName, DiskId, Epoch, GroupId, LogIndex, NodeId, Offset, Position, ProducerId, Sequence, SessionId, Term, Time,
};
