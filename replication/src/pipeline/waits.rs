//! How long records waited for their commit, as counts in buckets that grow with what they hold: eight to each doubling.
//!
//! Owns: the counts. Never: allocates, or is off by more than an eighth. Called by: the governor.

/// Buckets to each doubling, as a power of two.
const PARTS_LOG: u32 = 3;
const PARTS: u64 = 1 << PARTS_LOG;

/// The shortest wait that is told from others is 2 to this power, in nanoseconds: 16 µs.
const FIRST_LOG: u32 = 14;

/// Twenty doublings: the longest is 17 s.
const BUCKETS: usize = 20 << PARTS_LOG;

/// See the module's description.
#[derive(Debug)]
pub(super) struct Waits {
    counts: [u64; BUCKETS],
    total: u64,
}

impl Waits {
    pub(super) const NONE: Self = Self {
        counts: [0; BUCKETS],
        total: 0,
    };

    /// So many records waited for so long, in nanoseconds.
    pub(super) fn add(&mut self, records: u64, nanoseconds: u64) {
        if let Some(count) = self.counts.get_mut(bucket(nanoseconds)) {
            *count += records;
        }
        self.total += records;
    }

    /// How many they are.
    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// What 99 of 100 do not wait longer than, in nanoseconds; of fewer, what none does.
    pub(super) fn p99(&self) -> u64 {
        let mut longer = self.total / 100;
        let slowest = self.counts.iter().enumerate().rev().find(|&(_, &count)| {
            let here = count > longer;
            longer = longer.saturating_sub(count);
            here
        });
        slowest.map_or(0, |(at, _)| end(at))
    }
}

fn bucket(nanoseconds: u64) -> usize {
    let log = nanoseconds.max(1 << FIRST_LOG).ilog2();
    let part = (nanoseconds.max(1 << FIRST_LOG) >> (log - PARTS_LOG)) % PARTS;
    let at = u64::from(log - FIRST_LOG) * PARTS + part;
    usize::try_from(at).map_or(BUCKETS - 1, |at| at.min(BUCKETS - 1))
}

/// Where a bucket ends.
fn end(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    (PARTS + bucket % PARTS + 1) << (u64::from(FIRST_LOG - PARTS_LOG) + bucket / PARTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_of_a_hundred_may_wait_longer() {
        let mut waits = Waits::NONE;
        assert_eq!((waits.total(), waits.p99()), (0, 0));
        waits.add(98, 1 << 20);
        waits.add(1, 1 << 21);
        assert_eq!(waits.p99(), end(bucket(1 << 21)), "of 99, none does");
        waits.add(1, 1 << 22);
        assert_eq!((waits.total(), waits.p99()), (100, end(bucket(1 << 21))));
        waits.add(1, 1 << 22);
        assert_eq!(waits.p99(), end(bucket(1 << 22)));
    }

    #[test]
    fn what_is_out_of_range_is_in_the_last_buckets() {
        assert_eq!(bucket(0), 0);
        assert_eq!(bucket((1 << FIRST_LOG) - 1), 0);
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(end(BUCKETS - 1), 1 << (FIRST_LOG + 20));
    }

    proptest! {
        #[test]
        fn a_wait_is_known_to_an_eighth(nanoseconds in 1_u64 << FIRST_LOG..1 << (FIRST_LOG + 20)) {
            let end = end(bucket(nanoseconds));
            prop_assert!(nanoseconds < end && end - nanoseconds <= nanoseconds / 8 + 1);
        }
    }
}
