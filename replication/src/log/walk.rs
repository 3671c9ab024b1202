//! Going through a log's files in the order in which they were written, checking every byte.
//!
//! Owns: what is sound, and the holes between. Never: decides what to do about damage; the visitor does. Called by: recovery and
//! inspection, which go on behind damage, and whoever wants a sound log only, and stops at the first.

use alloc::vec::Vec;

use quorate_wire::{Record, RecordError, RecordHeader};

use super::error::{Damage, FormatError, RecoveryError};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::gap::Gap;
use super::hole::{Hole, Link};
use super::index::{Index, Spot};
use super::opened::{Opened, State, open_next};
use super::recovery::Cut;
use super::seen::{Kind, Seen, SegmentFile};
use super::segment::RECORDS_AT;
use super::skip::Skip;
use super::superblock::{Reached, Superblock};
use super::tail::{self, End, Stop};
use crate::buffer::BLOCK_BYTES;
use crate::seam::{FileId, Files, SegmentId};

/// Who is told what is found.
pub(super) trait Visitor {
    /// A segment in use begins.
    fn segment(&mut self, header: &SegmentHeader);

    /// A sound record, which takes others' place if it `voids`.
    fn record(&mut self, spot: Spot, record: &Record<'_>, voids: bool);

    /// The first record of a segment that is passed over. All in it are of its term.
    fn passed(&mut self, _first: &RecordHeader) {}

    /// Damage. To go on behind it is the visitor's risk.
    fn damage(&mut self, spot: Spot, why: Damage) -> Result<(), RecoveryError>;
}

/// What a walk has found.
#[derive(Debug)]
pub(super) struct Walked {
    pub(super) index: Index,
    /// Segments that were prepared and never used.
    pub(super) prepared: Vec<(SegmentId, SegmentFile)>,
    pub(super) cut: Option<Cut>,
    /// Nothing is written any more to the last segment in use: it was full before a later one was lost, or its file was used before,
    /// and what the last write did not fill up is no zeros.
    pub(super) closed: bool,
    /// What is missing in the middle.
    pub(super) holes: Vec<Hole>,
    /// The log's end is damaged: nothing sound is behind it, so nothing says what it held.
    pub(super) lost: bool,
    /// Length of the longest segment.
    pub(super) longest: u64,
    /// The last segment that there is.
    pub(super) last_file: Option<SegmentId>,
    /// Segments before the log's start: files that are left of what was released.
    pub(super) released: Vec<SegmentId>,
}

/// Where a segment's records end.
#[derive(Clone, Copy, Debug)]
pub(super) enum Ends {
    /// Here, and with this record, as the next segment says.
    Here(u64, Link),
    /// It is the last one in use.
    Open,
}

pub(super) struct Walk<'a, V> {
    superblock: &'a Superblock,
    pub(super) visitor: &'a mut V,
    pub(super) index: Index,
    pub(super) prepared: Vec<(SegmentId, SegmentFile)>,
    cut: Option<Cut>,
    /// Nothing is written any more to the last segment in use.
    closed: bool,
    /// All segments so far; some are missing.
    pub(super) files: Vec<(SegmentId, Option<SegmentFile>)>,
    /// Damage behind which nothing sound was found yet.
    pub(super) gap: Option<Gap>,
    pub(super) holes: Vec<Hole>,
    /// The log was given up behind this place, and its disk remembers it.
    over: bool,
}

/// Goes through all segments, but for those that are skipped, in their order.
pub(super) fn walk<F: Files, V: Visitor>(
    files: &F,
    superblock: &Superblock,
    skip: &Skip,
    visitor: &mut V,
) -> Result<Walked, RecoveryError> {
    let mut released = files.segments().map_err(RecoveryError::Files)?;
    let start = superblock.start;
    let ids = released.split_off(released.partition_point(|&id| id < start.segment));
    let mut walk = Walk {
        superblock,
        visitor,
        index: Index::new(superblock.identity.group, start.before),
        prepared: Vec::new(),
        cut: None,
        closed: false,
        files: Vec::new(),
        gap: None,
        holes: Vec::new(),
        over: false,
    };
    let mut expected = start.segment;
    let mut following = ids.iter();
    let mut next = open_next(files, &mut following, skip)?;
    while let Some(opened) = next {
        next = open_next(files, &mut following, skip)?;
        while expected < opened.id {
            walk.files.push((expected, None));
            walk.damage(expected, 0, Damage::Missing)?;
            expected = SegmentId(expected.0 + 1);
        }
        expected = SegmentId(opened.id.0 + 1);
        if walk.skips(opened.id, skip)? {
            continue;
        }
        let ends = ends(opened.id, opened.bytes(), next.as_ref());
        let seen = Seen::of(&opened, ends, superblock);
        walk.files.push((seen.id, Some(seen.file)));
        walk.segment(&seen)?;
    }
    Ok(Walked {
        last_file: ids.last().copied(),
        released,
        ..walk.finish()?
    })
}

impl<V: Visitor> Walk<'_, V> {
    /// Tells of damage. What is missing begins here, unless it began before.
    pub(super) fn damage(
        &mut self,
        segment: SegmentId,
        position: u64,
        why: Damage,
    ) -> Result<(), RecoveryError> {
        let spot = Spot { segment, position };
        self.visitor.damage(spot, why)?;
        if self.gap.is_none() {
            // A log that was given up here ends here, whatever is left behind it.
            self.over |= self.superblock.unsure && self.superblock.log == self.end();
            let start = self.hole_start(spot);
            self.gap = Some(Gap::begin(start, why, self.end(), &self.index));
        }
        Ok(())
    }

    /// Where missing records may be put. If it is not known where the segment before a lost header ended, that one's last writes
    /// may be missing too, so they get the room that they had.
    fn hole_start(&self, damaged: Spot) -> Spot {
        match self.index.current() {
            Some(current) if damaged.position == 0 && self.cut.is_none() => Spot {
                segment: current.id,
                position: current.end,
            },
            Some(_) | None => damaged,
        }
    }

    fn segment(&mut self, seen: &Seen<'_>) -> Result<(), RecoveryError> {
        if self.over {
            return Ok(());
        }
        match seen.state {
            State::Damaged(why) => self.dark(seen, *why),
            State::Unused => self.prepared(seen),
            State::Vacant(header) => {
                self.belongs(seen, header)?;
                self.prepared(seen)
            }
            State::Used(header) => {
                self.in_use()?;
                if self.over {
                    return Ok(());
                }
                self.belongs(seen, header)?;
                if let Some(why) = self.join(seen.id, header)? {
                    return self.dark(seen, why);
                }
                if self.over {
                    return Ok(());
                }
                self.open(seen.id, seen.file);
                if let Some(gap) = self.gap.take() {
                    let first = seen.bytes.get(SEGMENT_HEADER_BYTES..);
                    let first = first.and_then(|first| RecordHeader::parse(first).ok());
                    self.close_at_header(gap, seen.id, header, first.map(|first| first.term));
                }
                self.index.committed(header.commit);
                self.visitor.segment(header);
                self.records(seen, SEGMENT_HEADER_BYTES)
            }
        }
    }

    /// A segment that was prepared, and never used as far as its header tells.
    fn prepared(&mut self, seen: &Seen<'_>) -> Result<(), RecoveryError> {
        let whole = seen.file.bytes.is_multiple_of(BLOCK_BYTES as u64);
        if !whole || !seen.untouched {
            return self.dark(seen, Damage::Stray);
        }
        if self.gap.is_none() {
            self.prepared.push((seen.id, seen.file));
        }
        Ok(())
    }

    /// A segment is in use. If the one before it looked torn, that is where it ends.
    pub(super) fn open(&mut self, id: SegmentId, file: SegmentFile) {
        self.cut = None;
        self.closed = matches!(file.kind, Kind::Full | Kind::Reused);
        self.index.open(id, file.extent());
    }

    /// A later segment is in use: so were those that look as if they had only been prepared.
    fn in_use(&mut self) -> Result<(), RecoveryError> {
        if let Some(&(unused, _)) = self.prepared.first() {
            self.prepared.clear();
            self.damage(unused, 0, Damage::Lost)?;
        }
        Ok(())
    }

    /// A segment without a sound header. If there are records in it, it was in use.
    fn dark(&mut self, seen: &Seen<'_>, why: Damage) -> Result<(), RecoveryError> {
        let (id, bytes) = (seen.id, seen.file.bytes);
        let block = BLOCK_BYTES as u64;
        if !bytes.is_multiple_of(block) || bytes <= RECORDS_AT {
            let spot = Spot {
                segment: id,
                position: 0,
            };
            let length = FormatError::Length {
                expected: (bytes + 1).next_multiple_of(block),
                found: bytes,
            };
            return Err(to_error(spot, Damage::Header(length)));
        }
        match self.next_sound(limited(&seen.bytes, seen.ends), 0) {
            Some(found) => {
                self.in_use()?;
                self.damage(id, 0, why)?;
                if self.over {
                    return Ok(());
                }
                self.open(seen.id, seen.file);
                self.records(seen, found)
            }
            None => self.damage(id, 0, why),
        }
    }

    /// Whether a segment is of this disk, and as long as its header says, under its own number. What the file contradicts is no
    /// matter of missing records: somebody has mixed up or cut files.
    fn belongs(&self, seen: &Seen<'_>, header: &SegmentHeader) -> Result<(), RecoveryError> {
        if header.identity != self.superblock.identity {
            return Err(RecoveryError::Identity {
                segment: seen.id,
                expected: self.superblock.identity,
                found: header.identity,
            });
        }
        let spot = Spot {
            segment: seen.id,
            position: 0,
        };
        let found = seen.file.bytes;
        if header.segment_bytes != found || !found.is_multiple_of(BLOCK_BYTES as u64) {
            let length = FormatError::Length {
                expected: header.segment_bytes,
                found,
            };
            return Err(to_error(spot, Damage::Header(length)));
        }
        if header.segment != seen.id {
            return Err(to_error(spot, Damage::Joint("its number")));
        }
        Ok(())
    }

    /// Holds a segment's header against the log before it: returns why it does not continue that.
    pub(super) fn join(
        &mut self,
        id: SegmentId,
        header: &SegmentHeader,
    ) -> Result<Option<Damage>, RecoveryError> {
        let spot = Spot {
            segment: id,
            position: 0,
        };
        let last = self.index.last();
        let (before, end) = self
            .index
            .current()
            .map_or((None, 0), |segment| (Some(segment.id), segment.end));
        let why = if self.gap.is_some() {
            return Ok(None);
        } else if header.previous_end < end {
            return Err(to_error(
                spot,
                Damage::Joint("where the segment before it ends"),
            ));
        } else if header.first_index != last.index.next() {
            Damage::Joint("its first index")
        } else if header.first_offset != last.next_offset {
            Damage::Joint("its first offset")
        } else if header.previous != last.header_crc {
            Damage::Joint("the checksum of the record before it")
        } else {
            return Ok(None);
        };
        match before {
            // Records are missing at the end of the segment before.
            Some(before) if header.previous_end > end => {
                self.damage(before, end, why).map(|()| None)
            }
            Some(_) => Ok(Some(why)),
            None => Err(to_error(spot, why)),
        }
    }

    /// Goes through a segment's records, from `at` on.
    fn records(&mut self, seen: &Seen<'_>, mut at: usize) -> Result<(), RecoveryError> {
        let (id, bytes, ends) = (seen.id, &*seen.bytes, seen.ends);
        let valid = limited(bytes, ends);
        let mut end = at;
        while at < valid.len() {
            let why = match Record::parse(valid.get(at..).unwrap_or_default()) {
                Ok((record, _)) => match self.fits(record.header(), id, at) {
                    Ok(()) => {
                        self.take(id, at, &record);
                        at += record.bytes().len();
                        end = at;
                        continue;
                    }
                    Err(why) => why,
                },
                // What this build does not know is neither torn nor damaged.
                Err(error @ RecordError::Version { .. }) => Damage::Record(error),
                Err(error) => {
                    if let Some(next) = self.behind_zeros(valid, at, ends) {
                        at = next;
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
            let behind = self.behind_damaged(valid, at);
            self.damage(id, at as u64, why)?;
            let found = behind.or_else(|| self.next_proven(valid, at + 1, ends));
            let found = found.filter(|_| !self.over);
            let Some(found) = found else {
                return Ok(());
            };
            at = found;
        }
        Ok(())
    }

    fn judge(&self, bytes: &[u8], stop: Stop, ends: Ends) -> End {
        match ends {
            Ends::Here(..) => End::Damaged(tail::damage(bytes, stop)),
            Ends::Open => tail::judge(bytes, stop, &self.index),
        }
    }

    fn take(&mut self, segment: SegmentId, at: usize, record: &Record<'_>) {
        let position = at as u64;
        let voids = self.index.append(record.header(), position);
        self.visitor
            .record(Spot { segment, position }, record, voids);
    }

    /// Whether a sound record may come next. The first one behind damage ends a hole; one that reaches back behind it shows that
    /// all between is void, and ends it instead.
    fn fits(&mut self, header: &RecordHeader, segment: SegmentId, at: usize) -> Result<(), Damage> {
        let end = Spot {
            segment,
            position: at as u64,
        };
        let checked = self.index.check(header);
        if checked.is_err() && self.extend_last(header, end) {
            self.gap = None;
            return Ok(());
        }
        if let Some(gap) = self.gap.take() {
            self.close_at_record(gap, header, end);
            return Ok(());
        }
        checked
    }

    /// Where the log ends.
    fn end(&self) -> Reached {
        let current = self.index.current();
        current.map_or_else(
            || self.superblock.start.reached(),
            |segment| Reached::new(segment.id, segment.end),
        )
    }

    fn finish(mut self) -> Result<Walked, RecoveryError> {
        let (end, known) = (self.end(), self.superblock.log);
        if self.gap.is_none() && self.holes.is_empty() && end < known {
            let why = Damage::EndsEarly {
                segment: known.segment,
                position: known.position,
            };
            self.damage(SegmentId(end.segment), end.position, why)?;
        }
        self.index.all_durable();
        let lengths = self.files.iter().filter_map(|file| file.1);
        let lengths = lengths.map(|file| file.bytes);
        Ok(Walked {
            index: self.index,
            prepared: self.prepared,
            cut: self.cut,
            closed: self.closed,
            // While something is missing in the middle, nothing is done about the end.
            lost: self.gap.is_some() && self.holes.is_empty(),
            holes: self.holes,
            longest: lengths.max().unwrap_or(0),
            last_file: None,
            released: Vec::new(),
        })
    }
}

/// A segment's bytes up to where its records end.
fn limited(bytes: &[u8], ends: Ends) -> &[u8] {
    let limit = match ends {
        Ends::Here(end, _) => usize::try_from(end).expect("it lies inside the file"),
        Ends::Open => bytes.len(),
    };
    bytes.get(..limit).unwrap_or_default()
}

/// Where a segment's records end, by what the next one says.
fn ends<B>(id: SegmentId, bytes: &[u8], next: Option<&Opened<B>>) -> Ends {
    let next = next.filter(|next| next.id.0 == id.0 + 1);
    match next.map(|next| &next.state) {
        // A place outside the file is found to be wrong when the next segment's turn has come.
        Some(State::Used(header)) => {
            let end = header.previous_end.max(RECORDS_AT);
            Ends::Here(end.min(bytes.len() as u64), header.last_before())
        }
        Some(State::Unused | State::Vacant(_) | State::Damaged(_)) | None => Ends::Open,
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
        | Damage::Twice { .. }
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
