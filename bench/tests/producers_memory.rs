//! What a full table of producers takes, and one of event ids, in bytes that the allocator has given out.

mod committed;

use std::alloc::System;

use quorate_replication::state::{State, Verdict};
use quorate_wire::limits::{EVENT_IDS_MAX, PRODUCERS_MAX, RUNS_MAX, WINDOW_REQUESTS_MAX};
use quorate_wire::{ChunkId, Epoch, ProducerId, Sequence};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use committed::{commit, fill_with_ids, ids};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What it may take.
const BYTES_MAX: usize = 64 << 20;

/// Chunks in one record.
const TOGETHER: usize = 1_000;

/// The state after each producer of these has sent so many chunks, none of them behind its own last one: each is a run.
fn send(state: &mut State, producers: std::ops::Range<u64>, rounds: std::ops::Range<u64>) {
    let mut made = Vec::with_capacity(TOGETHER);
    for round in rounds {
        for producer in producers.clone() {
            made.push(ChunkId {
                producer: ProducerId(producer),
                epoch: Epoch(0),
                first: Sequence(round),
                events: 1,
            });
            if made.len() == TOGETHER {
                commit(state, &made, made.len());
                made.clear();
            }
        }
        if !made.is_empty() {
            commit(state, &made, made.len());
            made.clear();
        }
    }
}

#[test]
fn full_tables_fit_into_64_mib() {
    // One after the other: the allocator counts for all threads.
    a_hundred_thousand_producers_fit_whatever_they_send();
    half_a_million_ids_fit();
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever asks for them"
)]
fn half_a_million_ids_fit() {
    let region = Region::new(ALLOCATOR);
    let mut state = State::default();
    let known = fill_with_ids(&mut state);
    assert_eq!(known, EVENT_IDS_MAX);
    assert_eq!(state.judge_ids(&ids(known, 1), 0), Verdict::IdsFull);
    let taken = region.change();
    let bytes = taken.bytes_allocated - taken.bytes_deallocated;
    println!("{bytes} bytes for {known} ids: {} an id", bytes / known);
    assert!((1 << 20..BYTES_MAX).contains(&bytes), "{bytes} bytes");
}

#[expect(
    clippy::print_stdout,
    reason = "the figures are for whoever asks for them"
)]
fn a_hundred_thousand_producers_fit_whatever_they_send() {
    let all = u64::try_from(PRODUCERS_MAX).expect("few");
    let window = u64::try_from(WINDOW_REQUESTS_MAX).expect("few");
    let region = Region::new(ALLOCATOR);
    let mut state = State::default();
    let check = |state: &State, what: &str| {
        let taken = region.change();
        let bytes = taken.bytes_allocated - taken.bytes_deallocated;
        let (producers, runs) = (state.producers(), state.runs());
        println!(
            "{what}: {bytes} bytes for {producers} producers, {runs} runs: {} a producer",
            bytes / producers
        );
        assert!((1 << 20..BYTES_MAX).contains(&bytes), "{bytes} bytes");
    };
    // A few have all that there is; then everybody sends something; then everybody goes on.
    send(&mut state, 0..1100, 0..window);
    check(&state, "a thousand with full windows");
    send(&mut state, 1100..all, 0..4);
    check(&state, "four chunks of each other");
    send(&mut state, 1100..all, 4..10);
    check(&state, "ten chunks of each other");
    assert_eq!(state.producers(), PRODUCERS_MAX);
    assert!(state.runs() > RUNS_MAX / 4 * 3, "the bound is in use");
}
