//! Going through a segment that recovery has passed over, when somebody wants to read in it: where its records are, and which of
//! them are void.
//!
//! ```text
//!   a read that finds an unread segment --> waits --all of the segment read, piece by piece--> begins anew
//!                                             \--damage--> is void: the log is gone through again
//! ```
//! Every byte of the segment is checked, as recovery would have. Owns: who waits for which segment. Never: has more than one piece
//! on its way, trusts what it reads. Called by: the log.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, Record, RecordError, RecordHeader};

use super::error::{Damage, ReadError};
use super::event::LogEvent;
use super::index::{Before, Index, block_after, block_of};
use super::log::{Log, Purpose};
use super::reader::{READ_BYTES_MAX, Reading};
use super::segment::{RECORDS_AT, Segment};
use super::sums::Extent;
use super::tail::zeros_at;
use crate::buffer::Buffer;
use crate::seam::{FileId, SegmentId, Storage, StorageError, StorageOp, StorageOutcome};

/// So many records back a record may void others: more are never in a log and not committed.
const VOIDS_MAX: u64 = 1 << 17;

/// A segment that is being gone through.
#[derive(Debug)]
pub(super) struct Survey {
    segment: SegmentId,
    extent: Extent,
    /// The record before its first one, and its last one.
    ends: (Before, Before),
    /// Where that one ends.
    end: u64,
    /// What was found, as of a log that begins with this segment.
    index: Index,
    /// Records of the segments before have been voided, and those that follow take their places, with the same bytes again: they
    /// are left out until the segment's own ones come.
    aside: bool,
    reaches_back: bool,
    /// How far it is.
    at: u64,
    /// Bytes of the next piece.
    length: usize,
}

/// Reads that wait for a survey, and the survey.
#[derive(Debug, Default)]
pub(super) struct Surveys {
    waiting: Vec<Reading>,
    /// Between two pieces.
    next: Option<Survey>,
    /// The segment of the only survey that there is.
    open: Option<SegmentId>,
}

/// What has become of a survey.
#[derive(Debug)]
enum Progress {
    More(Survey),
    Done(Segment),
}

impl Survey {
    fn new(segment: &Segment, last: Before, index: &Index) -> Self {
        let mut survey = Self {
            segment: segment.id,
            extent: segment.extent,
            ends: (segment.before, last),
            end: segment.end,
            index: Index::new(index.group(), segment.before),
            aside: false,
            reaches_back: false,
            at: RECORDS_AT,
            length: 0,
        };
        survey.aim(RECORDS_AT, 0);
        survey.index.open(survey.segment, survey.extent);
        survey
    }

    /// Goes on at `at`, with a piece that has so many bytes from there on, at least.
    fn aim(&mut self, at: u64, bytes: usize) {
        let wanted = bytes.max(READ_BYTES_MAX) as u64;
        let length = block_after((at + wanted).min(self.end)) - block_of(at);
        self.at = at;
        self.length = usize::try_from(length).expect("a piece fits into memory");
    }

    fn op(&self) -> StorageOp {
        StorageOp::Read {
            file: FileId::Segment(self.segment),
            position: block_of(self.at),
            length: self.length,
            into: Buffer::zeroed(self.length),
        }
    }

    fn take(mut self, piece: &Buffer) -> Result<Progress, (u64, Damage)> {
        let start = block_of(self.at);
        let limit = usize::try_from((self.end - start).min(self.length as u64));
        let piece = piece.get(..limit.expect("it fits into memory"));
        let piece = piece.expect("the disk reads all that it is asked for");
        let mut at = usize::try_from(self.at - start).expect("it lies in the piece");
        while at < piece.len() {
            let position = start + at as u64;
            let rest = piece.get(at..).unwrap_or_default();
            match Record::parse(rest) {
                Ok((record, _)) => {
                    let added = self.add(record.header(), position);
                    added.map_err(|why| (position, why))?;
                    at += record.bytes().len();
                }
                // What fills up a block; and records that were put back lie closer together than before.
                Err(_) if zeros_at(rest) > 0 => at += zeros_at(rest),
                Err(RecordError::Cut { needed, .. }) if position + needed as u64 <= self.end => {
                    self.aim(position, needed);
                    return Ok(Progress::More(self));
                }
                Err(error) => return Err((position, Damage::Record(error))),
            }
        }
        let at = start + at as u64;
        if at < self.end {
            self.aim(at, 0);
            return Ok(Progress::More(self));
        }
        self.finish().map_err(|why| (at, why))
    }

    fn add(&mut self, header: &RecordHeader, position: u64) -> Result<(), Damage> {
        let before = self.ends.0;
        let reaches_back = header.index <= before.index;
        if self.aside || reaches_back {
            self.reaches_back |= reaches_back;
            let own = header.index == before.index.next() && header.previous == before.header_crc;
            self.aside = !own;
            if self.aside {
                return Ok(());
            }
            self.index = Index::new(self.index.group(), before);
            self.index.open(self.segment, self.extent);
            let segment = self.index.segments.last_mut();
            segment.expect("it is open").void(RECORDS_AT, position);
        }
        self.index.check(header)?;
        self.index.append(header, position);
        let settled = header.index.0.saturating_sub(VOIDS_MAX);
        self.index.committed(LogIndex(settled));
        Ok(())
    }

    fn finish(mut self) -> Result<Progress, Damage> {
        if self.aside || self.index.last() != self.ends.1 {
            return Err(Damage::Lost);
        }
        let mut segment = self.index.segments.pop().expect("it is open");
        segment.reaches_back = self.reaches_back;
        segment.end = self.end;
        Ok(Progress::Done(segment))
    }

    fn failed(&self, error: StorageError) -> ReadError {
        ReadError::Failed {
            segment: self.segment,
            position: block_of(self.at),
            error,
        }
    }
}

impl Index {
    /// Whether nothing is known of the inside of this segment.
    fn is_unread(&self, id: SegmentId) -> bool {
        self.segment(id).is_some_and(|segment| segment.unread)
    }

    fn survey(&self, id: SegmentId) -> Option<Survey> {
        let nth = self.segments.partition_point(|segment| segment.id < id);
        let segment = self.segments.get(nth)?;
        let last = self.segments.get(nth + 1)?.before;
        (segment.id == id && segment.unread).then(|| Survey::new(segment, last, self))
    }

    fn surveyed(&mut self, found: Segment) {
        let id = found.id;
        let known = self.segments.iter_mut().find(|segment| segment.id == id);
        *known.expect("a segment stays while it is read") = found;
    }
}

impl Log {
    /// Whether recovery has passed over a part of the log that nobody has read since.
    #[must_use]
    pub fn has_unread(&self) -> bool {
        self.index.segments.iter().any(|segment| segment.unread)
    }

    /// Has a read wait, if it is of a segment that must be gone through first; otherwise gives it back.
    pub(super) fn wait_for_survey(&mut self, reading: Reading) -> Option<Reading> {
        let segment = reading.segment();
        if !self.index.is_unread(segment) {
            return Some(reading);
        }
        self.surveys.waiting.push(reading);
        self.begin_survey(segment);
        None
    }

    /// Has a segment gone through, unless another one is.
    pub(super) fn begin_survey(&mut self, segment: SegmentId) {
        if self.surveys.open.is_none()
            && let Some(survey) = self.index.survey(segment)
        {
            self.surveys.open = Some(segment);
            self.surveys.next = Some(survey);
        }
    }

    /// The next piece to read, if none is on its way.
    pub(super) fn next_piece(&mut self) -> Option<(Purpose, StorageOp)> {
        let survey = self.surveys.next.take()?;
        let op = survey.op();
        Some((Purpose::Survey(survey), op))
    }

    /// The segment that is being gone through.
    pub(super) fn surveyed_in(&self) -> Option<SegmentId> {
        self.surveys.open
    }

    /// The disk has read a piece.
    pub(super) fn survey_on(
        &mut self,
        survey: Survey,
        result: Result<StorageOutcome, StorageError>,
        storage: &mut impl Storage,
        events: &mut Vec<LogEvent>,
    ) {
        self.reads_open -= 1;
        let segment = survey.segment;
        let progress = match result {
            Ok(StorageOutcome::Read(piece)) => {
                survey
                    .take(&piece)
                    .map_err(|(position, why)| ReadError::Damaged {
                        segment,
                        position,
                        why,
                    })
            }
            Ok(_) => unreachable!("a read ends as one"),
            Err(error) => Err(survey.failed(error)),
        };
        match progress {
            Ok(Progress::More(survey)) => self.surveys.next = Some(survey),
            Ok(Progress::Done(found)) => {
                self.index.surveyed(found);
                self.end_survey(storage, events);
            }
            Err(error) => {
                events.push(LogEvent::Damaged(error));
                let waiting = core::mem::take(&mut self.surveys.waiting);
                let (void, others): (Vec<_>, Vec<_>) =
                    waiting.into_iter().partition(|it| it.segment() == segment);
                let void = void.iter().map(Reading::token);
                events.extend(void.map(|token| LogEvent::ReadVoid { token }));
                self.surveys.waiting = others;
                self.end_survey(storage, events);
            }
        }
        self.submit_reads(storage);
    }

    /// Those who waited begin anew: they are served, or wait for another segment.
    fn end_survey(&mut self, storage: &mut impl Storage, events: &mut Vec<LogEvent>) {
        self.surveys.open = None;
        for reading in core::mem::take(&mut self.surveys.waiting) {
            let token = reading.token();
            match reading.again(&self.index) {
                Some(reading) => self.submit_read(reading, storage),
                None => events.push(LogEvent::ReadVoid { token }),
            }
        }
    }
}
