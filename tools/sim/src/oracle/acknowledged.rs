//! Acknowledged once (exactly once, TRAPS 29): a chunk is acknowledged at one offset, however often and wherever it is retried, and a
//! producer hears nothing that no node has said.

use std::collections::BTreeMap;

use quorate_wire::{Epoch, Offset, ProducerId, Sequence};

use super::Verdict;

/// A chunk by its producer, epoch and first sequence.
pub(super) type Place = (ProducerId, Epoch, Sequence);

/// The offset of each chunk that a node has acknowledged.
#[derive(Debug, Default)]
pub(super) struct Acknowledged {
    offsets: BTreeMap<Place, Offset>,
}

impl Acknowledged {
    /// A node acknowledges a chunk.
    pub(super) fn said(&mut self, chunk: Place, offset: Offset) -> Verdict {
        let known = *self.offsets.entry(chunk).or_insert(offset);
        if known == offset {
            return Ok(());
        }
        Err(format!(
            "{} is acknowledged at offset {known}, and at {offset}",
            name(chunk)
        ))
    }

    /// A producer hears of it.
    pub(super) fn heard(&self, chunk: Place, offset: Offset) -> Verdict {
        if self.offsets.get(&chunk) == Some(&offset) {
            return Ok(());
        }
        Err(format!(
            "{} is heard to be at offset {offset}, and no node has said that",
            name(chunk)
        ))
    }
}

fn name((producer, epoch, first): Place) -> String {
    format!("the chunk of producer {producer}, epoch {epoch}, sequence {first}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_offsets_and_hearsay_are_seen() {
        let mut oracle = Acknowledged::default();
        let chunk = (ProducerId(1), Epoch(0), Sequence(4));
        assert!(oracle.heard(chunk, Offset(9)).is_err());
        assert_eq!(oracle.said(chunk, Offset(9)), Ok(()));
        assert_eq!(oracle.said(chunk, Offset(9)), Ok(()));
        assert_eq!(oracle.heard(chunk, Offset(9)), Ok(()));
        assert!(oracle.said(chunk, Offset(10)).is_err());
    }
}
