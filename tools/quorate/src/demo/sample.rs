//! Records as a node makes them, for tests.

use quorate_client::{ChunkId, Epoch, Event, LogIndex, Offset, ProducerId, Sequence, Term};
use quorate_wire::{
    CHUNK_HEADER_BYTES, GroupId, Position, RecordHeader, RecordKind, Stamp, seal_chunk,
};

/// A record with one chunk, whose first event has the sequence and the offset `first`.
pub(crate) fn record(producer: u64, first: u64, events: &[Event<'_>]) -> Vec<u8> {
    let mut chunk = vec![0; CHUNK_HEADER_BYTES];
    for event in events {
        let mut room = vec![0; event.size()];
        event.write(&mut room).expect("it is within its limits");
        chunk.extend_from_slice(&room);
    }
    let id = ChunkId {
        producer: ProducerId(producer),
        epoch: Epoch(0),
        first: Sequence(first),
        events: u32::try_from(events.len()).expect("these are few"),
    };
    seal_chunk(id, &mut chunk).expect("it is within its limits");
    let stamp = Stamp {
        position: Position {
            term: Term(1),
            index: LogIndex(first + 1),
        },
        base_offset: Offset(first),
        log_time: 1,
        group: GroupId(0),
        event_count: u16::try_from(events.len()).expect("these are few"),
        kind: RecordKind::Events,
        previous: 0,
    };
    let mut bytes = RecordHeader::stamp(&stamp, &chunk).to_vec();
    bytes.extend_from_slice(&chunk);
    bytes
}
