//! Slots: the buckets that keys are hashed into. A consumer group splits them, and a filter may name them.

/// How many slots there are.
pub const SLOTS: usize = COUNT as usize;

const COUNT: u8 = 64;

/// Multiplied with a key, its upper bits are spread evenly, whatever the keys are: 2^64 over the golden ratio (Knuth,
/// volume 3, section 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A bucket of key hashes: 0 to 63. Events of one key have one slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u8);

impl Slot {
    /// The slot of a number, if it is one.
    #[must_use]
    pub const fn new(number: u8) -> Option<Self> {
        if number < COUNT {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The slot of a key.
    #[must_use]
    pub const fn of(key: u64) -> Self {
        Self((key.wrapping_mul(SPREAD) >> 58) as u8)
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> usize {
        self.0 as usize
    }

    /// All slots.
    pub fn all() -> impl DoubleEndedIterator<Item = Self> {
        Slots::ALL.iter()
    }
}

impl core::fmt::Display for Slot {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

/// A set of slots: bit n is slot n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Slots(pub u64);

impl Slots {
    /// No slot.
    pub const NONE: Self = Self(0);

    /// All slots.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether a slot is in it.
    #[must_use]
    pub const fn has(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 == 1
    }

    /// Puts a slot into it.
    pub const fn insert(&mut self, slot: Slot) {
        self.0 |= 1 << slot.0;
    }

    /// Takes a slot out of it.
    pub const fn remove(&mut self, slot: Slot) {
        self.0 &= !(1 << slot.0);
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether no slot is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many slots are in it.
    #[must_use]
    pub const fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Its slots, ascending.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Slot> {
        (0..COUNT).map(Slot).filter(move |&slot| self.has(slot))
    }
}

impl FromIterator<Slot> for Slots {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let mut set = Self::NONE;
        for slot in slots {
            set.insert(slot);
        }
        set
    }
}

impl core::fmt::Display for Slots {
    /// `0-21,40`: runs of slots.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let begins = |slot: &Slot| slot.0 == 0 || !self.has(Slot(slot.0 - 1));
        for (at, first) in self.iter().filter(begins).enumerate() {
            let run = u32::from(first.0)..;
            let length = (self.0 >> first.0).trailing_ones();
            let last = run.start + length - 1;
            let comma = if at == 0 { "" } else { "," };
            match length {
                1 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::{SLOTS, Slot, Slots};

    #[test]
    fn the_slot_is_the_top_of_the_product() {
        assert_eq!(Slot::of(0).number(), 0);
        assert_eq!(Slot::of(1).number(), 0x9e >> 2);
        assert_eq!(Slot::of(0xeddd_2c15_ff48_b181).number(), {
            let product = 0xeddd_2c15_ff48_b181_u64.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            usize::try_from(product >> 58).expect("small")
        });
    }

    #[test]
    fn keys_that_follow_each_other_are_spread_evenly() {
        for slot in Slot::all() {
            let keys = (0..6400).filter(|&key| Slot::of(key) == slot).count();
            assert!((90..=110).contains(&keys), "{keys} in slot {slot}");
        }
    }

    #[test]
    fn a_set_is_a_word_of_bits() {
        let mut set: Slots = [0, 1, 2, 40, 63]
            .into_iter()
            .filter_map(Slot::new)
            .collect();
        assert_eq!(set, Slots(1 << 63 | 1 << 40 | 7));
        assert_eq!((set.len(), set.to_string().as_str()), (5, "0-2,40,63"));
        assert!(set.iter().map(Slot::number).eq([0, 1, 2, 40, 63]));
        set.remove(Slot::of(0));
        assert!(!set.has(Slot::of(0)) && set.has(Slot(1)));
        assert_eq!(set.without(Slots(6)), Slots(1 << 63 | 1 << 40));
        assert_eq!(set.and(Slots(2)).or(Slots(1)), Slots(3));
        assert_eq!(Slots::ALL.to_string(), "0-63");
        assert_eq!(Slots::NONE.to_string(), "none");
        assert_eq!((Slot::all().count(), Slot::new(64)), (SLOTS, None));
    }
}
