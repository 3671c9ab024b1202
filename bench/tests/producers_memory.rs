//! What a full table of producers takes, and one of event ids, in bytes that the allocator has given out.

use std::alloc::System;

use quorate_replication::log::Replay;
use quorate_replication::state::{State, Verdict};
use quorate_wire::limits::{EVENT_IDS_MAX, PRODUCERS_MAX, RUNS_MAX, WINDOW_REQUESTS_MAX};
use quorate_wire::{
    ChunkId, Epoch, EventId, LogIndex, Offset, Position, ProducerId, RecordHeader, RecordKind,
    Sequence, Stamp, Term,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What it may take.
const BYTES_MAX: usize = 64 << 20;

/// Chunks in one record.
const TOGETHER: usize = 1_000;

/// Commits a record of these chunks, or of taken ids: of so many events.
fn commit(state: &mut State, chunks: &[ChunkId], events: usize) {
    let last = state.last();
    let index = last.next();
    let stamp = Stamp {
        position: Position {
            term: Term(1),
            index,
        },
        base_offset: state.next_offset(),
        log_time: index.0,
        group: quorate_wire::GroupId(0),
        event_count: 0,
        kind: RecordKind::Noop,
        previous: state.header_crc(last).expect("the last record"),
    };
    let mut header = RecordHeader::parse(&RecordHeader::stamp(&stamp, &[])).expect("it is sound");
    // The state looks at headers and chunks' names only.
    header.event_count = u16::try_from(events).expect("few");
    let places = (stamp.base_offset.0..).map(Offset);
    state.append_own(&header, chunks.iter().copied().zip(places));
    state.commit(LogIndex(index.0));
}

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

fn half_a_million_ids_fit() {
    let region = Region::new(ALLOCATOR);
    let mut state = State::default();
    let mut number = 0_u64;
    while number < u64::try_from(EVENT_IDS_MAX).expect("few") {
        let ids = (number..).take(512);
        let ids: Vec<_> = ids.map(|it| EventId::of(&it.to_le_bytes())).collect();
        assert_eq!(state.judge_ids(&ids, 0), Verdict::New);
        state.take_ids(&ids, state.next_offset());
        commit(&mut state, &[], ids.len());
        number += 512;
    }
    assert_eq!(state.judge_ids(&[EventId([0; 16])], 0), Verdict::IdsFull);
    let taken = region.change();
    let bytes = taken.bytes_allocated - taken.bytes_deallocated;
    assert!((1 << 20..BYTES_MAX).contains(&bytes), "{bytes} bytes");
}

fn a_hundred_thousand_producers_fit_whatever_they_send() {
    let all = u64::try_from(PRODUCERS_MAX).expect("few");
    let window = u64::try_from(WINDOW_REQUESTS_MAX).expect("few");
    let region = Region::new(ALLOCATOR);
    let mut state = State::default();
    let check = |state: &State, what: &str| {
        let taken = region.change();
        let bytes = taken.bytes_allocated - taken.bytes_deallocated;
        let (producers, runs) = (state.producers(), state.runs());
        assert!(
            (1 << 20..BYTES_MAX).contains(&bytes),
            "{what}: {bytes} bytes for {producers} producers, {runs} runs: {} a producer",
            bytes / producers
        );
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
