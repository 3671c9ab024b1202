//! Nothing is skipped (issue of every consumer group whose offsets run ahead of its readers; Kafka's KIP-447): each event below a
//! slot's committed offset was given out to a member that asked for a commit which covers it.

use std::collections::{BTreeMap, BTreeSet};

use quorate_wire::{MemberId, Offset, SLOTS, Slot, Slots};

use super::Verdict;

/// What members were given, and what they asked to commit.
#[derive(Debug, Default)]
pub(super) struct Covered {
    given: BTreeMap<Offset, BTreeSet<MemberId>>,
    /// The furthest that each member has asked to commit each slot.
    asked: BTreeMap<(MemberId, usize), Offset>,
}

impl Covered {
    /// A member gets an event.
    pub(super) fn given(&mut self, member: MemberId, offset: Offset) {
        self.given.entry(offset).or_default().insert(member);
    }

    /// A member asks for a commit.
    pub(super) fn asked(&mut self, member: MemberId, slots: Slots, offset: Offset) {
        for slot in slots.iter() {
            let furthest = self.asked.entry((member, slot.number())).or_default();
            *furthest = (*furthest).max(offset);
        }
    }

    /// The world has ended: with these events in the log, and up to there the slots are done.
    pub(super) fn end(
        &self,
        events: impl Iterator<Item = (Offset, Slot)>,
        done: &[Offset; SLOTS],
    ) -> Verdict {
        for (offset, slot) in events {
            if done.get(slot.number()).is_none_or(|&done| done <= offset) {
                continue;
            }
            let covers = |member: &MemberId| {
                let asked = self.asked.get(&(*member, slot.number()));
                asked.is_some_and(|&asked| asked > offset)
            };
            let given = self.given.get(&offset);
            if !given.is_some_and(|members| members.iter().any(covers)) {
                return Err(format!(
                    "the event at {offset}, of slot {slot}, is committed, and nobody who committed it had it"
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_nobody_was_given_is_seen() {
        let slot = Slot::of(0);
        let events = || [(Offset(4), slot), (Offset(5), slot)].into_iter();
        let done = |at| [Offset(at); SLOTS];
        let (one, two) = (MemberId(1), MemberId(2));
        let mut oracle = Covered::default();
        oracle.given(one, Offset(4));
        oracle.asked(one, Slots(1), Offset(5));
        assert_eq!(oracle.end(events(), &done(5)), Ok(()));
        assert!(oracle.end(events(), &done(6)).is_err());
        oracle.given(two, Offset(5));
        assert!(
            oracle.end(events(), &done(6)).is_err(),
            "it has not committed"
        );
        oracle.asked(two, Slots(1), Offset(6));
        assert_eq!(oracle.end(events(), &done(6)), Ok(()));
    }
}
