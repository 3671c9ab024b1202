//! One owner (the fence of docs/protocol.md, "Consumer groups"; Kleppmann 2016, fencing tokens): in a generation, a slot is one
//! member's; and no commit counts once a member of a later generation has heard that the slot is its own.

use std::collections::BTreeMap;

use quorate_wire::{Generation, MemberId, SLOTS, Slot, Slots};

use super::Verdict;

/// What members were told.
#[derive(Debug, Default)]
pub(super) struct SlotOwner {
    owners: BTreeMap<(Generation, usize), MemberId>,
    /// Of each slot, the latest generation that an owner has heard of, and who that is.
    latest: BTreeMap<usize, (Generation, MemberId)>,
}

impl SlotOwner {
    /// A member hears that slots are its own.
    pub(super) fn told(
        &mut self,
        member: MemberId,
        generation: Generation,
        slots: impl IntoIterator<Item = Slot>,
    ) -> Verdict {
        for slot in slots {
            let key = (generation, slot.number());
            let owner = *self.owners.entry(key).or_insert(member);
            if owner != member {
                return Err(format!(
                    "slot {slot} is that of {owner} and of {member} in generation {generation}"
                ));
            }
            let latest = self
                .latest
                .entry(slot.number())
                .or_insert((generation, member));
            if latest.0 < generation {
                *latest = (generation, member);
            }
        }
        Ok(())
    }

    /// Which owners there are when a member begins to ask for a commit.
    pub(super) fn owners(&self) -> Vec<Option<(Generation, MemberId)>> {
        (0..SLOTS)
            .map(|slot| self.latest.get(&slot).copied())
            .collect()
    }

    /// A commit is done that was asked when the owners were these.
    pub(super) fn committed(
        owners: &[Option<(Generation, MemberId)>],
        member: MemberId,
        generation: Generation,
        slots: Slots,
    ) -> Verdict {
        for (slot, owner) in Slot::all().zip(owners) {
            if let Some((latest, owner)) = owner
                && slots.has(slot)
                && *latest > generation
                && *owner != member
            {
                return Err(format!(
                    "{member} commits slot {slot} in generation {generation}, and {owner} has it since {latest}"
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
    fn two_owners_and_a_late_commit_are_seen() {
        let mut oracle = SlotOwner::default();
        let (one, two) = (MemberId(1), MemberId(2));
        let generation = Generation;
        assert_eq!(oracle.told(one, generation(1), Slots(3).iter()), Ok(()));
        let before = oracle.owners();
        assert_eq!(oracle.told(one, generation(2), Slots(1).iter()), Ok(()));
        assert_eq!(oracle.told(two, generation(2), Slots(2).iter()), Ok(()));
        assert!(oracle.told(two, generation(2), Slots(1).iter()).is_err());
        let after = oracle.owners();
        let commit = |owners: &[_]| SlotOwner::committed(owners, one, generation(1), Slots(2));
        assert_eq!(commit(&before), Ok(()), "it was asked before");
        assert!(commit(&after).is_err());
        let own = SlotOwner::committed(&after, one, generation(1), Slots(1));
        assert_eq!(own, Ok(()), "nobody else has it");
    }
}
