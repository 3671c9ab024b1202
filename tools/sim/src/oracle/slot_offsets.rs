//! Done stays done (docs/protocol.md, "Consumer groups"): along the log, the offset up to which a slot is committed never falls, and
//! a commit that was acknowledged is in it, for as long as the consumer group lives.

use std::collections::BTreeMap;

use quorate_wire::{LogIndex, Offset, SLOTS, Slots};

use super::Verdict;
use super::lives::Life;

/// The slots' offsets, and whose.
pub(super) type Done = (Life, [Offset; SLOTS]);

/// What has been seen of the slots' offsets.
#[derive(Debug, Default)]
pub(super) struct SlotOffsets {
    seen: BTreeMap<LogIndex, Done>,
    acknowledged: BTreeMap<Life, [Offset; SLOTS]>,
}

/// Whether something that was done is not any more.
fn falls((life, early): &Done, (later, late): &Done) -> bool {
    life > later || life == later && early.iter().zip(late).any(|(early, late)| early > late)
}

impl SlotOffsets {
    /// A node has them at this index.
    pub(super) fn seen(&mut self, index: LogIndex, done: Done) -> Verdict {
        let before = self.seen.range(..=index).next_back();
        let after = self.seen.range(index..).next();
        if let Some((at, before)) = before
            && falls(before, &done)
        {
            return Err(format!("a slot's offset falls between {at} and {index}"));
        }
        if let Some((at, after)) = after
            && falls(&done, after)
        {
            return Err(format!("a slot's offset falls between {index} and {at}"));
        }
        self.seen.insert(index, done);
        Ok(())
    }

    /// What was seen at the last index.
    pub(super) fn last(&self) -> Option<Done> {
        self.seen.last_key_value().map(|(_, done)| *done)
    }

    /// What members were last told to be done.
    pub(super) fn promised(&self) -> Done {
        let last = self.acknowledged.last_key_value();
        last.map_or((0, [Offset(0); SLOTS]), |(&life, done)| (life, *done))
    }

    /// A member is told that its commit is done.
    pub(super) fn acknowledged(&mut self, life: Life, slots: Slots, offset: Offset) {
        let acknowledged = self.acknowledged.entry(life);
        let acknowledged = acknowledged.or_insert([Offset(0); SLOTS]);
        for slot in slots.iter() {
            if let Some(done) = acknowledged.get_mut(slot.number()) {
                *done = (*done).max(offset);
            }
        }
    }

    /// The world has ended with these.
    pub(super) fn end(&self, done: &Done) -> Verdict {
        if falls(&self.promised(), done) {
            return Err("a commit was acknowledged, and is lost".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_falls_and_a_lost_commit_are_seen() {
        let mut oracle = SlotOffsets::default();
        let at = |offset| (1, [Offset(offset); SLOTS]);
        assert_eq!(oracle.seen(LogIndex(5), at(5)), Ok(()));
        assert_eq!(oracle.seen(LogIndex(9), at(7)), Ok(()));
        assert_eq!(oracle.seen(LogIndex(7), at(6)), Ok(()));
        assert!(oracle.seen(LogIndex(8), at(5)).is_err());
        assert!(oracle.seen(LogIndex(6), at(7)).is_err());
        oracle.acknowledged(1, Slots(2), Offset(8));
        assert_eq!(oracle.end(&at(8)), Ok(()));
        assert!(oracle.end(&at(7)).is_err());
    }

    #[test]
    fn a_new_life_begins_anew_and_the_one_before_does_not_come_back() {
        let mut oracle = SlotOffsets::default();
        let at = |life, offset| (life, [Offset(offset); SLOTS]);
        assert_eq!(oracle.seen(LogIndex(5), at(1, 5)), Ok(()));
        assert_eq!(oracle.seen(LogIndex(9), at(2, 0)), Ok(()));
        assert!(oracle.seen(LogIndex(10), at(1, 5)).is_err());
        oracle.acknowledged(1, Slots(2), Offset(8));
        assert_eq!(oracle.end(&at(2, 0)), Ok(()));
        oracle.acknowledged(2, Slots(2), Offset(1));
        assert!(oracle.end(&at(1, 9)).is_err());
    }
}
