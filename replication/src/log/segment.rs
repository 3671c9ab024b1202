//! One segment of the index: landmarks to find records by, and the gaps where void ones lie.
//!
//! Owns: what is known of the records of one file. Never: reads or writes it. Called by: the index.

use alloc::vec::Vec;
use core::ops::Range;

use quorate_wire::{LogIndex, Offset, RecordHeader};

use super::format::SEGMENT_HEADER_BYTES;
use super::index::{Before, Found, Spot};
use super::sums::Extent;
use crate::seam::SegmentId;

/// Bytes of records from one landmark to the next. Bounds the index: one landmark of 32 bytes for so many of the log.
pub(super) const LANDMARK_BYTES: u64 = 64 << 10;

/// Where records begin in a segment.
pub(super) const RECORDS_AT: u64 = SEGMENT_HEADER_BYTES as u64;

/// A record that can be read on from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Landmark {
    pub(super) index: LogIndex,
    pub(super) offset: Offset,
    pub(super) log_time: u64,
    position: u64,
}

/// What is known of a segment's records.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) extent: Extent,
    /// Where its last record ends, void or not.
    pub(super) end: u64,
    /// Its first record that is not void. Without such records, the first one after it. Rises along the log, not strictly.
    pub(super) first: LogIndex,
    /// As `first`.
    pub(super) first_offset: Offset,
    /// The last record when it came into use.
    pub(super) before: Before,
    /// A record in it voids others in segments before it, or may: the log cannot begin with it.
    pub(super) reaches_back: bool,
    /// Recovery has passed it over: there is a landmark for its first record, and that is all.
    pub(super) unread: bool,
    /// Log time of its last record.
    pub(super) newest: u64,
    /// Rising in everything.
    landmarks: Vec<Landmark>,
    /// Bytes of void records, and what lies between them; rising. The last one may end beyond the last record.
    gaps: Vec<Range<u64>>,
}

impl Segment {
    /// A segment without records, behind this one.
    pub(super) fn new(id: SegmentId, extent: Extent, before: Before) -> Self {
        Self {
            id,
            extent,
            end: RECORDS_AT,
            first: before.index.next(),
            first_offset: before.next_offset,
            before,
            reaches_back: false,
            unread: false,
            newest: 0,
            landmarks: Vec::new(),
            gaps: Vec::new(),
        }
    }

    /// A record lies at `position`, behind all others. It gets a landmark if it is `due`, or the last one is far enough.
    pub(super) fn append(&mut self, header: &RecordHeader, position: u64, due: bool) {
        let last = self.landmarks.last();
        if due || last.is_none_or(|last| position >= last.position + LANDMARK_BYTES) {
            self.landmarks.push(Landmark {
                index: header.index,
                offset: header.base_offset,
                log_time: header.log_time,
                position,
            });
        }
        self.end = position + header.record_bytes() as u64;
        self.newest = header.log_time;
    }

    /// The end of the gap that `position` lies in.
    pub(super) fn gap_end(&self, position: u64) -> Option<u64> {
        let after = self.gaps.partition_point(|gap| gap.start <= position);
        let gap = self.gaps.get(after.checked_sub(1)?)?;
        (position < gap.end).then_some(gap.end)
    }

    /// The last landmark of those that are `before` something, which come first.
    pub(super) fn landmark(&self, before: impl Fn(&Landmark) -> bool) -> Option<Found> {
        let after = self.landmarks.partition_point(before);
        let landmark = self.landmarks.get(after.checked_sub(1)?)?;
        Some(self.found(landmark))
    }

    /// Its first record that is not void.
    pub(super) fn first_landmark(&self) -> Option<Found> {
        self.landmarks.first().map(|first| self.found(first))
    }

    fn found(&self, landmark: &Landmark) -> Found {
        Found {
            spot: Spot {
                segment: self.id,
                position: landmark.position,
            },
            index: landmark.index,
        }
    }

    /// What lies between `from` and `to` is void; `from` is where a record begins, or the records begin.
    pub(super) fn void(&mut self, from: u64, to: u64) {
        while self
            .landmarks
            .pop_if(|landmark| landmark.position >= from)
            .is_some()
        {}
        while self.gaps.pop_if(|gap| gap.start >= from).is_some() {}
        let start = self.gaps.pop_if(|gap| gap.end == from);
        let start = start.map_or(from, |gap| gap.start);
        assert!(
            self.gaps.last().is_none_or(|gap| gap.end < start),
            "gaps lie one behind the other"
        );
        if start < to {
            self.gaps.push(start..to);
        }
    }
}
