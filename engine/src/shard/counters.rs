//! What a shard counts, for whoever watches it from another thread.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only rises, written by one thread.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// How much it is.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Only the shard's own thread calls it, so a load and a store make an addition.
    pub(super) fn add(&self, more: usize) {
        let more = u64::try_from(more).unwrap_or(u64::MAX);
        self.0
            .store(self.get().wrapping_add(more), Ordering::Relaxed);
    }
}

/// Counters of one shard. They are read while they are written, so two of them may be of different moments.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections that were accepted.
    pub connections_opened: Counter,
    /// Of those, the ones that are gone.
    pub connections_closed: Counter,
    /// Connections that were ended with an error.
    pub connections_refused: Counter,
    /// Connections that were closed since they did not read their answers.
    pub connections_slow: Counter,
    /// Requests that went to the pipeline.
    pub requests: Counter,
    /// Bytes of chunks that went to the pipeline.
    pub chunk_bytes: Counter,
    /// Requests that were refused here.
    pub refusals: Counter,
    /// Bytes that were read from clients.
    pub bytes_in: Counter,
    /// Bytes that were written to clients.
    pub bytes_out: Counter,
}
