//! What each fuzz target does with its bytes, and what it is given to begin with.
//!
//! Checksums guard every format, so bytes that chance has changed would get no further than them. So an input is either bytes
//! as they are, or a script from which sound frames, records and blocks are made: then the checks behind the checksums are
//! reached. Owns: the targets' checks and seeds. Never: is part of the product's build.

mod files;
pub mod frame;
pub mod gate;
pub mod log;
pub mod peer;
pub mod record;
mod script;
pub mod seeds;
pub mod session;
pub mod snapshot;
