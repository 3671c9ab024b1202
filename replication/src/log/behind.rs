//! Where to read on behind what is no record.
//!
//! Called by: the walk.

use quorate_wire::limits::ALIGNMENT;
use quorate_wire::{RECORD_HEADER_BYTES, Record, RecordHeader};

use super::format::SEGMENT_HEADER_BYTES;
use super::gap::previous_of;
use super::hole::Link;
use super::tail::{is_zero, zeros_at};
use super::walk::{Ends, Visitor, Walk};
use crate::buffer::BLOCK_BYTES;

impl<V: Visitor> Walk<'_, V> {
    /// Where to read on behind zeros. They fill up a block; and there are more of them where missing records were put back, since
    /// those lie closer together than before. Then the chain says that nothing is missing; and of a record that does not begin on a
    /// block, that it was written there.
    pub(super) fn behind_zeros(&self, valid: &[u8], at: usize, ends: Ends) -> Option<usize> {
        let block = at.next_multiple_of(BLOCK_BYTES).min(valid.len());
        let pads = at < block && is_zero(valid.get(at..block)?);
        if pads && (block < valid.len() || matches!(ends, Ends::Here(..))) {
            return Some(block);
        }
        let written = at + zeros_at(valid.get(at..)?);
        if written == valid.len() {
            return matches!(ends, Ends::Here(..)).then_some(written);
        }
        let (record, _) = Record::parse(valid.get(written..)?).ok()?;
        let follows = written > at && self.index.check(record.header()).is_ok();
        let begins = |at: usize| {
            at.is_multiple_of(BLOCK_BYTES) || self.next_proven(valid, at, ends) == Some(at)
        };
        (follows && begins(written)).then_some(written)
    }

    /// Behind a record whose body is damaged and whose header is not, if a sound record follows that continues the chain: what lies
    /// between two damaged records of one group commit is not lost with them.
    pub(super) fn behind_damaged(&self, bytes: &[u8], mut at: usize) -> Option<usize> {
        let mut before: Option<RecordHeader> = None;
        loop {
            let header = RecordHeader::parse(bytes.get(at..at + RECORD_HEADER_BYTES)?).ok()?;
            let fits = before.map_or_else(
                || self.index.check(&header).is_ok(),
                |before| follows(&before, &header),
            );
            if !fits {
                return None;
            }
            at += header.record_bytes();
            let block = at.next_multiple_of(BLOCK_BYTES);
            if at < block && bytes.get(at..block).is_some_and(is_zero) {
                at = block;
            }
            let next = Record::parse(bytes.get(at..)?);
            if next.is_ok_and(|(next, _)| follows(&header, next.header())) {
                return Some(at);
            }
            before = Some(header);
        }
    }

    /// Where it is sound again, from `from` on: the next block that begins with a sound record, or a record that leads there, or to
    /// where the next segment says that this one ends.
    pub(super) fn next_proven(&self, bytes: &[u8], from: usize, ends: Ends) -> Option<usize> {
        let sound = self.next_sound(bytes, from);
        let (to, last) = match (sound, ends) {
            (Some(sound), _) => {
                let header = RecordHeader::parse(bytes.get(sound..)?).ok()?;
                (sound, previous_of(&header))
            }
            (None, Ends::Here(_, last)) => (bytes.len(), last),
            (None, Ends::Open) => return None,
        };
        self.first_of_chain(bytes, from, to, last).or(sound)
    }

    /// The first sound record from `from` on from which the chain leads, header by header, to the record `last`, which ends at
    /// `to`. Bytes in an event that look like a record do not: whoever made them could not know what would follow.
    fn first_of_chain(&self, bytes: &[u8], from: usize, to: usize, last: Link) -> Option<usize> {
        let (mut start, mut link, mut first) = (to, last, None);
        let from = from.next_multiple_of(ALIGNMENT);
        for at in (from..to).step_by(ALIGNMENT).rev() {
            let rest = bytes.get(at..start)?;
            let Ok(header) = RecordHeader::parse(rest) else {
                continue;
            };
            let behind = rest.get(header.record_bytes()..);
            if link_of(&header) != link || !behind.is_some_and(is_zero) {
                continue;
            }
            (start, link) = (at, previous_of(&header));
            if self.is_news(&header) && Record::parse(rest).is_ok() {
                first = Some(at);
            }
        }
        first
    }

    /// The next block, from `from` on, that begins with a sound record which was written behind all that is known.
    pub(super) fn next_sound(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let first = from.next_multiple_of(BLOCK_BYTES).max(SEGMENT_HEADER_BYTES);
        (first..bytes.len()).step_by(BLOCK_BYTES).find(|&block| {
            let parsed = Record::parse(bytes.get(block..).unwrap_or_default());
            parsed.is_ok_and(|(record, _)| self.is_news(record.header()))
        })
    }

    /// Whether a record was written behind all that is known.
    fn is_news(&self, header: &RecordHeader) -> bool {
        header.group == self.index.group()
            && header.index > self.index.commit()
            && !self.index.has(header)
    }
}

/// Whether a record is the next one in the chain.
fn follows(before: &RecordHeader, header: &RecordHeader) -> bool {
    header.index == before.index.next() && header.previous == before.header_crc
}

fn link_of(header: &RecordHeader) -> Link {
    Link {
        index: header.index,
        header_crc: header.header_crc,
    }
}
