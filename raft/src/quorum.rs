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
}
