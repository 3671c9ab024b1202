//! The group's files at rest: what recovery and the inspection commands read, before or without a running pipeline.

use alloc::string::String;
use alloc::vec::Vec;

use super::{FileId, SegmentId, SnapshotId};

/// The files of one group. These calls may block: nothing else runs yet.
pub trait Files {
    /// A whole segment's bytes, however they are held.
    type Bytes: AsRef<[u8]>;

    /// The superblock file, or `None` if there is none. As with [`segment`](Self::segment), what is read is durable.
    ///
    /// # Errors
    /// It cannot be read.
    fn superblock(&self) -> Result<Option<Vec<u8>>, FilesError>;

    /// Creates or overwrites the superblock file, durable with its name.
    ///
    /// # Errors
    /// It cannot be written.
    fn store_superblock(&mut self, bytes: &[u8]) -> Result<(), FilesError>;

    /// All segments, by rising number. Their names are durable.
    ///
    /// # Errors
    /// They cannot be listed.
    fn segments(&self) -> Result<Vec<SegmentId>, FilesError>;

    /// The bytes of a segment. They are durable, and nothing that an earlier process has begun changes them any more:
    /// recovery counts what it reads as a copy, and writes behind it.
    ///
    /// # Errors
    /// It cannot be read.
    fn segment(&self, segment: SegmentId) -> Result<Self::Bytes, FilesError>;

    /// The first bytes of a segment, so many at most, and how many there are in all. They are durable if another segment has come
    /// into use behind this one, or if it lies ready.
    ///
    /// # Errors
    /// They cannot be read.
    fn head(&self, segment: SegmentId, bytes: usize) -> Result<(Vec<u8>, u64), FilesError> {
        let whole = self.segment(segment)?;
        let whole = whole.as_ref();
        let head = whole.get(..bytes).unwrap_or(whole);
        Ok((head.to_vec(), whole.len() as u64))
    }

    /// All snapshots that have a name, by rising index.
    ///
    /// # Errors
    /// They cannot be listed.
    fn snapshots(&self) -> Result<Vec<SnapshotId>, FilesError>;

    /// The bytes of a snapshot.
    ///
    /// # Errors
    /// It cannot be read.
    fn snapshot(&self, snapshot: SnapshotId) -> Result<Self::Bytes, FilesError>;

    /// Takes a segment or a snapshot away, durably.
    ///
    /// # Errors
    /// It cannot be removed.
    fn remove(&mut self, file: FileId) -> Result<(), FilesError>;
}

/// A file that could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {cause}")]
pub struct FilesError {
    /// Which file.
    pub path: String,
    /// What the operating system said.
    pub cause: String,
    /// Its error number, if it gave one.
    pub errno: Option<i32>,
}
