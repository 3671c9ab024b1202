//! Model checking: every order in which a small group can run, with the true core in every node.
//!
//! Three nodes, ordered links that lose what is on the way when they are cut, disks that finish when they like, and few
//! timeouts, proposals, cuts and crashes. Within these bounds nothing is left to chance. Time is not counted: a timeout may
//! come at any moment, so states that differ in clocks and drawn deadlines only are the same.
//!
//! `cargo test -p quorate-raft --test model -- --nocapture` prints how many states there are.

#[path = "model/group.rs"]
mod group;
#[allow(dead_code, reason = "each test uses its part of the model")]
mod node;

use group::{Bounds, Group};
use stateright::{Checker as _, Model as _};

/// Checks all states within the bounds.
#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever asks for them"
)]
fn check(name: &str, bounds: Bounds) {
    let checker = Group { bounds }.checker().threads(2).spawn_dfs().join();
    println!(
        "{name}: {} states, {} of them different, at most {} steps",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

#[test]
fn elections() {
    check("elections", Bounds::ELECTIONS);
}

#[test]
fn a_cut() {
    check("a cut", Bounds::CUT);
}

#[test]
fn a_crash() {
    check("a crash", Bounds::CRASH);
}

#[test]
fn a_lost_suffix() {
    check("a lost suffix", Bounds::ROT);
}
