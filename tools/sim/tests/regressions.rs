//! Seeds that once found a bug, each with what it found. What a seed's world is like changes whenever the simulator draws more,
//! so each bug has a test of its own beside its fix too; these worlds cost little and stay.

use quorate_sim::{Case, Profile, Trace, run};

/// In the profile `faults`.
const SEEDS: &[(u64, &str)] = &[
    (30, "a disk wiped while its group forms: the plan waits now"),
    (34, "the same, with three nodes"),
    (
        1183,
        "a disk was mended before its node had heard of the failed write",
    ),
    (55, "the oracle took a wiped disk's refusal for trouble"),
];

#[test]
fn what_once_failed_holds() {
    for &(seed, found) in SEEDS {
        let outcome = run(&Case::new(seed, Profile::Faults), &Trace::default());
        assert_eq!(outcome.violation, None, "seed {seed}: {found}");
    }
}
