//! Known bugs, switched on one at a time: the random worlds find each of them, and soon.
//!
//! `cargo test -p quorate-raft --features canaries --test canaries -- --nocapture` prints how soon, and what gave the bug away.

#[allow(dead_code, reason = "each test uses its part of the model")]
#[path = "model/group.rs"]
mod group;
#[allow(dead_code, reason = "each test uses its part of the model")]
mod node;
#[allow(dead_code, reason = "each test uses its part of the model")]
mod world;

use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Mutex;

use group::{Bounds, Group};
use quorate_wire::canary::{self, Canary};
use stateright::{Checker as _, HasDiscoveries, Model as _};
use world::World;

/// The bugs that are the core's.
const OF_THE_CORE: [Canary; 18] = [
    Canary::AckBeforeDurable,
    Canary::AckPastVerified,
    Canary::VoteBeforeDurable,
    Canary::VoteForgotten,
    Canary::VoteWithoutLogCheck,
    Canary::UnsureVotes,
    Canary::PriorTermCounted,
    Canary::QuorumOffByOne,
    Canary::NewMajorityOnly,
    Canary::CommitPastVerified,
    Canary::TruncateWithoutConflict,
    Canary::StaleCompletionCounted,
    Canary::AckOutlivesSession,
    Canary::ServesTooEarly,
    Canary::ReadWithoutRound,
    Canary::LeaseOfLastTick,
    Canary::LeaseWithoutLoyalty,
    Canary::LeaseOutlivesTransfer,
];

/// Each is found within so many worlds.
const SEEDS: u64 = 40_000;
const STEPS: u32 = 1_200;

/// One bug at a time: it is on for the whole process.
static TURN: Mutex<()> = Mutex::new(());

/// What the last panic said.
static SAID: Mutex<String> = Mutex::new(String::new());

fn listen(info: &PanicHookInfo<'_>) {
    let said = info.payload_as_str().unwrap_or_default();
    let line = said.lines().next().unwrap_or_default();
    line.clone_into(&mut SAID.lock().expect("nobody panics while it is held"));
}

/// The first world that breaks.
fn first_broken() -> Option<u64> {
    (0..SEEDS).find(|&seed| {
        let run = panic::catch_unwind(AssertUnwindSafe(|| {
            let mut world = World::new(seed);
            (0..STEPS).for_each(|_| world.act());
            world.heal();
        }));
        run.is_err()
    })
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is for whoever asks for it")]
fn every_bug_of_the_core_is_found() {
    let _turn = TURN.lock();
    panic::set_hook(Box::new(listen));
    let found = OF_THE_CORE.map(|bug| {
        canary::set(Some(bug));
        let seed = first_broken();
        let said = SAID.lock().expect("nobody panics while it is held");
        (bug, seed, said.clone())
    });
    canary::set(None);
    drop(panic::take_hook());
    for (bug, seed, said) in &found {
        let worlds = seed.map_or("-".to_owned(), |seed| (seed + 1).to_string());
        println!("{:<24} {worlds:>6}  {said}", format!("{bug:?}"));
    }
    let missed: Vec<_> = found.iter().filter(|found| found.1.is_none()).collect();
    assert!(missed.is_empty(), "not found in {SEEDS} worlds: {missed:?}");
}

#[test]
#[expect(clippy::print_stdout, reason = "the table is for whoever asks for it")]
fn the_model_checker_finds_bugs() {
    let _turn = TURN.lock();
    for (bug, bounds) in [
        (Canary::QuorumOffByOne, Bounds::ELECTIONS),
        (Canary::VoteWithoutLogCheck, Bounds::CUT),
        (Canary::UnsureVotes, Bounds::ROT),
    ] {
        canary::set(Some(bug));
        let checker = Group { bounds }
            .checker()
            .threads(2)
            .finish_when(HasDiscoveries::AnyFailures)
            .spawn_bfs()
            .join();
        let steps = checker.discovery("Raft figure 3");
        let steps = steps.map(|path| path.into_actions().len());
        let states = checker.unique_state_count();
        canary::set(None); // Not before: the path to a state is found by going there again.
        println!("{bug:?}: after {states} states, in {steps:?} steps");
        assert!(steps.is_some(), "{bug:?} is found");
    }
}
