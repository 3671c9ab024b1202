//! The ids of a load's events: each is a new one.
//!
//! Owns: how many are left, since a cluster knows so many and no more. Called by: the generator.

use quorate_wire::limits::EVENT_IDS_MAX;

/// Ids that were never there before.
#[derive(Debug)]
pub(crate) struct Ids {
    /// Drawn at random: what other loads have sent is something else.
    load: u64,
    next: u64,
    left: usize,
}

impl Ids {
    pub(crate) const fn new(load: u64) -> Self {
        Self {
            load,
            next: 0,
            left: EVENT_IDS_MAX,
        }
    }

    /// Whether there are none for a further chunk of so many events.
    pub(crate) fn are_used_up(&self, events: u32) -> bool {
        usize::try_from(events).is_ok_and(|events| self.left < events)
    }

    /// Appends those of a chunk.
    pub(crate) fn write(&mut self, events: u32, chunk: &mut Vec<u8>) {
        assert!(!self.are_used_up(events), "the caller has asked");
        for _ in 0..events {
            chunk.extend_from_slice(&self.load.to_le_bytes());
            chunk.extend_from_slice(&self.next.to_le_bytes());
            self.next += 1;
            self.left -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use quorate_client::EventId;
    use quorate_wire::limits::EVENT_IDS_MAX;

    use super::Ids;

    #[test]
    fn no_id_comes_twice_and_there_are_as_many_as_a_cluster_knows() {
        let mut ids = Ids::new(7);
        let mut bytes = Vec::new();
        while !ids.are_used_up(1_000) {
            ids.write(1_000, &mut bytes);
        }
        assert!(!ids.are_used_up(1));
        let made: HashSet<&[u8]> = bytes.chunks_exact(EventId::BYTES).collect();
        assert_eq!(made.len(), EVENT_IDS_MAX / 1_000 * 1_000);
    }
}
