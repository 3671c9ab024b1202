//! The load generator: a closed loop that keeps a number of requests in flight, and times each from its first send to its
//! acknowledgement.
//!
//! Owns: the load's shape, its sockets and clock, and the histogram. Never: the protocol; that is the client's session, the same
//! one that a producer runs. Called by: `quorate bench`, and by whoever needs load.
//!
//! It shares the host with the nodes that it measures, so it must cost little: one thread, one loop, one read and one write a
//! connection and turn; the events are encoded once, and all that is done for a chunk is a copy and its checksum.
//!
//! ```no_run
//! use std::time::Duration;
//! use quorate_bench::{Generator, Load};
//!
//! # fn main() -> Result<(), quorate_client::ClientError> {
//! let mut generator = Generator::connect(&Load::new(["127.0.0.1:9001"]))?;
//! let go_on = || false;
//! generator.run(Duration::from_secs(1), &go_on)?; // warms up, and is not looked at
//! let measured = generator.run(Duration::from_secs(5), &go_on)?;
//! assert!(measured.events_per_s() > 0.0);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod generator;
mod load;
mod measured;
mod stream;

pub use generator::Generator;
pub use load::Load;
pub use measured::Measured;
