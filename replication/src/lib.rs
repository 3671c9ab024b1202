//! The pipeline's turn: what happens between a shard's lanes, a disk and the peers, and the seam behind which those are.
//!
//! Owns: batching, the replicated log and its files' formats, deduplication, peers' conversations. Never: a system call, a
//! real clock, chance, a thread. Called by: the engine's pipeline threads and the simulator, through [`seam`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod buffer;
#[cfg(feature = "contract")]
pub mod contract;
pub mod gate;
pub mod lane;
pub mod log;
pub mod pipeline;
pub mod seam;
pub mod snapshot;
pub mod state;
pub mod trace;
