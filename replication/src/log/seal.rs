//! What is still to be written to a segment that is full: zeros behind its last record, if there is anything else, and its sums.
//!
//! Nothing waits for it. A crash before the end leaves a segment without sums, whose file is filled with zeros before it is used
//! again. Owns: the sums of the segment that is being written, and of the one before it until they are durable. Never: writes to a
//! segment before records behind it are durable, for only then is nothing more added to it. Called by: the log.

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::group::Group;
use super::index::block_after;
use super::log::Log;
use super::sums::{Extent, Sums};
use super::superblock::Identity;
use crate::buffer::{Buffer, Slice};
use crate::seam::{FileId, SegmentId, StorageOp};

/// It is written in pieces of this size: a log write that comes meanwhile waits for one piece at most.
const PIECE_BYTES: usize = 256 << 10;

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Seal {
    /// Of the current segment; not if it was in use before this process was.
    sums: Option<Sums>,
    /// What the current segment shows where nothing is written is no zeros.
    reused: bool,
    /// What is still to be written, and to which segment.
    segment: Option<SegmentId>,
    ops: VecDeque<StorageOp>,
    open: bool,
}

impl Seal {
    /// The next segment comes into use; the records of the one before it end at `end`.
    pub(super) fn roll(
        &mut self,
        (segment, extent): (SegmentId, Extent),
        reused: bool,
        before: Option<(Extent, u64)>,
        identity: &Identity,
    ) {
        let has_sums = extent.room < extent.file;
        let sums = has_sums.then(|| Sums::new(segment, extent));
        let full = core::mem::replace(&mut self.sums, sums);
        let reused = core::mem::replace(&mut self.reused, reused);
        // One at a time: a disk that is so slow has no use for more.
        if let (Some(sums), Some((extent, end)), None) = (full, before, self.segment) {
            let segment = sums.segment();
            if reused {
                self.zeros(segment, block_after(end)..extent.room);
            }
            let sums = sums.encode(identity);
            self.pieces(segment, extent.room, &sums);
            self.segment = Some(segment);
        }
    }

    /// A group commit is being written.
    fn cover(&mut self, group: &mut Group) {
        if let Some(sums) = &mut self.sums
            && let Some((position, bytes, last)) = group.take_unsummed()
        {
            sums.cover(position, bytes, last);
        }
    }

    fn zeros(&mut self, segment: SegmentId, range: core::ops::Range<u64>) {
        let zeros = Arc::new(Buffer::zeroed(PIECE_BYTES));
        let mut at = range.start;
        while at < range.end {
            let left = usize::try_from(range.end - at).unwrap_or(usize::MAX);
            let bytes = left.min(PIECE_BYTES);
            self.ops.push_back(StorageOp::Write {
                file: FileId::Segment(segment),
                position: at,
                bytes: Slice::new(Arc::clone(&zeros), 0..bytes),
            });
            at += bytes as u64;
        }
    }

    fn pieces(&mut self, segment: SegmentId, position: u64, bytes: &Slice) {
        for from in (0..bytes.len()).step_by(PIECE_BYTES) {
            let to = bytes.len().min(from + PIECE_BYTES);
            self.ops.push_back(StorageOp::Write {
                file: FileId::Segment(segment),
                position: position + from as u64,
                bytes: bytes.part(from..to),
            });
        }
    }

    /// The next write, if it is time: records up to `durable` are.
    pub(super) fn next(&mut self, durable: SegmentId) -> Option<StorageOp> {
        if self.open || self.segment? >= durable {
            return None;
        }
        let op = self.ops.pop_front()?;
        self.open = true;
        Some(op)
    }

    /// A write is durable.
    pub(super) fn written(&mut self) {
        self.open = false;
        if self.ops.is_empty() {
            self.segment = None;
        }
    }

    /// The segment that is being sealed: its file has no other use yet.
    pub(super) fn segment(&self) -> Option<SegmentId> {
        self.segment
    }
}

impl Log {
    /// Whether sums of the open group commit are still to be taken: best while the disk works on it. When it is durable they are,
    /// at the latest.
    #[must_use]
    pub fn owes_sums(&self) -> bool {
        self.seal.sums.is_some() && self.group.as_ref().is_some_and(Group::is_unsummed)
    }

    /// Takes the sums of the open group commit.
    pub fn sum(&mut self) {
        if let Some(group) = &mut self.group {
            self.seal.cover(group);
        }
    }
}
