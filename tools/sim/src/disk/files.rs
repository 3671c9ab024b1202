//! The disk at rest.

use quorate_replication::seam::{FileId, Files, FilesError, SegmentId, SnapshotId};

use super::{Content, Disk};

impl Files for Disk {
    type Bytes = Content;

    fn superblock(&self) -> Result<Option<Vec<u8>>, FilesError> {
        Ok(self
            .superblock
            .as_ref()
            .map(|content| content.as_ref().to_vec()))
    }

    fn store_superblock(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        self.superblock = Some(Content::from(bytes.to_vec()));
        Ok(())
    }

    fn segments(&self) -> Result<Vec<SegmentId>, FilesError> {
        Ok(self.segments.keys().copied().collect())
    }

    fn segment(&self, segment: SegmentId) -> Result<Content, FilesError> {
        self.segments
            .get(&segment)
            .cloned()
            .ok_or_else(|| FilesError {
                path: format!("segment {}", segment.0),
                cause: "it is not there".to_owned(),
                errno: None,
            })
    }

    fn snapshots(&self) -> Result<Vec<SnapshotId>, FilesError> {
        Ok(self.snapshots.keys().copied().collect())
    }

    fn snapshot(&self, snapshot: SnapshotId) -> Result<Content, FilesError> {
        self.snapshots
            .get(&snapshot)
            .cloned()
            .ok_or_else(|| FilesError {
                path: format!("snapshot {}", snapshot.0),
                cause: "it is not there".to_owned(),
                errno: None,
            })
    }

    fn remove(&mut self, file: FileId) -> Result<(), FilesError> {
        let gone = match file {
            FileId::Segment(segment) => {
                self.left.remove(&segment);
                self.segments.remove(&segment)
            }
            FileId::Snapshot(snapshot) => self.snapshots.remove(&snapshot),
            FileId::Superblock => None,
        };
        assert!(gone.is_some(), "what is removed is there");
        Ok(())
    }
}
