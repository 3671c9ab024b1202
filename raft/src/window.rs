//! What is on the way to one peer.

use alloc::collections::VecDeque;

use quorate_wire::LogIndex;

use crate::Config;

/// Appends that are sent and not yet acknowledged, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    /// Last index and size of each. Invariant: indexes rise.
    appends: VecDeque<(LogIndex, u32)>,
    /// Invariant: the sum of the sizes.
    bytes: u64,
}

impl Window {
    /// Takes its memory at once: sending does not allocate.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            appends: VecDeque::with_capacity(config.window_appends),
            bytes: 0,
        }
    }

    /// Most bytes that the next append may have, or `None` if there must be none before an acknowledgement.
    pub(crate) fn room(&self, config: &Config) -> Option<u32> {
        if self.appends.len() >= config.window_appends || self.bytes >= config.window_bytes {
            return None;
        }
        let room = config.window_bytes - self.bytes;
        Some(u32::try_from(room).map_or(config.append_bytes_max, |room| {
            room.min(config.append_bytes_max)
        }))
    }

    pub(crate) fn push(&mut self, last: LogIndex, bytes: u32) {
        assert!(
            self.appends.back().is_none_or(|append| append.0 < last),
            "appends go out in order"
        );
        self.appends.push_back((last, bytes));
        self.bytes += u64::from(bytes);
    }

    /// The peer has everything up to `durable`.
    pub(crate) fn release(&mut self, durable: LogIndex) {
        while let Some((_, bytes)) = self.appends.pop_front_if(|append| append.0 <= durable) {
            self.bytes -= u64::from(bytes);
        }
        assert!(
            self.bytes == 0 || !self.appends.is_empty(),
            "an empty window has no bytes on the way"
        );
    }
}
