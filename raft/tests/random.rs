//! Random worlds: a group under crashes, cut links, slow disks and, in some worlds, a network that loses, doubles and
//! reorders. After each step the invariants of Raft are checked against an observer that sees every disk.
//!
//! One seed makes one world. `QUORATE_SEEDS=N` runs that many, `QUORATE_SEED=S` runs one.

#[allow(dead_code, reason = "each test uses its part of the model")]
mod node;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use world::World;

const SEEDS: u64 = 2_000;
const STEPS: u32 = 1_200;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable)
        .ok()
        .map(|text| text.parse().expect("a seed is a number"))
}

#[test]
fn random_worlds_keep_the_invariants() {
    let seeds = number("QUORATE_SEED")
        .map_or(0..number("QUORATE_SEEDS").unwrap_or(SEEDS), |seed| {
            seed..seed + 1
        });
    let mut commits = 0;
    let mut terms = 0;
    let mut reads = 0;
    let mut snapshots = 0;
    let mut changes = 0;
    for seed in seeds.clone() {
        let mut world = World::new(seed);
        let run = catch_unwind(AssertUnwindSafe(|| {
            for _ in 0..STEPS {
                world.act();
            }
            world.commits_in_the_storm()
        }));
        let run = run.and_then(|in_the_storm| {
            commits += in_the_storm;
            catch_unwind(AssertUnwindSafe(|| world.heal()))
        });
        assert!(
            run.is_ok(),
            "replay: QUORATE_SEED={seed} cargo test -p quorate-raft --test random"
        );
        terms += world.terms();
        reads += world.reads_answered();
        snapshots += world.snapshots();
        changes += world.changes();
    }
    // Worlds in which nothing happens prove nothing.
    let count = seeds.end - seeds.start;
    assert!(
        count < 100 || commits > 20 * count,
        "only {commits} records were committed during faults in {count} worlds"
    );
    assert!(
        count < 100 || reads > 5 * count,
        "only {reads} reads were answered in {count} worlds"
    );
    assert!(
        count < 100 || terms > 3 * count,
        "only {terms} leaders in {count} worlds"
    );
    assert!(
        count < 100 || snapshots > count / 4,
        "only {snapshots} snapshots in {count} worlds"
    );
    assert!(
        count < 100 || changes > count / 2,
        "members were named {changes} times in {count} worlds"
    );
}
