//! Histories in few words.

use quorate_sim::{Append, Freshness, History, Read, Reader};
use quorate_wire::{ChunkId, Epoch, NodeId, Offset, ProducerId, Sequence, Time};

/// A chunk of a producer of its own.
pub(crate) fn chunk(producer: u64, events: u32) -> ChunkId {
    ChunkId {
        producer: ProducerId(producer),
        epoch: Epoch(0),
        first: Sequence(0),
        events,
    }
}

/// An append of one producer, between two moments, that ended at an offset.
pub(crate) fn append(chunk: ChunkId, (from, to): (u64, u64), offset: u64) -> Append {
    Append {
        chunk,
        invoked: Time(from),
        answered: Some((Time(to), Offset(offset))),
    }
}

/// An append that nobody has answered.
pub(crate) fn unknown(chunk: ChunkId, from: u64) -> Append {
    Append {
        chunk,
        invoked: Time(from),
        answered: None,
    }
}

/// A read by a cursor of its own, between two moments, of so many events from an offset on.
pub(crate) fn read(
    consumer: u64,
    (from, to): (u64, u64),
    offset: u64,
    shown: &[(u64, ChunkId)],
    committed: u64,
) -> Read {
    Read {
        reader: Reader::Cursor {
            consumer,
            cursor: 0,
            node: NodeId(1),
            connection: 1,
        },
        freshness: Freshness::Stale,
        invoked: Time(from),
        answered: Time(to),
        from: Offset(offset),
        shown: shown.iter().map(|&(at, id)| (Offset(at), id)).collect(),
        committed: Offset(committed),
    }
}

/// The same read, but it is promised to be of a moment since it was asked.
pub(crate) fn latest(read: Read) -> Read {
    Read {
        freshness: Freshness::Latest,
        ..read
    }
}

pub(crate) fn history(appends: &[Append], reads: &[Read]) -> History {
    let mut history = History::default();
    appends.iter().for_each(|it| history.append(it.clone()));
    reads.iter().for_each(|it| history.read(it.clone()));
    history
}
