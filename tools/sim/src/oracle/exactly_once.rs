//! Exactly once (Raft §8, TRAPS 29): in the committed log each sequence of a producer's epoch is there once and in order, epochs only
//! rise, and every acknowledged chunk is where it was said to be, as it was sent.

use std::collections::BTreeMap;

use quorate_wire::{ChunkId, Epoch, Offset, ProducerId, Sequence};

use super::Verdict;

/// What a producer remembers.
pub(super) trait Memory {
    /// Its name.
    fn id(&self) -> ProducerId;

    /// The sequence after the last one that it has made in an epoch.
    fn end(&self, epoch: Epoch) -> Sequence;

    /// Whether these are the bytes of the chunk that begins at a sequence of an epoch.
    fn made(&self, epoch: Epoch, first: Sequence, bytes: &[u8]) -> bool;

    /// Where each acknowledged chunk is, by its epoch and first sequence: its offset and its events.
    fn acked(&self) -> &BTreeMap<(Epoch, Sequence), (Offset, u32)>;
}

/// A chunk of the committed log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) id: ChunkId,
    pub(super) offset: Offset,
    pub(super) bytes: Vec<u8>,
}

/// Holds the chunks of a producer in the committed log, in its order, against what the producer remembers.
pub(super) fn check(chunks: &[Found], producer: &impl Memory) -> Verdict {
    let name = producer.id();
    let (mut epoch, mut next) = (Epoch(0), Sequence(0));
    for Found { id, bytes, .. } in chunks {
        if id.epoch > epoch {
            (epoch, next) = (id.epoch, Sequence(0));
        }
        if (id.epoch, id.first) != (epoch, next) {
            return Err(format!(
                "producer {name}: epoch {}, sequence {} follows where epoch {epoch}, sequence {next} comes next",
                id.epoch, id.first
            ));
        }
        if id.next() > producer.end(epoch) || !producer.made(epoch, next, bytes) {
            return Err(format!(
                "producer {name} has not made what is at epoch {epoch}, sequence {next}"
            ));
        }
        next = id.next();
    }
    for (&(epoch, first), &(offset, events)) in producer.acked() {
        let at = chunks.partition_point(|it| (it.id.epoch, it.id.first) < (epoch, first));
        let there = chunks.get(at).is_some_and(|it| {
            (it.id.epoch, it.id.first, it.offset, it.id.events) == (epoch, first, offset, events)
        });
        if !there {
            return Err(format!(
                "producer {name}: epoch {epoch}, sequence {first} was acknowledged at offset {offset}, and is not there"
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Made(BTreeMap<(Epoch, Sequence), (Offset, u32)>);

    impl Memory for Made {
        fn id(&self) -> ProducerId {
            ProducerId(1)
        }

        fn end(&self, _: Epoch) -> Sequence {
            Sequence(4)
        }

        fn made(&self, _: Epoch, first: Sequence, bytes: &[u8]) -> bool {
            bytes == first.0.to_le_bytes()
        }

        fn acked(&self) -> &BTreeMap<(Epoch, Sequence), (Offset, u32)> {
            &self.0
        }
    }

    fn found(epoch: u32, first: u64, offset: u64) -> Found {
        Found {
            id: ChunkId {
                producer: ProducerId(1),
                epoch: Epoch(epoch),
                first: Sequence(first),
                events: 2,
            },
            offset: Offset(offset),
            bytes: first.to_le_bytes().to_vec(),
        }
    }

    #[test]
    fn what_is_doubled_lost_reordered_or_made_up_is_seen() {
        let nothing = Made(BTreeMap::new());
        let log = [found(0, 0, 0), found(0, 2, 5), found(1, 0, 7)];
        assert_eq!(check(&log, &nothing), Ok(()));
        assert!(check(&[found(0, 0, 0), found(0, 0, 2)], &nothing).is_err());
        assert!(check(&[found(0, 2, 0)], &nothing).is_err());
        assert!(check(&[found(1, 0, 0), found(0, 0, 2)], &nothing).is_err());
        let beyond = [found(0, 0, 0), found(0, 2, 2), found(0, 4, 4)];
        assert!(check(&beyond, &nothing).is_err());
        let mut other = found(0, 0, 0);
        other.bytes.clear();
        assert!(check(&[other], &nothing).is_err());
    }

    #[test]
    fn what_is_acknowledged_and_lost_or_moved_is_seen() {
        let acked = [((Epoch(0), Sequence(2)), (Offset(5), 2))];
        let acked = Made(acked.into_iter().collect());
        assert_eq!(check(&[found(0, 0, 0), found(0, 2, 5)], &acked), Ok(()));
        assert!(check(&[found(0, 0, 0)], &acked).is_err());
        assert!(check(&[found(0, 0, 0), found(0, 2, 6)], &acked).is_err());
    }
}
