//! A table that can be copied while it changes: an entry's last value before a change is kept until it has been copied.
//!
//! ```text
//!   slots   |####copied####|~~~~~~not yet~~~~~~|....later than the freeze....|
//!                          ^ next              ^ upto
//! ```
//! A freeze costs one bit an entry; a copy goes on by as many entries as the caller likes. Owns: where entries lie. Never: looks
//! into one. Called by: the state, whose tables are in every snapshot.

use alloc::vec;
use alloc::vec::Vec;
use core::hash::Hash;

use hashbrown::HashMap;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Table<K, V> {
    slots: Vec<Option<(K, V)>>,
    places: HashMap<K, usize>,
    /// Empty slots.
    free: Vec<usize>,
    frozen: Option<Frozen<K, V>>,
}

/// The table as it was at one moment, as far as it is not copied yet.
#[derive(Debug)]
struct Frozen<K, V> {
    /// Slots from here to `upto` are to be copied.
    next: usize,
    upto: usize,
    /// One bit a slot: what it held is in `saved`, or is copied.
    passed: Vec<u64>,
    /// What slots held that have changed since.
    saved: Vec<(K, V)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            places: HashMap::new(),
            free: Vec::new(),
            frozen: None,
        }
    }
}

impl<K, V> Frozen<K, V> {
    /// Whether a slot's value of then is still to be copied. From now on it is not.
    fn pass(&mut self, slot: usize) -> bool {
        if !(self.next..self.upto).contains(&slot) {
            return false;
        }
        let word = self.passed.get_mut(slot / 64).expect("a bit for each slot");
        let bit = 1 << (slot % 64);
        let first = *word & bit == 0;
        *word |= bit;
        first
    }
}

impl<K: Copy + Eq + Hash, V: Clone + Default> Table<K, V> {
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn get(&self, key: &K) -> Option<&V> {
        let &slot = self.places.get(key)?;
        self.slots.get(slot)?.as_ref().map(|(_, value)| value)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.slots.iter().flatten().map(|(key, value)| (key, value))
    }

    /// The value of a key, to be changed: a new one if there is none.
    pub(super) fn entry(&mut self, key: K) -> &mut V {
        let slot = match self.places.get(&key) {
            Some(&slot) => {
                self.save(slot);
                slot
            }
            None => self.insert(key),
        };
        let entry = self.slots.get_mut(slot).and_then(Option::as_mut);
        &mut entry.expect("a key's slot is taken").1
    }

    /// Keeps those that `keeps` says. It changes nothing that a snapshot holds, and drops nothing that one would hold.
    pub(super) fn retain_unseen(&mut self, mut keeps: impl FnMut(&mut V) -> bool) {
        for slot in 0..self.slots.len() {
            self.keep(slot, &mut keeps);
        }
    }

    /// Of those that are `old`, keeps what `keeps` leaves of them. A snapshot still shows them.
    pub(super) fn retire(
        &mut self,
        old: impl Fn(&V) -> bool,
        mut keeps: impl FnMut(&mut V) -> bool,
    ) {
        for slot in 0..self.slots.len() {
            if let Some(Some((_, value))) = self.slots.get(slot)
                && old(value)
            {
                self.save(slot);
                self.keep(slot, &mut keeps);
            }
        }
    }

    fn keep(&mut self, slot: usize, keeps: &mut impl FnMut(&mut V) -> bool) {
        let place = self.slots.get_mut(slot).expect("a slot of the table");
        if let Some((key, value)) = place
            && !keeps(value)
        {
            self.places.remove(key);
            *place = None;
            self.free.push(slot);
        }
    }

    fn insert(&mut self, key: K) -> usize {
        let entry = Some((key, V::default()));
        let slot = if let Some(slot) = self.free.pop() {
            // Nothing of then is in it: an entry is saved before it goes.
            if let Some(frozen) = &mut self.frozen {
                frozen.pass(slot);
            }
            *self.slots.get_mut(slot).expect("a slot of the table") = entry;
            slot
        } else {
            self.slots.push(entry);
            self.slots.len() - 1
        };
        self.places.insert(key, slot);
        slot
    }

    /// What a slot holds is about to change.
    fn save(&mut self, slot: usize) {
        if let Some(frozen) = &mut self.frozen
            && frozen.pass(slot)
            && let Some(Some(entry)) = self.slots.get(slot)
        {
            frozen.saved.push(entry.clone());
        }
    }

    /// From now on, [`Table::copy`] shows the table as it is at this moment.
    pub(super) fn freeze(&mut self) {
        let upto = self.slots.len();
        self.frozen = Some(Frozen {
            next: 0,
            upto,
            passed: vec![0; upto.div_ceil(64)],
            saved: Vec::new(),
        });
    }

    /// No copy is made any more.
    pub(super) fn thaw(&mut self) {
        self.frozen = None;
    }

    /// Shows up to `most` further entries of the frozen table, each once. Says whether more are left.
    pub(super) fn copy(&mut self, most: usize, visit: &mut dyn FnMut(&K, &V)) -> bool {
        let Some(frozen) = &mut self.frozen else {
            return false;
        };
        for _ in 0..most {
            if let Some((key, value)) = frozen.saved.pop() {
                visit(&key, &value);
                continue;
            }
            let slot = frozen.next;
            if slot == frozen.upto {
                return false;
            }
            if frozen.pass(slot)
                && let Some(Some((key, value))) = self.slots.get(slot)
            {
                visit(key, value);
            }
            frozen.next += 1;
        }
        frozen.next < frozen.upto || !frozen.saved.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeMap;

    use super::*;

    /// Copies what is frozen, so many entries at a time, and changes the table between.
    fn copied(
        table: &mut Table<u32, u32>,
        most: usize,
        mut between: impl FnMut(&mut Table<u32, u32>, usize),
    ) -> BTreeMap<u32, u32> {
        let mut found = BTreeMap::new();
        for round in 0.. {
            let more = table.copy(most, &mut |&key, &value| {
                assert_eq!(found.insert(key, value), None, "{key} is shown once");
            });
            if !more {
                break;
            }
            between(table, round);
        }
        found
    }

    fn table(entries: u32) -> (Table<u32, u32>, BTreeMap<u32, u32>) {
        let mut table = Table::default();
        for key in 0..entries {
            *table.entry(key) = key * 10;
        }
        let all = table.iter().map(|(&key, &value)| (key, value)).collect();
        (table, all)
    }

    #[test]
    fn a_copy_shows_the_moment_of_the_freeze() {
        for most in [1, 3, 64, 1000] {
            let (mut table, then) = table(200);
            table.freeze();
            let found = copied(&mut table, most, |table, round| {
                let round = u32::try_from(round).expect("a few");
                *table.entry(199 - round % 200) += 1;
                *table.entry(round * 7 % 200) += 1;
                *table.entry(1000 + round) = 5;
            });
            assert_eq!(found, then, "{most} at a time");
            table.thaw();
            assert!(!table.copy(9, &mut |_, _| panic!("nothing is frozen")));
        }
    }

    #[test]
    fn a_slot_that_is_free_at_the_freeze_shows_nothing_of_later() {
        let (mut table, mut then) = table(8);
        table.retain_unseen(|value| *value != 30);
        then.remove(&3);
        table.freeze();
        *table.entry(77) = 1;
        assert_eq!(copied(&mut table, 2, |_, _| {}), then);
        assert_eq!((table.len(), table.get(&77)), (8, Some(&1)));
        assert_eq!(table.get(&3), None);
    }

    #[test]
    fn a_copy_shows_what_was_retired_since() {
        for most in [1, 5, 100] {
            let (mut table, then) = table(60);
            table.freeze();
            let found = copied(&mut table, most, |table, round| {
                let round = u32::try_from(round).expect("a few");
                table.retire(|value| *value % 70 == 10 * (round % 7), |_| false);
                *table.entry(1000 + round) = 5;
            });
            assert_eq!(found, then, "{most} at a time");
        }
        let (mut table, _) = table(3);
        table.retire(|value| *value >= 10, |value| core::mem::take(value) == 20);
        let left: Vec<_> = table.iter().map(|(&key, &value)| (key, value)).collect();
        assert_eq!((left, table.len()), (vec![(0, 0), (2, 0)], 2));
    }

    #[test]
    fn changes_after_the_copy_keep_nothing() {
        let (mut table, then) = table(4);
        table.freeze();
        assert_eq!(copied(&mut table, 100, |_, _| {}), then);
        *table.entry(2) = 9;
        assert!(!table.copy(9, &mut |_, _| panic!("all of it was shown")));
    }
}
