//! Damage to records of a stopped node's log.

use std::ops::Range;

use quorate_replication::log::{Inspected, inspect};
use quorate_replication::seam::{FileId, SegmentId};
use quorate_sim::World;
use quorate_wire::{LogIndex, NodeId};

/// Where a record lies.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) index: LogIndex,
    pub(crate) segment: SegmentId,
    pub(crate) range: Range<usize>,
}

/// The records of a log, in the order in which they lie.
pub(crate) fn records(world: &mut World, node: NodeId) -> Vec<Found> {
    let mut found = Vec::new();
    let looked = inspect(world.node(node).disk.disk(), &mut |what| {
        if let Inspected::Record {
            segment,
            position,
            record,
            ..
        } = what
        {
            let at = usize::try_from(position).expect("small");
            found.push(Found {
                index: record.header().index,
                segment,
                range: at..at + record.bytes().len(),
            });
        }
    });
    looked.expect("it can be read");
    found
}

/// Changes a bit of a record.
pub(crate) fn damage(world: &mut World, node: NodeId, record: &Found) {
    let at = record.range.start + record.range.len() / 2;
    let disk = world.node(node).disk.disk_mut();
    disk.mar(FileId::Segment(record.segment), at..at + 1)[0] ^= 4;
}

/// Changes a bit of the record at an index.
pub(crate) fn damage_at(world: &mut World, node: NodeId, index: u64) {
    let mut records = records(world, node).into_iter();
    let record = records.find(|record| record.index == LogIndex(index));
    damage(world, node, &record.expect("it has the record"));
}
