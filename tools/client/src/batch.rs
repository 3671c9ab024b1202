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
    /// This one does not follow the one before it.
    Unchained(LogIndex),
}

/// How records are checked, and which were given out before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Expect {
    /// Whether chunks and events are checked too.
    pub(crate) check_chunks: bool,
    /// Records up to this one were given out by earlier batches.
    pub(crate) seen: Seen,
}

/// The last record that was given out, from whichever node; index 0 before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) index: LogIndex,
    pub(crate) header_crc: u32,
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

    /// Checks the records of an answer, and takes those that were not given out before. Returns the last one.
    pub(crate) fn extend(&mut self, records: &[u8], expect: Expect) -> Result<Seen, BatchError> {
        let mut last = expect.seen;
        let mut rest = records;
        while !rest.is_empty() {
            let (record, after) = Record::parse_events(rest).map_err(BatchError::Damaged)?;
            if expect.check_chunks {
                for (_, chunk) in record.chunks() {
                    let sound = chunk.check().map_err(RecordError::Chunk);
                    sound.map_err(BatchError::Damaged)?;
                }
            }
            let header = record.header();
            if header.index > last.index {
                if header.index == last.index.next() && header.previous != last.header_crc {
                    return Err(BatchError::Unchained(header.index));
                }
                self.place(&record)?;
                last = Seen {
                    index: header.index,
                    header_crc: header.header_crc,
                };
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

    /// Bytes of its records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
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
        let (record, _) = Record::frame(bytes).expect("it was checked when it was taken");
        Some(record)
    }
}

#[cfg(test)]
mod tests {
    use quorate_wire::{GroupId, Position, RecordHeader, RecordKind, Stamp, Term};

    use super::*;

    /// A record without events, which is all that these rules need.
    fn record(index: u64, base_offset: u64, previous: u32) -> Vec<u8> {
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
            previous,
        };
        RecordHeader::stamp(&stamp, &[]).to_vec()
    }

    fn seen(record: &[u8]) -> Seen {
        let (record, _) = Record::parse(record).expect("it is sound");
        Seen {
            index: record.header().index,
            header_crc: record.header().header_crc,
        }
    }

    fn expect(seen: Seen) -> Expect {
        Expect {
            check_chunks: true,
            seen,
        }
    }

    #[test]
    fn records_that_were_given_out_are_not_given_out_again() {
        let mut batch = Batch::new(Offset(5), Offset(5), &Arc::default());
        let third = record(3, 5, 9);
        let fourth = record(4, 5, seen(&third).header_crc);
        let answer = [third.clone(), fourth.clone()].concat();
        let last = batch.extend(&answer, expect(seen(&third)));
        assert_eq!(last.ok(), Some(seen(&fourth)));
        let last = batch.extend(&answer, expect(seen(&fourth)));
        assert_eq!(last.ok(), Some(seen(&fourth)));
        let there: Vec<_> = batch
            .records()
            .map(|record| record.header().index)
            .collect();
        assert_eq!(there, [LogIndex(4)]);
        assert!(batch.is_empty());
    }

    #[test]
    fn a_record_that_does_not_follow_the_last_one_is_refused() {
        let third = record(3, 5, 9);
        let right = seen(&third).header_crc;
        let broken = |answer: &[u8], before| {
            let batch = &mut Batch::new(Offset(5), Offset(5), &Arc::default());
            matches!(
                batch.extend(answer, expect(before)),
                Err(BatchError::Unchained(LogIndex(4)))
            )
        };
        let other = record(4, 5, right ^ 1);
        assert!(broken(&other, seen(&third)), "from two answers");
        assert!(broken(&[third.clone(), other].concat(), Seen::default()));
        assert!(!broken(&record(4, 5, right), seen(&third)));
        assert!(!broken(&record(5, 5, 1), seen(&third)), "one is not known");
    }

    #[test]
    fn an_answer_that_leaves_events_out_is_refused() {
        let mut batch = Batch::new(Offset(5), Offset(5), &Arc::default());
        let refused = batch.extend(&record(3, 6, 0), expect(Seen::default()));
        assert!(matches!(refused, Err(BatchError::Misplaced(_))));
    }

    #[test]
    fn a_record_that_is_cut_is_damage() {
        let mut batch = Batch::new(Offset(5), Offset(5), &Arc::default());
        let cut = record(3, 5, 0);
        let cut = cut.get(..60).expect("a record has 64 bytes at least");
        assert!(matches!(
            batch.extend(cut, expect(Seen::default())),
            Err(BatchError::Damaged(_))
        ));
    }
}
