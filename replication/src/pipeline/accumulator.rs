//! The leader's open record: chunks gather in the open group, behind room for the record's header, until the record is full
//! or the turn ends.

use alloc::vec::Vec;

use quorate_wire::limits::{RECORD_BYTES_MAX, RECORD_EVENTS_FULL};
use quorate_wire::{
    ChunkId, GroupId, Offset, Position, RECORD_HEADER_BYTES, RecordHeader, RecordKind, Stamp, Time,
};

use super::tail::Tail;
use crate::lane::Produced;
use crate::state::State;

/// The open record.
#[derive(Debug, Default)]
pub(super) struct Accumulator {
    chunks: Vec<(ChunkId, Offset)>,
    events: u32,
    /// Bytes of header room and chunks; zero if no record is open.
    bytes: usize,
    /// When the first chunk of the open group came.
    since: Option<Time>,
}

impl Accumulator {
    /// Whether a record is open.
    pub(super) fn is_open(&self) -> bool {
        self.bytes > 0
    }

    /// When the first chunk of the open group came.
    pub(super) fn since(&self) -> Option<Time> {
        self.since
    }

    /// Whether the open record must be closed before a chunk of so many bytes.
    pub(super) fn is_full_for(&self, bytes: usize) -> bool {
        self.is_open()
            && (self.events >= RECORD_EVENTS_FULL || self.bytes + bytes > RECORD_BYTES_MAX)
    }

    /// Bytes that the open group must have room for, so that a chunk of so many can be added.
    pub(super) fn needs(&self, bytes: usize) -> usize {
        self.bytes.max(RECORD_HEADER_BYTES) + bytes
    }

    /// How many chunks of a run it takes before it is full, if it has room for the first one; how many events those hold, and how
    /// many bytes they are.
    pub(super) fn takes(&self, run: &Produced) -> (u32, u32, usize) {
        let (mut chunks, mut events, mut bytes) = (0, 0, 0);
        for chunk in run.iter() {
            let full = self.events + events >= RECORD_EVENTS_FULL
                || self.needs(bytes + chunk.bytes().len()) > RECORD_BYTES_MAX;
            if chunks > 0 && full {
                break;
            }
            chunks += 1;
            events += chunk.id().events;
            bytes += chunk.bytes().len();
        }
        (chunks, events, bytes)
    }

    /// Adds chunks at `base_offset`. `room` is that of the open group for [`Accumulator::needs`] bytes.
    pub(super) fn push(&mut self, run: &Produced, base_offset: Offset, room: &mut [u8], now: Time) {
        for chunk in run.iter() {
            let at = self.bytes.max(RECORD_HEADER_BYTES);
            let end = at + chunk.bytes().len();
            let place = room.get_mut(at..end).expect("the room was asked for");
            place.copy_from_slice(chunk.bytes());
            self.bytes = end;
        }
        self.events += run.id.events;
        // The state has the ids of the others.
        if !run.id.has_ids() {
            self.chunks.push((run.id, base_offset));
        }
        self.since.get_or_insert(now);
    }

    /// Offset of the next event.
    pub(super) fn next_offset(&self, state: &State) -> Offset {
        state.next_offset().plus(u64::from(self.events))
    }

    /// Offset of a chunk in the open record.
    pub(super) fn offset(&self, id: &ChunkId) -> Option<Offset> {
        let mut open = self.chunks.iter();
        open.find_map(|(open, offset)| Some(offset.plus(open.before(id)?)))
    }

    /// Closes the open record: stamps its header, and appends it to the tail and the state.
    pub(super) fn close(&mut self, maker: &Maker, tail: &mut Tail, state: &mut State) {
        assert!(self.is_open(), "only an open record is closed");
        let room = tail
            .reserve(self.bytes)
            .expect("the room of an open record is kept");
        let (head, body) = room.split_at_mut(RECORD_HEADER_BYTES);
        let count = u16::try_from(self.events).expect("a full record takes no further chunk");
        let header = maker.stamp(RecordKind::Events, count, body, state);
        head.copy_from_slice(&header);
        let header = RecordHeader::parse(&header).expect("a header stamped just now is sound");
        tail.push(&header);
        state.append_own(&header, self.chunks.drain(..));
        (self.events, self.bytes) = (0, 0);
    }

    /// The open group was sealed.
    pub(super) fn sealed(&mut self) {
        assert!(
            !self.is_open(),
            "a group is sealed after its last record was closed"
        );
        self.since = None;
    }

    /// Forgets the open record.
    pub(super) fn abandon(&mut self) {
        self.chunks.clear();
        (self.events, self.bytes, self.since) = (0, 0, None);
    }
}

/// Who makes records: this leader, in this term, at this moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Maker {
    pub(super) group: GroupId,
    pub(super) position: Position,
    /// The wall clock; log time never falls behind the last record's.
    pub(super) wall: u64,
}

impl Maker {
    /// The header of the record that follows the state's last one.
    pub(super) fn stamp(
        &self,
        kind: RecordKind,
        event_count: u16,
        body: &[u8],
        state: &State,
    ) -> [u8; RECORD_HEADER_BYTES] {
        let last = state.last();
        assert!(
            self.position.index == last.next(),
            "a record is made for the end of the log"
        );
        let stamp = Stamp {
            position: self.position,
            base_offset: state.next_offset(),
            log_time: state.log_time().max(self.wall),
            group: self.group,
            event_count,
            kind,
            previous: state.header_crc(last).expect("the end of the log is known"),
        };
        RecordHeader::stamp(&stamp, body)
    }
}
