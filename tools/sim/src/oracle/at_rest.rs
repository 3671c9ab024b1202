//! Repair and convergence (docs/log-format.md, "Repair"): after everything is healed, each node's disk has every committed record
//! whole, and all logs are the same bytes up to there.

use std::collections::BTreeMap;

use quorate_replication::log::{live_records, read_superblock};
use quorate_replication::seam::Files;
use quorate_wire::{LogIndex, NodeId, Offset, ProducerId, Record, Time};

use super::Verdict;
use super::archive::Archive;
use super::exactly_once::Found;
use crate::Disk;
use crate::history::{Freshness, Read, Reader};

/// A log at rest.
#[derive(Debug, Default)]
pub(super) struct AtRest {
    bytes: Vec<u8>,
    /// Offset after its last event.
    end: Offset,
    /// Log time and first offset of each record, in order.
    pub(super) times: Vec<(u64, Offset)>,
    /// Checksum of each record.
    pub(super) records: BTreeMap<LogIndex, u32>,
    /// The chunks of each producer, in the log's order.
    pub(super) chunks: BTreeMap<ProducerId, Vec<Found>>,
}

impl AtRest {
    /// Reads the log of a disk, up to a committed record. What it has released is taken from what was ever written, by the chain.
    pub(super) fn read(
        node: NodeId,
        disk: &Disk,
        committed: LogIndex,
        archive: &Archive,
    ) -> Result<Self, String> {
        let mut log = Self::default();
        let (mut index, mut offset, mut time, mut crc) = (LogIndex(0), Offset(0), 0, 0);
        let mut broken = None;
        let mut take = |record: &Record<'_>| {
            let header = record.header();
            if header.index > committed {
                return;
            }
            let joins = header.index == index.next()
                && header.base_offset == offset
                && header.previous == crc
                && header.log_time >= time;
            if !joins {
                broken.get_or_insert(header.index);
            }
            (index, offset) = (header.index, header.next_offset());
            (time, crc) = (header.log_time, header.header_crc);
            log.records.insert(index, crc);
            log.times.push((time, header.base_offset));
            log.bytes.extend_from_slice(record.bytes());
            for (offset, chunk) in record.chunks() {
                let found = Found {
                    id: chunk.id(),
                    offset,
                    bytes: chunk.bytes().to_vec(),
                };
                let chunks = log.chunks.entry(found.id.producer).or_default();
                chunks.push(found);
            }
        };
        let before = released(disk).map_err(|why| format!("node {node}: {why}"))?;
        let released = archive.up_to(before.0, before.1);
        let released = released.map_err(|index| {
            format!(
                "node {node} begins behind index {}, and record {index} was never written",
                before.0
            )
        })?;
        for bytes in released {
            take(&Record::parse(&bytes).expect("it was parsed before").0);
        }
        let read = live_records(disk, &mut take);
        read.map_err(|error| format!("the log of node {node} is not whole: {error}"))?;
        if index < committed {
            return Err(format!(
                "the log of node {node} ends at {index}, and {committed} is committed"
            ));
        }
        log.end = offset;
        match broken {
            Some(index) => Err(format!(
                "in the log of node {node}, record {index} does not join on"
            )),
            None => Ok(log),
        }
    }

    /// The log, as a consumer would see it who is told everything.
    pub(super) fn read_at(&self, now: Time) -> Read {
        let chunks = self.chunks.values().flatten();
        let mut shown: Vec<_> = chunks.map(|found| (found.offset, found.id)).collect();
        shown.sort_unstable_by_key(|&(offset, _)| offset);
        Read {
            reader: Reader::Auditor,
            freshness: Freshness::Latest,
            invoked: now,
            answered: now,
            from: Offset(0),
            shown,
            committed: self.end,
        }
    }

    /// Whether it is the same log.
    pub(super) fn same(&self, other: &Self, (one, two): (NodeId, NodeId)) -> Verdict {
        if self.bytes == other.bytes {
            return Ok(());
        }
        let mut pairs = self.bytes.iter().zip(&other.bytes);
        Err(format!(
            "the logs of nodes {one} and {two} differ: {} and {} bytes, first at {:?}",
            self.bytes.len(),
            other.bytes.len(),
            pairs.position(|(a, b)| a != b)
        ))
    }
}

/// The last record that a disk's log has released: its index and its checksum. Some snapshot covers it.
fn released(disk: &Disk) -> Result<(LogIndex, u32), String> {
    let superblock = read_superblock(disk).map_err(|why| why.to_string())?;
    let Some(start) = superblock.map(|superblock| superblock.start_link()) else {
        return Ok((LogIndex(0), 0));
    };
    let snapshots = disk.snapshots().map_err(|why| why.to_string())?;
    let covered = snapshots
        .last()
        .is_some_and(|newest| newest.0 >= start.index.0);
    if start.index > LogIndex(0) && !covered {
        return Err(format!("no snapshot covers index {}", start.index));
    }
    Ok((start.index, start.header_crc))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_that_differ_are_seen() {
        let log = |bytes: &[u8]| AtRest {
            bytes: bytes.to_vec(),
            ..AtRest::default()
        };
        let nodes = (NodeId(1), NodeId(2));
        assert_eq!(log(b"abc").same(&log(b"abc"), nodes), Ok(()));
        assert!(log(b"abc").same(&log(b"abd"), nodes).is_err());
        assert!(log(b"abc").same(&log(b"ab"), nodes).is_err());
    }

    #[test]
    fn a_disk_without_a_log_is_seen() {
        assert!(AtRest::read(NodeId(1), &Disk::new(), LogIndex(0), &Archive::default()).is_err());
    }
}
