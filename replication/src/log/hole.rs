//! A hole: bytes in the middle of a log that were durable and have changed, with something sound behind them.
//!
//! ```text
//!   segment 3                        segment 4 (its file is missing)   segment 5
//!   |H|####|####|  damaged           |                                |H|####|####|
//!               ^ start                                               ^ end
//! ```
//! The chain says what is missing: the records between the last one before the hole and the first one behind it, whose
//! `previous`, or that of a segment's header, is the checksum of the last missing one. Owns: what is known of a hole. Never:
//! reads or writes. Called by: the walk, which finds holes; mending, which fills them; the pipeline, which asks peers.

use alloc::vec::Vec;

use quorate_wire::LogIndex;

use super::error::Damage;
use super::index::{Before, Spot, block_after};
use super::seen::SegmentFile;
use super::segment::RECORDS_AT;
use super::superblock::Reached;
use crate::seam::SegmentId;

/// A record that is known by its place in the chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Link {
    /// Its index; zero before the first record.
    pub index: LogIndex,
    /// Its `header_crc`; zero before the first record.
    pub header_crc: u32,
}

/// What a hole needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing but zeros: what is behind it continues the log before it. Only void records were in it.
    Nothing,
    /// Records, the last of which is this one.
    Records(Link),
    /// Records, and it is not known which.
    Unknown(LogIndex),
}

/// A hole. See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hole {
    /// What was found first.
    pub(super) why: Damage,
    /// The first byte that may be written. At byte zero, the segment's header is to be made anew.
    pub(super) start: Spot,
    /// Behind the last byte that may be written.
    pub(super) end: Spot,
    /// Where the last record before it ends.
    pub(super) cut: Reached,
    /// The records before it: the last one, and those that might become void by what is missing, with the one before them.
    pub(super) before: Vec<Before>,
    /// All records up to here were known to be committed where it begins.
    pub(super) commit: LogIndex,
    pub(super) needs: Needs,
    /// The segments that it touches, with those files that are there.
    pub(super) files: Vec<(SegmentId, Option<SegmentFile>)>,
}

/// A part of a hole: bytes of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) segment: SegmentId,
    /// Its file, if it is there.
    pub(super) file: Option<SegmentFile>,
    /// The segment's header is to be made anew.
    pub(super) header: bool,
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Hole {
    /// In which segment it begins.
    #[must_use]
    pub fn segment(&self) -> SegmentId {
        self.start.segment
    }

    /// Where in its file.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.start.position
    }

    /// Where what may be written ends, in the file of its last segment.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end.position
    }

    /// What was found there.
    #[must_use]
    pub fn why(&self) -> Damage {
        self.why
    }

    /// What it needs.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The last record before it.
    #[must_use]
    pub fn last_before(&self) -> Link {
        self.before.last().map_or_else(Link::default, Before::link)
    }

    /// The earliest record before it that missing records may follow: those between may become void by them.
    #[must_use]
    pub fn first_before(&self) -> Link {
        self.before.first().map_or_else(Link::default, Before::link)
    }

    /// Whether the log before the hole has this very record.
    #[must_use]
    pub fn has(&self, link: Link) -> bool {
        self.before.iter().any(|before| before.link() == link)
    }

    /// Its parts. A segment whose file is missing gets so many bytes, if the hole does not need more.
    pub(super) fn pieces(&self, segment_bytes: u64) -> Vec<Piece> {
        let piece = |&(segment, file): &(SegmentId, Option<SegmentFile>)| {
            let first = segment == self.start.segment;
            let last = segment == self.end.segment;
            let from = if first { self.start.position } else { 0 };
            let room = file.map_or(segment_bytes, |file| file.extent().room);
            let to = if last { self.end.position } else { room };
            let header = from == 0;
            let from = from.max(RECORDS_AT);
            Piece {
                segment,
                file,
                header,
                from,
                to: to.max(from),
            }
        };
        self.files.iter().map(piece).collect()
    }
}

impl Piece {
    /// Its file; one that is missing has to be made, and as long as that.
    pub(super) fn file_or_zeros(&self, segment_bytes: u64) -> SegmentFile {
        self.file
            .unwrap_or_else(|| SegmentFile::zeros(segment_bytes.max(block_after(self.to))))
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use super::super::seen::Kind;
    use super::*;

    /// What is put back into a segment that the hole goes through has the records' room, not that of the sums behind it.
    #[test]
    fn a_hole_ends_where_its_segments_records_do() {
        let bytes = 1 << 20;
        let file = |segment, kind| (SegmentId(segment), Some(SegmentFile { bytes, kind }));
        let spot = |segment, position| Spot {
            segment: SegmentId(segment),
            position,
        };
        let hole = Hole {
            why: Damage::Lost,
            start: spot(1, 8192),
            end: spot(4, 12_288),
            cut: Reached::new(SegmentId(1), 8192),
            before: vec![],
            commit: LogIndex(0),
            needs: Needs::Unknown(LogIndex(9)),
            files: vec![
                file(1, Kind::Sums),
                file(2, Kind::Reused),
                file(3, Kind::Whole),
                file(4, Kind::Full),
            ],
        };
        let ends: Vec<u64> = hole.pieces(bytes).iter().map(|piece| piece.to).collect();
        let room = bytes - 3 * 4096;
        assert_eq!(ends, [room, room, bytes, 12_288]);
    }
}
