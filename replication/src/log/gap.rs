//! From damage to a hole: what is known before it, and what the first sound thing behind it says.
//!
//! Called by: the walk.

use alloc::vec::Vec;

use quorate_wire::{LogIndex, Offset, RecordHeader, Term};

use super::error::Damage;
use super::format::SegmentHeader;
use super::hole::{Hole, Link, Needs};
use super::index::{Before, Index, Spot};
use super::seen::SegmentFile;
use super::superblock::Reached;
use super::walk::{Visitor, Walk};
use crate::buffer::BLOCK_BYTES;
use crate::seam::SegmentId;

/// Damage behind which nothing sound was found yet.
#[derive(Debug)]
pub(super) struct Gap {
    start: Spot,
    why: Damage,
    cut: Reached,
    before: Vec<Before>,
    commit: LogIndex,
}

impl Gap {
    /// The log is sound up to here.
    pub(super) fn begin(start: Spot, why: Damage, cut: Reached, index: &Index) -> Self {
        Self {
            start,
            why,
            cut,
            before: index.open_end(),
            commit: index.commit(),
        }
    }

    /// A hole that ends here, where the chain comes from the record `previous`.
    fn close(self, end: Spot, previous: Link, files: &[(SegmentId, Option<SegmentFile>)]) -> Hole {
        let Self {
            start,
            why,
            cut,
            before,
            commit,
        } = self;
        let mut hole = Hole {
            why,
            start,
            end,
            cut,
            before,
            commit,
            needs: Needs::Nothing,
            files: Vec::new(),
        };
        hole.end_at(end, previous, files);
        hole
    }
}

impl Hole {
    fn end_at(&mut self, end: Spot, previous: Link, files: &[(SegmentId, Option<SegmentFile>)]) {
        self.end = end;
        self.needs = if self.has(previous) {
            Needs::Nothing
        } else {
            Needs::Records(previous)
        };
        let touched = self.start.segment..=end.segment;
        let files = files.iter().filter(|file| touched.contains(&file.0));
        self.files = files.copied().collect();
    }
}

impl<V: Visitor> Walk<'_, V> {
    /// A segment's header is sound: the hole ends where the segment before it does.
    pub(super) fn close_at_header(
        &mut self,
        gap: Gap,
        id: SegmentId,
        header: &SegmentHeader,
        first: Option<Term>,
    ) {
        let previous = header.last_before();
        let end = Spot {
            segment: SegmentId(id.0 - 1),
            position: header.previous_end,
        };
        // A header tells no term. It is that of the records on both sides, if they agree.
        let term = gap.before.last().map(|last| last.term);
        let term = term.filter(|_| term == first).unwrap_or_default();
        self.index
            .begin_current(before(previous, header.first_offset, term));
        self.holes.push(gap.close(end, previous, &self.files));
    }

    /// A record is sound: the hole ends before it.
    pub(super) fn close_at_record(&mut self, gap: Gap, header: &RecordHeader, end: Spot) {
        let previous = previous_of(header);
        let hole = gap.close(end, previous, &self.files);
        if hole.needs != Needs::Nothing {
            self.index
                .restart(before(previous, header.base_offset, header.term));
        }
        self.holes.push(hole);
    }

    /// A sound record that does not fit behind the last hole, since it takes the place of records in it or before it: all
    /// between is void. Says whether it does.
    pub(super) fn extend_last(&mut self, header: &RecordHeader, end: Spot) -> bool {
        let (group, commit) = (self.index.group(), self.index.commit());
        let Some(hole) = self.holes.last_mut() else {
            return false;
        };
        let previous = previous_of(header);
        let reaches_back = match hole.needs {
            Needs::Nothing => false,
            Needs::Records(link) => {
                header.index <= link.index
                    || (previous.index == link.index && previous.header_crc != link.header_crc)
            }
            Needs::Unknown(index) => header.index <= index,
        };
        if !reaches_back || header.group != group || header.index <= commit {
            return false;
        }
        if end.position.is_multiple_of(BLOCK_BYTES as u64) {
            hole.end_at(end, previous, &self.files);
        } else {
            // What is found behind damage begins on a block. Were the records between written over, this one would be lost.
            hole.needs = Needs::Unknown(previous.index);
        }
        self.index
            .restart(before(previous, header.base_offset, header.term));
        true
    }
}

pub(super) fn previous_of(header: &RecordHeader) -> Link {
    Link {
        index: header.index.previous(),
        header_crc: header.previous,
    }
}

fn before(link: Link, next_offset: Offset, term: Term) -> Before {
    Before {
        index: link.index,
        next_offset,
        term,
        header_crc: link.header_crc,
    }
}
