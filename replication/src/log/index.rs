//! Where the records are.
//!
//! ```text
//!   segment 1                  segment 2
//!   |H|####|....|######|  |    |H|..|####|##########|~~~~~|        |
//!     ^     gap  ^               gap ^   ^           ^     ^
//!     landmark   landmark       landmark commit   durable  last
//! ```
//! Owns: for each segment a landmark every 64 KiB and the gaps where void records lie; for each record that may yet become
//! void, its exact place. Never: reads or writes. Called by: recovery, writing, reading, inspection, which all know the log by
//! the same rules.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_wire::{GroupId, LogIndex, Offset, RecordHeader, Term};

use super::error::Damage;
use super::event::From;
use super::hole::Link;
use super::segment::{Landmark, RECORDS_AT, Segment};
use super::sums::Extent;
use crate::buffer::BLOCK_BYTES;
use crate::seam::SegmentId;

/// A record's place in the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) segment: SegmentId,
    pub(super) position: u64,
}

/// A record that is not void, and where to find it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) spot: Spot,
    pub(super) index: LogIndex,
}

/// A record of the log's end.
#[derive(Clone, Copy, Debug)]
struct Entry {
    spot: Spot,
    index: LogIndex,
    base_offset: Offset,
    next_offset: Offset,
    term: Term,
    header_crc: u32,
}

/// The record before a place in the log; before the first record, nothing of anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Before {
    pub(super) index: LogIndex,
    pub(super) next_offset: Offset,
    pub(super) term: Term,
    pub(super) header_crc: u32,
}

/// The index of a whole log.
#[derive(Debug)]
pub(super) struct Index {
    group: GroupId,
    /// The record before the log begins.
    pub(super) base: Before,
    /// The segment that it begins with, if others are still there that have been released.
    pub(super) begins: Option<SegmentId>,
    /// Those in use, by number.
    pub(super) segments: Vec<Segment>,
    /// Bytes of all segments but the last, up to their ends.
    pub(super) sealed: u64,
    /// The records from the last committed one on, without a gap.
    tail: VecDeque<Entry>,
    /// All records up to here are committed. May be ahead of the log: a leader counts its followers' copies before its own.
    commit: LogIndex,
    /// All records up to here are durable.
    durable: Before,
    /// How often records became void.
    voids: u64,
    /// The next record gets a landmark: what is before it cannot be read on from.
    landmark_due: bool,
}

impl Index {
    /// Of a log that begins behind a record.
    pub(super) fn new(group: GroupId, base: Before) -> Self {
        Self {
            group,
            base,
            begins: None,
            segments: Vec::new(),
            sealed: 0,
            tail: VecDeque::new(),
            commit: base.index,
            durable: base,
            voids: 0,
            landmark_due: false,
        }
    }

    /// The log's last record.
    pub(super) fn last(&self) -> Before {
        self.tail.back().map_or(self.base, Entry::before)
    }

    /// The record before the log begins.
    pub(super) fn base(&self) -> Before {
        self.base
    }

    /// All records up to this one are durable, and may be read.
    pub(super) fn durable(&self) -> Before {
        self.durable
    }

    pub(super) fn group(&self) -> GroupId {
        self.group
    }

    pub(super) fn voids(&self) -> u64 {
        self.voids
    }

    pub(super) fn commit(&self) -> LogIndex {
        self.commit
    }

    /// The first segment.
    pub(super) fn first(&self) -> Option<SegmentId> {
        self.segments.first().map(|segment| segment.id)
    }

    pub(super) fn current(&self) -> Option<&Segment> {
        self.segments.last()
    }

    pub(super) fn segment(&self, id: SegmentId) -> Option<&Segment> {
        let nth = self.segments.partition_point(|segment| segment.id < id);
        self.segments.get(nth).filter(|segment| segment.id == id)
    }

    /// Whether the record at this place is not void.
    pub(super) fn lives(&self, spot: Spot) -> bool {
        self.segment(spot.segment)
            .is_some_and(|segment| segment.gap_end(spot.position).is_none())
    }

    /// Bytes of all segments in use, up to their last records.
    pub(super) fn bytes(&self) -> u64 {
        self.sealed + self.current().map_or(0, |segment| segment.end)
    }

    /// A segment comes into use behind the last one.
    pub(super) fn open(&mut self, id: SegmentId, extent: Extent) {
        let last = self.last();
        if let Some(current) = self.segments.last() {
            assert!(current.id < id, "segments come into use in order");
            self.sealed += current.end;
        }
        self.segments.push(Segment::new(id, extent, last));
    }

    /// Whether a record may come next: it continues the chain from the record before its index.
    ///
    /// Of a record that takes another's place nothing is said: its term may be higher, lower, or the same, since a term's
    /// records may be kept by some nodes only, become void here, and come back (Raft figure 7).
    pub(super) fn check(&self, header: &RecordHeader) -> Result<(), Damage> {
        if header.group != self.group {
            return Err(Damage::Group {
                found: header.group,
            });
        }
        let last = self.last().index;
        let gap = Damage::Index {
            found: header.index,
            last,
        };
        if header.index > last.next() {
            return Err(gap);
        }
        if header.index <= last && header.index <= self.commit {
            return Err(Damage::Committed {
                index: header.index,
            });
        }
        if self.has(header) {
            return Err(Damage::Twice {
                index: header.index,
            });
        }
        // Records from the committed one on are in the tail, unless the walk has gone on behind damage.
        let there = header.index > last || self.entry(header.index).is_some();
        let before = self.before(header.index).filter(|_| there).ok_or(gap)?;
        if header.previous != before.header_crc {
            return Err(Damage::Chain {
                index: header.index,
            });
        }
        if header.base_offset != before.next_offset {
            return Err(Damage::Offset {
                found: header.base_offset,
                expected: before.next_offset,
            });
        }
        if header.term < before.term {
            return Err(Damage::Term {
                found: header.term,
                before: before.term,
            });
        }
        Ok(())
    }

    /// Whether this very record is in the log already, and lives: a node takes up what its log does not have, so a second copy is
    /// one that a disk has put into the wrong place.
    pub(super) fn has(&self, header: &RecordHeader) -> bool {
        self.entry(header.index)
            .is_some_and(|entry| entry.header_crc == header.header_crc)
    }

    /// A record lies at `position` in the current segment, behind all others. It has been checked. Says whether it took
    /// others' place.
    pub(super) fn append(&mut self, header: &RecordHeader, position: u64) -> bool {
        let voids = header.index <= self.last().index;
        if voids {
            self.void(header, position);
        }
        let current = self
            .segments
            .last_mut()
            .expect("records lie in a segment in use");
        assert!(
            position >= current.end,
            "records lie one behind the other in a segment"
        );
        let due = core::mem::take(&mut self.landmark_due);
        current.append(header, position, due);
        self.tail.push_back(Entry {
            spot: Spot {
                segment: current.id,
                position,
            },
            index: header.index,
            base_offset: header.base_offset,
            next_offset: header.next_offset(),
            term: header.term,
            header_crc: header.header_crc,
        });
        self.trim();
        voids
    }

    /// All records up to `upto` are committed.
    pub(super) fn committed(&mut self, upto: LogIndex) {
        self.commit = self.commit.max(upto);
        self.trim();
    }

    /// Everything in it is durable.
    pub(super) fn all_durable(&mut self) {
        self.durable = self.last();
    }

    /// The current segment begins behind this record.
    pub(super) fn begin_current(&mut self, before: Before) {
        let current = self.segments.last_mut().expect("a segment is in use");
        *current = Segment::new(current.id, current.extent, before);
        self.restart(before);
    }

    /// Goes on behind damage in the current segment, as if the log led to here.
    pub(super) fn restart(&mut self, before: Before) {
        let current = self.segments.last().expect("a segment is in use");
        let Before {
            index,
            next_offset,
            term,
            header_crc,
        } = before;
        self.tail.clear();
        self.tail.push_back(Entry {
            spot: Spot {
                segment: current.id,
                position: current.end,
            },
            index,
            base_offset: next_offset,
            next_offset,
            term,
            header_crc,
        });
        self.landmark_due = true;
    }

    /// The records that could yet become void, and the one before them.
    pub(super) fn open_end(&self) -> Vec<Before> {
        let mut first = self.tail.iter();
        let whole = first
            .next()
            .is_none_or(|first| first.index == self.base.index.next());
        let base = whole.then_some(self.base);
        base.into_iter()
            .chain(self.tail.iter().map(Entry::before))
            .collect()
    }

    /// A record that is durable, and at or before the first one asked for; the records from there on lead to it.
    pub(super) fn find(&self, from: From) -> Option<Found> {
        let exact = match from {
            From::Index(index) => {
                if index <= self.base.index || index > self.durable.index {
                    return None;
                }
                self.entry(index)
            }
            From::Offset(offset) => {
                if offset < self.base.next_offset || offset >= self.durable.next_offset {
                    return None;
                }
                let nth = self
                    .tail
                    .partition_point(|entry| entry.next_offset <= offset);
                let entry = self.tail.get(nth);
                entry.filter(|entry| entry.base_offset <= offset)
            }
            From::Time(time) => return self.before_time(time),
        };
        if let Some(entry) = exact {
            return Some(Found {
                spot: entry.spot,
                index: entry.index,
            });
        }
        self.landmark(from)
    }

    fn landmark(&self, from: From) -> Option<Found> {
        let after = self.segments.partition_point(|segment| match from {
            From::Index(index) => segment.first <= index,
            From::Offset(offset) => segment.first_offset <= offset,
            From::Time(_) => unreachable!("a time is found in a segment's landmarks"),
        });
        let segment = self.segments.get(after.checked_sub(1)?)?;
        segment.landmark(|landmark| match from {
            From::Index(index) => landmark.index <= index,
            From::Offset(offset) => landmark.offset <= offset,
            From::Time(time) => landmark.log_time < time,
        })
    }

    /// The last landmark before this log time, or the first of all.
    fn before_time(&self, time: u64) -> Option<Found> {
        let before = |landmark: &Landmark| landmark.log_time < time;
        let mut segments = self.kept().iter().rev();
        segments
            .find_map(|segment| segment.landmark(before))
            .or_else(|| self.kept().iter().find_map(Segment::first_landmark))
    }

    /// The first record behind a segment.
    pub(super) fn behind(&self, id: SegmentId) -> Option<Found> {
        let nth = self.segments.partition_point(|segment| segment.id <= id);
        let behind = self.segments.get(nth..)?;
        behind.iter().find_map(Segment::first_landmark)
    }

    /// The record before `index`, which is the last one's next at most, and not committed.
    fn before(&self, index: LogIndex) -> Option<Before> {
        if index == self.base.index.next() {
            return Some(self.base);
        }
        self.entry(index.previous()).map(Entry::before)
    }

    fn entry(&self, index: LogIndex) -> Option<&Entry> {
        let first = self.tail.front()?.index;
        let nth = usize::try_from(index.0.checked_sub(first.0)?).ok()?;
        self.tail.get(nth)
    }

    /// The records from `header`'s index on become void, by a record that will lie at `position` in the current segment.
    fn void(&mut self, header: &RecordHeader, position: u64) {
        let at = self
            .entry(header.index)
            .expect("only records of the tail become void")
            .spot;
        let nth = self
            .segments
            .partition_point(|segment| segment.id < at.segment);
        let current = self.segments.len() - 1;
        for (place, segment) in self.segments.iter_mut().enumerate().skip(nth) {
            let from = if place == nth {
                at.position
            } else {
                RECORDS_AT
            };
            let to = if place == current {
                position
            } else {
                segment.end
            };
            segment.void(from, to);
            segment.reaches_back |= header.index <= segment.before.index;
            segment.first = segment.first.min(header.index);
            segment.first_offset = segment.first_offset.min(header.base_offset);
        }
        while self
            .tail
            .pop_back_if(|entry| entry.index >= header.index)
            .is_some()
        {}
        if header.index <= self.durable.index {
            self.durable = self.last();
        }
        self.voids += 1;
    }

    /// Forgets the exact places of records that cannot become void, but for the last of them: the chain hangs on it.
    fn trim(&mut self) {
        let kept = self.commit.min(self.last().index);
        while self.tail.pop_front_if(|entry| entry.index < kept).is_some() {}
    }
}

impl Before {
    pub(super) fn link(&self) -> Link {
        Link {
            index: self.index,
            header_crc: self.header_crc,
        }
    }
}

impl Entry {
    fn before(&self) -> Before {
        Before {
            index: self.index,
            next_offset: self.next_offset,
            term: self.term,
            header_crc: self.header_crc,
        }
    }
}

/// The start of the block at or after `position`.
pub(super) fn block_after(position: u64) -> u64 {
    position.next_multiple_of(BLOCK_BYTES as u64)
}

/// The start of the block that `position` lies in.
pub(super) fn block_of(position: u64) -> u64 {
    position - position % BLOCK_BYTES as u64
}
