//! How a log ends: clean, torn, or damaged.
//!
//! Called where no sound record follows in the last segment in use. The argument, in full, is in `docs/log-format.md`: group
//! commits are written one at a time, each begins on a block, and no record but the first of a group commit begins on one. So
//! a record's header on a block shows that everything before it was durable; and what a crash left unfinished shows sectors
//! that are still zero, since the file was, and since a disk writes a sector whole or not at all.

use quorate_wire::canary::{self, Canary};
use quorate_wire::checksum::crc32;
use quorate_wire::limits::ALIGNMENT;
use quorate_wire::{RECORD_HEADER_BYTES, RECORD_MAGIC, RecordError, RecordHeader};

use super::error::Damage;
use super::format::{SECTOR_BYTES, WRITE_BYTES_MAX};
use super::index::Index;
use crate::buffer::BLOCK_BYTES;

/// What is behind the last sound record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing: the segment can be written further.
    Clean,
    /// A group commit that was never finished, so many bytes long.
    Torn(u64),
    /// Bytes that were durable and have changed.
    Damaged(Damage),
}

/// Where a segment's sound records end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// Behind the last sound record.
    pub(super) end: usize,
    /// Where no record could be read: `end`, or the block after it if zeros lead there.
    pub(super) at: usize,
    /// Why.
    pub(super) error: RecordError,
}

/// Judges what is behind the last sound record of the last segment in use.
pub(super) fn judge(bytes: &[u8], stop: Stop, index: &Index) -> End {
    let rest = bytes.get(stop.at..).unwrap_or_default();
    let Some(written) = last_written(rest).map(|last| stop.at + last + 1) else {
        return End::Clean;
    };
    let torn = !follows_group_commit(bytes, stop, index)
        && starts(bytes, stop)
            .into_iter()
            .flatten()
            .any(|start| written - start <= WRITE_BYTES_MAX && unfinished(bytes, start, index));
    if torn || canary::on(Canary::DamageIsTorn) {
        End::Torn((written - stop.end) as u64)
    } else {
        End::Damaged(damage(bytes, stop))
    }
}

/// How the bytes where no record could be read are wrong, if they were durable.
pub(super) fn damage(bytes: &[u8], stop: Stop) -> Damage {
    let block = stop.at.next_multiple_of(BLOCK_BYTES).max(stop.at + 1);
    let block = block.next_multiple_of(BLOCK_BYTES).min(bytes.len());
    if bytes.get(stop.at..block).is_none_or(is_zero) {
        Damage::Lost
    } else if begins(bytes, stop.at) {
        Damage::Record(stop.error)
    } else {
        Damage::Stray
    }
}

/// Where an unfinished record may begin: where no record could be read; and, if only zeros lead there, also where they begin,
/// for the sectors with its header may be among those that were not written. But not if a group commit begins behind the
/// zeros: then they were written.
fn starts(bytes: &[u8], stop: Stop) -> [Option<usize>; 2] {
    let before = (stop.end < stop.at && !begins(bytes, stop.at)).then_some(stop.end);
    [Some(stop.at), before]
}

/// Whether a record's header, or what is left of one, is at `at`. No single changed byte hides one: the checksum does not cover
/// the magic.
fn begins(bytes: &[u8], at: usize) -> bool {
    let Some(head) = bytes.get(at..at + RECORD_HEADER_BYTES) else {
        return false;
    };
    let (magic, rest) = head.split_at(4);
    let (found, checked) = rest.split_at(4);
    magic == RECORD_MAGIC.to_le_bytes() || found == crc32(&[checked]).to_le_bytes()
}

/// Whether a later group commit was begun behind the place where no record could be read.
fn follows_group_commit(bytes: &[u8], stop: Stop, index: &Index) -> bool {
    let last = index.last();
    let from = stop.at.next_multiple_of(BLOCK_BYTES);
    let from = if from == stop.at {
        from + BLOCK_BYTES
    } else {
        from
    };
    (from..bytes.len()).step_by(BLOCK_BYTES).any(|block| {
        let header = bytes.get(block..).map(RecordHeader::parse);
        // A payload may hold a record's bytes, even on a block. It must not pass for a record that can be there.
        header.is_some_and(|header| {
            header.is_ok_and(|header| {
                let most = (block - stop.end) / RECORD_HEADER_BYTES + 1;
                header.group == index.group()
                    && header.index > index.commit()
                    && header.index <= last.index.plus(most as u64)
            })
        })
    })
}

/// Whether a record that begins at `start` is as a crash would leave it: unsound, and so because of sectors that were never
/// written.
fn unfinished(bytes: &[u8], start: usize, index: &Index) -> bool {
    let Some(head) = bytes.get(start..start + RECORD_HEADER_BYTES) else {
        return false;
    };
    match RecordHeader::parse(head) {
        Ok(header) => {
            let body = start + RECORD_HEADER_BYTES..start + header.record_bytes();
            body.end <= bytes.len()
                && index.check(&header).is_ok()
                && unwritten(bytes, body.start, body.end)
        }
        Err(_) => {
            // The header's first sector is here, and then so is the magic; or it is not, and then all of it is zero.
            let magic = head.starts_with(&RECORD_MAGIC.to_le_bytes());
            let first = start - start % SECTOR_BYTES;
            let from = if magic { first + SECTOR_BYTES } else { first };
            let to = if magic {
                start + RECORD_HEADER_BYTES
            } else {
                start + 1
            };
            unwritten(bytes, from, to)
        }
    }
}

/// Whether one of the sectors that `from..to` touches is zero.
fn unwritten(bytes: &[u8], from: usize, to: usize) -> bool {
    let first = from - from % SECTOR_BYTES;
    (first..to).step_by(SECTOR_BYTES).any(|sector| {
        bytes
            .get(sector..sector + SECTOR_BYTES)
            .is_some_and(is_zero)
    })
}

/// The last byte that is not zero.
fn last_written(bytes: &[u8]) -> Option<usize> {
    let mut end = bytes.len();
    for block in bytes.rchunks(BLOCK_BYTES) {
        if !is_zero(block) {
            let start = end - block.len();
            let last = block.iter().rposition(|&byte| byte != 0);
            return last.map(|last| start + last);
        }
        end -= block.len();
    }
    None
}

/// How many zeros bytes begin with, in steps of 8: behind them a record may begin.
pub(super) fn zeros_at(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks(BLOCK_BYTES);
    let blocks = blocks.take_while(|block| is_zero(block)).map(<[u8]>::len);
    let blocks: usize = blocks.sum();
    let words = bytes.get(blocks..).unwrap_or_default().chunks(ALIGNMENT);
    blocks + words.take_while(|word| is_zero(word)).count() * ALIGNMENT
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    // Compared block by block: that is one call of `memcmp` each.
    static ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    bytes
        .chunks(BLOCK_BYTES)
        .all(|block| ZEROS.get(..block.len()) == Some(block))
}
