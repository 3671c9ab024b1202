//! Seeds that once found a bug, each with what it found. What a seed's world is like changes whenever the simulator draws more,
//! so most bugs have a test of their own beside their fix too; these worlds cost little and stay.

use quorate_sim::{Case, Profile, Trace, run};

/// In the profile `faults`.
const FAULTS: &[(u64, &str)] = &[
    (
        30,
        "a disk wiped while its group forms: two lists of members",
    ),
    (34, "the same, with three nodes"),
    (11, "a chunk on a slow way was taken for silence, for ever"),
    (192, "a deposed leader's refusal ended a producer"),
    (
        1183,
        "a disk was mended before its node had heard of the failed write",
    ),
    (55, "the oracle took a wiped disk's refusal for trouble"),
    (
        2_000_641,
        "nobody started a node again that had stood still and then heard of a write that failed",
    ),
    (
        1141,
        "a time was asked of a node that had no committed record, and one that was not",
    ),
    (
        165,
        "a voter that did not know yet where the others were, and whom nobody dialled",
    ),
    (
        30_081,
        "a wiped spare node showed members an empty log, and they stayed with it",
    ),
    (
        20_011,
        "the oracle took for a gap what a filter had left out in a call that failed",
    ),
];

/// In the profile `damage`.
const DAMAGE: &[(u64, &str)] = &[
    (
        147,
        "an old last write that a disk lost passed for a torn one",
    ),
    (
        255,
        "a damaged record cost the sound ones behind it: two nodes lacked what the other had",
    ),
    (
        877,
        "damage that was known while running passed for a torn write after it",
    ),
    (20, "a reader took repaired zeros for damage, for ever"),
    (
        1206,
        "a leader whose change of the members had waited for too long turned without rest until the one before was committed",
    ),
    (
        2046,
        "the simulator missed records that the ones put back behind them had made void",
    ),
    (
        4704,
        "nodes forgot at a start that they had been removed, and a consumer stayed with one",
    ),
];

/// In the profile `mixed`.
const MIXED: &[(u64, &str)] = &[
    (
        60_100,
        "a leader that stepped down before it had sealed a record of members lost it, and its core did not",
    ),
    (
        60_321,
        "a founder that was away when it was removed was dialled by nobody and dialled nobody: readers stayed with it",
    ),
    (
        73_378,
        "two nodes without a leader dialled each other at one moment, again and again, and each dial ended the other",
    ),
];

#[test]
fn what_once_failed_holds() {
    for (profile, seeds) in [
        (Profile::Faults, FAULTS),
        (Profile::Damage, DAMAGE),
        (Profile::Mixed, MIXED),
    ] {
        for &(seed, found) in seeds {
            let outcome = run(&Case::new(seed, profile), &Trace::default());
            assert_eq!(outcome.violation, None, "seed {seed}: {found}");
        }
    }
}
