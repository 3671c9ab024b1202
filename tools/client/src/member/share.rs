//! A member's share: which events are its own, and which of them it has given out.

use quorate_wire::canary::{self, Canary};
use quorate_wire::{Event, Offset, SLOTS, Slot, Slots};

use crate::Batch;

/// What a member reads, and from where.
#[derive(Clone, Debug)]
pub struct Share {
    slots: Slots,
    /// Of each own slot, the first offset that is not given out.
    next: [Offset; SLOTS],
}

impl Default for Share {
    fn default() -> Self {
        Self {
            slots: Slots::NONE,
            next: [Offset(0); SLOTS],
        }
    }
}

impl Share {
    /// The slots.
    #[must_use]
    pub fn slots(&self) -> Slots {
        self.slots
    }

    /// Keeps only these of its slots.
    pub(super) fn keep(&mut self, slots: Slots) {
        self.slots = self.slots.and(slots);
    }

    /// The slots are these; `done` says up to where each is committed. A new one goes on there, the others where they are.
    pub(super) fn assign(&mut self, slots: Slots, done: &[Offset; SLOTS]) {
        let gained = slots.without(self.slots);
        let ahead = self.begin().unwrap_or(Offset(0));
        for ((slot, &done), next) in Slot::all().zip(done).zip(&mut self.next) {
            *next = if gained.has(slot) {
                done
            } else {
                (*next).max(done)
            };
            if canary::on(Canary::SlotSkipsAhead) {
                *next = (*next).max(ahead);
            }
        }
        self.slots = slots;
    }

    /// The first offset of a slot that is not given out; none if the slot is not its own.
    #[must_use]
    pub fn next(&self, slot: Slot) -> Option<Offset> {
        self.slots.has(slot).then_some(())?;
        self.next.get(slot.number()).copied()
    }

    /// The first offset at which something may be to be given out; none without slots.
    #[must_use]
    pub fn begin(&self) -> Option<Offset> {
        self.slots.iter().filter_map(|slot| self.next(slot)).min()
    }

    /// Whether an event is to be given out.
    #[must_use]
    pub fn takes(&self, offset: Offset, key: u64) -> bool {
        self.next(Slot::of(key)).is_some_and(|next| next <= offset)
    }

    /// Of a batch, the events that are to be given out.
    pub fn own<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (Offset, Event<'a>)> {
        let events = batch.events();
        events.filter(|(offset, event)| self.takes(*offset, event.key))
    }

    /// Slots that want something before `start` go on at an offset.
    pub(super) fn skip(&mut self, start: Offset, to: Offset) {
        for slot in self.slots.iter() {
            if let Some(next) = self.next.get_mut(slot.number())
                && *next < start
            {
                *next = to;
            }
        }
    }

    /// Everything of its slots below this offset has been given out.
    pub fn advance(&mut self, to: Offset) {
        for slot in self.slots.iter() {
            if let Some(next) = self.next.get_mut(slot.number()) {
                *next = (*next).max(to);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(numbers: &[u8]) -> Slots {
        numbers
            .iter()
            .filter_map(|&number| Slot::new(number))
            .collect()
    }

    fn done(at: u64) -> [Offset; SLOTS] {
        [Offset(at); SLOTS]
    }

    #[test]
    fn a_slot_goes_on_where_it_was_committed_and_an_own_one_where_it_is() {
        let mut share = Share::default();
        assert_eq!(share.begin(), None);
        let (zero, one) = (0, 1);
        let slot_of_one = u8::try_from(Slot::of(one).number()).expect("small");
        share.assign(slots(&[0]), &done(5));
        assert!(!share.takes(Offset(4), zero) && share.takes(Offset(5), zero));
        assert!(!share.takes(Offset(5), one), "not its own");
        share.advance(Offset(9));
        assert!(!share.takes(Offset(8), zero));
        share.assign(slots(&[0, slot_of_one]), &done(6));
        assert_eq!(share.begin(), Some(Offset(6)), "it reads from there again");
        assert!(share.takes(Offset(6), one) && !share.takes(Offset(8), zero));
        share.advance(Offset(7));
        assert!(!share.takes(Offset(8), zero), "what was given out stays so");
        share.assign(slots(&[slot_of_one]), &done(6));
        share.assign(slots(&[0, slot_of_one]), &done(3));
        assert!(
            share.takes(Offset(3), zero),
            "nobody has committed it meanwhile"
        );
    }
}
