//! Segments that recovery passes over: a snapshot covers their records, and what is left to know of them, their ends say.
//!
//! ```text
//!   segment 3                     segment 4                     segment 5
//!   |H|first #### unread ####|    |H|first #### unread ####|    |H|first #### gone through: behind the snapshot
//!        term 7                        term 7                        term 7
//! ```
//! A segment's header and first record say where it begins, the next one's where it ends; if both first records are of one term,
//! so is all between. Only the heads of the files are read. Owns: the decision. Never: repairs; whatever is odd here has the whole
//! log gone through. Called by: recovery. Why this is safe: `docs/decisions/2026-11-26-recovery-reads-behind-the-snapshot.md`.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, RECORD_HEADER_BYTES, RecordHeader};

use super::error::RecoveryError;
use super::format::{self, SEGMENT_HEADER_BYTES, SegmentHeader};
use super::index::{Before, Index};
use super::seen::SegmentFile;
use super::segment::RECORDS_AT;
use super::superblock::Superblock;
use super::walk::{Visitor, Walk};
use crate::buffer::BLOCK_BYTES;
use crate::seam::{Files, SegmentId};

/// Bytes of a segment's head: its header, and that of its first record.
const HEAD_BYTES: usize = SEGMENT_HEADER_BYTES + RECORD_HEADER_BYTES;

/// What a segment's head says.
#[derive(Clone, Copy, Debug)]
struct Head {
    header: SegmentHeader,
    first: RecordHeader,
}

/// A segment that is passed over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Passed {
    pub(super) header: SegmentHeader,
    /// Its first record.
    pub(super) first: RecordHeader,
    /// Its last record, as the next segment tells.
    pub(super) last: Before,
    /// Where that record ends.
    pub(super) end: u64,
    /// Log time of the next segment's first record.
    pub(super) newest: u64,
}

impl Passed {
    pub(super) fn id(&self) -> SegmentId {
        self.header.segment
    }
}

/// What is known of a segment, if it is passed over.
pub(super) fn of(passed: &[Passed], id: SegmentId) -> Option<&Passed> {
    let nth = passed.binary_search_by_key(&id, Passed::id).ok()?;
    passed.get(nth)
}

/// The segments that can be passed over by who has a snapshot of all up to `covered`: none of their records is needed, and none of
/// a later segment can void one of them.
pub(super) fn find(
    files: &impl Files,
    superblock: &Superblock,
    covered: LogIndex,
) -> Result<Vec<Passed>, RecoveryError> {
    if covered == LogIndex(0) {
        return Ok(Vec::new());
    }
    let ids = files.segments().map_err(RecoveryError::Files)?;
    let ids = ids.into_iter().filter(|&id| id >= superblock.start.segment);
    let heads: Vec<Option<Head>> = ids
        .map(|id| head(files, superblock, id))
        .take_while(|head| head.is_none_or(|head| head.header.first_index <= covered))
        .collect();
    let mut passed = Vec::new();
    let mut next_goes = false;
    for (head, next) in heads.iter().zip(heads.iter().skip(1)).rev() {
        let joined = head.as_ref().zip(next.as_ref());
        let passes = joined.and_then(|(head, next)| {
            let settled = next.header.commit >= next.header.first_index.previous();
            join(head, next, covered).filter(|_| next_goes || settled)
        });
        next_goes = passes.is_some();
        passed.extend(passes);
    }
    passed.reverse();
    Ok(passed)
}

/// The head of a segment whose records begin where its header says.
fn head(files: &impl Files, superblock: &Superblock, id: SegmentId) -> Option<Head> {
    let (bytes, length) = files.head(id, HEAD_BYTES).ok()?;
    let (block, first) = bytes.split_at_checked(SEGMENT_HEADER_BYTES)?;
    let format::Head::Used(header) = SegmentHeader::decode(block).ok()? else {
        return None;
    };
    let first = RecordHeader::parse(first).ok()?;
    let own = header.identity == superblock.identity
        && header.segment == id
        && header.segment_bytes == length
        && length.is_multiple_of(BLOCK_BYTES as u64);
    let begins = first.group == superblock.identity.group
        && first.index == header.first_index
        && first.base_offset == header.first_offset
        && first.previous == header.previous;
    (own && begins).then_some(Head { header, first })
}

/// What the next segment's head makes of a segment, if they fit together, and all is of one term, and covered.
fn join(head: &Head, next: &Head, covered: LogIndex) -> Option<Passed> {
    let Head { header, first } = *head;
    let end = next.header.previous_end;
    let last = next.header.first_index.previous();
    let follows = next.header.segment.0 == header.segment.0 + 1
        && next.first.term == first.term
        && next.first.log_time >= first.log_time
        && next.header.first_offset >= first.next_offset()
        && (RECORDS_AT + first.record_bytes() as u64..=header.segment_bytes).contains(&end);
    (follows && first.index <= last && last < covered).then_some(Passed {
        header,
        first,
        last: Before {
            index: last,
            next_offset: next.header.first_offset,
            term: first.term,
            header_crc: next.header.previous,
        },
        end,
        newest: next.first.log_time,
    })
}

impl<V: Visitor> Walk<'_, V> {
    /// Takes a segment for what its ends say.
    pub(super) fn pass(&mut self, passed: &Passed) -> Result<(), RecoveryError> {
        let (id, file) = (passed.id(), SegmentFile::of(&passed.header));
        self.files.push((id, Some(file)));
        if let Some(why) = self.join(id, &passed.header)? {
            return self.damage(id, 0, why);
        }
        self.open(id, file);
        self.index.pass(passed);
        self.visitor.passed(&passed.first);
        Ok(())
    }
}

impl Index {
    /// The current segment is passed over.
    fn pass(&mut self, passed: &Passed) {
        let current = self.segments.last_mut().expect("a segment is in use");
        current.append(&passed.first, RECORDS_AT, true);
        (current.end, current.newest) = (passed.end, passed.newest);
        current.unread = true;
        // A record that takes others' place is not committed when the segment begins.
        current.reaches_back = passed.header.commit < current.before.index;
        self.restart(passed.last);
    }
}
