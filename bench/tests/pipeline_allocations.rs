//! At steady state the pipelines allocate nothing for an event, for a chunk, or for a group commit.
//!
//! Three true pipelines run on one thread, from the lane to the answer. What surrounds them allocates nothing either, nor does
//! anybody else in this process: it has this one test.

mod loopback;

use std::alloc::System;

use quorate_replication::lane::Produced;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use loopback::{Chunks, Group};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Lists that are never given back still grow, each time by as much as they have: so do the landmarks of a new segment.
const GROWTH: usize = 24;

/// How often memory was taken for so many rounds, and how many group commits the leader made of them. In a round so many
/// chunks wait together.
fn allocations(
    group: &mut Group,
    chunks: &mut Chunks,
    (rounds, together): (usize, usize),
) -> (usize, usize) {
    let mut made: Vec<Produced> = (0..rounds * together).map(|_| chunks.next()).collect();
    made.reverse();
    let before = group.leader().around.disk.writes;
    let region = Region::new(ALLOCATOR);
    for _ in 0..rounds {
        for _ in 0..together {
            group.ask(made.pop().expect("so many were made"));
        }
        group.settle(together);
    }
    let taken = region.change();
    let writes = group.leader().around.disk.writes - before;
    let writes = usize::try_from(writes).expect("a count fits");
    (taken.allocations + taken.reallocations, writes)
}

#[test]
fn memory_is_taken_once() {
    for (together, events) in [(1, 1), (64, 1), (64, 64)] {
        let mut group = Group::new(3);
        let mut chunks = Chunks::new(1, events, 64);
        // Until every buffer has been in use.
        allocations(&mut group, &mut chunks, (100, together));
        for rounds in [100, 200] {
            let (taken, writes) = allocations(&mut group, &mut chunks, (rounds, together));
            assert!(writes >= rounds, "each round is a group commit at least");
            let most = GROWTH + writes / 8;
            assert!(
                taken <= most,
                "{taken} allocations for {rounds} times {together} chunks of {events} events in {writes} group commits: \
                 more than {most}"
            );
        }
    }
}
