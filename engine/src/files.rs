//! A node's data directory, and a group's files before and without a pipeline.
//!
//! ```text
//! DIR/lock                           held by the process that uses DIR; says which
//! DIR/group-0/superblock
//! DIR/group-0/segment-0000000001
//! DIR/group-0/segment-0000000002.preparing     not yet durable: filled anew after the next start, or removed
//! DIR/group-0/snapshot-0000004711
//! DIR/group-0/snapshot.preparing               the same
//! ```
//!
//! Owns: names, the lock. Never: reads a format. Called by: start-up, recovery, the inspection commands.

mod data_dir;
mod group_files;

use quorate_replication::seam::{FileId, SegmentId, SnapshotId};
use quorate_wire::GroupId;

pub use data_dir::DataDir;
pub use group_files::{GroupFiles, SegmentBytes};

const LOCK: &str = "lock";
const SUPERBLOCK: &str = "superblock";
const SEGMENT: &str = "segment-";
const SNAPSHOT: &str = "snapshot-";
const PREPARING: &str = ".preparing";

/// The name of a snapshot that is being written.
pub(crate) const SNAPSHOT_PREPARING: &str = "snapshot.preparing";

/// The name of a group's directory.
#[must_use]
pub fn group_name(group: GroupId) -> String {
    format!("group-{group}")
}

/// The name of a group's file.
#[must_use]
pub fn file_name(file: FileId) -> String {
    match file {
        FileId::Superblock => SUPERBLOCK.to_owned(),
        FileId::Segment(segment) => segment_name(segment),
        FileId::Snapshot(snapshot) => snapshot_name(snapshot),
    }
}

/// The name of a segment: its number in ten digits or more, so that a listing is in order.
#[must_use]
pub fn segment_name(segment: SegmentId) -> String {
    format!("{SEGMENT}{:010}", segment.0)
}

/// The name of a snapshot: its index in ten digits or more.
fn snapshot_name(snapshot: SnapshotId) -> String {
    format!("{SNAPSHOT}{:010}", snapshot.0)
}

/// The snapshot of a name, if it is one as [`snapshot_name`] writes it.
fn snapshot_of(name: &str) -> Option<SnapshotId> {
    let index = name.strip_prefix(SNAPSHOT)?.parse().ok()?;
    let snapshot = SnapshotId(index);
    (index > 0 && snapshot_name(snapshot) == name).then_some(snapshot)
}

/// The name of a segment that is being prepared.
pub(crate) fn preparing_name(segment: SegmentId) -> String {
    segment_name(segment) + PREPARING
}

/// The segment of a name, if it is one as [`segment_name`] writes it.
fn segment_of(name: &str) -> Option<SegmentId> {
    let number = name.strip_prefix(SEGMENT)?.parse().ok()?;
    let segment = SegmentId(number);
    (number > 0 && segment_name(segment) == name).then_some(segment)
}

#[cfg(test)]
mod tests {
    use quorate_replication::seam::{SegmentId, SnapshotId};

    use super::{
        SNAPSHOT_PREPARING, preparing_name, segment_name, segment_of, snapshot_name, snapshot_of,
    };

    #[test]
    fn a_snapshot_has_one_name() {
        for index in [1, 9_999_999_999, u64::MAX] {
            let snapshot = SnapshotId(index);
            assert_eq!(snapshot_of(&snapshot_name(snapshot)), Some(snapshot));
        }
        for other in [
            "snapshot-1",
            "snapshot-0000000000",
            SNAPSHOT_PREPARING,
            "snapshot-",
        ] {
            assert_eq!(snapshot_of(other), None, "{other}");
        }
    }

    #[test]
    fn a_segment_has_one_name() {
        for number in [1, 2, 9_999_999_999, 10_000_000_000, u64::MAX] {
            let segment = SegmentId(number);
            assert_eq!(segment_of(&segment_name(segment)), Some(segment));
            assert_eq!(segment_of(&preparing_name(segment)), None);
        }
        assert_eq!(segment_name(SegmentId(1)), "segment-0000000001");
        for other in [
            "segment-1",
            "segment-0000000000",
            "segment-+000000001",
            "segment-00000000001",
            "segment-",
            "superblock",
        ] {
            assert_eq!(segment_of(other), None, "{other}");
        }
    }
}
