//! Known bugs, switched on one at a time in the true pipeline: the simulator finds each of them, and soon.
//!
//! `cargo test -p quorate-sim --release --features canaries --test canaries -- --nocapture` prints how soon, and what gave the
//! bug away.

use quorate_sim::{Case, Profile, Trace, run};
use quorate_wire::canary::{self, Canary};

/// Within how many worlds the simulator finds a bug; `None` where others do, for the reason given.
const fn worlds(bug: Canary) -> Option<u64> {
    match bug {
        Canary::AckBeforeDurable
        | Canary::AckPastVerified
        | Canary::VoteWithoutLogCheck
        | Canary::QuorumOffByOne
        | Canary::CommitPastVerified
        | Canary::ServesTooEarly
        | Canary::WipedDiskVotes
        | Canary::DedupForgotten
        | Canary::AnsweredAtAppend
        | Canary::AllAtCommit
        | Canary::UncommittedShown
        | Canary::PastTakenForPresent
        | Canary::TornTailReused
        | Canary::WriteErrorIgnored
        | Canary::GenerationUnfenced
        | Canary::SlotSkipsAhead => Some(200),
        Canary::VoteBeforeDurable => Some(5000),
        // They need a rare order of elections, or messages that overtake each other: the core's own worlds find them.
        Canary::VoteForgotten
        | Canary::PriorTermCounted
        | Canary::TruncateWithoutConflict
        | Canary::StaleCompletionCounted => None,
        // They need a log whose end is damaged: the core's own worlds, and the tests of the log.
        Canary::UnsureVotes | Canary::AckOutlivesSession | Canary::DamageIsTorn => None,
        Canary::ReadWithoutRound
        | Canary::LeaseOfLastTick
        | Canary::LeaseWithoutLoyalty
        | Canary::LeaseOutlivesTransfer
        | Canary::NewMajorityOnly => None,
    }
}

fn violation(seed: u64) -> Option<String> {
    let outcome = run(&Case::new(seed, Profile::Faults), &Trace::default());
    outcome.violation.map(|violation| violation.what)
}

/// The first world that breaks with the bug, and not without it; and how.
fn first_broken(bug: Canary, worlds: u64) -> Option<(u64, String)> {
    let found = (1..=worlds).find_map(|seed| {
        canary::set(Some(bug));
        let what = violation(seed)?;
        canary::set(None);
        let line = what.lines().next().unwrap_or_default();
        violation(seed).is_none().then(|| (seed, line.to_owned()))
    });
    canary::set(None);
    found
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is for whoever asks for it")]
fn every_bug_is_found() {
    let mut missed = Vec::new();
    for bug in Canary::ALL {
        let Some(worlds) = worlds(bug) else { continue };
        match first_broken(bug, worlds) {
            Some((seed, what)) => println!("{:<24} {seed:>4}  {what}", format!("{bug:?}")),
            None => missed.push((bug, worlds)),
        }
    }
    assert!(missed.is_empty(), "not found in so many worlds: {missed:?}");
}
