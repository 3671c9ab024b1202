//! A sans-IO Raft core. One function, closed enums on both sides: [`Raft::step`] takes what happened and says what to do.
//!
//! Owns: terms, votes, log positions, quorum, membership. Never: a clock, chance, payload bytes, a logger, a collection whose
//! order depends on the process. Called by: `replication`'s group, the transcripts, the simulator.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod ballot;
mod delays;
mod election;
mod follower;
mod input;
mod leader;
mod lease;
mod members;
mod membership;
mod message;
mod output;
mod progress;
mod quorum;
mod raft;
mod random;
mod reads;
mod role;
mod rounds;
mod status;
mod terms;
mod timer;
mod transfer;
mod unsure;
mod window;

pub use input::{Config, Input, Mark, Recovered, VOTERS_MAX};
pub use members::{Member, Members};
pub use message::{Append, AppendReply, Envelope, Message, Outcome, Run};
pub use output::{Appended, HardState, Note, Output, Readable, Want};
pub use raft::Raft;
pub use status::RoleName;
