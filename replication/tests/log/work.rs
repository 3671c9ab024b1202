//! Records for the tests, and a small source of chance.

use quorate_wire::limits::ALIGNMENT;
use quorate_wire::{
    CHUNK_HEADER_BYTES, ChunkId, Epoch, Event, GroupId, LogIndex, Offset, Position, ProducerId,
    RecordHeader, RecordKind, Sequence, Stamp, Term, seal_chunk,
};

/// A small source of numbers: the same for the same seed, always (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        (self.next() >> 11) % bound
    }
}

/// A record of the model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    pub(crate) header: RecordHeader,
    pub(crate) bytes: Vec<u8>,
}

/// What a record shall hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// A no-op.
    Noop,
    /// One chunk of so many events, each with a payload of so many bytes, none of them zero.
    Events { count: u32, payload: usize },
    /// One event, sized so that the record has exactly so many bytes.
    Exactly(usize),
}

/// The record that follows `before`.
pub(crate) fn make(term: u64, body: Body, before: Option<&Made>, chance: &mut Chance) -> Made {
    let (index, base_offset, previous) = before.map_or((LogIndex(1), Offset(0), 0), |before| {
        let header = &before.header;
        (header.index.next(), header.next_offset(), header.header_crc)
    });
    let (kind, events, body) = match body {
        Body::Noop => (RecordKind::Noop, 0, Vec::new()),
        Body::Events { count, payload } => (
            RecordKind::Events,
            count,
            chunk(base_offset, count, payload, chance),
        ),
        Body::Exactly(bytes) => {
            let payload = bytes - 64 - CHUNK_HEADER_BYTES - 24;
            (
                RecordKind::Events,
                1,
                chunk(base_offset, 1, payload, chance),
            )
        }
    };
    let stamp = Stamp {
        position: Position {
            term: Term(term),
            index,
        },
        base_offset,
        log_time: 1_000_000 + index.0,
        group: GroupId(0),
        event_count: u16::try_from(events).expect("few events"),
        kind,
        previous,
    };
    let mut bytes = RecordHeader::stamp(&stamp, &body).to_vec();
    bytes.extend(body);
    Made {
        header: RecordHeader::parse(&bytes).expect("it was just made"),
        bytes,
    }
}

fn chunk(first: Offset, count: u32, payload: usize, chance: &mut Chance) -> Vec<u8> {
    let mut bytes = vec![0; CHUNK_HEADER_BYTES];
    for nth in 0..count {
        let payload: Vec<u8> = (0..payload)
            .map(|_| u8::try_from(1 + chance.below(255)).expect("a byte"))
            .collect();
        let event = Event {
            key: chance.next(),
            time: 1_700_000_000_000_000_000 + u64::from(nth),
            topic: b"",
            payload: &payload,
            priority: 0,
        };
        let mut room = vec![0; (24 + payload.len()).next_multiple_of(ALIGNMENT)];
        event.write(&mut room).expect("it fits");
        bytes.extend(room);
    }
    let id = ChunkId {
        producer: ProducerId(0x00c0_ffee),
        epoch: Epoch(1),
        first: Sequence(first.0),
        events: count,
    };
    seal_chunk(id, &mut bytes).expect("it is within its limits");
    bytes
}
