//! What clocks keep.

use super::{PUMPS_MAX, Pump};
use crate::seam::Clock;

/// The clock goes on, and never back.
///
/// # Panics
/// The contract is broken.
pub fn goes_on_and_never_back(host: &mut (impl Clock + Pump)) {
    let begun = host.now();
    let mut last = begun;
    for _ in 0..PUMPS_MAX {
        for _ in 0..10 {
            let now = host.now();
            assert!(now >= last, "the clock went back");
            last = now;
        }
        if last.since(begun) > 1_000_000 {
            return;
        }
        host.pump();
    }
    panic!("the clock stands");
}

/// The wall clock shows a time of this century.
///
/// # Panics
/// The contract is broken.
pub fn shows_the_date(host: &mut impl Clock) {
    const YEAR_2020: u64 = 1_577_836_800_000_000_000;
    const YEAR_2100: u64 = 4_102_444_800_000_000_000;
    let wall = host.wall();
    assert!((YEAR_2020..YEAR_2100).contains(&wall), "it is {wall}");
}
