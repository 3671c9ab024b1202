//! A group's files in memory.

use quorate_replication::seam::{Files, FilesError, SegmentId};

/// The superblock, and at most one segment.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) superblock: Option<Vec<u8>>,
    pub(crate) segment: Option<Vec<u8>>,
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

    fn remove(&mut self, _: SegmentId) -> Result<(), FilesError> {
        self.segment = None;
        Ok(())
    }
}
