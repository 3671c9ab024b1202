//! What the tests share.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test program uses its own part of this"
)]

pub mod chance;
pub mod frames;
pub mod log;
pub mod node;
