//! Segments that lie ready ahead of need.
//!
//! The first few are prepared while the log works, since it stands still without; the stock behind them while it is idle, or at
//! leisure, so that a log that runs fast for a while does not have each of its bytes written twice meanwhile. Files of released
//! segments are used again: they need no room, and the file system has nothing to do. Those that have sums are used as they are,
//! since recovery knows by these what is not written yet; others are filled with zeros like new ones, for the same reason. Owns:
//! what is prepared next, of what, and how fast. Called by: the log.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use quorate_wire::{LogIndex, Time};

use super::error::Fatal;
use super::event::{LogConfig, LogEvent};
use super::format::{SEGMENT_HEADER_BYTES, SegmentHeader};
use super::log::{Log, Purpose};
use super::seen::{Kind, SegmentFile};
use super::sums::{Extent, SumsRead};
use super::superblock::Identity;
use crate::buffer::{BLOCK_BYTES, Buffer, Slice};
use crate::seam::{FileId, Pace, SegmentId, Storage, StorageError, StorageOp, StorageOutcome};

/// A log that has taken nothing for so long is idle, in nanoseconds.
const IDLE_AFTER: u64 = 1_000_000_000;

/// How long a full disk is left alone, in nanoseconds.
const FULL_WAIT: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preparing {
    /// Nothing is being prepared.
    Idle,
    /// The sums of a used file are being read.
    Looking(SegmentId),
    /// One is, which will be like this.
    Open(Kind),
    /// The disk was full, at a time that nobody has told yet.
    Full,
    /// The disk was full: not before this moment.
    Until(Time),
}

/// A segment that lies ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) segment: SegmentId,
    pub(super) extent: Extent,
    /// It is no zeros, but what an earlier segment left.
    pub(super) reused: bool,
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Ahead {
    config: LogConfig,
    /// Whether segments that come into use get sums.
    sums: bool,
    /// By rising number.
    ready: VecDeque<(SegmentId, SegmentFile)>,
    /// Released segments, as long as new ones, whose files are to be used again.
    spare: Vec<SegmentId>,
    /// How many segments have come into use since some were released.
    used: usize,
    /// Number of the next segment to prepare, or of the one that is being prepared.
    next: SegmentId,
    preparing: Preparing,
    /// The pace that the disk was told.
    pace: Option<Pace>,
    /// When the log is idle, if it takes nothing until then.
    idle_at: Option<Time>,
    /// Bytes that it had taken when that was found.
    taken_up: u64,
}

impl Ahead {
    pub(super) fn new(
        config: LogConfig,
        start: SegmentId,
        current: Option<SegmentId>,
        ready: impl IntoIterator<Item = (SegmentId, SegmentFile)>,
    ) -> Self {
        let least = (SEGMENT_HEADER_BYTES + BLOCK_BYTES) as u64;
        assert!(
            config.segment_bytes.is_multiple_of(BLOCK_BYTES as u64)
                && config.segment_bytes >= least,
            "a segment has whole blocks, and room for a record"
        );
        assert!(
            config.segments_ahead > 0,
            "without a segment ahead, none would ever come"
        );
        let ready: VecDeque<_> = ready.into_iter().collect();
        let newest = ready.back().map(|segment| segment.0).or(current);
        Self {
            config,
            sums: false,
            ready,
            spare: Vec::new(),
            used: 0,
            next: newest.map_or(start, |newest| SegmentId(newest.0 + 1)),
            preparing: Preparing::Idle,
            pace: None,
            idle_at: None,
            taken_up: 0,
        }
    }

    /// From now on, segments that come into use get sums: all members can read them.
    pub(super) fn keep_sums(&mut self) {
        self.sums = true;
    }

    fn as_used(&self, &(segment, file): &(SegmentId, SegmentFile)) -> Ready {
        let reused = file.kind == Kind::Reused;
        let extent = if self.sums || reused {
            Extent::with_sums(file.bytes)
        } else {
            Extent::whole(file.bytes)
        };
        Ready {
            segment,
            extent,
            reused,
        }
    }

    /// Whether the next segment takes so many bytes of records.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        let next = self.ready.front().map(|ready| self.as_used(ready));
        next.is_some_and(|next| next.extent.room >= SEGMENT_HEADER_BYTES as u64 + bytes)
    }

    /// The next segment, to use.
    pub(super) fn pop(&mut self) -> Ready {
        self.used += 1;
        let next = self.ready.pop_front();
        self.as_used(&next.expect("a segment is used when one is ready"))
    }

    /// The last one that lies ready.
    pub(super) fn last(&self) -> Option<SegmentId> {
        self.ready.back().map(|segment| segment.0)
    }

    /// Bytes of those that lie ready.
    pub(super) fn bytes(&self) -> u64 {
        self.ready.iter().map(|ready| ready.1.bytes).sum()
    }

    fn wanted(&self) -> bool {
        self.ready.len() < self.config.segments_ahead + self.config.segments_stock
    }

    /// Offers released segments, with the lengths of their files; returns those that go. Where a file costs nothing to use again, as
    /// many wait for it as segments came into use since others were released: as many will, until the next ones are.
    pub(super) fn take_in(&mut self, released: Vec<(SegmentId, u64)>) -> Vec<SegmentId> {
        let used = if self.sums { self.used } else { 0 };
        let wanted = self.config.segments_ahead + self.config.segments_stock + used;
        let there = self.ready.len() + usize::from(self.is_preparing());
        self.used = 0;
        let mut others = Vec::new();
        for (segment, bytes) in released {
            let few = there + self.spare.len() < wanted;
            if few && bytes == self.config.segment_bytes {
                self.spare.push(segment);
            } else {
                others.push(segment);
            }
        }
        // They need no room: a full disk is no reason to wait any more.
        if !self.spare.is_empty() && !self.is_preparing() {
            self.preparing = Preparing::Idle;
        }
        others
    }

    /// Gives back the files that wait to be used again: something else needs their room.
    pub(super) fn take_spare(&mut self) -> Vec<SegmentId> {
        core::mem::take(&mut self.spare)
    }

    /// The pace of preparations from now on, if it is another one. The log has taken so many bytes.
    pub(super) fn new_pace(&mut self, now: Time, taken_up: u64) -> Option<Pace> {
        if taken_up != self.taken_up {
            self.taken_up = taken_up;
            self.idle_at = None;
        }
        let idle_at = *self.idle_at.get_or_insert(now.after(IDLE_AFTER));
        let pace = if self.ready.is_empty() {
            Pace::Full
        } else if self.ready.len() < self.config.segments_ahead || now >= idle_at {
            Pace::Half
        } else {
            Pace::Bytes(self.config.stock_bytes)
        };
        (self.pace.replace(pace) != Some(pace)).then_some(pace)
    }

    /// Returns an operation to submit.
    pub(super) fn tend(&mut self, now: Time) -> Option<StorageOp> {
        match self.preparing {
            Preparing::Full => {
                self.preparing = Preparing::Until(now.after(FULL_WAIT));
                return None;
            }
            Preparing::Open(_) | Preparing::Looking(_) => return None,
            Preparing::Until(moment) if now < moment => return None,
            Preparing::Idle | Preparing::Until(_) => {}
        }
        if !self.wanted() {
            self.preparing = Preparing::Idle;
            return None;
        }
        let spare = self.spare.pop();
        if let Some(spare) = spare.filter(|_| self.sums) {
            self.preparing = Preparing::Looking(spare);
            let extent = Extent::with_sums(self.config.segment_bytes);
            let length = extent.sums_bytes();
            return Some(StorageOp::Read {
                file: FileId::Segment(spare),
                position: extent.room,
                length,
                into: Buffer::zeroed(length),
            });
        }
        Some(self.prepare(spare))
    }

    /// Zeros.
    fn prepare(&mut self, from: Option<SegmentId>) -> StorageOp {
        self.preparing = Preparing::Open(Kind::Whole);
        StorageOp::Prepare {
            segment: self.next,
            bytes: self.config.segment_bytes,
            from,
        }
    }

    /// The used file whose sums are being read.
    pub(super) fn looks_into(&self) -> Option<SegmentId> {
        match self.preparing {
            Preparing::Looking(spare) => Some(spare),
            Preparing::Idle | Preparing::Open(_) | Preparing::Full | Preparing::Until(_) => None,
        }
    }

    /// This is at the end of a used file, if it can be read. With sums of all that is in it, and if that lies before the record
    /// behind `start`, it is used as it is. Returns an operation to submit.
    pub(super) fn looked(
        &mut self,
        spare: SegmentId,
        end: Option<&[u8]>,
        identity: &Identity,
        start: LogIndex,
    ) -> StorageOp {
        let sums = end.and_then(|end| SumsRead::decode(end, identity));
        if sums.is_none_or(|sums| sums.segment != spare || sums.last > start) {
            return self.prepare(Some(spare));
        }
        self.preparing = Preparing::Open(Kind::Reused);
        let header = SegmentHeader::vacant(*identity, self.next, self.config.segment_bytes);
        let mut block = Buffer::zeroed(SEGMENT_HEADER_BYTES);
        header.encode_vacant(&mut block);
        StorageOp::Reuse {
            segment: self.next,
            from: spare,
            head: Slice::new(Arc::new(block), 0..SEGMENT_HEADER_BYTES),
        }
    }

    fn is_preparing(&self) -> bool {
        matches!(self.preparing, Preparing::Open(_) | Preparing::Looking(_))
    }

    pub(super) fn deadline(&self) -> Time {
        match self.preparing {
            Preparing::Idle if self.wanted() => Time(0),
            Preparing::Full => Time(0),
            Preparing::Until(moment) => moment,
            // It may go faster then.
            Preparing::Open(_) | Preparing::Looking(_)
                if matches!(self.pace, Some(Pace::Bytes(_))) =>
            {
                self.idle_at.unwrap_or(Time(u64::MAX))
            }
            Preparing::Idle | Preparing::Open(_) | Preparing::Looking(_) => Time(u64::MAX),
        }
    }

    /// The segment that is being prepared.
    pub(super) fn preparing(&self) -> SegmentId {
        self.next
    }

    /// The segment that was being prepared is ready.
    pub(super) fn prepared(&mut self) {
        let Preparing::Open(kind) = self.preparing else {
            unreachable!("a segment that is prepared was asked for");
        };
        let bytes = self.config.segment_bytes;
        self.ready
            .push_back((self.next, SegmentFile { bytes, kind }));
        self.next = SegmentId(self.next.0 + 1);
        self.preparing = Preparing::Idle;
    }

    /// The segment that was being prepared found no room.
    pub(super) fn full(&mut self) {
        self.preparing = Preparing::Full;
    }
}

impl Log {
    /// What was asked of the disk for a segment to come is over.
    pub(super) fn prepared(
        &mut self,
        result: Result<StorageOutcome, StorageError>,
        storage: &mut impl Storage,
        events: &mut Vec<LogEvent>,
    ) -> Result<(), Fatal> {
        if let Some(used) = self.ahead.looks_into() {
            let end = match result {
                Ok(StorageOutcome::Read(end)) => Some(end),
                Ok(_) | Err(_) => None,
            };
            let identity = &self.keeper.superblock().identity;
            let start = self.keeper.start().before.index;
            let op = self.ahead.looked(used, end.as_deref(), identity, start);
            self.submit(Purpose::Prepare, op, storage);
            return Ok(());
        }
        match result {
            Ok(StorageOutcome::Prepared) => {
                self.ahead.prepared();
                events.push(LogEvent::RoomMade);
            }
            Ok(_) => unreachable!("a preparation ends as one"),
            Err(StorageError::Full) => {
                self.ahead.full();
                events.push(LogEvent::DiskFull);
            }
            Err(error @ (StorageError::Short { .. } | StorageError::Os { .. })) => {
                let what = FileId::Segment(self.ahead.preparing());
                return Err(Fatal::WriteFailed { what, error });
            }
        }
        Ok(())
    }
}
