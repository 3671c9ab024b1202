//! Nothing is skipped (issue of every consumer group whose offsets run ahead of its readers; Kafka's KIP-447): each event below a
//! slot's committed offset was given out to a member that asked for a commit which covers it; or that member was told to go on behind
//! what the log had let go, and wanted something there. What lies before the offset at which a consumer group began was let go before.
//! One that is deleted and comes back begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use quorate_wire::{MemberId, Offset, Slot, Slots};

use super::Verdict;
use super::lives::Life;
use super::slot_offsets::Done;

/// A member, in a life of the consumer group.
pub(super) type Who = (Life, MemberId);

/// What members were given, and what they asked to commit.
#[derive(Debug, Default)]
pub(super) struct Covered {
    given: BTreeMap<Offset, BTreeSet<Who>>,
    /// The furthest that each member has asked to commit each slot.
    asked: BTreeMap<(Who, usize), Offset>,
    /// Where each slot began: what the first member heard that had it.
    began: BTreeMap<(Life, usize), Offset>,
    /// Of each slot, who went on behind which of its events.
    skipped: BTreeMap<usize, Vec<(Who, Range<Offset>)>>,
}

impl Covered {
    /// A member hears that it has a slot, and where that goes on.
    pub(super) fn told(&mut self, life: Life, slot: Slot, next: Offset) {
        self.began.entry((life, slot.number())).or_insert(next);
    }

    /// A member gets an event.
    pub(super) fn given(&mut self, who: Who, offset: Offset) {
        self.given.entry(offset).or_default().insert(who);
    }

    /// A member goes on behind events of a slot, since the log now begins at `start`.
    pub(super) fn skipped(
        &mut self,
        who: Who,
        slot: Slot,
        left: Range<Offset>,
        start: Offset,
    ) -> Verdict {
        if left.start >= start || left.end < start {
            return Err(format!(
                "{} leaves out {left:?} of slot {slot}, and the log begins at {start}",
                who.1
            ));
        }
        let skipped = self.skipped.entry(slot.number()).or_default();
        skipped.push((who, left));
        Ok(())
    }

    /// A member asks for a commit.
    pub(super) fn asked(&mut self, who: Who, slots: Slots, offset: Offset) {
        for slot in slots.iter() {
            let furthest = self.asked.entry((who, slot.number())).or_default();
            *furthest = (*furthest).max(offset);
        }
    }

    /// The world has ended: with these events in the log, and up to there the slots are done.
    pub(super) fn end(
        &self,
        events: impl Iterator<Item = (Offset, Slot)>,
        (life, done): &Done,
    ) -> Verdict {
        for (offset, slot) in events {
            let began = self.began.get(&(*life, slot.number()));
            let before = began.is_some_and(|&began| offset < began);
            if before || done.get(slot.number()).is_none_or(|&done| done <= offset) {
                continue;
            }
            let covers = |who: &Who| {
                let asked = self.asked.get(&(*who, slot.number()));
                who.0 == *life && asked.is_some_and(|&asked| asked > offset)
            };
            let given = self.given.get(&offset);
            let skipped = self.skipped.get(&slot.number()).into_iter().flatten();
            let mut skipped = skipped.filter(|(_, left)| left.contains(&offset));
            if !given.is_some_and(|given| given.iter().any(covers))
                && !skipped.any(|(who, _)| covers(who))
            {
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
    use quorate_wire::SLOTS;

    use super::*;

    #[test]
    fn an_event_that_nobody_was_given_is_seen() {
        let slot = Slot::of(0);
        let events = || [(Offset(4), slot), (Offset(5), slot)].into_iter();
        let done = |at| (1, [Offset(at); SLOTS]);
        let (one, two) = ((1, MemberId(1)), (1, MemberId(2)));
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

    #[test]
    fn what_lies_before_the_beginning_is_nobodys() {
        let slot = Slot::of(0);
        let events = || [(Offset(4), slot), (Offset(5), slot)].into_iter();
        let mut oracle = Covered::default();
        oracle.told(1, slot, Offset(5));
        oracle.told(1, slot, Offset(6));
        assert!(oracle.end(events(), &(1, [Offset(6); SLOTS])).is_err());
        assert_eq!(oracle.end(events(), &(1, [Offset(5); SLOTS])), Ok(()));
    }

    #[test]
    fn what_was_done_in_an_earlier_life_is_not_done_in_this_one() {
        let slot = Slot::of(0);
        let events = || [(Offset(4), slot)].into_iter();
        let mut oracle = Covered::default();
        let who = (1, MemberId(1));
        oracle.given(who, Offset(4));
        oracle.asked(who, Slots(1), Offset(5));
        let done = |life| (life, [Offset(5); SLOTS]);
        assert_eq!(oracle.end(events(), &done(1)), Ok(()));
        assert!(oracle.end(events(), &done(2)).is_err());
    }

    #[test]
    fn more_left_out_than_the_log_has_let_go_is_seen() {
        let slot = Slot::of(0);
        let events = || [(Offset(4), slot), (Offset(5), slot)].into_iter();
        let done = (1, [Offset(6); SLOTS]);
        let mut oracle = Covered::default();
        let who = (1, MemberId(1));
        let mut skip = |left, start| oracle.skipped(who, slot, left, Offset(start));
        assert!(skip(Offset(4)..Offset(6), 4).is_err(), "it is there");
        assert!(skip(Offset(4)..Offset(6), 7).is_err(), "it is not");
        assert_eq!(skip(Offset(4)..Offset(6), 6), Ok(()));
        assert!(oracle.end(events(), &done).is_err(), "not committed");
        oracle.asked(who, Slots(1), Offset(6));
        assert_eq!(oracle.end(events(), &done), Ok(()));
        oracle.skipped.clear();
        assert!(oracle.end(events(), &done).is_err());
    }
}
