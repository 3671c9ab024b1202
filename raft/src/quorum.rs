//! Majorities.

use quorate_wire::canary::{self, Canary};

use crate::VOTERS_MAX;

/// The highest value that a majority has reached: at least `count / 2 + 1` of the `count` values are not below it.
pub(crate) fn reached_by_majority<T: Copy + Default + Ord>(values: impl Iterator<Item = T>) -> T {
    let mut sorted = [T::default(); VOTERS_MAX];
    let mut count = 0;
    for value in values {
        assert!(count < VOTERS_MAX, "a group has at most VOTERS_MAX voters");
        sorted[count] = value;
        count += 1;
    }
    assert!(count > 0, "a group has at least one voter");
    let sorted = &mut sorted[..count];
    sorted.sort_unstable();
    if canary::on(Canary::QuorumOffByOne) {
        return sorted[count.div_ceil(2).min(count - 1)];
    }
    sorted[(count - 1) / 2]
}

/// Who granted, by the peer's place in the list of peers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally(u8);

const _: () = assert!(VOTERS_MAX <= 8, "a tally has a bit for each peer");

impl Tally {
    /// The same peer counts once, however often it answers.
    pub(crate) fn grant(&mut self, peer: usize) {
        assert!(peer < VOTERS_MAX, "a peer's place is below VOTERS_MAX");
        self.0 |= 1 << peer;
    }

    /// Whether this node and those who granted are a majority of `peers + 1` voters.
    pub(crate) fn won(self, peers: usize) -> bool {
        let granted = 1 + usize::try_from(self.0.count_ones()).expect("eight bits fit");
        granted * 2 > peers + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_has_reached_the_median() {
        let reached = |values: &[u64]| reached_by_majority(values.iter().copied());
        assert_eq!(reached(&[7]), 7);
        assert_eq!(reached(&[7, 3]), 3);
        assert_eq!(reached(&[7, 3, 9]), 7);
        assert_eq!(reached(&[7, 3, 9, 1]), 3);
        assert_eq!(reached(&[7, 3, 9, 1, 8]), 7);
    }

    #[test]
    fn a_tally_counts_each_peer_once() {
        let mut tally = Tally::default();
        assert!(tally.won(0), "a single voter is its own majority");
        assert!(!tally.won(1) && !tally.won(2));
        tally.grant(1);
        tally.grant(1);
        assert!(tally.won(1) && tally.won(2) && !tally.won(3) && !tally.won(4));
        tally.grant(3);
        assert!(tally.won(3) && tally.won(4));
    }
}
