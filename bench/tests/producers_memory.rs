//! What a full table of producers takes, in bytes that the allocator has given out.

use std::alloc::System;

use quorate_replication::log::Replay;
use quorate_replication::state::{PRODUCERS_MAX, State};
use quorate_wire::{
    ChunkId, Epoch, LogIndex, Offset, Position, ProducerId, RecordHeader, RecordKind, Sequence,
    Stamp, Term,
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What it may take.
const BYTES_MAX: usize = 64 << 20;

/// Chunks of each producer, none behind its own last one: as many runs are kept.
const ROUNDS: u64 = 4;

/// Chunks in one record.
const TOGETHER: usize = 1_000;

fn commit(state: &mut State, chunks: &[ChunkId]) {
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
    header.event_count = u16::try_from(chunks.len()).expect("few");
    let places = (stamp.base_offset.0..).map(Offset);
    state.append_own(&header, chunks.iter().copied().zip(places));
    state.commit(LogIndex(index.0));
}

#[test]
fn a_hundred_thousand_producers_fit_into_64_mib() {
    let region = Region::new(ALLOCATOR);
    let mut state = State::default();
    let mut made = Vec::with_capacity(TOGETHER);
    for round in 0..ROUNDS {
        for producer in (0..).take(PRODUCERS_MAX) {
            made.push(ChunkId {
                producer: ProducerId(producer),
                epoch: Epoch(0),
                first: Sequence(round),
                events: 1,
            });
            if made.len() == TOGETHER {
                commit(&mut state, &made);
                made.clear();
            }
        }
    }
    let taken = region.change();
    let bytes = taken.bytes_allocated - taken.bytes_deallocated;
    assert_eq!(state.producers(), PRODUCERS_MAX);
    assert!(
        (1 << 20..BYTES_MAX).contains(&bytes),
        "{bytes} bytes for {PRODUCERS_MAX} producers"
    );
}
