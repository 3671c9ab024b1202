//! Which request on the present connection asked for which chunk.
//!
//! Correlations count up, so the open requests are a ring: an answer finds its place by subtraction.

use std::collections::VecDeque;

use super::window::ChunkNumber;

#[derive(Debug)]
struct Request {
    chunk: ChunkNumber,
    events: u32,
    bytes: usize,
    open: bool,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Correlation of the first request in the ring.
    first: u64,
    ring: VecDeque<Request>,
    open: usize,
    open_bytes: usize,
}

impl Requests {
    /// The connection is gone, and with it every answer that was still to come.
    pub(super) fn clear(&mut self) {
        self.ring.clear();
        self.open = 0;
        self.open_bytes = 0;
    }

    pub(super) fn add(
        &mut self,
        correlation: u64,
        (chunk, events): (ChunkNumber, u32),
        bytes: usize,
    ) {
        if self.ring.is_empty() {
            self.first = correlation;
        }
        let length = u64::try_from(self.ring.len()).expect("the ring is in memory");
        assert!(
            correlation == self.first + length,
            "correlations of one connection count up"
        );
        self.ring.push_back(Request {
            chunk,
            events,
            bytes,
            open: true,
        });
        self.open += 1;
        self.open_bytes += bytes;
    }

    /// The chunk that an answer is about, and how many events it has; `None` if the node answers what was not asked, or answers twice.
    pub(super) fn answered(&mut self, correlation: u64) -> Option<(ChunkNumber, u32)> {
        let place = usize::try_from(correlation.checked_sub(self.first)?).ok()?;
        let request = self.ring.get_mut(place).filter(|request| request.open)?;
        request.open = false;
        let answered = (request.chunk, request.events);
        self.open -= 1;
        self.open_bytes -= request.bytes;
        while self.ring.front().is_some_and(|request| !request.open) {
            self.ring.pop_front();
            self.first += 1;
        }
        Some(answered)
    }

    /// Requests without an answer.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Their bytes.
    pub(super) fn open_bytes(&self) -> usize {
        self.open_bytes
    }

    /// Requests since the oldest that has no answer.
    pub(super) fn span(&self) -> usize {
        self.ring.len()
    }
}
