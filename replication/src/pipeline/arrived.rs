//! Records that arrive with a leader's appends: whether there is room for them, and whether they are what they should be.

use quorate_raft::{Append, Raft};
use quorate_wire::Record;

use super::Pipeline;

impl Pipeline {
    /// Whether records of so many bytes can be kept now.
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        // A leader's open group holds what is not yet proposed: it is never sealed here.
        if !self.led && !self.tail.open_has_room(bytes) {
            self.seal();
        }
        // A group that nothing was put into has no claim: room that was found for records which were then refused.
        let empty = !self.tail.has_open() && !self.accumulator.is_open();
        (empty || self.tail.open_has_room(bytes)) && self.tail.reserve(bytes).is_some()
    }

    /// Whether the records are what the message says, each sound, chained to each other and to this log where they meet.
    pub(super) fn check_records(
        &self,
        append: &Append,
        mut records: &[u8],
    ) -> Result<(), &'static str> {
        let at = append.previous.index;
        let meets = self.raft.as_ref().and_then(|raft: &Raft| raft.term_at(at))
            == Some(append.previous.term);
        let mut chain = if meets {
            self.state.header_crc(at)
        } else {
            None
        };
        let (mut index, mut offset) = (at, None);
        while !records.is_empty() {
            let (record, rest) = Record::parse(records).map_err(|_| "a record is not sound")?;
            let header = record.header();
            index = index.next();
            if header.index != index
                || header.term != append.entries.term
                || header.group != self.config.group
            {
                return Err("a record is not the one that the message announces");
            }
            if chain.is_some_and(|crc| crc != header.previous) {
                return Err("a record does not follow the one before it");
            }
            if offset.is_some_and(|offset| offset != header.base_offset) {
                return Err("the offsets have a gap");
            }
            (chain, offset, records) = (Some(header.header_crc), Some(header.next_offset()), rest);
        }
        if index == at.plus(u64::from(append.entries.count)) {
            Ok(())
        } else {
            Err("records are missing or too many")
        }
    }
}
