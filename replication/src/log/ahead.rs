//! Segments that lie ready ahead of need.
//!
//! The first few are prepared while the log works, since it stands still without; the stock behind them while it is idle, or at
//! leisure, so that a log that runs fast for a while does not have each of its bytes written twice meanwhile. Files of released
//! segments are used again: they need no room, and the file system has nothing to do. They are filled with zeros like new ones,
//! because that is what recovery knows an unfinished write by. Owns: what is prepared next, of what, and how fast. Called by: the
//! log.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use quorate_wire::Time;

use super::event::LogConfig;
use super::format::SEGMENT_HEADER_BYTES;
use crate::buffer::BLOCK_BYTES;
use crate::seam::{Pace, SegmentId, StorageOp};

/// A log that has taken nothing for so long is idle, in nanoseconds.
const IDLE_AFTER: u64 = 1_000_000_000;

/// How long a full disk is left alone, in nanoseconds.
const FULL_WAIT: u64 = 1_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Preparing {
    /// Nothing is being prepared.
    Idle,
    /// One is.
    Open,
    /// The disk was full, at a time that nobody has told yet.
    Full,
    /// The disk was full: not before this moment.
    Until(Time),
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Ahead {
    config: LogConfig,
    /// By rising number, with their lengths.
    ready: VecDeque<(SegmentId, u64)>,
    /// Released segments, as long as new ones, whose files are to be used again.
    spare: Vec<SegmentId>,
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
        ready: impl IntoIterator<Item = (SegmentId, u64)>,
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
            ready,
            spare: Vec::new(),
            next: newest.map_or(start, |newest| SegmentId(newest.0 + 1)),
            preparing: Preparing::Idle,
            pace: None,
            idle_at: None,
            taken_up: 0,
        }
    }

    /// Whether the next segment takes so many bytes of records.
    pub(super) fn takes(&self, bytes: u64) -> bool {
        self.ready
            .front()
            .is_some_and(|&(_, length)| length >= SEGMENT_HEADER_BYTES as u64 + bytes)
    }

    /// The next segment, to use.
    pub(super) fn pop(&mut self) -> (SegmentId, u64) {
        self.ready
            .pop_front()
            .expect("a segment is used when one is ready")
    }

    /// The last one that lies ready.
    pub(super) fn last(&self) -> Option<SegmentId> {
        self.ready.back().map(|segment| segment.0)
    }

    /// Bytes of those that lie ready.
    pub(super) fn bytes(&self) -> u64 {
        self.ready.iter().map(|&(_, length)| length).sum()
    }

    /// Whether a further segment is wanted beside so many.
    fn wanted_beside(&self, segments: usize) -> bool {
        segments < self.config.segments_ahead + self.config.segments_stock
    }

    fn wanted(&self) -> bool {
        self.wanted_beside(self.ready.len())
    }

    /// Offers a released segment. Says whether its file will be used again.
    pub(super) fn take_in(&mut self, segment: SegmentId, bytes: u64) -> bool {
        let coming = self.spare.len() + usize::from(self.preparing == Preparing::Open);
        let takes =
            bytes == self.config.segment_bytes && self.wanted_beside(self.ready.len() + coming);
        if takes {
            self.spare.push(segment);
            // It needs no room: a full disk is no reason to wait any more.
            if self.preparing != Preparing::Open {
                self.preparing = Preparing::Idle;
            }
        }
        takes
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
            Preparing::Open => return None,
            Preparing::Until(moment) if now < moment => return None,
            Preparing::Idle | Preparing::Until(_) => {}
        }
        if !self.wanted() {
            self.preparing = Preparing::Idle;
            return None;
        }
        self.preparing = Preparing::Open;
        Some(StorageOp::Prepare {
            segment: self.next,
            bytes: self.config.segment_bytes,
            from: self.spare.pop(),
        })
    }

    pub(super) fn deadline(&self) -> Time {
        match self.preparing {
            Preparing::Idle if self.wanted() => Time(0),
            Preparing::Full => Time(0),
            Preparing::Until(moment) => moment,
            // It may go faster then.
            Preparing::Open if matches!(self.pace, Some(Pace::Bytes(_))) => {
                self.idle_at.unwrap_or(Time(u64::MAX))
            }
            Preparing::Idle | Preparing::Open => Time(u64::MAX),
        }
    }

    /// The segment that is being prepared.
    pub(super) fn preparing(&self) -> SegmentId {
        self.next
    }

    /// The segment that was being prepared is ready.
    pub(super) fn prepared(&mut self) {
        assert!(
            self.preparing == Preparing::Open,
            "a segment that is prepared was asked for"
        );
        self.ready.push_back((self.next, self.config.segment_bytes));
        self.next = SegmentId(self.next.0 + 1);
        self.preparing = Preparing::Idle;
    }

    /// The segment that was being prepared found no room.
    pub(super) fn full(&mut self) {
        self.preparing = Preparing::Full;
    }
}
