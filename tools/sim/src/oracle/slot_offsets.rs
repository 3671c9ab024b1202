//! Done stays done (docs/protocol.md, "Consumer groups"): along the log, the offset up to which a slot is committed never falls, and
//! a commit that was acknowledged is in it.

use std::collections::BTreeMap;

use quorate_wire::{LogIndex, Offset, SLOTS, Slots};

use super::Verdict;

/// What has been seen of the slots' offsets.
#[derive(Debug)]
pub(super) struct SlotOffsets {
    seen: BTreeMap<LogIndex, [Offset; SLOTS]>,
    acknowledged: [Offset; SLOTS],
}

impl Default for SlotOffsets {
    fn default() -> Self {
        Self {
            seen: BTreeMap::new(),
            acknowledged: [Offset(0); SLOTS],
        }
    }
}

impl SlotOffsets {
    /// A node has them at this index.
    pub(super) fn seen(&mut self, index: LogIndex, offsets: &[Offset; SLOTS]) -> Verdict {
        let before = self.seen.range(..=index).next_back();
        let after = self.seen.range(index..).next();
        let falls = |early: &[Offset; SLOTS], late: &[Offset; SLOTS]| {
            early.iter().zip(late).any(|(early, late)| early > late)
        };
        if let Some((at, before)) = before
            && falls(before, offsets)
        {
            return Err(format!("a slot's offset falls between {at} and {index}"));
        }
        if let Some((at, after)) = after
            && falls(offsets, after)
        {
            return Err(format!("a slot's offset falls between {index} and {at}"));
        }
        self.seen.insert(index, *offsets);
        Ok(())
    }

    /// What was seen at the last index.
    pub(super) fn last(&self) -> Option<[Offset; SLOTS]> {
        self.seen.last_key_value().map(|(_, offsets)| *offsets)
    }

    /// What members were told to be done.
    pub(super) fn promised(&self) -> &[Offset; SLOTS] {
        &self.acknowledged
    }

    /// A member is told that its commit is done.
    pub(super) fn acknowledged(&mut self, slots: Slots, offset: Offset) {
        for slot in slots.iter() {
            if let Some(done) = self.acknowledged.get_mut(slot.number()) {
                *done = (*done).max(offset);
            }
        }
    }

    /// The world has ended with these.
    pub(super) fn end(&self, offsets: &[Offset; SLOTS]) -> Verdict {
        let lost = self
            .acknowledged
            .iter()
            .zip(offsets)
            .position(|(said, is)| said > is);
        match lost {
            None => Ok(()),
            Some(slot) => Err(format!(
                "a commit of slot {slot} was acknowledged, and is lost"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_that_falls_and_a_lost_commit_are_seen() {
        let mut oracle = SlotOffsets::default();
        let at = |offset| [Offset(offset); SLOTS];
        assert_eq!(oracle.seen(LogIndex(5), &at(5)), Ok(()));
        assert_eq!(oracle.seen(LogIndex(9), &at(7)), Ok(()));
        assert_eq!(oracle.seen(LogIndex(7), &at(6)), Ok(()));
        assert!(oracle.seen(LogIndex(8), &at(5)).is_err());
        assert!(oracle.seen(LogIndex(6), &at(7)).is_err());
        oracle.acknowledged(Slots(2), Offset(8));
        assert_eq!(oracle.end(&at(8)), Ok(()));
        assert!(oracle.end(&at(7)).is_err());
    }
}
