//! What one fetch brought: whole records, checked.
//!
//! Owns: the records' bytes. Never: gives out what failed its checks. Called by: the consumer, which fills it; programs.

use std::slice;
use std::sync::Arc;

use quorate_wire::{Event, FrameError, LogIndex, Offset, Record, RecordError};

use crate::Filter;

const LEFT_OUT: BatchError = BatchError::Misplaced(FrameError::Invalid {
    what: "records are left out between the asked offset and the answer",
});

/// Records and events from the asked offset on. Every record has passed its checksums.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Whole records, one behind the other.
    bytes: Vec<u8>,
    /// Where each of them begins.
    starts: Vec<usize>,
    /// Events before this one were not asked for.
    offset: Offset,
    /// Where the next batch begins; at least `offset`.
    next_offset: Offset,
    committed: Offset,
    /// Which events are wanted.
    filter: Arc<Filter>,
    /// How many events it has.
    count: u64,
}

/// Why a node's records are not taken.
#[derive(Debug)]
pub(crate) enum BatchError {
    /// One fails its checks.
    Damaged(RecordError),
    /// They are not the records that were asked for.
    Misplaced(FrameError),
}

/// How records are checked, and which were given out before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    /// Whether chunks and events are checked too.
    pub(crate) check_chunks: bool,
    /// Records up to this one were given out by earlier batches.
    pub(crate) seen: LogIndex,
}

impl Batch {
    pub(crate) fn new(offset: Offset, committed: Offset, filter: &Arc<Filter>) -> Self {
        Self {
            filter: Arc::clone(filter),
            count: 0,
            bytes: Vec::new(),
            starts: Vec::new(),
            offset,
            next_offset: offset,
            committed,
        }
    }

    /// Checks the records of an answer, and takes those that were not given out before. Returns the index of the last one.
    pub(crate) fn extend(
        &mut self,
        records: &[u8],
        expect: Expect,
    ) -> Result<LogIndex, BatchError> {
        let mut last = expect.seen;
        let mut rest = records;
        while !rest.is_empty() {
            let (record, after) = Record::parse(rest).map_err(BatchError::Damaged)?;
            if expect.check_chunks {
                for (_, chunk) in record.chunks() {
                    let sound = chunk.check().map_err(RecordError::Chunk);
                    sound.map_err(BatchError::Damaged)?;
                }
            }
            if record.header().index > last {
                self.place(&record)?;
                last = record.header().index;
            }
            rest = after;
        }
        Ok(last)
    }

    /// Takes one record, if it joins on to what is there: it must not leave events out that are wanted.
    fn place(&mut self, record: &Record<'_>) -> Result<(), BatchError> {
        let header = record.header();
        if self.filter.is_empty() {
            if header.base_offset > self.next_offset {
                return Err(LEFT_OUT);
            }
            self.count += header.next_offset().0.saturating_sub(self.next_offset.0);
        } else {
            let wanted = self.wanted(record).count();
            self.count += u64::try_from(wanted).expect("a record has few events");
        }
        self.next_offset = self.next_offset.max(header.next_offset());
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(record.bytes());
        Ok(())
    }

    /// The node has said where the batch begins; nothing has come before.
    pub(crate) fn begin(&mut self, offset: Offset) {
        (self.offset, self.next_offset) = (offset, offset);
    }

    /// The node has looked up to here: what is wanted of it has come.
    pub(crate) fn advance(&mut self, next: Offset) -> Result<(), BatchError> {
        if next < self.next_offset || (self.filter.is_empty() && next > self.next_offset) {
            return Err(LEFT_OUT);
        }
        self.next_offset = next;
        Ok(())
    }

    fn wanted<'a>(
        &self,
        record: &Record<'a>,
    ) -> impl Iterator<Item = (Offset, Event<'a>)> + use<'_, 'a> {
        let first = self.offset;
        record
            .events()
            .filter(move |(offset, event)| *offset >= first && self.filter.matches(event))
    }

    pub(crate) fn set_committed(&mut self, committed: Offset) {
        self.committed = committed;
    }

    /// The records, whole and in order, each once over the life of a consumer. The first may begin before the asked offset;
    /// records without events come along.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        RecordIter {
            bytes: &self.bytes,
            starts: self.starts.iter(),
        }
    }

    /// The events that are wanted, from the asked offset on, each with its offset.
    pub fn events(&self) -> impl Iterator<Item = (Offset, Event<'_>)> {
        self.records().flat_map(|record| self.wanted(&record))
    }

    /// How many events it has.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether it holds no events.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Offset of the first event that it was asked for.
    #[must_use]
    pub fn offset(&self) -> Offset {
        self.offset
    }

    /// Where the next batch begins: after its last event, and after those that the filter leaves out.
    #[must_use]
    pub fn next_offset(&self) -> Offset {
        self.next_offset
    }

    /// Offset after the last committed event that the answering node knew.
    #[must_use]
    pub fn committed(&self) -> Offset {
        self.committed
    }
}

struct RecordIter<'a> {
    bytes: &'a [u8],
    starts: slice::Iter<'a, usize>,
}

impl<'a> Iterator for RecordIter<'a> {
    type Item = Record<'a>;

    fn next(&mut self) -> Option<Record<'a>> {
        let start = *self.starts.next()?;
        let bytes = self.bytes.get(start..).unwrap_or_default();
        let (record, _) = Record::parse(bytes).expect("it was checked when it was taken");
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::{GroupId, Position, RecordHeader, RecordKind, Stamp, Term};

    use super::*;

    /// A record without events, which is all that these rules need.
    fn record(index: u64, base_offset: u64) -> Vec<u8> {
        let stamp = Stamp {
            position: Position {
                term: Term(1),
                index: LogIndex(index),
            },
            base_offset: Offset(base_offset),
            log_time: 0,
            group: GroupId(0),
            event_count: 0,
            kind: RecordKind::Noop,
            previous: 0,
        };
        RecordHeader::stamp(&stamp, &[]).to_vec()
    }

    fn expect(seen: u64) -> Expect {
        Expect {
            check_chunks: true,
            seen: LogIndex(seen),
        }
    }

    #[test]
    fn records_that_were_given_out_are_not_given_out_again() {
        let mut batch = Batch::new(Offset(5), Offset(5), &Arc::default());
        let answer = [record(3, 5), record(4, 5)].concat();
        let last = batch.extend(&answer, expect(3));
        assert_eq!(last.ok(), Some(LogIndex(4)));
        let last = batch.extend(&answer, expect(4));
        assert_eq!(last.ok(), Some(LogIndex(4)));
        let there: Vec<_> = batch
            .records()
            .map(|record| record.header().index)
            .collect();
        assert_eq!(there, [LogIndex(4)]);
        assert!(batch.is_empty());
    }

    #[test]
    fn an_answer_that_leaves_events_out_is_refused() {
        let mut batch = Batch::new(Offset(5), Offset(5), &Arc::default());
        let refused = batch.extend(&record(3, 6), expect(0));
        assert!(matches!(refused, Err(BatchError::Misplaced(_))));
    }

    #[test]
    fn a_record_that_is_cut_is_damage() {
        let mut batch = Batch::new(Offset(5), Offset(5), &Arc::default());
        let cut = record(3, 5);
        let cut = cut.get(..60).expect("a record has 64 bytes at least");
        assert!(matches!(
            batch.extend(cut, expect(0)),
            Err(BatchError::Damaged(_))
        ));
    }
}
