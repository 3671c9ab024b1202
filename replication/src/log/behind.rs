//! Where to read on behind what is no record.
//!
//! Called by: the walk.

use quorate_wire::{RECORD_HEADER_BYTES, Record, RecordHeader};

use super::format::SEGMENT_HEADER_BYTES;
use super::tail::is_zero;
use super::walk::{Ends, Visitor, Walk};
use crate::buffer::BLOCK_BYTES;

impl<V: Visitor> Walk<'_, V> {
    /// Where to read on behind zeros. They fill up a block; and there are whole blocks of them where missing records were put
    /// back, since those lie closer together than before. Then the chain says that nothing is missing.
    pub(super) fn behind_zeros(&self, valid: &[u8], at: usize, ends: Ends) -> Option<usize> {
        let block = at.next_multiple_of(BLOCK_BYTES).min(valid.len());
        if !is_zero(valid.get(at..block)?) {
            return None;
        }
        if at < block && (block < valid.len() || matches!(ends, Ends::Here(_))) {
            return Some(block);
        }
        let rest = valid.get(block..)?;
        let written = rest.chunks(BLOCK_BYTES).position(|block| !is_zero(block));
        let Some(written) = written.map(|nth| block + nth * BLOCK_BYTES) else {
            return matches!(ends, Ends::Here(_)).then_some(valid.len());
        };
        let (record, _) = Record::parse(valid.get(written..)?).ok()?;
        (written > at && self.index.check(record.header()).is_ok()).then_some(written)
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

    /// The next block, from `from` on, that begins with a sound record which was written behind all that is known.
    pub(super) fn next_sound(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let first = from.next_multiple_of(BLOCK_BYTES).max(SEGMENT_HEADER_BYTES);
        (first..bytes.len()).step_by(BLOCK_BYTES).find(|&block| {
            let parsed = Record::parse(bytes.get(block..).unwrap_or_default());
            parsed.is_ok_and(|(record, _)| {
                let header = record.header();
                header.group == self.index.group()
                    && header.index > self.index.commit()
                    && !self.index.has(header)
            })
        })
    }
}

/// Whether a record is the next one in the chain.
fn follows(before: &RecordHeader, header: &RecordHeader) -> bool {
    header.index == before.index.next() && header.previous == before.header_crc
}
