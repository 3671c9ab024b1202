//! The deterministic simulator: the pipeline's seam over virtual parts, which fail when they are told to.
//!
//! Owns: virtual disks. Never: a real file, a real clock, chance of its own. Called by: tests.
#![forbid(unsafe_code)]

mod disk;

pub use disk::{Content, Disk, Sector};
