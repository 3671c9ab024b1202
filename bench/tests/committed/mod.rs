//! A state without a log: records that only it hears of.

use quorate_replication::log::Replay;
use quorate_replication::state::{State, Verdict};
use quorate_wire::{
    ChunkId, EventId, GroupId, LogIndex, Offset, Position, RecordHeader, RecordKind, Stamp, Term,
};

/// Commits a record of these chunks, or of taken ids: of so many events.
pub(crate) fn commit(state: &mut State, chunks: &[ChunkId], events: usize) {
    let last = state.last();
    let index = last.next();
    let stamp = Stamp {
        position: Position {
            term: Term(1),
            index,
        },
        base_offset: state.next_offset(),
        log_time: index.0,
        group: GroupId(0),
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

/// So many ids of events, from this number on.
pub(crate) fn ids(from: usize, count: usize) -> Vec<EventId> {
    (from..from + count)
        .map(|number| EventId::of(&number.to_le_bytes()))
        .collect()
}

/// Commits ids until no further ones fit. Returns how many there are.
pub(crate) fn fill_with_ids(state: &mut State) -> usize {
    const TOGETHER: usize = 512;
    let mut known = 0;
    loop {
        let ids = ids(known, TOGETHER);
        if state.judge_ids(&ids, 0) != Verdict::New {
            return known;
        }
        state.take_ids(&ids, state.next_offset());
        commit(state, &[], ids.len());
        known += TOGETHER;
    }
}
