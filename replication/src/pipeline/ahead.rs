//! Reading ahead: while a consumer that is far behind the log's end is sent records, those behind them are read.
//!
//! Only behind full answers: who takes those reads on. Owns: records that were read and that nobody has asked for yet. Never: more
//! than [`AHEAD_MAX`] of these reads, or the last that consumers who ask could have. Called by: what serves fetches.

use alloc::collections::VecDeque;

use quorate_wire::Offset;
use quorate_wire::client::ReadFrom;

use super::Pipeline;
use super::config::{AHEAD_MAX, READS_MAX};
use super::fetch::{Fetch, Fetches, ReadFor};
use crate::log::{From, READ_BYTES_MAX, Read, ReadRecords};
use crate::seam::Seam;

/// What was read ahead, by the offset that it begins at, the oldest first. Committed records never change, so it stays true.
pub(super) type AheadReads = VecDeque<(Offset, ReadRecords)>;

impl Fetches {
    /// The records that a fetch asks for, if they are there already.
    pub(super) fn take_ahead(&mut self, fetch: &Fetch) -> Option<ReadRecords> {
        let ReadFrom::Offset(from) = fetch.from else {
            return None;
        };
        let mut ahead = self.ahead.iter();
        let at = ahead.position(|(first, _)| *first == from)?;
        let (_, records) = self.ahead.remove(at)?;
        // Another consumer's answers may be larger.
        (records.bytes.len() <= fetch.bytes_max).then_some(records)
    }

    /// Has a fetch wait for the read that is under way for it, if one is.
    pub(super) fn join_ahead(&mut self, fetch: Fetch) -> bool {
        let due = |read: &&mut (u64, ReadFor)| {
            matches!(read.1, ReadFor::Ahead(from, bytes)
                if fetch.from == ReadFrom::Offset(from) && bytes <= fetch.bytes_max)
        };
        let Some((_, read)) = self.reads.iter_mut().find(due) else {
            return false;
        };
        *read = ReadFor::Fetch(fetch);
        true
    }

    /// Makes room for one more, if there can be.
    fn has_room_ahead(&mut self, from: Offset) -> bool {
        let open = |(_, read): &(u64, ReadFor)| match *read {
            ReadFor::Ahead(first, _) => Some(first),
            ReadFor::Peer(..) | ReadFor::Fetch(_) | ReadFor::Lend(_) | ReadFor::Scrub => None,
        };
        let open = self.reads.iter().filter_map(open);
        if open.clone().any(|first| first == from) || self.ahead.iter().any(|it| it.0 == from) {
            return false;
        }
        let open = open.count();
        if open == AHEAD_MAX || self.reads.len() >= READS_MAX - AHEAD_MAX + open {
            return false;
        }
        // The oldest was for somebody who has not come.
        while self.ahead.len() + open >= AHEAD_MAX {
            self.ahead.pop_front();
        }
        true
    }
}

impl Pipeline {
    /// Reads what the consumer will ask for that is sent these records.
    pub(super) fn read_ahead(
        &mut self,
        bytes_max: usize,
        records: &ReadRecords,
        seam: &mut impl Seam,
    ) {
        let next = records.next_offset;
        let full = records.bytes.len() * 2 > bytes_max.min(READ_BYTES_MAX);
        let from = ReadFrom::Offset(next);
        if !full
            || next >= self.readable().end
            || self.find_cached(from).is_some()
            || !self.fetches.has_room_ahead(next)
        {
            return;
        }
        let token = self.fetches.open(ReadFor::Ahead(next, bytes_max));
        let read = Read {
            token,
            from: From::Offset(next),
            through: self.committed_in_log(),
            bytes_max,
            one_term: false,
        };
        if self.log.read(read, seam).is_err() {
            self.read_void(token, seam);
        }
    }
}
