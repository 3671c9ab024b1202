//! Reading records back: find, read blocks, check, leave out what is no record.
//!
//! Owns: one read from its request to its answer. Never: trusts what it reads. Called by: the log.

use bytes::Bytes;
use quorate_wire::{LogIndex, Record, RecordError, RecordHeader};

use super::error::{Damage, ReadError};
use super::event::{From, Read, ReadRecords};
use super::index::{Found, Index, block_after, block_of};
use super::segment::{LANDMARK_BYTES, Segment};
use super::tail::zeros_at;
use crate::buffer::{BLOCK_BYTES, Buffer};
use crate::seam::{FileId, SegmentId, StorageError, StorageOp};

/// Most bytes that one read brings, unless a record is longer: a write that comes meanwhile waits for no more than that.
pub const READ_BYTES_MAX: usize = 256 << 10;

/// A read between its request and its answer.
#[derive(Debug)]
pub(super) struct Reading {
    read: Read,
    /// The last record that it may return, and that was durable when the disk was asked: what was written since may not be
    /// in the bytes.
    through: LogIndex,
    /// As the index counted them when the place was found.
    voids: u64,
    found: Found,
    /// What is read: whole blocks, from the one that `found` lies in.
    start: u64,
    length: usize,
}

/// What has become of a read.
#[derive(Debug)]
pub(super) enum Progress {
    /// More bytes are needed.
    Again(Reading),
    /// Records.
    Done(ReadRecords),
    /// There is no such record any more.
    Void,
}

/// Records that have been found so far, side by side in the buffer.
#[derive(Debug, Default)]
struct Kept {
    start: usize,
    end: usize,
    ends: Option<(RecordHeader, RecordHeader)>,
}

/// Why a scan stopped.
#[derive(Debug)]
enum Stop {
    /// There is nothing more to take.
    End,
    /// The buffer ends before this record does, which needs so many bytes.
    Short(Found, usize),
}

impl Reading {
    /// Begins a read; `None` if its first record is not in the log, not durable, or past `through`.
    pub(super) fn begin(read: Read, index: &Index) -> Option<Self> {
        let through = read.through.min(index.durable().index);
        let found = index.find(read.from)?;
        let first = match read.from {
            From::Index(index) => index,
            From::Offset(_) | From::Time(_) => found.index,
        };
        let reading = Self {
            read,
            through,
            voids: index.voids(),
            found,
            start: 0,
            length: 0,
        };
        (first <= through).then(|| reading.from(found, 0, index))
    }

    /// The same read from its beginning: where its first record lies may be known better now.
    pub(super) fn again(self, index: &Index) -> Option<Self> {
        Self::begin(self.read, index)
    }

    /// Reads on from a record of at least so many bytes.
    fn from(mut self, found: Found, bytes: usize, index: &Index) -> Self {
        let segment = segment(index, found);
        let position = found.spot.position;
        self.found = found;
        self.start = block_of(position);
        let skipped = match self.read.from {
            From::Index(index) if index == found.index => 0,
            From::Index(_) | From::Offset(_) | From::Time(_) => LANDMARK_BYTES,
        };
        let wanted = self.read.bytes_max.min(READ_BYTES_MAX).max(bytes);
        let end = (position + skipped + wanted as u64).min(segment.end);
        let length = block_after(end.max(position + 1)) - self.start;
        self.length = usize::try_from(length).expect("a read fits into memory");
        self
    }

    pub(super) fn op(&self) -> StorageOp {
        StorageOp::Read {
            file: FileId::Segment(self.found.spot.segment),
            position: self.start,
            length: self.length,
            into: Buffer::zeroed(self.length),
        }
    }

    pub(super) fn segment(&self) -> SegmentId {
        self.found.spot.segment
    }

    pub(super) fn token(&self) -> u64 {
        self.read.token
    }

    pub(super) fn failed(&self, error: StorageError) -> ReadError {
        ReadError::Failed {
            segment: self.found.spot.segment,
            position: self.start,
            error,
        }
    }

    /// The disk has answered.
    pub(super) fn take(self, mut buffer: Buffer, index: &Index) -> Result<Progress, ReadError> {
        if self.voids != index.voids() {
            // Records have become void since the place was found, perhaps these.
            return Ok(self.again(index).map_or(Progress::Void, Progress::Again));
        }
        let mut kept = Kept::default();
        let stop = match self.scan(&mut buffer, &mut kept, index) {
            Ok(stop) => stop,
            // What is sound before the damage is good; whoever reads on will meet it.
            Err(_) if kept.ends.is_some() => Stop::End,
            Err((position, why)) => {
                return Err(ReadError::Damaged {
                    segment: self.found.spot.segment,
                    position,
                    why,
                });
            }
        };
        Ok(match (kept.ends, stop) {
            (Some((first, last)), Stop::End | Stop::Short(..)) => Progress::Done(ReadRecords {
                bytes: share(buffer, kept.start, kept.end),
                first: first.index,
                last: last.index,
                term: first.term,
                base_offset: first.base_offset,
                next_offset: last.next_offset(),
            }),
            (None, Stop::Short(found, bytes)) => Progress::Again(self.from(found, bytes, index)),
            (None, Stop::End) => self.behind(index).map_or(Progress::Void, Progress::Again),
        })
    }

    fn scan(
        &self,
        buffer: &mut Buffer,
        kept: &mut Kept,
        index: &Index,
    ) -> Result<Stop, (u64, Damage)> {
        let segment = segment(index, self.found);
        let mut next = self.found;
        let mut previous = None;
        while next.index <= self.through {
            let position = next.spot.position;
            if let Some(end) = segment.gap_end(position) {
                next.spot.position = end;
                continue;
            }
            if position >= segment.end {
                break;
            }
            let at = usize::try_from(position - self.start).expect("a read fits into memory");
            let rest = buffer.get(at..self.length).unwrap_or_default();
            let header = match Record::parse(rest) {
                Ok((record, _)) => *record.header(),
                Err(error) => match (zeros_at(rest), error) {
                    // They fill up a block; and records that were put back lie closer together than before.
                    (zeros @ 1.., _) => {
                        next.spot.position += zeros as u64;
                        if next.spot.position >= segment.end {
                            return Err((position, Damage::Lost));
                        }
                        continue;
                    }
                    (0, RecordError::Cut { needed, .. })
                        if position + needed as u64 <= segment.end =>
                    {
                        return Ok(Stop::Short(next, needed));
                    }
                    (0, error) => return Err((position, Damage::Record(error))),
                },
            };
            check(&header, next.index, previous, index).map_err(|why| (position, why))?;
            if self.wants(&header) && !kept.take(&self.read, &header, buffer, at) {
                break;
            }
            previous = Some(header.header_crc);
            next.index = next.index.next();
            next.spot.position = position + header.record_bytes() as u64;
        }
        Ok(Stop::End)
    }

    fn wants(&self, header: &RecordHeader) -> bool {
        match self.read.from {
            From::Index(index) => header.index >= index,
            From::Offset(offset) => header.next_offset() > offset,
            From::Time(time) => header.log_time >= time,
        }
    }

    /// The same read in the next segment: a log time is found by the records before it, which may lie in another segment.
    fn behind(self, index: &Index) -> Option<Self> {
        if !matches!(self.read.from, From::Time(_)) {
            return None;
        }
        let found = index.behind(self.found.spot.segment)?;
        (found.index <= self.through).then(|| self.from(found, 0, index))
    }
}

impl Kept {
    /// Moves a record behind the others; not if it is too much.
    fn take(&mut self, read: &Read, header: &RecordHeader, buffer: &mut Buffer, at: usize) -> bool {
        let bytes = header.record_bytes();
        let Some((first, last)) = &mut self.ends else {
            self.ends = Some((*header, *header));
            (self.start, self.end) = (at, at + bytes);
            return true;
        };
        let full = self.end - self.start + bytes > read.bytes_max;
        if full || (read.one_term && header.term != first.term) {
            return false;
        }
        *last = *header;
        if at != self.end {
            buffer.copy_within(at..at + bytes, self.end);
        }
        self.end += bytes;
        true
    }
}

fn segment(index: &Index, found: Found) -> &Segment {
    index
        .segment(found.spot.segment)
        .expect("a segment stays in the index")
}

fn check(
    header: &RecordHeader,
    expected: LogIndex,
    previous: Option<u32>,
    index: &Index,
) -> Result<(), Damage> {
    if header.group != index.group() {
        Err(Damage::Group {
            found: header.group,
        })
    } else if header.index != expected {
        Err(Damage::Index {
            found: header.index,
            last: expected.previous(),
        })
    } else if previous.is_some_and(|previous| previous != header.previous) {
        Err(Damage::Chain {
            index: header.index,
        })
    } else {
        Ok(())
    }
}

struct Owner(Buffer);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// A part of a buffer, to hand out. A small part of a large buffer is copied, so that it does not hold all of it.
fn share(buffer: Buffer, start: usize, end: usize) -> Bytes {
    if (end - start).saturating_mul(2) < buffer.len().max(2 * BLOCK_BYTES) {
        return Bytes::copy_from_slice(buffer.get(start..end).unwrap_or_default());
    }
    Bytes::from_owner(Owner(buffer)).slice(start..end)
}
