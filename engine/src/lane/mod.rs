//! The lanes between shards and a pipeline: bounded, one producer and one consumer each, and a wake only for who sleeps.
//!
//! ```text
//!  shard k                                     pipeline
//!  try_put, kick  --- requests, capacity C -->  take        (fairly among shards)
//!  try_take, wait <-- replies,  capacity C ---  put, flush  (wakes each sleeping shard once a turn)
//! ```
//!
//! Owns: the rings, a shard's credit, both sleep protocols. Never: looks inside a request. Called by: shards' tasks, and
//! the pipeline through the driver.
//!
//! Credit: a shard has at most C requests open, and a request is open until its reply was taken. So neither ring can
//! overflow, and `put` cannot fail.

mod parking;
mod pipeline;
mod shard;
mod sleep;
mod wake;

/// What the sleep protocol is built on; its model test builds it on other atomics.
mod sync {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}

use std::io;
use std::sync::Arc;

use rtrb::RingBuffer;

use self::parking::Parking;

pub use self::pipeline::PipelineLanes;
pub use self::shard::ShardLane;
pub use self::wake::Wake;

/// Lanes between a pipeline and as many shards, each with room for `capacity` open requests. The lanes of shard `k` are the
/// `k`th of the list.
///
/// # Errors
/// The operating system has no descriptor for the pipeline's wake-ups.
///
/// # Panics
/// `capacity` is zero.
pub fn lanes(shards: usize, capacity: usize) -> io::Result<(PipelineLanes, Vec<ShardLane>)> {
    assert!(capacity > 0, "a lane has room for a request");
    let wake = Arc::new(Wake::new()?);
    let mut fronts = Vec::with_capacity(shards);
    let mut backs = Vec::with_capacity(shards);
    for _ in 0..shards {
        let (put_request, take_request) = RingBuffer::new(capacity);
        let (put_reply, take_reply) = RingBuffer::new(capacity);
        let parking = Arc::new(Parking::new());
        fronts.push(ShardLane::new(
            put_request,
            take_reply,
            Arc::clone(&parking),
            Arc::clone(&wake),
        ));
        backs.push(pipeline::Lane::new(take_request, put_reply, parking));
    }
    Ok((PipelineLanes::new(backs, wake), fronts))
}
