//! What runs a node on Linux: the pipeline's driver over io_uring, the shards, the node's assembly.
//!
//! Owns: system calls, threads, real clocks. Never: decides anything about the log; that is `quorate-replication`.
//! Called by: the command line.

pub mod clock;
pub mod config;
pub mod files;
pub mod lane;
pub mod node;
pub mod pin;
pub mod probe;
pub mod shard;
pub mod uring;
