//! The load generator: a closed loop that keeps a number of requests in flight, or an open one that sends on a fixed schedule; and
//! what a figure needs beside it: how restless the machine was, the histograms' formats, statistics of several runs, and plots.
//!
//! Owns: the load's shape, its sockets and clock, and the histograms. Never: the protocol; that is the client's session, the same
//! one that a producer runs. Called by: `quorate bench`, and by whoever needs load.
//!
//! It shares the host with the nodes that it measures, so it must cost little: one thread, one loop, one read and one write a
//! connection and turn; the events are encoded once, and all that is done for a chunk is a copy and its checksum.
//!
//! ```no_run
//! use std::time::Duration;
//! use quorate_bench::{Generator, Load, Measured};
//!
//! # fn main() -> Result<(), quorate_client::ClientError> {
//! let mut generator = Generator::connect(&Load::new(["127.0.0.1:9001"]))?;
//! let mut go_on = |_: &Measured| false;
//! generator.run(Duration::from_secs(1), &mut go_on)?; // warms up, and is not looked at
//! let measured = generator.run(Duration::from_secs(5), &mut go_on)?;
//! assert!(measured.events_per_s() > 0.0);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

pub mod axis;
pub mod chart;
mod dial;
pub mod flames;
mod generator;
pub mod hgrm;
mod host;
mod ids;
mod jitter;
mod load;
mod measured;
pub mod page;
pub mod perf_script;
mod readers;
mod schedule;
mod series;
mod stages;
pub mod statistics;
mod stream;

pub use generator::Generator;
pub use host::{Machine, ProcessorTime};
pub use jitter::{Jitter, Restlessness};
pub use load::{Load, Pace};
pub use measured::{Measured, Newest, Took};
pub use readers::{Reach, Readers};
pub use series::{Point, Series};
pub use stages::Stages;
