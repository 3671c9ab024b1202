//! A group's files in memory.

use quorate_replication::seam::{FileId, Files, FilesError, SegmentId, SnapshotId};

/// The superblock, and at most one segment and one snapshot.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) superblock: Option<Vec<u8>>,
    pub(crate) segment: Option<Vec<u8>>,
    /// With the index that it is named by.
    pub(crate) snapshot: Option<(u64, Vec<u8>)>,
}

impl Files for Memory {
    type Bytes = Vec<u8>;

    fn superblock(&self) -> Result<Option<Vec<u8>>, FilesError> {
        Ok(self.superblock.clone())
    }

    fn store_superblock(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        self.superblock = Some(bytes.to_vec());
        Ok(())
    }

    fn segments(&self) -> Result<Vec<SegmentId>, FilesError> {
        Ok(self.segment.iter().map(|_| SegmentId(1)).collect())
    }

    fn segment(&self, _: SegmentId) -> Result<Vec<u8>, FilesError> {
        Ok(self.segment.clone().unwrap_or_default())
    }

    fn snapshots(&self) -> Result<Vec<SnapshotId>, FilesError> {
        Ok(self.snapshot.iter().map(|named| SnapshotId(named.0)).collect())
    }

    fn snapshot(&self, _: SnapshotId) -> Result<Vec<u8>, FilesError> {
        let named = self.snapshot.as_ref();
        Ok(named.map(|named| named.1.clone()).unwrap_or_default())
    }

    fn remove(&mut self, file: FileId) -> Result<(), FilesError> {
        match file {
            FileId::Superblock => {}
            FileId::Segment(_) => self.segment = None,
            FileId::Snapshot(_) => self.snapshot = None,
        }
        Ok(())
    }
}
