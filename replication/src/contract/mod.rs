//! The contract suites of the seam: what its two sides, the real and the simulated, both keep. Whoever implements the seam runs
//! all of them.
//!
//! A suite sees an implementation through the traits of the seam alone, and through a small trait that lets things happen.
//! It panics where the contract is broken.

pub mod clock;
pub mod lanes;
pub mod network;
pub mod storage;

/// Lets what was submitted happen.
pub trait Pump {
    /// Returns when something has happened, or after a while: at most some milliseconds, virtual or real.
    fn pump(&mut self);
}

/// So often a suite pumps for one thing to happen before it calls it lost.
const PUMPS_MAX: usize = 20_000;

/// So often a suite pumps to see that nothing happens.
const PUMPS_QUIET: usize = 20;
