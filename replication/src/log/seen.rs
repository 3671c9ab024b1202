//! A segment's file as the walk is to see it: its records' room, with zeros in place of what an earlier segment left there.
//!
//! Called by: the walk.

use alloc::borrow::Cow;

use quorate_wire::canary::{self, Canary};

use super::format::SegmentHeader;
use super::opened::{Opened, State};
use super::sums::{Extent, SumsRead};
use super::superblock::Superblock;
use super::tail::is_zero;
use super::walk::Ends;
use crate::seam::SegmentId;

/// What a segment's file has beside records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Records have all of it.
    Whole,
    /// Its end is kept for sums.
    Sums,
    /// It has sums of its own: nothing is written to it any more.
    Full,
    /// It has the sums of an earlier segment. What was not written is as that left it.
    Reused,
}

/// A segment's file that is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) bytes: u64,
    pub(super) kind: Kind,
}

impl SegmentFile {
    /// One that was just filled with zeros.
    pub(super) fn zeros(bytes: u64) -> Self {
        Self {
            bytes,
            kind: Kind::Whole,
        }
    }

    /// One that another segment follows.
    pub(super) fn of(header: &SegmentHeader) -> Self {
        let kind = if header.sums { Kind::Sums } else { Kind::Whole };
        Self {
            bytes: header.segment_bytes,
            kind,
        }
    }

    pub(super) fn extent(&self) -> Extent {
        match self.kind {
            Kind::Whole => Extent::whole(self.bytes),
            Kind::Sums | Kind::Full | Kind::Reused => Extent::with_sums(self.bytes),
        }
    }
}

/// See the module's description.
pub(super) struct Seen<'a> {
    pub(super) id: SegmentId,
    pub(super) state: &'a State,
    pub(super) file: SegmentFile,
    /// Up to the end of the records' room.
    pub(super) bytes: Cow<'a, [u8]>,
    pub(super) ends: Ends,
    /// Nothing was written to it since it was prepared.
    pub(super) untouched: bool,
}

impl<'a> Seen<'a> {
    /// Sums are looked at where something hangs on them: where nothing says where the records end, or that there are any.
    pub(super) fn of<B: AsRef<[u8]>>(
        opened: &'a Opened<B>,
        ends: Ends,
        superblock: &Superblock,
    ) -> Self {
        let (id, bytes) = (opened.id, opened.bytes());
        let identity = &superblock.identity;
        let (looks, keeps) = match (&opened.state, ends) {
            (State::Used(header), Ends::Open) => (header.sums, header.sums),
            (State::Used(header), Ends::Here(..)) => (false, header.sums),
            (State::Vacant(_), _) => (true, true),
            (State::Unused | State::Damaged(_), _) => (true, false),
        };
        let sums = looks.then(|| SumsRead::of_file(bytes, identity)).flatten();
        // An earlier segment's records are all before the log's start.
        let left = sums.filter(|sums| sums.segment < id && sums.last <= superblock.start());
        let kind = match sums {
            _ if left.is_some() => Kind::Reused,
            Some(sums) if sums.segment == id => Kind::Full,
            _ if keeps => Kind::Sums,
            Some(_) | None => Kind::Whole,
        };
        let file = SegmentFile {
            bytes: bytes.len() as u64,
            kind,
        };
        let room = usize::try_from(file.extent().room).unwrap_or(bytes.len());
        let bytes = bytes.get(..room).unwrap_or_default();
        let untouched = match &opened.state {
            State::Unused => is_zero(opened.bytes()),
            State::Vacant(_) => left.is_some_and(|left| left.is_all(bytes)),
            State::Used(_) | State::Damaged(_) => false,
        };
        let bytes = match (left, ends) {
            (Some(left), Ends::Open) if !untouched && !canary::on(Canary::PastTakenForPresent) => {
                Cow::Owned(left.see_through(bytes, identity))
            }
            (Some(_) | None, Ends::Open | Ends::Here(..)) => Cow::Borrowed(bytes),
        };
        Self {
            id,
            state: &opened.state,
            file,
            bytes,
            ends,
            untouched,
        }
    }
}
