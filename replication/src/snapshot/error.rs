//! What can be wrong with a snapshot.

use quorate_wire::{Edition, GroupId};

/// Why bytes are no snapshot, or not one of this group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotError {
    /// The bytes end too early.
    #[error("it ends at byte {at}, before its end")]
    Cut {
        /// Where.
        at: u64,
    },
    /// There are bytes behind the end.
    #[error("there are bytes behind its end")]
    TooLong,
    /// It does not begin with its magic.
    #[error("the magic is {found:#010x}")]
    Magic {
        /// What is there.
        found: u32,
    },
    /// A version that this build does not read.
    #[error("version {found}, this build reads up to {}", Edition::BUILD)]
    Version {
        /// The version.
        found: u32,
    },
    /// A checksum does not fit.
    #[error("the checksum of what begins at byte {at} does not fit")]
    Checksum {
        /// Where that begins.
        at: u64,
    },
    /// It belongs to another cluster or group.
    #[error("it is one of another cluster, or of group {group}")]
    Foreign {
        /// Its group.
        group: GroupId,
    },
    /// A field is out of range.
    #[error("the field {field} at byte {at} is out of range")]
    Field {
        /// Which one.
        field: &'static str,
        /// Where its header, piece or entry begins.
        at: u64,
    },
}
