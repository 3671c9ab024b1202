//! Linearizable appends (Herlihy and Wing 1990, specialised to a log): the events of two acknowledged chunks never share an offset,
//! and an append that was acknowledged before another one was sent has the smaller offsets. For a log whose appends return their
//! places that is all of linearizability: the places are the order, and only real time can contradict them.

use std::collections::BTreeMap;

use quorate_wire::{Offset, Time};

use super::Verdict;

/// An append that was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Append {
    /// When it was first sent.
    pub(super) sent: Time,
    /// When its producer heard of it. Appends are told of in this order.
    pub(super) heard: Time,
    /// Offset of its first event.
    pub(super) offset: Offset,
    /// Its events.
    pub(super) events: u32,
}

/// All acknowledged appends.
#[derive(Debug, Default)]
pub(super) struct Appends {
    /// End of each one by its offset.
    places: BTreeMap<Offset, Offset>,
    /// The highest end that was known at each moment at which it rose.
    ends: Vec<(Time, Offset)>,
}

impl Appends {
    pub(super) fn acknowledged(&mut self, append: Append) -> Verdict {
        let Append {
            sent,
            heard,
            offset,
            events,
        } = append;
        let end = offset.plus(u64::from(events));
        let before = self.places.range(..end).next_back();
        if let Some((&from, &to)) = before
            && to > offset
        {
            return Err(format!(
                "offsets {from} to {to} and {offset} to {end} are two chunks'"
            ));
        }
        self.places.insert(offset, end);
        let earlier = self.ends.partition_point(|&(at, _)| at < sent);
        if let Some(&(at, reached)) = earlier.checked_sub(1).and_then(|at| self.ends.get(at))
            && reached > offset
        {
            return Err(format!(
                "a chunk sent at {sent} is at offset {offset}, and at {at} one up to {reached} was acknowledged"
            ));
        }
        if self.ends.last().is_none_or(|&(_, highest)| highest < end) {
            self.ends.push((heard, end));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(sent: u64, heard: u64, offset: u64) -> Append {
        Append {
            sent: Time(sent),
            heard: Time(heard),
            offset: Offset(offset),
            events: 2,
        }
    }

    #[test]
    fn appends_at_the_same_time_may_have_any_order() {
        let mut oracle = Appends::default();
        assert_eq!(oracle.acknowledged(append(0, 10, 4)), Ok(()));
        assert_eq!(oracle.acknowledged(append(5, 11, 0)), Ok(()));
        assert_eq!(oracle.acknowledged(append(10, 12, 2)), Ok(()));
        assert_eq!(oracle.acknowledged(append(13, 14, 6)), Ok(()));
    }

    #[test]
    fn an_append_before_one_that_was_over_is_seen() {
        let mut oracle = Appends::default();
        assert_eq!(oracle.acknowledged(append(0, 10, 4)), Ok(()));
        assert!(oracle.acknowledged(append(11, 12, 0)).is_err());
    }

    #[test]
    fn shared_offsets_are_seen() {
        for offset in [3, 4, 5] {
            let mut oracle = Appends::default();
            assert_eq!(oracle.acknowledged(append(0, 10, 4)), Ok(()));
            assert!(oracle.acknowledged(append(0, 10, offset)).is_err());
        }
    }
}
