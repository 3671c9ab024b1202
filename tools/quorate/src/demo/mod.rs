//! `quorate demo`: real events through three real nodes, the leader killed in the middle, and the logs held against the input.
//!
//! ```text
//! replay     sends at a steady rate; kills the leader at half of the acknowledgements, restarts it at three quarters
//! compare    reads the three logs at rest: the same records, byte for byte?
//! audit      holds the log's events against the input: lost, duplicated, different
//! report     says it
//! ```
mod audit;
mod compare;
mod replay;
mod report;
#[cfg(test)]
pub(crate) mod sample;
mod workplace;

pub(crate) use audit::Audit;
pub(crate) use compare::{Compared, compare};
pub(crate) use replay::{Plan, Replayed, replay};
pub(crate) use report::Report;
pub(crate) use workplace::{Workplace, is_memory};
