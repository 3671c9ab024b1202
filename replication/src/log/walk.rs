//! Going through a log's files in the order in which they were written, checking every byte.
//!
//! Owns: what is sound. Never: decides what to do about damage; the visitor does. Called by: recovery, which stops at the first
//! damage, and inspection, which goes on behind it.

use alloc::vec::Vec;

use quorate_wire::{Record, RecordError, RecordHeader};

use super::error::{Damage, FormatError, RecoveryError};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::index::{Index, RECORDS_AT, Spot};
use super::recovery::Cut;
use super::superblock::{Reached, Superblock};
use super::tail::{self, End, Stop, is_zero};
use crate::buffer::BLOCK_BYTES;
use crate::seam::{FileId, Files, SegmentId};

/// Who is told what is found.
pub(super) trait Visitor {
    /// A segment in use begins.
    fn segment(&mut self, header: &SegmentHeader);

    /// A sound record, which takes others' place if it `voids`.
    fn record(&mut self, spot: Spot, record: &Record<'_>, voids: bool);

    /// Damage. To go on behind it is the visitor's risk.
    fn damage(&mut self, spot: Spot, why: Damage) -> Result<(), RecoveryError>;
}

/// What a walk has found.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) index: Index,
    /// Segments that were prepared and never used, with their lengths.
    pub(super) prepared: Vec<(SegmentId, u64)>,
    pub(super) cut: Option<Cut>,
}

/// A segment's file, and what its first block says of it.
struct Opened<B> {
    id: SegmentId,
    bytes: B,
    state: State,
}

enum State {
    Unused,
    Used(SegmentHeader),
    Damaged(Damage),
}

/// Where a segment's records end.
#[derive(Clone, Copy, Debug)]
enum Ends {
    /// Here, as the next segment says.
    Here(u64),
    /// It is the last one in use.
    Open,
}

struct Walk<'a, V> {
    superblock: &'a Superblock,
    visitor: &'a mut V,
    index: Index,
    prepared: Vec<(SegmentId, u64)>,
    cut: Option<Cut>,
    /// Records before this place could not be read, so that nothing is known of what leads to it.
    broken: bool,
}

/// Goes through all segments.
pub(super) fn walk<F: Files, V: Visitor>(
    files: &F,
    superblock: &Superblock,
    visitor: &mut V,
) -> Result<Walked, RecoveryError> {
    let ids = files.segments().map_err(RecoveryError::Files)?;
    let mut walk = Walk {
        superblock,
        visitor,
        index: Index::new(superblock.identity.group),
        prepared: Vec::new(),
        cut: None,
        broken: false,
    };
    let mut expected = SegmentId(1);
    let mut following = ids.iter();
    let mut next = open_next(files, &mut following)?;
    while let Some(opened) = next {
        next = open_next(files, &mut following)?;
        while expected < opened.id {
            walk.damage(expected, 0, Damage::Missing)?;
            expected = SegmentId(expected.0 + 1);
        }
        expected = SegmentId(opened.id.0 + 1);
        walk.segment(&opened, next.as_ref())?;
    }
    walk.finish()
}

fn open_next<'i, F: Files>(
    files: &F,
    ids: &mut impl Iterator<Item = &'i SegmentId>,
) -> Result<Option<Opened<F::Bytes>>, RecoveryError> {
    let Some(&id) = ids.next() else {
        return Ok(None);
    };
    let bytes = files.segment(id).map_err(RecoveryError::Files)?;
    let head = bytes.as_ref().get(..SEGMENT_HEADER_BYTES);
    let state = match head.map(SegmentHeader::decode) {
        Some(Ok(header)) => State::Used(header),
        Some(Err(_)) if head.is_some_and(is_zero) => State::Unused,
        Some(Err(FormatError::Version { found })) => {
            return Err(RecoveryError::Version {
                file: FileId::Segment(id),
                found,
            });
        }
        Some(Err(error)) => State::Damaged(Damage::Header(error)),
        None => State::Damaged(Damage::Header(FormatError::Length {
            expected: SEGMENT_HEADER_BYTES as u64,
            found: bytes.as_ref().len() as u64,
        })),
    };
    Ok(Some(Opened { id, bytes, state }))
}

impl<V: Visitor> Walk<'_, V> {
    fn damage(
        &mut self,
        segment: SegmentId,
        position: u64,
        why: Damage,
    ) -> Result<(), RecoveryError> {
        self.broken = true;
        self.visitor.damage(Spot { segment, position }, why)
    }

    fn segment<B: AsRef<[u8]>>(
        &mut self,
        opened: &Opened<B>,
        next: Option<&Opened<B>>,
    ) -> Result<(), RecoveryError> {
        let (id, bytes) = (opened.id, opened.bytes.as_ref());
        match &opened.state {
            State::Damaged(why) => self.damage(id, 0, *why),
            State::Unused => self.unused(id, bytes),
            State::Used(header) => {
                if let Some(&(unused, _)) = self.prepared.first() {
                    self.damage(unused, 0, Damage::Lost)?;
                }
                if header.identity != self.superblock.identity {
                    return Err(RecoveryError::Identity {
                        segment: id,
                        expected: self.superblock.identity,
                        found: header.identity,
                    });
                }
                match self.joins(id, bytes, header) {
                    Err(why) if !self.broken => self.damage(id, 0, why)?,
                    Ok(()) | Err(_) => {}
                }
                self.index.open(id, bytes.len() as u64);
                self.index.committed(header.commit);
                self.visitor.segment(header);
                self.records(id, bytes, ends(bytes, next))
            }
        }
    }

    fn unused(&mut self, id: SegmentId, bytes: &[u8]) -> Result<(), RecoveryError> {
        let whole = bytes.len().is_multiple_of(BLOCK_BYTES);
        if !whole || !is_zero(bytes) {
            self.damage(id, 0, Damage::Stray)?;
        }
        self.prepared.push((id, bytes.len() as u64));
        Ok(())
    }

    /// Whether a segment's header fits to its file and to the log before it.
    fn joins(&self, id: SegmentId, bytes: &[u8], header: &SegmentHeader) -> Result<(), Damage> {
        let last = self.index.last();
        let found = bytes.len() as u64;
        let end = self.index.current().map_or(0, |segment| segment.end);
        if header.segment_bytes != found || !bytes.len().is_multiple_of(BLOCK_BYTES) {
            Err(Damage::Header(FormatError::Length {
                expected: header.segment_bytes,
                found,
            }))
        } else if header.segment != id {
            Err(Damage::Joint("its number"))
        } else if header.previous_end != end {
            Err(Damage::Joint("where the segment before it ends"))
        } else if header.first_index != last.index.next() {
            Err(Damage::Joint("its first index"))
        } else if header.first_offset != last.next_offset {
            Err(Damage::Joint("its first offset"))
        } else if header.previous != last.header_crc {
            Err(Damage::Joint("the checksum of the record before it"))
        } else {
            Ok(())
        }
    }

    /// Goes through a segment's records.
    fn records(&mut self, id: SegmentId, bytes: &[u8], ends: Ends) -> Result<(), RecoveryError> {
        let limit = match ends {
            Ends::Here(end) => usize::try_from(end).expect("it lies inside the file"),
            Ends::Open => bytes.len(),
        };
        let valid = bytes.get(..limit).unwrap_or_default();
        let mut at = SEGMENT_HEADER_BYTES;
        let mut end = at;
        while at < limit {
            let why = match Record::parse(valid.get(at..).unwrap_or_default()) {
                Ok((record, _)) => match self.fits(record.header()) {
                    Ok(()) => {
                        self.take(id, at, &record);
                        at += record.bytes().len();
                        end = at;
                        continue;
                    }
                    Err(why) => why,
                },
                Err(error) => {
                    let block = at.next_multiple_of(BLOCK_BYTES);
                    if at < block && block < limit && valid.get(at..block).is_some_and(is_zero) {
                        at = block;
                        continue;
                    }
                    let stop = Stop { end, at, error };
                    match self.judge(bytes, stop, ends) {
                        End::Clean => return Ok(()),
                        End::Torn(length) => {
                            self.cut = Some(Cut {
                                segment: id,
                                position: end as u64,
                                bytes: length,
                            });
                            return Ok(());
                        }
                        End::Damaged(why) => why,
                    }
                }
            };
            self.damage(id, at as u64, why)?;
            let Some(found) = self.next_sound(valid, at) else {
                return Ok(());
            };
            at = found;
        }
        Ok(())
    }

    fn judge(&self, bytes: &[u8], stop: Stop, ends: Ends) -> End {
        match ends {
            Ends::Here(_) => End::Damaged(tail::damage(bytes, stop)),
            Ends::Open => tail::judge(bytes, stop, &self.index),
        }
    }

    fn take(&mut self, segment: SegmentId, at: usize, record: &Record<'_>) {
        let position = at as u64;
        let voids = self.index.append(record.header(), position);
        self.visitor
            .record(Spot { segment, position }, record, voids);
    }

    /// Whether a sound record may come next. Behind damage, any may.
    fn fits(&mut self, header: &RecordHeader) -> Result<(), Damage> {
        if core::mem::take(&mut self.broken) && header.group == self.index.group() {
            self.index.resume_at(header);
            return Ok(());
        }
        self.index.check(header)
    }

    /// The next block that begins with a sound record, behind damage.
    fn next_sound(&self, bytes: &[u8], damaged: usize) -> Option<usize> {
        let first = (damaged + 1).next_multiple_of(BLOCK_BYTES);
        (first..bytes.len()).step_by(BLOCK_BYTES).find(|&block| {
            let parsed = Record::parse(bytes.get(block..).unwrap_or_default());
            parsed.is_ok_and(|(record, _)| record.header().group == self.index.group())
        })
    }

    fn finish(mut self) -> Result<Walked, RecoveryError> {
        let (segment, position) = self
            .index
            .current()
            .map_or((SegmentId(1), 0), |segment| (segment.id, segment.end));
        let known = self.superblock.log;
        if Reached::new(segment, position) < known {
            let why = Damage::EndsEarly {
                segment: known.segment,
                position: known.position,
            };
            self.damage(segment, position, why)?;
        }
        self.index.all_durable();
        Ok(Walked {
            index: self.index,
            prepared: self.prepared,
            cut: self.cut,
        })
    }
}

/// Where a segment's records end, by what the next one says.
fn ends<B>(bytes: &[u8], next: Option<&Opened<B>>) -> Ends {
    match next.map(|next| &next.state) {
        // A place outside the file is found to be wrong when the next segment's turn has come.
        Some(State::Used(header)) => {
            Ends::Here(header.previous_end.clamp(RECORDS_AT, bytes.len() as u64))
        }
        Some(State::Unused | State::Damaged(_)) | None => Ends::Open,
    }
}

/// What is left of an error when it was met in bytes that were durable.
pub(super) fn to_error(spot: Spot, why: Damage) -> RecoveryError {
    match why {
        Damage::Record(RecordError::Version { version }) => RecoveryError::Version {
            file: FileId::Segment(spot.segment),
            found: u32::from(version),
        },
        Damage::Header(_)
        | Damage::Missing
        | Damage::Joint(_)
        | Damage::Record(_)
        | Damage::Group { .. }
        | Damage::Index { .. }
        | Damage::Committed { .. }
        | Damage::Chain { .. }
        | Damage::Offset { .. }
        | Damage::Term { .. }
        | Damage::EndsEarly { .. }
        | Damage::Lost
        | Damage::Stray => RecoveryError::Damaged {
            segment: spot.segment,
            position: spot.position,
            why,
        },
    }
}
