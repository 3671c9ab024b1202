//! A disk in memory. What is submitted is done when it is next asked for, unless writes are held back.

use std::collections::BTreeMap;
use std::rc::Rc;

use quorate_replication::seam::{
    FileId, Files, FilesError, OpId, Pace, SegmentId, SnapshotId, Storage, StorageDone, StorageOp,
    StorageOutcome,
};

#[derive(Debug, Default)]
pub(crate) struct Disk {
    superblock: Option<Vec<u8>>,
    segments: BTreeMap<SegmentId, Rc<Vec<u8>>>,
    done: Vec<StorageDone>,
    /// Writes to segments are done only when this says no more.
    pub(crate) holds: bool,
    held: Vec<StorageDone>,
    /// Writes to segments so far, and their bytes.
    pub(crate) writes: u64,
    pub(crate) written: usize,
}

impl Storage for Disk {
    fn submit(&mut self, id: OpId, op: StorageOp) {
        let mut holds = false;
        let outcome = match op {
            StorageOp::Write {
                file,
                position,
                bytes,
            } => {
                if matches!(file, FileId::Segment(_)) {
                    self.writes += 1;
                    self.written += bytes.len();
                    holds = self.holds;
                }
                let at = place(position)..place(position) + bytes.len();
                let room = self.file(file).get_mut(at);
                room.expect("writes lie inside files")
                    .copy_from_slice(&bytes);
                StorageOutcome::Written
            }
            StorageOp::Read {
                file,
                position,
                length,
                mut into,
            } => {
                let at = place(position)..place(position) + length;
                let bytes = self.file(file).get(at).expect("reads lie inside files");
                into.get_mut(..length)
                    .expect("a read has room")
                    .copy_from_slice(bytes);
                StorageOutcome::Read(into)
            }
            StorageOp::Prepare { segment, bytes, .. } => {
                self.segments
                    .insert(segment, Rc::new(vec![0; place(bytes)]));
                StorageOutcome::Prepared
            }
            StorageOp::Reuse { .. }
            | StorageOp::Append { .. }
            | StorageOp::Publish { .. }
            | StorageOp::Remove { .. } => {
                unreachable!("no snapshot is taken here, and nothing goes")
            }
        };
        let done = StorageDone {
            id,
            result: Ok(outcome),
        };
        if holds {
            self.held.push(done);
        } else {
            self.done.push(done);
        }
    }

    fn pace(&mut self, _: Pace) {}

    fn completed(&mut self, done: &mut Vec<StorageDone>) {
        if !self.holds {
            done.append(&mut self.held);
        }
        done.append(&mut self.done);
    }
}

impl Disk {
    fn file(&mut self, file: FileId) -> &mut Vec<u8> {
        match file {
            FileId::Superblock => self.superblock.as_mut(),
            FileId::Segment(segment) => self.segments.get_mut(&segment).and_then(Rc::get_mut),
            FileId::Snapshot(_) => None,
        }
        .expect("files are made before they are used")
    }

    pub(crate) fn has_done(&self) -> bool {
        !self.done.is_empty() || (!self.holds && !self.held.is_empty())
    }
}

fn place(position: u64) -> usize {
    usize::try_from(position).expect("a file here fits into memory")
}

impl Files for Disk {
    type Bytes = Shared;

    fn superblock(&self) -> Result<Option<Vec<u8>>, FilesError> {
        Ok(self.superblock.clone())
    }

    fn store_superblock(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        self.superblock = Some(bytes.to_vec());
        Ok(())
    }

    fn segments(&self) -> Result<Vec<SegmentId>, FilesError> {
        Ok(self.segments.keys().copied().collect())
    }

    fn segment(&self, segment: SegmentId) -> Result<Shared, FilesError> {
        let bytes = self.segments.get(&segment).expect("it was listed");
        Ok(Shared(Rc::clone(bytes)))
    }

    fn snapshots(&self) -> Result<Vec<SnapshotId>, FilesError> {
        Ok(Vec::new())
    }

    fn snapshot(&self, _: SnapshotId) -> Result<Shared, FilesError> {
        unreachable!("none was listed")
    }

    fn remove(&mut self, _: FileId) -> Result<(), FilesError> {
        unreachable!("nothing goes")
    }
}

/// A segment's bytes, as a mapped file has them: without a copy.
#[derive(Debug)]
pub(crate) struct Shared(Rc<Vec<u8>>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}
